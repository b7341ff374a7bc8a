//! Events, as they happen.

use serde_json::json;

use super::{Followed, Web, place};
use crate::process::Signal;
use crate::raw::{KEEPALIVE, Raw};

#[test]
fn a_server_reports_new_changes_of_every_vni() {
    let web = Web::start(&[]);
    let _before = web.client(&["--announce", "23#10.0.0.1/32#2001:db8::1"]);
    web.until_routes(1);
    let mut followed = Followed::at(web.http, "/api/v1/events");
    let mut of_one = Followed::at(web.http, "/api/v1/events?vni=24");
    let _there = web.client(&["--announce", "23#10.0.0.2/32#2001:db8::1"]);
    // Existing routes are not reported.
    let change = followed.next_of("route");
    assert_eq!((&change["vni"], &change["prefix"]), (&json!(23), &json!("10.0.0.2/32")));
    let hop = json!({ "addr": "2001:db8::1", "target_vni": 0, "kind": "STD" });
    assert_eq!(
        (&change["added"], &change["removed"], &change["next_hops"]),
        (&json!([hop]), &json!([]), &json!([hop]))
    );

    // A new VNI.
    let client = web.client(&["--announce", "24#10.0.0.0/8#2001:db8::3", "--cleanup"]);
    let new = followed.next_of("route");
    assert_eq!((&new["vni"], &new["prefix"]), (&json!(24), &json!("10.0.0.0/8")));
    client.signal(Signal::TERM);
    let gone = followed.next_of("route");
    assert_eq!((&gone["vni"], &gone["next_hops"]), (&json!(24), &json!([])));
    assert_eq!(of_one.next_of("route"), new);
    assert_eq!(of_one.next_of("route"), gone);
}

#[test]
fn a_new_follower_gets_new_changes_only() {
    let web = Web::start(&[]);
    let _one = web.client(&["--announce", "23#10.0.0.1/32#2001:db8::1"]);
    web.until_routes(1);
    for n in 2..5 {
        let mut followed = Followed::at(web.http, "/api/v1/events");
        let client = web.client(&["--announce", &format!("23#10.0.0.{n}/32#2001:db8::1"), "--cleanup"]);
        // A new follower gets only new changes, each time.
        assert_eq!(followed.next_of("route")["prefix"], format!("10.0.0.{n}/32"));
        drop(client);
    }
}

#[test]
fn peers_are_reported_as_they_come_and_go() {
    let web = Web::start(&[]);
    let mut followed = Followed::at(web.http, "/api/v1/events");
    let client = web.client(&[]);
    let mut event = followed.next_of("peer");
    while event["state"] != "ESTABLISHED" {
        event = followed.next_of("peer");
    }
    assert!(event["address"].as_str().unwrap().starts_with("127.0.0.1:"));
    client.kill();
    let gone = followed.next_of("peer");
    assert_eq!((&gone["name"], &gone["address"], &gone["state"]), (&event["name"], &event["address"], &json!(null)));
}

#[test]
fn a_client_reports_its_routes_while_it_prints_them() {
    let web = Web::start(&[]);
    let mut client = web.client(&["--subscribe", "23", "--http", "127.0.0.1:0"]);
    let mut followed = Followed::at(place(&mut client), "/api/v1/events");
    let _one = web.client(&["--announce", "23#10.0.0.1/32#2001:db8::1"]);
    assert_eq!(followed.next_of("route")["prefix"], "10.0.0.1/32");
    assert_eq!(client.line(), "+ 23 10.0.0.1/32 via 2001:db8::1");
}

/// As many VNIs as each connection may subscribe to; all connections together subscribe to more than a node may by
/// default.
#[test]
fn events_continue_while_peers_subscribe_to_a_million_vnis() {
    const EACH: u32 = 16_384;
    const STRANGERS: u32 = 65;
    // These peers send nothing more, and stay connected.
    let web = Web::start(&["--no-peer-metrics", "--no-vni-metrics", "--keepalive", "100"]);
    let mut followed = Followed::at(web.http, "/api/v1/events");
    let mut strangers: Vec<Raw> = (0..STRANGERS).map(|_| Raw::connect(web.server.addrs[0])).collect();
    for (n, stranger) in (0..).zip(&mut strangers) {
        stranger.send(&(n * EACH..(n + 1) * EACH).flat_map(subscribe).collect::<Vec<_>>());
        stranger.send(&[1, 0, 0, KEEPALIVE]);
    }
    // The answer arrives after everything before it was processed.
    strangers.iter_mut().for_each(|stranger| assert_eq!(stranger.receive().0, KEEPALIVE));
    let _client = web.client(&["--announce", "16777215#10.0.0.1/32#2001:db8::1"]);
    assert_eq!(followed.next_of("route")["vni"], 16_777_215);
    drop(strangers);
}

/// Returns a SUBSCRIBE frame. The VNI is a protobuf varint: 7 bits per byte.
fn subscribe(vni: u32) -> Vec<u8> {
    let mut payload = vec![0x08];
    let mut rest = vni;
    while rest >= 0x80 {
        payload.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    payload.push(rest as u8);
    [&[1, 0, payload.len() as u8, 3], &payload[..]].concat()
}
