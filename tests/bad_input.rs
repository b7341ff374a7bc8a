//! What a node does with invalid input: the table of protocol.md, row by row, in raw bytes.

use crate::sim::rig::{LEGACY, OUR_SERVER, OURS, Rig, route};
use crate::sim::wire::{Hello, Msg, encode, encode_all, frame, hex, put_bytes, put_uint};
use metalbond::{
    ApiMisuse, CloseReason, Command, CommandError, Config, ConnId, Counters, DecodeError, Martian, MessageType,
    NextHop, PeerMisbehaved, Reply, Route,
};
use proptest::prelude::*;

#[test]
fn a_wrong_version_closes() {
    closes_at_once("02 0000 02", CloseReason::Decode(DecodeError::Version(2)));
    closes_when_open("00 0000 02", CloseReason::Decode(DecodeError::Version(0)));
}

#[test]
fn tls_on_a_plain_connection_has_an_error_of_its_own() {
    let client_hello = DecodeError::Version(0x16);
    closes_at_once("16 0301 00f4 01", CloseReason::Decode(client_hello));
    assert_eq!(client_hello.to_string(), "TLS, where plain MetalBond is spoken");
    let alert = DecodeError::Version(0x15);
    closes_at_once("15 0303 0002 0232", CloseReason::Decode(alert));
    assert!(alert.to_string().contains("the far end speaks TLS"));
}

#[test]
fn a_payload_over_1188_bytes_closes_before_it_has_arrived() {
    closes_when_open("01 04a5 05", CloseReason::Decode(DecodeError::PayloadTooLong(1189)));
    closes_when_open("01 ffff 09", CloseReason::Decode(DecodeError::PayloadTooLong(65_535)));
}

#[test]
fn a_payload_of_1188_bytes_is_accepted() {
    let mut rig = Rig::unwatched();
    let conn = rig.join(OURS);
    rig.say_bytes(conn, &frame(77, &[0xff; 1188]));
    assert!(rig.is_open(conn));
    assert_eq!(counters(&rig, conn).messages_in.unknown, 1);
}

#[test]
fn undecodable_protobuf_closes() {
    let protobuf = |t| CloseReason::Decode(DecodeError::Protobuf(t));
    closes_at_once("01 0001 01 08", protobuf(MessageType::Hello));
    closes_when_open("01 0001 03 08", protobuf(MessageType::Subscribe));
    closes_when_open("01 0002 04 0a05", protobuf(MessageType::Unsubscribe));
    closes_when_open("01 0003 05 1a7f00", protobuf(MessageType::Update));
}

#[test]
fn an_update_without_destination_or_next_hop_closes() {
    closes_when_open("01 000a 05 1017 2206 0a04c0000201", CloseReason::Decode(DecodeError::NoDestination));
    closes_when_open("01 000a 05 1017 1a06 120400000000", CloseReason::Decode(DecodeError::NoNextHop));
}

#[test]
fn a_hello_with_interval_zero_closes() {
    closes_at_once("01 0000 01", CloseReason::Decode(DecodeError::ZeroKeepalive));
    closes_at_once("01 0004 01 0800 1001", CloseReason::Decode(DecodeError::ZeroKeepalive));
}

#[test]
fn anything_but_hello_first_closes() {
    let first = |t| CloseReason::Misbehaved(PeerMisbehaved::NotHelloFirst(t));
    closes_at_once("01 0000 02", first(2));
    closes_at_once("01 0002 03 0817", first(3));
    closes_at_once("01 0002 04 0817", first(4));
    closes_at_once("01 0012 05 10171a0612040000000022060a04c0000201", first(5));
    closes_at_once("01 0000 63", first(99));
    closes_at_once("01 0000 00", first(0));
}

#[test]
fn routes_and_subscriptions_before_the_first_keepalive_close() {
    let early = |t| CloseReason::Misbehaved(PeerMisbehaved::BeforeKeepalive(t));
    let hello = "01 0002 01 0805";
    closes_at_once(&format!("{hello} 01 0002 03 0817"), early(MessageType::Subscribe));
    closes_at_once(&format!("{hello} 01 0002 04 0817"), early(MessageType::Unsubscribe));
    let update = "01 0012 05 10171a0612040000000022060a04c0000201";
    closes_at_once(&format!("{hello} {update}"), early(MessageType::Update));
}

