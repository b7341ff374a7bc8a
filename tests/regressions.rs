//! Faults that were found once, as the shortest lists of operations that showed them.

mod sim;

use sim::act::run;
use sim::world::Kind::*;
use sim::world::Setup;

#[test]
fn a_quiet_world_comes_to_rest() {
    run(
        Setup { servers: 3, clients: [Client, Listening, Legacy, Pipelining], pacing: true, prompt: false, seed: 0 },
        &[],
    );
}
