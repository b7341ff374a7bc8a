//! Checks the checkers: a few worlds are enough to notice a server that is broken on purpose, by the check that is
//! meant for the fault. (`.ci/faults` does the same for faults in the core's own code.)

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

/// Number of worlds in which a fault has to be noticed.
const WORLDS: u64 = 64;

const SETUP: Setup =
    Setup { servers: 1, clients: [Client, Quick, Legacy, Client], pacing: false, prompt: true, seed: 0 };

#[test]
fn a_lost_update_is_noticed() {
    notices(Sabotage::Drop, &["the routes sent to .. (left) are not its view"]);
}

#[test]
fn a_repeated_update_is_noticed() {
    notices(Sabotage::Repeat, &["ADD of .. which .. was sent before", "REMOVE of .. which .. was not sent"]);
}

#[test]
fn updates_in_the_wrong_order_are_noticed() {
    notices(Sabotage::Delay, &["End-of-RIB of .. without"]);
}

#[test]
fn an_inverted_update_is_noticed() {
    notices(Sabotage::Invert, &["REMOVE of .. which is still in the view of"]);
}

#[test]
fn a_server_that_does_not_see_that_bytes_were_written_is_noticed() {
    notices(Sabotage::Stall, &["KEEPALIVEs not answered"]);
}

#[test]
fn a_server_that_keeps_silent_peers_is_noticed() {
    notices(Sabotage::Trust, &["is waited for (Life)"]);
}

#[test]
fn a_server_that_ignores_its_policy_is_noticed() {
    // The fault may also be noticed by a consequence: the server sends routes to clients to which the policy denies
    // them.
    let consequences = [
        "ADD of .. in a VNI that was not asked for",
        "ADD of .. which is not in the view of",
        "sent .. are not its view",
        "learned without an announcer",
    ];
    let mut checks = vec!["is not held to the policy"];
    checks.extend(consequences);
    notices(Sabotage::Lax, &checks);
}

#[test]
fn a_server_that_gives_peers_up_too_soon_is_noticed() {
    notices(Sabotage::Hurry, &["is given up after .. HandshakeTimeout"]);
}

/// Checks that one of these checks, the first of them in at least one of the worlds, notices the fault, and that no
/// other check does. A check is given by its message, with `..` for the parts that differ. Without the fault the same
/// worlds pass.
fn notices(how: Sabotage, checks: &[&str]) {
    let strategy = proptest::collection::vec(ops::op(), 20..40);
    let mut runner = TestRunner::deterministic();
    let mut is_noticed = false;
    for seed in 0..WORLDS {
        let ops = strategy.new_tree(&mut runner).unwrap().current();
        let is_late = matches!(how, Sabotage::Delay | Sabotage::Trust | Sabotage::Hurry);
        let setup = Setup { seed, prompt: !is_late, ..SETUP };
        let world = || drop(run_in(World::sabotaged(setup, Some(Saboteur::new(how, 3))), &ops));
        // Panics are expected here.
        let Err(why) = quietly(|| catch_unwind(AssertUnwindSafe(world))) else { continue };
        let why = why.downcast_ref::<String>().map(String::as_str).or(why.downcast_ref().copied()).unwrap_or_default();
        assert!(
            checks.iter().any(|check| is_said(check, why)),
            "{how:?} in world {seed} is noticed by another check: {why}"
        );
        is_noticed |= is_said(checks[0], why);
        run_in(World::new(setup), &ops);
    }
    assert!(is_noticed, "{how:?}: {:?} noticed nothing in {WORLDS} worlds", checks[0]);
}

/// Returns true if the message contains the parts of a check's message in their order.
fn is_said(check: &str, message: &str) -> bool {
    let mut rest = message;
    check.split("..").map(str::trim).all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}
