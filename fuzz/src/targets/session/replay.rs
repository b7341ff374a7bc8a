//! Invariant *replay*: another node with the same inputs gives the same outputs.

use metalbond::Node;

use crate::sim::seat::{Event, Recording};

pub(super) fn replay(recording: &Recording) {
    let mut node = Node::new(recording.config.clone(), recording.start).unwrap();
    for (n, event) in recording.events.iter().enumerate() {
        match event {
            Event::Input(now, input, actions) => {
                assert_eq!(node.handle_input(*now, input.clone()), **actions, "event {n}: {input:?}");
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
