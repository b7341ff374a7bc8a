//! The worlds reach what they are for. Each situation is counted by the model, and a few hundred worlds, always the same, have to
//! reach it often.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::sim::act::run;
use crate::sim::host::Kind::*;
use crate::sim::plots;
use crate::sim::reached::Reached;
use crate::sim::reached::Situation::*;
use crate::sim::world::Setup;

const WORLDS: u64 = 400;

const SETUP: Setup =
    Setup { servers: 1, clients: [Client, Client, NoHold, Legacy], pacing: false, prompt: false, seed: 0 };

/// Each situation with the least number of times that the worlds reach it.
#[test]
fn random_worlds_reach_each_situation_many_times() {
    let least = [
        (TakenOverByAddress, 60),
        (TakenOverByName, 150),
        (TakenOverFromElsewhere, 50),
        (NotTakenOverByNeighbour, 60),
        (NamesakeStays, 15),
        (NeighbourStays, 25),
        (ServerKeeps, 20),
        (ClientKeeps, 20),
        (BackBeforeLoss, 25),
        (StaysWhileConverging, 25),
        (PermittedByName, 60),
        (DeniedByName, 60),
        (RetainedDeniedByName, 8),
    ];
    let strategies = [1, 2].map(plots::worlds);
    let mut runner = TestRunner::deterministic();
    let mut reached = Reached::default();
    for seed in 0..WORLDS {
        let servers = 1 + (seed % 2) as usize;
        let ops = strategies[servers - 1].new_tree(&mut runner).unwrap().current();
        reached.add(&run(Setup { servers, prompt: seed % 3 == 0, seed, ..SETUP }, &ops).reached());
    }
    println!("{reached:#?}");
    for (situation, times) in least {
        let count = reached.times(situation);
        assert!(count >= times, "{situation:?}: {count} times instead of {times}");
    }
}