#[test]
fn a_second_hello_closes() {
    closes_at_once("01 0002 01 0805 01 0002 01 0805", CloseReason::Misbehaved(PeerMisbehaved::SecondHello));
    closes_when_open("01 0002 01 0805", CloseReason::Misbehaved(PeerMisbehaved::SecondHello));
}

#[test]
fn routes_of_a_client_that_misbehaves_go_with_its_session() {
    let mut rig = Rig::unwatched();
    let (bad, other) = (rig.join(OURS), rig.join(OURS));
    rig.say(other, &[Msg::Subscribe(route(1, 1).vni)]);
    let mut bytes = encode(&Msg::Add(route(1, 1)));
    bytes.extend(hex("02 0000 02"));
    rig.say_bytes(bad, &bytes);
    // A client that misbehaves gets no restart time, whatever its HELLO asked for.
    assert_eq!(rig.table(23).len(), 0);
    assert!(matches!(rig.heard(other)[..], [] | [Msg::Add(_), Msg::Remove(_)]));
}

#[test]
fn an_unknown_type_after_hello_is_skipped_and_counted() {
    let mut rig = Rig::unwatched();
    let conn = rig.accept();
    rig.say_bytes(conn, &hex("01 0002 01 0805  01 0003 06 ffffff  01 0000 00  01 0000 02  01 0000 ff"));
    assert!(rig.is_open(conn));
    assert_eq!(counters(&rig, conn).messages_in.unknown, 3);
}

#[test]
fn an_impossible_update_is_dropped_and_counted_and_never_passed_on() {
    let v4 = [10, 0, 0, 1];
    let cases = [
        ("no prefix", update(0, &[], 0, &v4, &[])),
        ("a prefix of 5 bytes", update(0, &[1; 5], 8, &v4, &[])),
        ("a prefix of 17 bytes", update(0, &[1; 17], 8, &v4, &[])),
        ("a length over 32", update(0, &v4, 33, &v4, &[])),
        ("a length over 128", update(0, &[1; 16], 129, &v4, &[])),
        ("a length as Go passes it on", update(0, &v4, u32::MAX, &v4, &[])),
        ("no next hop address", update(0, &v4, 32, &[], &[])),
        ("a next hop address of 3 bytes", update(0, &v4, 32, &[1; 3], &[])),
        ("an unknown type", update(0, &v4, 32, &v4, &[(3, 3)])),
        ("a port over 65535", update(0, &v4, 32, &v4, &[(3, 1), (4, 1), (5, 65_536)])),
        ("another port over 65535", update(0, &v4, 32, &v4, &[(3, 1), (4, 4_294_967_295), (5, 7)])),
        ("an unknown action", update(2, &v4, 32, &v4, &[])),
        ("an invalid removal", update(1, &v4, 33, &v4, &[])),
    ];
    for (what, bytes) in cases {
        let mut rig = Rig::unwatched();
        let (announcer, subscriber) = (rig.join(OURS), rig.join(OURS));
        rig.say(subscriber, &[Msg::Subscribe(route(1, 1).vni)]);
        rig.say_bytes(announcer, &bytes);
        assert!(rig.is_open(announcer), "{what}");
        assert_eq!(counters(&rig, announcer).invalid_updates, 1, "{what}");
        assert_eq!(rig.heard(subscriber), [], "{what}");
        assert_eq!(rig.table(23).len(), 0, "{what}");
        // The session stays open.
        rig.say(announcer, &[Msg::Add(route(1, 1))]);
        assert_eq!(rig.heard(subscriber), [Msg::Add(route(1, 1))], "{what}");
    }
}

/// Addresses of next hops to which no packet can be sent, as bytes: IPv4, IPv6 and IPv4-mapped.
const MARTIANS: [&str; 20] = [
    "0.0.0.0",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.0.1",
    "224.0.0.1",
    "239.255.255.255",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "febf::1",
    "ff00::",
    "ff02::1",
    "ffff::1",
    "::ffff:0.0.0.0",
    "::ffff:127.0.0.1",
    "::ffff:169.254.1.1",
    "::ffff:224.0.0.1",
    "::ffff:239.1.1.1",
    "::ffff:255.255.255.255",
];

