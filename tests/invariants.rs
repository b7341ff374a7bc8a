//! The invariants by their names: *clock*, *progress*, *wakeup*, *convergence* and *replay* hold in any world. (*bound*
//! and *no gap* are in slow_peers.rs.) The watcher checks every iteration of every node. These worlds are the hardest
//! for the invariants.

use std::time::Duration;

use crate::sim::act::run;
use crate::sim::cases::check_cases;
use crate::sim::host::Kind::*;
use crate::sim::host::Life;
use crate::sim::ops;
use crate::sim::seat::{Event, Recording};
use crate::sim::world::Setup;
use metalbond::{Instant, Node};
use proptest::prelude::*;

const SETUP: Setup =
    Setup { servers: 2, clients: [Client, Quick, Legacy, NoHold], pacing: true, prompt: false, seed: 0 };

/// When an iteration ends, the node has nothing left to send to any peer that can read, whatever else happens later.
#[test]
fn wakeup_nothing_waits_for_an_unrelated_event() {
    check_cases(Setup { servers: 1, clients: [Client, Legacy, Pipelining, Listening], pacing: false, ..SETUP }, 50);
}

#[test]
fn convergence_once_drained_each_peer_was_sent_what_the_model_has() {
    check_cases(Setup { clients: [Client, Client, Client, Client], pacing: false, prompt: true, ..SETUP }, 50);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    #[test]
    fn replay_the_same_inputs_give_the_same_outputs(
        ops in proptest::collection::vec(ops::op(), 0..40),
        seed in any::<u64>(),
    ) {
        for recording in run(Setup { seed, ..SETUP }, &ops).recordings() {
            replay(&recording, |now, _| now);
        }
    }

    #[test]
    fn clock_an_earlier_now_is_taken_for_the_latest(
        ops in proptest::collection::vec(ops::op(), 0..40),
        seed in any::<u64>(),
        back in any::<u32>(),
    ) {
        for recording in run(Setup { seed, ..SETUP }, &ops).recordings() {
            // Where time stood still before, it now runs back.
            let by = Duration::from_millis(back.into());
            replay(&recording, |now, latest| if now == latest { now - by } else { now });
        }
    }

    #[test]
    fn progress_a_tick_moves_the_timeout_or_does_something(
        ops in proptest::collection::vec(ops::op(), 0..40),
        seed in any::<u64>(),
    ) {
        let world = run(Setup { seed, ..SETUP }, &ops);
        for host in world.hosts {
            let Life::Node(mut seat) = host.life else { continue };
            // No peer answers any more, for an hour.
            seat.is_watched = false;
            let (mut now, until) = (world.now, world.now + Duration::from_secs(3600));
            let mut ticks = 0;
            while let Some(due) = seat.timeout().filter(|t| *t <= until) {
                now = now.max(due);
                seat.feed(now, metalbond::Input::Tick);
                seat.drain();
                ticks += 1;
                prop_assert!(ticks < 10_000, "{ticks} ticks in {:?}", now - world.now);
            }
        }
    }
}

/// Feeds a recording into a new node. `bend` returns the time to pass, from that of the recording and the latest one
/// passed.
fn replay(recording: &Recording, bend: impl Fn(Instant, Instant) -> Instant) {
    let mut node = Node::new(recording.config.clone(), recording.start).unwrap();
    let mut latest = recording.start;
    for (n, event) in recording.events.iter().enumerate() {
        match event {
            Event::Input(now, input, actions) => {
                let said = node.handle_input(bend(*now, latest), input.clone());
                assert_eq!(said, **actions, "event {n}: {input:?}");
                latest = latest.max(*now);
            }
            Event::Iteration { transmits, deaf, changes, timeout } => {
                let sent: Vec<_> = std::iter::from_fn(|| node.poll_transmit()).collect();
                assert_eq!(sent, *transmits, "event {n}");
                let changed: Vec<_> = std::iter::from_fn(|| if *deaf { None } else { node.poll_change() }).collect();
                assert_eq!(changed, *changes, "event {n}");
                assert_eq!(node.poll_timeout(), *timeout, "event {n}");
            }
        }
    }
}
