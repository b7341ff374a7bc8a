//! Target `world`: nodes on a simulated network, each checked by a model. `sim::decode` defines the meaning of the
//! bytes.

use std::cell::RefCell;
use std::panic::{set_hook, take_hook};
use std::sync::Once;

use crate::sim::act;
use crate::sim::decode::decode;
use crate::sim::host::Life;
use crate::sim::ops::Op;
use crate::sim::quiet::quietly;
use crate::sim::reached::Reached;
use crate::sim::seat::Event;
use crate::sim::world::{Setup, World};

/// Maximum number of operations; more would only take time.
pub(crate) const MAX_OPS: usize = 64;

/// What a run reached.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Seen {
    /// Number of operations.
    pub(crate) ops: usize,
    /// Number of changes that applications read.
    pub(crate) changes: usize,
    pub(crate) reached: Reached,
}

/// Runs a test case. If it fails, prints it as a line for `tests/regressions.rs`.
///
/// # Panics
///
/// If there is a defect of the core.
pub(crate) fn run(data: &[u8]) -> Seen {
    let (setup, mut ops) = decode(data);
    ops.truncate(MAX_OPS);
    let len = ops.len();
    let world = run_or_print(setup, ops);
    let events = world.hosts.iter().filter_map(|host| match &host.life {
        Life::Node(seat) => Some(&seat.recording.events),
        _ => None,
    });
    let changes = events.flatten().map(|event| match event {
        Event::Iteration { changes, .. } => changes.len(),
        Event::Input(..) => 0,
    });
    Seen { ops: len, changes: changes.sum(), reached: world.reached() }
}

thread_local! {
    static RUNNING: RefCell<Option<(Setup, Vec<Op>)>> = const { RefCell::new(None) };
}

/// Runs a test case. On a panic, prints the case before the panic's message, because a fuzzer aborts then.
fn run_or_print(setup: Setup, ops: Vec<Op>) -> World {
    static HOOKED: Once = Once::new();
    HOOKED.call_once(|| {
        // The tests have another panic hook. It is set first, so that the two do not replace each other.
        quietly(|| ());
        let usual = take_hook();
        set_hook(Box::new(move |info| {
            if let Some((setup, ops)) = RUNNING.take() {
                eprintln!("\n    run({setup:?}, &{ops:?});\n");
            }
            usual(info);
        }));
    });
    RUNNING.set(Some((setup, ops.clone())));
    let world = act::run(setup, &ops);
    RUNNING.set(None);
    world
}
