//! Faults of all kinds at any time: partitions, cuts in one direction, restarts in the middle of an iteration, clocks
//! that jump, bytes that arrive one per second, readers that stop. At every rest all hosts have the routes of the
//! model. To run for longer:
//! `METALBOND_SIM_MINUTES=60 cargo test --release -p metalbond --test main fault_worlds:: -- --nocapture`

use crate::sim::act::run;
use crate::sim::host::Kind::*;
use crate::sim::soak::{operations, soak};
use crate::sim::world::Setup;
use proptest::prelude::*;

const ONE: Setup =
    Setup { servers: 1, clients: [Client, NoHold, Client, Legacy], pacing: false, prompt: false, seed: 0 };

const SETUPS: [Setup; 8] = [
    ONE,
    Setup { clients: [Legacy, Pipelining, Quick, Legacy], ..ONE },
    Setup { clients: [Legacy, Pipelining, Client, Listening], pacing: true, seed: 1 << 32, ..ONE },
    Setup { servers: 2, clients: [Client, NoHold, Quick, Listening], ..ONE },
    Setup { servers: 2, clients: [Client, Legacy, Pipelining, Client], pacing: true, seed: 2 << 32, ..ONE },
    Setup { servers: 3, clients: [Client, Quick, Legacy, NoHold], seed: 2 << 32, ..ONE },
    Setup { prompt: true, ..ONE },
    Setup { servers: 2, clients: [Client, Quick, Listening, Pipelining], prompt: true, ..ONE },
];

#[test]
fn whatever_fails_all_hosts_end_with_the_routes_of_the_model() {
    soak(&SETUPS, 4);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    #[test]
    fn a_run_is_reproduced_by_its_setup_and_operations(
        ops in operations(80),
        setup in proptest::sample::select(&SETUPS),
        seed in any::<u64>(),
    ) {
        let run = || run(Setup { seed, ..setup }, &ops).recordings();
        prop_assert!(run() == run());
    }
}
