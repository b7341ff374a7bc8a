//! The behaviour of drivers that are examples themselves.

use crate::NAME;
use crate::example::Example;

#[test]
fn two_nodes_in_one_process_exchange_routes_and_end() {
    let (lines, code) = Example::start(NAME, &[]).end();
    assert_eq!(code, Some(0), "{lines:?}");
    for line in ["server: 23 10.0.23.2/32 via [2001:db8::2]", "client: 23 10.0.23.1/32 via [2001:db8::1]"] {
        assert!(lines.iter().any(|l| l == line), "{lines:?}");
    }
    assert_eq!(lines[lines.len() - 2..], ["server: 23 10.0.23.2/32 via []", "done"]);
}

#[test]
fn a_route_travels_from_one_process_to_another() {
    let server = Example::start(NAME, &["server", "127.0.0.1:0"]);
    let addr = server.line_after("listening on ");
    let hears = Example::start(NAME, &["client", &addr, "23"]);
    let _client = Example::start(NAME, &["client", &addr, "23", "10.0.23.1/32", "2001:db8::1"]);
    assert_eq!(hears.line_after("client: "), "23 10.0.23.1/32 via [2001:db8::1]");
}

#[test]
fn unknown_arguments_are_refused() {
    let (lines, code) = Example::start(NAME, &["nonsense"]).end();
    assert_eq!((lines.len(), code), (0, Some(1)));
}
