//! The feature `serde`: the JSON form of values, that they survive JSON and a binary format, and that deserialising
//! cannot make values that are impossible otherwise.

use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use metalbond::{
    Action, AnnounceRule, Announcer, ApiMisuse, CloseKind, CloseReason, Command, CommandError, Config, ConnId,
    Counters, DecodeError, Input, Instant, Limit, Limits, Martian, MessageType, NextHop, NextHopKind, Node, Pacing,
    PeerId, PeerInfo, PeerLimit, PeerMisbehaved, PeerName, Policy, Prefix, Route, Rule, SessionInfo, SessionState,
    Transition, TransportEnd, Vni, VniSet,
};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

#[test]
fn vnis_and_peers_are_numbers_and_prefixes_and_connections_are_text() {
    looks_like(Vni(23), json!(23));
    looks_like(PeerId(7), json!(7));
    looks_like("10.0.0.5/24".parse::<Prefix>().unwrap(), json!("10.0.0.5/24"));
    looks_like("2001:db8::/32".parse::<Prefix>().unwrap(), json!("2001:db8::/32"));
    looks_like(ConnId::accepted(3), json!("a3"));
    looks_like("d9223372036854775807".parse::<ConnId>().unwrap(), json!("d9223372036854775807"));
}

#[test]
fn a_route_is_an_object_and_the_kinds_of_next_hops_have_their_printed_names() {
    let addr = "2001:db8::1".parse().unwrap();
    let route = |kind| Route {
        vni: Vni(23),
        prefix: "203.0.113.7/32".parse().unwrap(),
        next_hop: NextHop { addr, target_vni: Vni(42), kind },
    };
    let object = |kind: Value| {
        let next_hop = json!({ "addr": "2001:db8::1", "target_vni": 42, "kind": kind });
        json!({ "vni": 23, "prefix": "203.0.113.7/32", "next_hop": next_hop })
    };
    looks_like(route(NextHopKind::Standard), object(json!("STD")));
    looks_like(route(NextHopKind::LoadBalancer), object(json!("LB")));
    let nat = NextHopKind::Nat { from: 1024, to: 2047 };
    looks_like(route(nat), object(json!({ "NAT": { "from": 1024, "to": 2047 } })));
}

#[test]
fn a_next_hop_without_a_kind_is_a_standard_one() {
    let read: NextHop = serde_json::from_value(json!({ "addr": "2001:db8::1" })).unwrap();
    assert_eq!(read, NextHop::standard("2001:db8::1".parse().unwrap()));
}

#[test]
fn states_and_message_types_have_the_protocols_names() {
    let states = [
        SessionState::Connecting,
        SessionState::HelloSent,
        SessionState::HelloReceived,
        SessionState::Established,
        SessionState::Retry,
        SessionState::Closed,
    ];
    for state in states {
        looks_like(state, json!(state.name()));
    }
    use MessageType::{Hello, Keepalive, Subscribe, Unsubscribe, Update};
    for message in [Hello, Keepalive, Subscribe, Unsubscribe, Update] {
        looks_like(message, json!(message.to_string()));
    }
}

#[test]
fn a_close_reason_is_a_word_or_an_object_with_one_field() {
    use CloseReason::{Decode, DialFailed, HandshakeTimeout, HoldTime, Misbehaved, Transport};
    looks_like(CloseReason::TooSlow, json!("too_slow"));
    looks_like(CloseReason::ResetRequested, json!("reset_requested"));
    looks_like(CloseReason::NotReading(Duration::from_secs(60)), json!({ "not_reading": 60 }));
    looks_like(CloseReason::Banned(Duration::from_millis(500)), json!({ "banned": 0.5 }));
    let reason = CloseReason::Limit { limit: PeerLimit::RoutesPerPeer, max: 5 };
    looks_like(reason.kind(), json!({ "limit": "routes_per_peer" }));
    looks_like(reason, json!({ "limit": { "limit": "routes_per_peer", "max": 5 } }));
    looks_like(DialFailed("no route".into()), json!({ "dial_failed": "no route" }));
    looks_like(Transport(TransportEnd::Eof), json!({ "transport": "eof" }));
    looks_like(Transport(TransportEnd::TimedOut), json!({ "transport": "timed_out" }));
    looks_like(Transport(TransportEnd::Error("why".into())), json!({ "transport": { "error": "why" } }));
    looks_like(HoldTime(Duration::from_millis(12_500)), json!({ "hold_time": 12.5 }));
    looks_like(HandshakeTimeout(SessionState::HelloSent), json!({ "handshake_timeout": "HELLO_SENT" }));
    looks_like(Decode(DecodeError::PayloadTooLong(1189)), json!({ "decode": { "payload_too_long": 1189 } }));
    looks_like(Decode(DecodeError::NoNextHop), json!({ "decode": "no_next_hop" }));
    let update = PeerMisbehaved::BeforeKeepalive(MessageType::Update);
    looks_like(Misbehaved(update), json!({ "misbehaved": { "before_keepalive": "UPDATE" } }));
}

