//! The event loop runs: to its end, and as processes that talk to each other.

#[path = "../../../tests/example/mod.rs"]
mod example;

use example::Example;

#[test]
fn nodes_in_an_event_loop_exchange_routes_in_one_process_and_end() {
    let (lines, code) = Example::start("event_loop", &[]).end();
    assert_eq!(code, Some(0), "{lines:?}");
    for line in ["server: 23 10.0.23.2/32 via [2001:db8::2]", "client: 23 10.0.23.1/32 via [2001:db8::1]"] {
        assert!(lines.iter().any(|l| l == line), "{lines:?}");
    }
    assert_eq!(lines[lines.len() - 2..], ["server: 23 10.0.23.2/32 via []", "done"]);
}

#[test]
fn event_loops_carry_a_route_from_one_process_to_another_and_take_it_back() {
    let server = Example::start("event_loop", &["server", "127.0.0.1:0"]);
    let addr = server.line_after("listening on ");
    let hears = Example::start("event_loop", &["client", &addr, "23"]);
    let tells = Example::start("event_loop", &["client", &addr, "23", "10.0.23.1/32", "2001:db8::1"]);
    assert_eq!(hears.line_after("client: "), "23 10.0.23.1/32 via [2001:db8::1]");
    // Killed, it could be back at once: its routes are kept for its restart time, 10 s, and then taken back.
    drop(tells);
    assert_eq!(hears.line_after("client: "), "23 10.0.23.1/32 via []");
}

#[test]
fn an_event_loop_refuses_arguments_that_it_does_not_know() {
    let (lines, code) = Example::start("event_loop", &["nonsense"]).end();
    assert_eq!((lines.len(), code), (0, Some(1)));
}