#[test]
fn a_martian_next_hop_is_dropped_and_counted_and_never_passed_on() {
    for text in MARTIANS {
        let octets = match text.parse().unwrap() {
            std::net::IpAddr::V4(addr) => addr.octets().to_vec(),
            std::net::IpAddr::V6(addr) => addr.octets().to_vec(),
        };
        // An ordinary route; a default route, which only prost decodes; a route with a target VNI; NAT; load balancer;
        // a removal.
        let prefix = &[10, 0, 0, 1];
        let cases = [
            update(0, prefix, 32, &octets, &[]),
            update(0, &[0; 4], 0, &octets, &[]),
            update(0, &[1; 16], 64, &octets, &[(2, 42)]),
            update(0, prefix, 32, &octets, &[(3, 1), (4, 1), (5, 9)]),
            update(0, prefix, 32, &octets, &[(3, 2)]),
            update(1, prefix, 32, &octets, &[]),
        ];
        let mut rig = Rig::unwatched();
        let (announcer, subscriber) = (rig.join(OURS), rig.join(OURS));
        rig.say(subscriber, &[Msg::Subscribe(route(1, 1).vni)]);
        for bytes in &cases {
            rig.say_bytes(announcer, bytes);
        }
        assert!(rig.is_open(announcer), "{text}");
        let Counters { invalid_updates, messages_in, .. } = counters(&rig, announcer);
        assert_eq!((invalid_updates, messages_in.update), (cases.len() as u64, cases.len() as u64), "{text}");
        assert_eq!((rig.heard(subscriber), rig.table(23).len()), (vec![], 0), "{text}");
        // The session stays open.
        rig.say(announcer, &[Msg::Add(route(1, 1))]);
        assert_eq!(rig.heard(subscriber), [Msg::Add(route(1, 1))], "{text}");
    }
}

#[test]
fn a_client_accepts_no_martian_next_hop_from_its_server() {
    let mut rig = Rig::client(Config::default());
    rig.seat.is_watched = false;
    rig.subscribe(23);
    let conn = rig.connect();
    rig.say(conn, &[Msg::Hello(OUR_SERVER), Msg::Keepalive]);
    let martian = update(0, &[10, 0, 0, 1], 32, &[127, 0, 0, 1], &[]);
    rig.say_bytes(conn, &[martian, encode(&Msg::Add(route(1, 1)))].concat());
    assert_eq!(rig.seat.node.learned(route(1, 1).vni).collect::<Vec<_>>(), [route(1, 1)]);
    assert_eq!((counters(&rig, conn).invalid_updates, rig.is_open(conn)), (1, true));
}

#[test]
fn a_node_announces_no_martian_next_hop_itself() {
    let mut rig = Rig::client(Config::default());
    let conn = rig.connect();
    rig.say(conn, &[Msg::Hello(OUR_SERVER), Msg::Keepalive]);
    rig.heard(conn);
    for text in MARTIANS {
        let next_hop = NextHop::standard(text.parse().unwrap());
        let martian = Route { next_hop, ..route(1, 1) };
        let reply = rig.command(Command::Announce(martian));
        assert!(matches!(reply, Err(CommandError::Misuse(ApiMisuse::MartianNextHop(_)))), "{text}: {reply:?}");
        assert_eq!(rig.command(Command::Withdraw(martian)), Ok(Reply::Changed(false)), "{text}");
    }
    assert_eq!((rig.heard(conn), rig.seat.node.announcements().count()), (vec![], 0));
    let said = ApiMisuse::MartianNextHop(Martian::Loopback).to_string();
    assert_eq!(said, "no packet can be sent to the next hop: it is a loopback address");
}