#[test]
fn a_config_has_seconds_and_takes_defaults_for_what_is_missing() {
    let json = json!({
        "keepalive": 5, "handshake_timeout": 10, "send_hold_time": 60, "backoff_min": 0.1, "backoff_max": 5, "backoff_reset": 5, "stale_time": 60,
        "session_stale_time": 120, "restart_time": 10, "restart_time_max": 60, "convergence_time": 60, "pacing": { "rate": 4000000, "burst": 200000 },
        "echo": "none", "unproven_max": 49152, "peers_max": 1024, "subscriptions_max": 1048576,
        "announcements_max": 16777216,
        "limits": {
            "connections": 65536, "connections_per_address": 4096, "connections_per_second": 10000,
            "routes": 16777216, "routes_per_peer": 2097152, "next_hops": 16384,
            "subscriptions": 4194304, "vnis": 4194304, "vnis_per_peer": 16384, "ban_time_max": 60
        },
        "policy": null,
        "shutdown_timeout": 0.8, "seed": 0
    });
    looks_like(Config::default(), json);
    let read: Config =
        serde_json::from_value(json!({ "stale_time": 0.25, "pacing": null, "convergence_time": 1 })).unwrap();
    let hold = Some(Duration::from_millis(250));
    let expected =
        Config { stale_time: hold, pacing: None, convergence_time: Duration::from_secs(1), ..Config::default() };
    assert_eq!(read, expected);
    let never: Config = serde_json::from_value(json!({ "stale_time": null })).unwrap();
    assert_eq!(never, Config { stale_time: None, ..Config::default() });
    assert_eq!(serde_json::to_value(&never).unwrap()["stale_time"], json!(null));
    looks_like(Pacing { rate: 5000, burst: 2000 }, json!({ "rate": 5000, "burst": 2000 }));
}

#[test]
fn names_that_recordings_had_before_are_still_read() {
    let read: Config = serde_json::from_value(json!({ "hold": 7, "warming": 8, "limits": { "keep_out": 9 } })).unwrap();
    let secs = Duration::from_secs;
    let limits = Limits { ban_time_max: secs(9), ..Limits::default() };
    let expected = Config { stale_time: Some(secs(7)), convergence_time: secs(8), limits, ..Config::default() };
    assert_eq!(read, expected);
    let reasons: [CloseReason; 2] = serde_json::from_value(json!([{ "silence": 12.5 }, { "kept_out": 1 }])).unwrap();
    assert_eq!(reasons, [CloseReason::HoldTime(Duration::from_millis(12_500)), CloseReason::Banned(secs(1))]);
    let kinds: [CloseKind; 2] = serde_json::from_value(json!(["silence", "kept_out"])).unwrap();
    assert_eq!(kinds, [CloseKind::HoldTime, CloseKind::Banned]);
}

#[test]
fn the_longest_durations_of_a_config_come_back() {
    for hold in [Duration::MAX, Duration::from_secs(u64::MAX), Duration::new(1 << 22, 999_999_999)] {
        let config = Config { stale_time: Some(hold), ..Config::default() };
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config, "{json}");
    }
}

#[test]
fn many_bytes_are_two_digits_each() {
    let conn = ConnId::accepted(1);
    let bytes: bytes::Bytes = (0..1000_u32).map(|n| (n * 7) as u8).collect();
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    looks_like(Input::Received { conn, bytes }, json!({ "received": { "conn": "a1", "bytes": digits } }));
}

