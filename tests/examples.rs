//! Runs the examples: those that end by themselves to their end, the others as processes that connect to each other.

#[path = "example/adapters.rs"]
mod blocking_threads;
mod example;

use example::Example;

const NAME: &str = "blocking_threads";

#[test]
fn two_nodes_show_a_route_keepalives_and_a_lost_connection() {
    let (lines, code) = Example::start("two_nodes", &[]).end();
    assert_eq!(code, Some(0), "{lines:?}");
    let order = [
        "client: 10.0.23.1/32 is behind 2001:db8::1",
        "client -> server: KEEPALIVE",
        "the cable is pulled",
        "nothing received for 12.5s",
        "the client still holds [10.0.23.1/32]",
        "client: 10.0.23.2/32 is behind 2001:db8::1",
        "client: 10.0.23.1/32 is gone",
    ];
    let mut rest = lines.iter();
    for text in order {
        assert!(rest.any(|line| line.contains(text)), "'{text}' is missing, or too early, in {lines:#?}");
    }
}