#[test]
fn an_ipv4_mapped_next_hop_is_passed_on_as_it_is() {
    let mut rig = Rig::unwatched();
    let (announcer, subscriber) = (rig.join(OURS), rig.join(OURS));
    rig.say(subscriber, &[Msg::Subscribe(route(1, 1).vni)]);
    let mapped = "::ffff:192.0.2.1".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let both = [&mapped[..], &[192, 0, 2, 1]].map(|addr| update(0, &[10, 0, 0, 1], 32, addr, &[]));
    for bytes in both {
        rig.say_bytes(announcer, &bytes);
        assert_eq!(rig.heard_bytes(subscriber), bytes, "each is a route of its own");
    }
}

#[test]
fn ports_of_a_next_hop_that_is_not_nat_do_not_matter() {
    let mut rig = Rig::unwatched();
    let (announcer, subscriber) = (rig.join(OURS), rig.join(OURS));
    rig.say(subscriber, &[Msg::Subscribe(route(1, 1).vni)]);
    rig.say_bytes(announcer, &update(0, &[10, 0, 0, 1], 32, &[192, 0, 2, 1], &[(4, 99_999), (5, 7)]));
    rig.say_bytes(announcer, &update(0, &[10, 0, 0, 1], 32, &[192, 0, 2, 1], &[]));
    assert_eq!(rig.heard_bytes(subscriber), update(0, &[10, 0, 0, 1], 32, &[192, 0, 2, 1], &[]));
    assert_eq!(counters(&rig, announcer).invalid_updates, 0);
}

#[test]
fn a_vni_over_24_bits_and_host_bits_are_kept_as_sent() {
    let mut rig = Rig::server();
    let (announcer, subscriber) = (rig.join(OURS), rig.join(OURS));
    let mut odd = crate::sim::rig::route_in(u32::MAX, 5, 1);
    odd.prefix = "10.0.0.5/24".parse().unwrap();
    rig.say(subscriber, &[Msg::Subscribe(odd.vni)]);
    rig.say(announcer, &[Msg::Add(odd)]);
    assert_eq!(rig.heard(subscriber), [Msg::Add(odd)]);
    let clean = metalbond::Route { prefix: "10.0.0.0/24".parse().unwrap(), ..odd };
    rig.say(announcer, &[Msg::Remove(clean)]);
    assert_eq!(rig.heard(subscriber), [], "the prefix without host bits is another route");
}

#[test]
fn repetitions_and_removals_of_unknown_routes_have_no_effect() {
    let mut rig = Rig::server();
    let (announcer, subscriber) = (rig.join(OURS), rig.join(OURS));
    let (r, vni) = (route(1, 1), route(1, 1).vni);
    rig.say(announcer, &[Msg::Unsubscribe(vni), Msg::Remove(r), Msg::Add(r), Msg::Add(r)]);
    rig.say(subscriber, &[Msg::Subscribe(vni)]);
    assert_eq!(rig.heard(subscriber), [Msg::Add(r)]);
    rig.say(subscriber, &[Msg::Subscribe(vni), Msg::Remove(r)]);
    rig.say(announcer, &[Msg::Add(r)]);
    assert_eq!(rig.heard(subscriber), []);
    rig.say(announcer, &[Msg::Remove(r), Msg::Remove(r)]);
    assert_eq!(rig.heard(subscriber), [Msg::Remove(r)]);
}

#[test]
fn a_peer_may_send_everything_in_one_write() {
    let all = everything();
    let mut rig = Rig::server();
    let conn = rig.accept();
    rig.say_bytes(conn, &all);
    assert!(rig.is_open(conn));
    assert_eq!(rig.table(23).len(), 2);
}

#[test]
fn frames_may_be_cut_anywhere() {
    let all = everything();
    for cut in 0..all.len() {
        let mut rig = Rig::server();
        let conn = rig.accept();
        rig.say_bytes(conn, &all[..cut]);
        rig.say_bytes(conn, &all[cut..]);
        assert_eq!(rig.table(23).len(), 2, "cut at {cut}");
    }
    let mut rig = Rig::server();
    let conn = rig.accept();
    all.iter().for_each(|b| rig.say_bytes(conn, &[*b]));
    assert_eq!(rig.table(23).len(), 2);
}