#[test]
fn announcers_and_command_errors_are_words_or_objects_with_one_field() {
    looks_like(Announcer::Local, json!("local"));
    looks_like(Announcer::Peer(PeerId(2)), json!({ "peer": 2 }));
    looks_like(Announcer::Conn(ConnId::accepted(2)), json!({ "conn": "a2" }));
    looks_like(Announcer::Departed, json!("departed"));
    looks_like(ApiMisuse::NotSubscribed, json!("not_subscribed"));
    looks_like(CommandError::Closed, json!("closed"));
    looks_like(CommandError::Limit(Limit::Peers), json!({ "limit": "peers" }));
    looks_like(CommandError::Misuse(ApiMisuse::NoSuchPeer), json!({ "misuse": "no_such_peer" }));
    looks_like(ApiMisuse::MartianNextHop(Martian::LinkLocal), json!({ "martian_next_hop": "link_local" }));
}

#[test]
fn an_instant_is_exact() {
    looks_like(Instant::from_epoch(Duration::new(12, 345_678_901)), json!("12.345678901"));
    looks_like(Instant::from_epoch(Duration::from_nanos(1)), json!("0.000000001"));
    looks_like(Instant::from_epoch(Duration::MAX), json!("18446744073709551615.999999999"));
}

#[test]
fn an_input_is_a_line_of_a_recording() {
    let conn = ConnId::accepted(1);
    let bytes = bytes::Bytes::from_static(&[1, 0, 0, 0xfe]);
    looks_like(Input::Tick, json!("tick"));
    looks_like(Input::Received { conn, bytes }, json!({ "received": { "conn": "a1", "bytes": "010000fe" } }));
    looks_like(Input::Closed { conn, end: TransportEnd::Reset }, json!({ "closed": { "conn": "a1", "end": "reset" } }));
    looks_like(Input::Command(Command::Subscribe(Vni(23))), json!({ "command": { "subscribe": 23 } }));
    let shutdown = Input::Command(Command::Shutdown { cleanup: true });
    looks_like(shutdown, json!({ "command": { "shutdown": { "cleanup": true } } }));
}

#[test]
fn what_a_node_reports_about_itself_is_objects() {
    let (node, transition) = client_that_lost_its_server();
    looks_like(
        transition,
        json!({
            "conn": "d0", "peer": { "id": 0, "endpoint": "server:4711" }, "remote": null, "names": null,
            "old": "CONNECTING", "new": "RETRY", "reason": { "dial_failed": "no route" }, "restart_time": null
        }),
    );
    let messages = json!({
        "hello": 0, "keepalive": 0, "subscribe": 0, "unsubscribe": 0, "update": 0, "unknown": 0
    });
    let counters = json!({
        "bytes_in": 0, "bytes_out": 0, "messages_in": messages, "messages_out": messages, "invalid_updates": 0, "unsubscribed_updates": 0,
        "denied_routes": 0, "denied_subscriptions": 0
    });
    let peer: PeerInfo = node.peers().next().unwrap();
    looks_like(
        peer,
        json!({
            "id": 0, "endpoint": "server:4711", "state": "RETRY", "conn": null, "synced": false, "routes": 0,
            "stale": 0, "dials": 1, "sessions": 0, "last_close": { "dial_failed": "no route" },
            "counters": counters
        }),
    );
    let session: SessionInfo = node.sessions().next().unwrap();
    looks_like(Counters::default(), counters.clone());
    looks_like(
        session,
        json!({
            "conn": "a5", "peer": null, "remote": "[2001:db8::1]:4000", "names": null, "rule": null, "state": "CONNECTING", "ordered": false,
            "is_server": false, "converging": false, "routes": 0, "subscriptions": 0,
            "since": "0.000000000", "last_received": "0.000000000", "keepalive": null, "restart_time": null, "counters": counters
        }),
    );
}

