//! The examples run: those that end by themselves to their end, the others as processes that talk to each other.

mod example;

use example::Example;

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

#[test]
fn blocking_threads_exchange_routes_in_one_process_and_end() {
    let (lines, code) = Example::start("blocking_threads", &[]).end();
    assert_eq!(code, Some(0), "{lines:?}");
    for line in ["server: 23 10.0.23.2/32 via [2001:db8::2]", "client: 23 10.0.23.1/32 via [2001:db8::1]"] {
        assert!(lines.iter().any(|l| l == line), "{lines:?}");
    }
    assert_eq!(lines[lines.len() - 2..], ["server: 23 10.0.23.2/32 via []", "done"]);
}

#[test]
fn blocking_threads_carry_a_route_from_one_process_to_another_and_take_it_back() {
    let server = Example::start("blocking_threads", &["server", "127.0.0.1:0"]);
    let addr = server.line_after("listening on ");
    let hears = Example::start("blocking_threads", &["client", &addr, "23"]);
    let tells = Example::start("blocking_threads", &["client", &addr, "23", "10.0.23.1/32", "2001:db8::1"]);
    assert_eq!(hears.line_after("client: "), "23 10.0.23.1/32 via [2001:db8::1]");
    // Killed, it could be back at once: its routes are kept for its restart time, 10 s, and then taken back.
    drop(tells);
    assert_eq!(hears.line_after("client: "), "23 10.0.23.1/32 via []");
}

#[test]
fn blocking_threads_refuse_arguments_that_they_do_not_know() {
    let (lines, code) = Example::start("blocking_threads", &["nonsense"]).end();
    assert_eq!((lines.len(), code), (0, Some(1)));
}