#[test]
fn bytes_that_arrive_after_the_close_are_ignored() {
    let mut rig = Rig::unwatched();
    let conn = rig.join(OURS);
    rig.say_bytes(conn, &hex("02 0000 02"));
    rig.say(conn, &[Msg::Keepalive, Msg::Add(route(1, 1))]);
    assert_eq!(rig.heard_bytes(conn), b"");
    assert_eq!(rig.table(23).len(), 0);
    assert!(rig.seat.node.sessions().all(|s| s.conn != conn));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn garbage_from_one_peer_disturbs_no_other(
        pieces in proptest::collection::vec(garbage(), 0..12),
        opened in any::<bool>(),
    ) {
        let mut rig = Rig::unwatched();
        let (announcer, subscriber) = (rig.join(OURS), rig.join(LEGACY));
        rig.say(subscriber, &[Msg::Subscribe(route(1, 1).vni)]);
        let bad = if opened { rig.join(OURS) } else { rig.accept() };
        for (n, piece) in pieces.iter().enumerate() {
            rig.say_bytes(bad, piece);
            // This route differs in two bytes from the route that the garbage is made of: no changed byte turns one
            // into the other.
            let r = route(n as u8, 0x0202);
            rig.say(announcer, &[Msg::Add(r)]);
            prop_assert!(rig.heard(subscriber).contains(&Msg::Add(r)));
        }
        rig.say(announcer, &[Msg::Keepalive]);
        prop_assert_eq!(rig.heard(announcer), [Msg::Keepalive]);
    }
}

/// Generates bytes: half of them random, half almost valid.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..60);
    prop_oneof![
        bytes.clone(),
        (0..8u8, bytes.clone()).prop_map(|(kind, payload)| frame(kind, &payload)),
        (0..40usize, any::<u8>()).prop_map(|(at, byte)| {
            let mut bytes = encode(&Msg::Add(route(1, 1)));
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes
        }),
        Just(encode(&Msg::Keepalive)),
        Just(encode(&Msg::Hello(Hello { keepalive: 1, ..OURS }))),
    ]
}

fn everything() -> Vec<u8> {
    let vni = route(1, 1).vni;
    encode_all(&[
        Msg::Hello(OURS),
        Msg::Keepalive,
        Msg::Add(route(1, 1)),
        Msg::Subscribe(vni),
        Msg::Add(route(2, 1)),
        Msg::Keepalive,
        Msg::Unsubscribe(vni),
    ])
}

fn update(action: u64, prefix: &[u8], length: u32, hop_addr: &[u8], hop_fields: &[(u64, u64)]) -> Vec<u8> {
    let (mut payload, mut destination, mut hop) = (Vec::new(), Vec::new(), Vec::new());
    put_uint(&mut payload, 1, action);
    put_uint(&mut payload, 2, 23);
    put_uint(&mut destination, 1, u64::from(prefix.len() > 4));
    put_bytes(&mut destination, 2, prefix);
    put_uint(&mut destination, 3, length.into());
    put_bytes(&mut payload, 3, &destination);
    put_bytes(&mut hop, 1, hop_addr);
    hop_fields.iter().for_each(|(field, value)| put_uint(&mut hop, *field, *value));
    put_bytes(&mut payload, 4, &hop);
    frame(5, &payload)
}

fn counters(rig: &Rig, conn: ConnId) -> Counters {
    rig.seat.node.sessions().find(|s| s.conn == conn).expect("a session").counters
}

/// Checks that the node closes a connection for these bytes, the first ones on it.
fn closes_at_once(text: &str, reason: CloseReason) {
    let mut rig = Rig::unwatched();
    let conn = rig.accept();
    rig.say_bytes(conn, &hex(text));
    assert!(rig.closed.contains_key(&conn), "{text}");
    assert_eq!(rig.reason(conn), Some(reason), "{text}");
}

fn closes_when_open(text: &str, reason: CloseReason) {
    let mut rig = Rig::unwatched();
    let conn = rig.join(OURS);
    rig.say_bytes(conn, &hex(text));
    assert!(rig.closed.contains_key(&conn), "{text}");
    assert_eq!(rig.reason(conn), Some(reason), "{text}");
}
