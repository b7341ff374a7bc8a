//! Target `session`: one node whose peers send arbitrary data. The first four bytes are the node's settings. Operations
//! of four bytes follow, some of them with raw bytes after them.
//!
//! A model of the peers (`far`), which uses the core's decoder, checks the node's behaviour.

mod act;
mod bench;
mod check;
mod far;
mod op;
mod replay;
mod settings;
mod stale;

use metalbond::Config;

use crate::sim::sabotage::Saboteur;
use crate::targets::source::Source;
use bench::Bench;
use op::Op;

/// Maximum number of operations; more would only take time.
const MAX_OPS: usize = 96;

/// What a run reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Seen {
    /// Number of operations.
    pub(crate) ops: usize,
    /// Number of sessions that opened on accepted connections.
    pub(crate) accepted: usize,
    /// Number of sessions that opened on dialled connections.
    pub(crate) dialled: usize,
    /// Number of connections that the node closed because of received data.
    pub(crate) misbehaved: usize,
    /// Number of connections that the node refused or closed because of a limit.
    pub(crate) limited: usize,
    /// Number of UPDATEs that the node sent.
    pub(crate) sent: usize,
    /// Number of changes that its application read.
    pub(crate) changes: usize,
    /// Number of stale routes that had to stay, added up over all checks.
    pub(crate) held: usize,
}

/// Splits a test case into the settings and the single operations.
pub(crate) fn pieces(data: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (head, mut rest) = data.split_at(data.len().min(4));
    let mut ops = Vec::new();
    while !rest.is_empty() {
        let mut source = Source::new(rest);
        Op::decode(&mut source);
        let behind = source.rest();
        ops.push(rest[..rest.len() - behind.len()].to_vec());
        rest = behind;
    }
    (head.to_vec(), ops)
}

/// Performs the operations, and checks the node after each.
///
/// # Panics
///
/// If there is a defect of the core.
pub(crate) fn run(data: &[u8]) -> Seen {
    run_with(data, None, |config| config)
}

/// Runs a node that a saboteur breaks, or that runs with other settings than those that it is checked against.
pub(crate) fn run_with(data: &[u8], saboteur: Option<Saboteur>, settings: impl FnOnce(Config) -> Config) -> Seen {
    let mut source = Source::new(data);
    let config = settings::config(source.array());
    let mut bench = Bench::new(settings(config.clone()), config, saboteur);
    while !source.is_empty() && bench.seen.ops < MAX_OPS {
        bench.seen.ops += 1;
        let (op, goes_on) = Op::decode(&mut source);
        bench.act(op, goes_on);
    }
    let (seen, recording) = bench.finish();
    replay::replay(&recording);
    seen
}