#[test]
fn a_policy_is_read_as_users_write_it_and_comes_back() {
    let written = json!({ "peer": [{
        "name": "hypervisors", "who": ["dns:*.example.org", "from:10.0.0.0/8"], "subscribe": [23, "100-199"], "max-routes": 5,
        "announce": [{
            "vnis": "all", "prefixes": ["10.0.0.0/8"], "next-hops": ["self", "2001:db8::7"], "types": ["STD", "LB"], "target-vnis": 7
        }]
    }] });
    let policy: Policy = serde_json::from_value(written).unwrap();
    let grant = AnnounceRule {
        prefixes: "10.0.0.0/8".parse().unwrap(),
        next_hops: "self, 2001:db8::7".parse().unwrap(),
        types: "STD, LB".parse().unwrap(),
        target_vnis: Some("7".parse().unwrap()),
        ..AnnounceRule::own(VniSet::ALL)
    };
    let rule = Rule {
        subscribe: "23, 100-199".parse().unwrap(),
        announce: vec![grant],
        max_routes: Some(5),
        ..Rule::new("hypervisors", ["dns:*.example.org", "from:10.0.0.0/8"].map(|who| who.parse().unwrap()))
    };
    assert_eq!(policy, Policy::new([rule]));
    comes_back(&policy);
    let names: std::sync::Arc<[PeerName]> = ["dns:h7", "ip:10.0.0.7"].map(|name| name.parse().unwrap()).into();
    let conn = ConnId::accepted(1);
    let json = json!({ "identified": { "conn": "a1", "names": ["dns:h7", "ip:10.0.0.7"] } });
    looks_like(Input::Identified { conn, names }, json);
    looks_like(Input::Command(Command::SetPolicy(None)), json!({ "command": { "set_policy": null } }));
    comes_back(&Input::Command(Command::SetPolicy(Some(policy))));
}

#[test]
fn a_policy_that_would_match_no_peer_or_no_prefix_is_refused_with_the_wrong_text() {
    let refused = |who: serde_json::Value, prefixes: serde_json::Value| {
        let announce = json!([{ "vnis": "all", "prefixes": prefixes }]);
        let rule = json!({ "name": "these", "who": [who], "announce": announce });
        serde_json::from_value::<Policy>(json!({ "peer": [rule] })).unwrap_err().to_string()
    };
    let pattern = r#"is not a peer like "dns:*.example.org" or "from:10.0.0.0/8": "#;
    for (who, why) in [
        ("dns:h7..org", "a DNS name consists of labels"),
        ("dns:a.org, dns:b.org", "a DNS name consists of labels"),
        ("from:fe80::1%eth0", "an address in a policy has no scope"),
        ("from:::ffff:10.0.0.0/8", "a prefix of IPv4-mapped addresses (::ffff:...) has at least 96 bits"),
    ] {
        let error = refused(json!(who), json!("all"));
        assert!(error.starts_with(&format!("{who:?} {pattern}{why}")), "{error}");
    }
    // Two patterns in one, which would be read as one URI.
    assert!(
        refused(json!(["uri:a", "uri:b"]), json!("all")).starts_with("invalid type: sequence, expected a peer like")
    );
    let prefixes = r#"is not prefixes like ["10.0.0.0/8", "2001:db8::/32"] or "all": neither an address nor a prefix"#;
    for (list, text) in
        [(json!([""]), ""), (json!(["", "10.0.0.0/8"]), ",10.0.0.0/8"), (json!(["10.0.0.0/8", ""]), "10.0.0.0/8,")]
    {
        assert_eq!(refused(json!("any"), list), format!("{text:?} {prefixes}"));
    }
}

