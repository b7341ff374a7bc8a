//! The bytes on the wire equal those between peers of the reference, through a real node and in both directions.

use std::time::Duration;

use crate::sim::rig::{LEGACY, LEGACY_SERVER, OURS, Rig, route};
use crate::sim::wire::{CONVERGING, Frames, Hello, Msg, encode, frame, hex, put_bytes, put_uint};
use metalbond::{Command, Config, TransportEnd};

const HELLO_CLIENT_2S: &str = "01 0002 01 0802";
const HELLO_SERVER_3S: &str = "01 0004 01 08031001";
const KEEPALIVE: &str = "01 0000 02";
const SUBSCRIBE_23: &str = "01 0002 03 0817";
const SUBSCRIBE_16777215: &str = "01 0005 03 08ffffff07";
const ADD_V4: &str = "01 0020 05 10171a0812040a001700181822120a1020010db8000000000000000000000001";
const ADD_V6: &str =
    "01 002e 05 10171a160801121020010db8deadbeef0000000000000000184022120a1020010db8000000000000000000000001";
const ADD_NAT: &str = "01 0028 05 10171a0812040a0018001818221a0a1020010db8000000000000000000000001180120e80728d00f";
const ADD_LB: &str = "01 0022 05 10171a0812040a001907182022140a1020010db80000000000000000000000021802";
const ADD_DEFAULT: &str = "01 0012 05 10171a0612040000000022060a04c0000201";
const ADDS: [&str; 5] = [ADD_V4, ADD_V6, ADD_NAT, ADD_LB, ADD_DEFAULT];

#[test]
fn the_simulators_own_codec_gives_the_bytes_of_the_reference() {
    let fixed = [HELLO_CLIENT_2S, HELLO_SERVER_3S, KEEPALIVE, SUBSCRIBE_23, SUBSCRIBE_16777215];
    for text in fixed.into_iter().chain(ADDS) {
        let mut frames = Frames::default();
        frames.push(&hex(text));
        let (msg, _) = frames.next().expect("a whole frame");
        assert!(frames.is_empty());
        assert_eq!(encode(&msg), hex(text), "{msg:?}");
    }
}

#[test]
fn routes_of_every_kind_reach_a_reference_client_in_the_references_bytes() {
    let mut rig = Rig::server();
    let [announcer, subscriber] = [0, 1].map(|_| rig.accept());
    for conn in [announcer, subscriber] {
        for text in [HELLO_CLIENT_2S, KEEPALIVE] {
            rig.say_bytes(conn, &hex(text));
        }
        rig.heard(conn);
    }
    rig.say_bytes(subscriber, &hex(SUBSCRIBE_23));
    for text in ADDS {
        rig.say_bytes(announcer, &hex(text));
        assert_eq!(rig.heard_bytes(subscriber), hex(text));
    }
}

#[test]
fn a_late_reference_client_gets_the_same_bytes() {
    let mut rig = Rig::server();
    let announcer = rig.join(OURS);
    rig.say_bytes(announcer, &ADDS.map(hex).concat());
    let subscriber = rig.join(LEGACY);
    rig.say_bytes(subscriber, &hex(SUBSCRIBE_23));
    let heard = rig.heard_bytes(subscriber);
    assert_eq!(heard.len(), ADDS.map(hex).concat().len());
    for text in ADDS {
        assert!(heard.windows(hex(text).len()).any(|w| w == hex(text)), "{text}");
    }
}

#[test]
fn a_removal_is_an_addition_with_action_one() {
    let mut rig = Rig::server();
    let (announcer, subscriber) = (rig.join(OURS), rig.join(LEGACY));
    rig.say_bytes(subscriber, &hex(SUBSCRIBE_23));
    rig.say_bytes(announcer, &hex(ADD_LB));
    rig.heard(subscriber);
    let remove = hex("01 0024 05 080110171a0812040a001907182022140a1020010db80000000000000000000000021802");
    rig.say_bytes(announcer, &remove);
    assert_eq!(rig.heard_bytes(subscriber), remove);
}

#[test]
fn a_server_answers_hello_with_the_minimum_and_its_capabilities() {
    let mut rig = Rig::server_with(Config { keepalive: Duration::from_secs(3), ..Config::default() });
    for (theirs, answered) in [(2, 2), (3, 3), (9, 3), (u32::MAX, 3)] {
        let conn = rig.accept();
        assert_eq!(rig.heard_bytes(conn), b"", "the server waits for HELLO");
        rig.say(conn, &[Msg::Hello(Hello { keepalive: theirs, ..LEGACY })]);
        let [Msg::Hello(hello)] = rig.heard(conn)[..] else { panic!("not a HELLO alone") };
        assert_eq!((hello.keepalive, hello.is_server), (answered, true));
        assert!(hello.ordered() && !hello.converging());
    }
}

