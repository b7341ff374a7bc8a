//! Checks the checkers: a server that is broken on purpose is noticed within a second.

mod sim;

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use sim::act::run_in;
use sim::ops;
use sim::sabotage::{Sabotage, Saboteur};
use sim::world::Kind::*;
use sim::world::{Setup, World};

const SETUP: Setup =
    Setup { servers: 1, clients: [Client, Quick, Legacy, Client], pacing: false, prompt: true, seed: 0 };

#[test]
fn a_lost_update_is_noticed() {
    notices(Sabotage::Drop);
}

#[test]
fn a_repeated_update_is_noticed() {
    notices(Sabotage::Repeat);
}

#[test]
fn updates_in_the_wrong_order_are_noticed() {
    notices(Sabotage::Swap);
}

#[test]
fn an_inverted_update_is_noticed() {
    notices(Sabotage::Invert);
}

fn notices(how: Sabotage) {
    // The panics are what is wanted; only this file's own outcome is to be read.
    set_hook(Box::new(|_| {}));
    let begin = Instant::now();
    let strategy = proptest::collection::vec(ops::op(), 20..40);
    let mut runner = TestRunner::deterministic();
    let mut cases = 0;
    while begin.elapsed() < Duration::from_secs(1) {
        let ops = strategy.new_tree(&mut runner).unwrap().current();
        let setup = Setup { seed: cases, prompt: how != Sabotage::Swap, ..SETUP };
        let world = || run_in(World::sabotaged(setup, Some(Saboteur::new(how, 7))), &ops);
        if catch_unwind(AssertUnwindSafe(world)).is_err() {
            return;
        }
        cases += 1;
    }
    let _ = std::panic::take_hook();
    panic!("{how:?}: nothing noticed in {cases} cases");
}
