//! Checks that the worlds reach the situations that they are meant to test. The model counts each situation, and a few
//! hundred worlds, always the same ones, must reach it often.

use crate::sim::cases::reach;
use crate::sim::host::Kind::*;
use crate::sim::plots;
use crate::sim::reached::Reached;
use crate::sim::reached::Situation::*;
use crate::sim::world::Setup;

/// Number of worlds of each setup.
const WORLDS: u32 = 150;

const ONE: Setup =
    Setup { servers: 1, clients: [Client, Client, NoHold, Legacy], pacing: false, prompt: false, seed: 0 };

const SETUPS: [Setup; 4] =
    [ONE, Setup { prompt: true, ..ONE }, Setup { servers: 2, ..ONE }, Setup { servers: 3, ..ONE }];

/// Each situation with the minimum number of times that the worlds reach it.
#[test]
fn random_worlds_reach_each_situation_many_times() {
    let least = [
        (TakenOverByAddress, 60),
        (TakenOverByName, 150),
        (TakenOverFromElsewhere, 50),
        (NotTakenOverByNeighbour, 60),
        (NotTakenOverByOlder, 15),
        (ExpiresBesideItself, 15),
        (NamesakeStays, 15),
        (NeighbourStays, 25),
        (ServerKeeps, 20),
        (ClientKeeps, 20),
        (BackBeforeLoss, 25),
        (StaysWhileConverging, 25),
        (OfReference, 50),
        (StaysWithReference, 20),
        (FiltersVni, 20),
        (WantsFilteredVni, 20),
        (LacksEchoed, 20),
        (CommandRefused, 50),
        (SeenThroughServer, 80),
        (SeenThroughReference, 80),
        (FilteredSeenThroughServer, 4),
        (HiddenFromServer, 25),
        (WithdrawnThroughServer, 15),
        (StaleSeenThroughServer, 80),
        (StaleEndsThroughServer, 25),
        (ServerBothWays, 25),
        (PermittedByName, 60),
        (DeniedByName, 60),
        (RetainedDeniedByName, 8),
    ];
    let mut reached = Reached::default();
    for setup in SETUPS {
        reached.add(&reach(setup, WORLDS, plots::worlds(setup.servers)).unwrap_or_else(|why| panic!("{why}")));
    }
    println!("{reached:#?}");
    for (situation, times) in least {
        let count = reached.times(situation);
        assert!(count >= times, "{situation:?}: {count} times instead of {times}");
    }
}