#[test]
fn a_server_says_that_it_is_converging_for_its_first_minute() {
    let mut rig = Rig::new(Config::default());
    rig.advance_secs(1000);
    rig.command(Command::SetListening(true)).unwrap();
    for (secs, converging) in [(0, true), (59, true), (2, false)] {
        rig.advance_secs(secs);
        let conn = rig.accept();
        rig.say(conn, &[Msg::Hello(LEGACY)]);
        let [Msg::Hello(hello)] = rig.heard(conn)[..] else { panic!("not a HELLO alone") };
        assert_eq!(hello.converging(), converging, "after {secs} s more");
        assert_eq!(hello.capabilities & !CONVERGING, 1);
    }
}

/// The server may have been cut off, and other clients with it: the first client that is back does not give it a
/// complete table.
#[test]
fn a_server_says_so_again_for_a_minute_after_a_client_with_routes_fell_silent() {
    let mut rig = Rig::server();
    let says = |rig: &mut Rig| {
        let conn = rig.accept();
        rig.say(conn, &[Msg::Hello(LEGACY)]);
        let [Msg::Hello(hello)] = rig.heard(conn)[..] else { panic!("not a HELLO alone") };
        hello.converging()
    };
    let (gone, restarts, idle) = (rig.join(OURS), rig.join(OURS), rig.join(OURS));
    rig.say(gone, &[Msg::Add(route(1, 1))]);
    rig.say(restarts, &[Msg::Add(route(2, 1))]);
    rig.end(restarts, TransportEnd::Reset);
    rig.end(idle, TransportEnd::TimedOut);
    assert!(!says(&mut rig), "no client is missing");
    rig.advance_secs(13);
    assert!(!rig.is_open(gone));
    assert!(says(&mut rig));
    rig.advance_secs(58);
    assert!(says(&mut rig));
    rig.advance_secs(2);
    assert!(!says(&mut rig));
}

#[test]
fn a_client_says_its_interval_its_capability_and_its_restart_time() {
    let mut rig = Rig::client(Config {
        keepalive: Duration::from_secs(2),
        restart_time: Duration::from_secs(17),
        ..Config::default()
    });
    let conn = rig.connect();
    let ours = Hello { keepalive: 2, restart_time: 17, ..OURS };
    assert_eq!(rig.heard(conn), [Msg::Hello(ours)]);
}

#[test]
fn a_client_speaks_to_the_reference_server_in_the_references_bytes() {
    let mut rig = Rig::client(Config::default());
    rig.subscribe(23);
    rig.subscribe(16_777_215);
    for text in ADDS {
        let mut frames = Frames::default();
        frames.push(&hex(text));
        let Some((Msg::Add(route), _)) = frames.next() else { panic!("not an ADD") };
        rig.announce(route);
    }
    let conn = rig.connect();
    rig.heard(conn);
    rig.say_bytes(conn, &hex(HELLO_SERVER_3S));
    assert_eq!(rig.heard_bytes(conn), hex(KEEPALIVE));
    rig.say_bytes(conn, &hex(KEEPALIVE));
    let said = rig.heard_bytes(conn);
    for text in ADDS.into_iter().chain([SUBSCRIBE_23, SUBSCRIBE_16777215]) {
        assert!(said.windows(hex(text).len()).any(|w| w == hex(text)), "{text}");
    }
    assert!(LEGACY_SERVER.is_server && !LEGACY_SERVER.ordered());
}

#[test]
fn odd_but_valid_protobuf_is_passed_on_in_canonical_bytes() {
    // Fields in reverse order, an unknown field, explicit zeros, ports on a STANDARD next hop, an ipVersion that
    // contradicts the address.
    let mut hop = Vec::new();
    hop.extend([0x28, 0x07, 0x20, 0x05, 0x18, 0x00, 0x10, 0x00]);
    put_bytes(&mut hop, 1, &hex("20010db8000000000000000000000001"));
    let mut destination = Vec::new();
    put_uint(&mut destination, 3, 24);
    put_bytes(&mut destination, 2, &[10, 0, 23, 0]);
    put_uint(&mut destination, 1, 1);
    let mut update = Vec::new();
    put_bytes(&mut update, 4, &hop);
    put_bytes(&mut update, 99, b"from the future");
    put_bytes(&mut update, 3, &destination);
    put_uint(&mut update, 2, 23);
    update.extend([0x08, 0x00]);

    let mut rig = Rig::unwatched();
    let (announcer, subscriber) = (rig.join(OURS), rig.join(LEGACY));
    rig.say_bytes(subscriber, &hex(SUBSCRIBE_23));
    rig.say_bytes(announcer, &frame(5, &update));
    assert_eq!(rig.heard_bytes(subscriber), hex(ADD_V4));
}
