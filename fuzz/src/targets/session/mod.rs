//! Target `session`: one node and peers that say anything at all. The first four bytes are the node's settings; then come
//! operations of four bytes, some with raw bytes behind them.
//!
//! What the node does is judged by a model of its peers (`far`), which takes from their bytes what the core's decoder does.

mod act;
mod bench;
mod check;
mod far;
mod hold;
mod op;
mod replay;
mod settings;

use metalbond::Config;

use crate::sim::sabotage::Saboteur;
use crate::targets::source::Source;
use bench::Bench;
use op::Op;

/// More operations than this only cost time.
const MAX_OPS: usize = 96;

/// What was reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Seen {
    /// Operations.
    pub(crate) ops: usize,
    /// Sessions that opened, of accepted connections.
    pub(crate) accepted: usize,
    /// Sessions that opened, of dialled connections.
    pub(crate) dialled: usize,
    /// Connections that the node closed because of what it received.
    pub(crate) misbehaved: usize,
    /// Connections that it refused or closed for a limit.
    pub(crate) limited: usize,
    /// UPDATEs that the node sent.
    pub(crate) told: usize,
    /// Changes that its embedder was told.
    pub(crate) changes: usize,
    /// Routes of servers that the node had lost, at each check that found them kept.
    pub(crate) held: usize,
}

/// The settings, and the operations one by one.
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

/// Carries the operations out, and checks the node after each.
///
/// # Panics
/// If something is wrong with the core.
pub(crate) fn run(data: &[u8]) -> Seen {
    run_with(data, None, |config| config)
}

/// The same with a node that is broken, if there is a saboteur, or runs with other settings than those that it is judged by.
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
