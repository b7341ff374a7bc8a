//! Checks the checkers: a server that is broken on purpose is noticed in one of a few worlds, however busy the machine is.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::sim::act::run_in;
use crate::sim::host::Kind::*;
use crate::sim::ops;
use crate::sim::quiet::quietly;
use crate::sim::sabotage::{Sabotage, Saboteur};
use crate::sim::world::{Setup, World};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// The number of worlds in which a fault has to be noticed. The slowest to be noticed took 28.
const WORLDS: u64 = 64;

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
    notices(Sabotage::Delay);
}

#[test]
fn an_inverted_update_is_noticed() {
    notices(Sabotage::Invert);
}

#[test]
fn one_that_waits_for_what_was_written_long_ago_is_noticed() {
    notices(Sabotage::Stall);
}

#[test]
fn one_that_keeps_whoever_is_silent_is_noticed() {
    notices(Sabotage::Trust);
}

#[test]
fn one_that_keeps_to_no_policy_is_noticed() {
    notices(Sabotage::Lax);
}

#[test]
fn one_that_gives_peers_up_too_soon_is_noticed() {
    notices(Sabotage::Hurry);
}

fn notices(how: Sabotage) {
    let strategy = proptest::collection::vec(ops::op(), 20..40);
    let mut runner = TestRunner::deterministic();
    // Panics are what is wanted.
    for seed in 0..WORLDS {
        let ops = strategy.new_tree(&mut runner).unwrap().current();
        let is_late = matches!(how, Sabotage::Delay | Sabotage::Trust | Sabotage::Hurry);
        let setup = Setup { seed, prompt: !is_late, ..SETUP };
        let world = || run_in(World::sabotaged(setup, Some(Saboteur::new(how, 3))), &ops);
        if quietly(|| catch_unwind(AssertUnwindSafe(world))).is_err() {
            return;
        }
    }
    panic!("{how:?}: nothing noticed in {WORLDS} worlds");
}