#[test]
fn a_text_that_is_no_prefix_is_refused_with_the_reason() {
    let refused = |json: &str| serde_json::from_str::<Prefix>(json).unwrap_err().to_string();
    let why = |json: &str| refused(json).split(" at line").next().unwrap().to_owned();
    assert_eq!(
        why(r#""10.0.0.0/33""#),
        r#""10.0.0.0/33" is not a prefix like 10.0.0.0/8: prefix length 33 is over 32"#
    );
    assert_eq!(
        why(r#""10.0.0.0""#),
        r#""10.0.0.0" is not a prefix like 10.0.0.0/8: no '/' between address and length"#
    );
    assert_eq!(why("8"), "invalid type: integer `8`, expected a prefix like 10.0.0.0/8");
}

#[test]
fn a_prefix_that_is_too_long_is_refused_in_binary_form_too() {
    let bytes = postcard::to_allocvec(&(IpAddr::from([10, 0, 0, 0]), 33u8)).unwrap();
    assert!(postcard::from_bytes::<Prefix>(&bytes).is_err());
}

#[test]
fn mistyped_settings_and_impossible_values_are_refused() {
    let config = |json| serde_json::from_value::<Config>(json).unwrap_err().to_string();
    assert!(config(json!({ "hold_time": 5 })).starts_with("unknown field `hold_time`, expected one of"));
    for secs in [json!(-1), json!(-0.5), json!(1e300)] {
        assert!(config(json!({ "stale_time": secs })).contains("expected a number of seconds from 0 on"), "{secs}");
    }
    let next_hop = json!({ "addr": "2001:db8::1", "target": 7 });
    let error = serde_json::from_value::<NextHop>(next_hop).unwrap_err().to_string();
    assert!(error.starts_with("unknown field `target`"), "{error}");
    for text in ["", "1", "1.5", "1.0000000001", "+1.000000000", "1.+00000000", "99999999999999999999.000000000"] {
        assert!(serde_json::from_value::<Instant>(json!(text)).is_err(), "{text}");
    }
    for hex in ["0", "0g", "+1", "\u{e9}"] {
        let input = json!({ "received": { "conn": "a1", "bytes": hex } });
        assert!(serde_json::from_value::<Input>(input).is_err(), "{hex}");
    }
    assert!(serde_json::from_value::<ConnId>(json!("d9223372036854775808")).is_err());
}

fn prefix() -> impl Strategy<Value = Prefix> {
    (any::<IpAddr>(), 0..=128u32).prop_map(|(addr, len)| {
        let max = if addr.is_ipv4() { 32 } else { 128 };
        Prefix::new(addr, len.min(max)).unwrap()
    })
}

fn route() -> impl Strategy<Value = Route> {
    let kind = prop_oneof![
        Just(NextHopKind::Standard),
        Just(NextHopKind::LoadBalancer),
        any::<(u16, u16)>().prop_map(|(from, to)| NextHopKind::Nat { from, to }),
    ];
    (any::<u32>(), prefix(), any::<IpAddr>(), any::<u32>(), kind).prop_map(|(vni, prefix, addr, target_vni, kind)| {
        Route { vni: Vni(vni), prefix, next_hop: NextHop { addr, target_vni: Vni(target_vni), kind } }
    })
}

proptest! {
    #[test]
    fn every_prefix_and_route_comes_back(prefix in prefix(), route in route()) {
        comes_back(&prefix);
        comes_back(&route);
    }

    #[test]
    fn every_instant_and_every_received_byte_comes_back(
        secs in any::<u64>(), nanos in 0..1_000_000_000u32, bytes in any::<Vec<u8>>(), n in any::<u64>()
    ) {
        comes_back(&Instant::from_epoch(Duration::new(secs, nanos)));
        comes_back(&Input::Received { conn: ConnId::accepted(n), bytes: bytes.into() });
    }

    // As far as a double is exact to the nanosecond: 52 days, with serde_json's fast way to read one.
    #[test]
    fn every_setting_in_seconds_comes_back(secs in 0..4_500_000u64, nanos in 0..1_000_000_000u32) {
        comes_back(&Config { stale_time: Some(Duration::new(secs, nanos)), ..Config::default() });
        comes_back(&Config { stale_time: None, ..Config::default() });
    }
}

/// Checks that `value` has this JSON form, is read from it, and survives a binary format.
#[track_caller]
fn looks_like<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T, json: Value) {
    assert_eq!(serde_json::to_value(&value).unwrap(), json);
    comes_back(&value);
}

#[track_caller]
fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let text = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), value, "{text}");
    let bytes = postcard::to_allocvec(value).unwrap();
    assert_eq!(&postcard::from_bytes::<T>(&bytes).unwrap(), value);
}

/// Returns a node with a peer that it could not dial, and a connection that it accepted.
fn client_that_lost_its_server() -> (Node, Transition) {
    let now = Instant::EPOCH;
    let mut node = Node::new(Config::default(), now).unwrap();
    let actions = node.handle_input(now, Input::Command(Command::AddPeer { endpoint: "server:4711".into() }));
    let dialled = |action: &Action| if let Action::Dial { conn, .. } = action { Some(*conn) } else { None };
    let conn = actions.iter().find_map(dialled).unwrap();
    let actions = node.handle_input(now, Input::DialFailed { conn, why: "no route".into() });
    let state = |action: Action| if let Action::State(transition) = action { Some(transition) } else { None };
    let transition = actions.into_iter().find_map(state).unwrap();
    let remote: SocketAddr = "[2001:db8::1]:4000".parse().unwrap();
    node.handle_input(now, Input::Accepted { conn: ConnId::accepted(5), remote });
    (node, transition)
}
