//! How a session opens, stays and ends, at both of its ends.

use std::net::SocketAddr;
use std::time::Duration;

use crate::sim::rig::{LEGACY, LEGACY_SERVER, OUR_SERVER, OURS, Rig, route};
use crate::sim::wire::{Hello, Msg};
use metalbond::{CloseReason, Command, Config, HostAddr, Input, Reply, SessionState, TransportEnd, Vni};

#[test]
fn a_client_sends_hello_then_keepalive_then_announcements_and_subscriptions() {
    let mut rig = Rig::client(Config::default());
    rig.subscribe(23);
    rig.announce(route(1, 1));
    let conn = rig.connect();
    assert!(matches!(rig.heard(conn)[..], [Msg::Hello(_)]));
    rig.say(conn, &[Msg::Hello(OUR_SERVER)]);
    assert_eq!(rig.heard(conn), [Msg::Keepalive]);
    rig.say(conn, &[Msg::Keepalive]);
    // Announcements go first, and a KEEPALIVE asks for the End-of-RIB.
    assert_eq!(rig.heard(conn), [Msg::Add(route(1, 1)), Msg::Subscribe(Vni(23)), Msg::Keepalive]);
}

#[test]
fn to_a_server_without_the_capability_subscriptions_go_first() {
    let mut rig = Rig::client(Config::default());
    rig.subscribe(23);
    rig.announce(route(1, 1));
    let (_, heard) = rig.reach(LEGACY_SERVER);
    let routes: Vec<_> = heard.into_iter().filter(|m| *m != Msg::Keepalive).collect();
    assert_eq!(routes, [Msg::Subscribe(Vni(23)), Msg::Add(route(1, 1))]);
}

#[test]
fn commands_during_the_handshake_are_sent_at_its_end() {
    let mut rig = Rig::client(Config::default());
    let conn = rig.connect();
    rig.announce(route(1, 1));
    rig.say(conn, &[Msg::Hello(OUR_SERVER)]);
    rig.subscribe(23);
    rig.announce(route(2, 1));
    rig.withdraw(route(1, 1));
    rig.heard(conn);
    rig.say(conn, &[Msg::Keepalive]);
    assert_eq!(rig.heard(conn), [Msg::Add(route(2, 1)), Msg::Subscribe(Vni(23)), Msg::Keepalive]);
}

#[test]
fn each_state_is_reported_once_and_in_order() {
    use SessionState::*;
    let mut rig = Rig::client(Config::default());
    let (conn, _) = rig.reach(OUR_SERVER);
    rig.end(conn, TransportEnd::Reset);
    let moves: Vec<_> = rig.transitions.iter().filter(|t| t.conn == conn).map(|t| (t.old, t.new)).collect();
    assert!(moves.windows(2).all(|w| w[0].1 == w[1].0), "{moves:?}");
    let seen: Vec<_> = moves.into_iter().map(|(_, new)| new).filter(|s| *s != Connecting).collect();
    assert_eq!(seen, [HelloSent, HelloReceived, Established, Retry]);
}

#[test]
fn a_client_that_never_sends_hello_is_closed_after_ten_seconds() {
    let mut rig = Rig::server();
    let conn = rig.accept();
    rig.advance(Duration::from_millis(9999));
    assert!(rig.closed.is_empty());
    rig.advance(Duration::from_millis(1));
    assert!(rig.closed.contains_key(&conn));
    assert_eq!(rig.reason(conn), Some(CloseReason::HandshakeTimeout(SessionState::Connecting)));
}

#[test]
fn half_a_hello_is_no_hello() {
    let mut rig = Rig::server();
    let conn = rig.accept();
    rig.advance_secs(9);
    rig.say_bytes(conn, &[1, 0]);
    rig.advance_secs(1);
    assert!(rig.closed.contains_key(&conn));
}

#[test]
fn a_client_that_never_sends_its_first_keepalive_is_closed_after_ten_seconds() {
    let mut rig = Rig::server();
    let conn = rig.accept();
    rig.advance_secs(5);
    rig.say(conn, &[Msg::Hello(OURS)]);
    rig.advance(Duration::from_millis(9999));
    assert!(rig.closed.is_empty());
    rig.advance(Duration::from_millis(1));
    assert_eq!(rig.reason(conn), Some(CloseReason::HandshakeTimeout(SessionState::HelloReceived)));
}

#[test]
fn a_dial_has_ten_seconds_and_so_have_the_servers_hello_and_keepalive() {
    let mut rig = Rig::client(Config::default());
    let conn = rig.dials[0];
    rig.advance_secs(10);
    assert_eq!(rig.reason(conn), Some(CloseReason::HandshakeTimeout(SessionState::Connecting)));
    rig.advance_secs(1);

    let conn = rig.connect();
    rig.advance_secs(10);
    assert_eq!(rig.reason(conn), Some(CloseReason::HandshakeTimeout(SessionState::HelloSent)));
    rig.advance_secs(1);

    let conn = rig.connect();
    rig.say(conn, &[Msg::Hello(OUR_SERVER)]);
    rig.advance_secs(10);
    assert_eq!(rig.reason(conn), Some(CloseReason::HandshakeTimeout(SessionState::HelloReceived)));
    rig.advance_secs(1);
    assert_eq!(rig.dials.len(), 1, "the client dials again");
}

#[test]
fn silence_of_two_and_a_half_intervals_ends_the_session() {
    let mut rig = Rig::server();
    let conn = rig.join(Hello { keepalive: 2, ..OURS });
    rig.advance(Duration::from_millis(4999));
    assert!(rig.is_open(conn));
    rig.advance(Duration::from_millis(1));
    assert_eq!(rig.reason(conn), Some(CloseReason::HoldTime(Duration::from_secs(5))));
}

#[test]
fn any_byte_is_a_sign_of_life() {
    let mut rig = Rig::server();
    let conn = rig.join(OURS);
    for byte in crate::sim::wire::encode(&Msg::Add(route(1, 1))) {
        rig.advance_secs(12);
        rig.say_bytes(conn, &[byte]);
    }
    assert!(rig.is_open(conn));
    assert_eq!(rig.table(23).len(), 1);
}

#[test]
fn a_server_answers_each_keepalive_and_sends_no_other() {
    let mut rig = Rig::server();
    let conns = [rig.join(OURS), rig.join(LEGACY)];
    for _ in 0..20 {
        rig.advance_secs(5);
        for conn in conns {
            assert_eq!(rig.heard(conn), []);
            rig.say(conn, &[Msg::Keepalive, Msg::Keepalive]);
            assert_eq!(rig.heard(conn), [Msg::Keepalive, Msg::Keepalive]);
        }
    }
}

#[test]
fn a_client_sends_a_keepalive_every_lower_interval_of_both_ends() {
    for (ours, theirs, interval) in [(5, 2, 2), (2, 5, 2)] {
        let mut rig = Rig::client(Config { keepalive: Duration::from_secs(ours), ..Config::default() });
        let (conn, _) = rig.reach(Hello { keepalive: theirs, ..OUR_SERVER });
        let mut said = 0;
        for _ in 0..20 * interval {
            rig.advance_secs(1);
            for msg in rig.heard(conn) {
                assert_eq!(msg, Msg::Keepalive);
                said += 1;
                rig.say(conn, &[Msg::Keepalive]);
            }
        }
        assert!((19..=21).contains(&said), "{said} KEEPALIVEs in 20 intervals");
    }
}

#[test]
fn the_negotiated_interval_holds_for_one_session_only() {
    let mut rig = Rig::client(Config::default());
    let (conn, _) = rig.reach(Hello { keepalive: 1, ..OUR_SERVER });
    rig.end(conn, TransportEnd::Eof);
    rig.advance_secs(1);
    let conn = rig.connect();
    let [Msg::Hello(hello)] = rig.heard(conn)[..] else { panic!("not a HELLO alone") };
    assert_eq!(hello.keepalive, 5);
}

#[test]
fn a_node_that_was_paused_gives_its_peers_the_time_back() {
    let mut rig = Rig::server();
    let conn = rig.join(OURS);
    rig.advance_secs(5);
    rig.now += Duration::from_secs(60);
    rig.feed(Input::Tick);
    assert!(rig.is_open(conn), "no peer was silent: the loop was late");
    rig.advance_secs(13);
    assert!(!rig.is_open(conn), "now the peer was silent");
}

#[test]
fn what_was_received_during_a_pause_counts_before_the_timeout() {
    let mut rig = Rig::server();
    let conn = rig.join(OURS);
    rig.now += Duration::from_secs(300);
    rig.say(conn, &[Msg::Keepalive]);
    assert!(rig.is_open(conn));
    rig.advance_secs(12);
    assert!(rig.is_open(conn));
}

#[test]
fn the_first_dial_is_at_once_and_the_next_back_off() {
    let mut rig = Rig::client(Config::default());
    let mut gaps = Vec::new();
    for _ in 0..20 {
        let conn = rig.dials.pop_front().expect("a dial");
        let from = rig.now;
        rig.feed(Input::DialFailed { conn, why: "refused".into() });
        while rig.dials.is_empty() {
            rig.advance(Duration::from_millis(10));
            assert!(rig.now - from <= Duration::from_millis(5010), "the next dial comes within 5 s");
        }
        gaps.push(rig.now - from);
    }
    assert!(gaps[0] <= Duration::from_millis(110), "{gaps:?}");
    assert!(gaps.iter().skip(10).sum::<Duration>() > 10 * gaps[0], "{gaps:?}");
}

#[test]
fn the_back_off_starts_anew_only_after_five_seconds_of_a_session() {
    let mut rig = Rig::client(Config::default());
    let gap_after = |rig: &mut Rig, secs| {
        let (conn, _) = rig.reach(OUR_SERVER);
        rig.serve(secs, &[conn]);
        rig.end(conn, TransportEnd::Eof);
        let from = rig.now;
        while rig.dials.is_empty() {
            rig.advance(Duration::from_millis(10));
        }
        rig.now - from
    };
    let short: Duration = (0..20).map(|_| gap_after(&mut rig, 1)).skip(10).sum();
    assert!(short > Duration::from_secs(5), "short sessions do not reset the back-off: {short:?}");
    gap_after(&mut rig, 6);
    assert!(gap_after(&mut rig, 6) <= Duration::from_millis(110));
}

#[test]
fn a_reset_peer_is_dialled_again_at_once_and_a_removed_one_never() {
    let mut rig = Rig::new(Config::default());
    let peer = rig.add_peer("s0");
    let (conn, _) = rig.reach(OUR_SERVER);
    rig.command(Command::ResetPeer(peer)).unwrap();
    assert!(rig.closed.contains_key(&conn));
    assert_eq!(rig.reason(conn), Some(CloseReason::ResetRequested));
    assert_eq!(rig.dials.len(), 1, "the dial starts at once");
    let (conn, _) = rig.reach(OUR_SERVER);
    assert_eq!(rig.command(Command::RemovePeer(peer)), Ok(Reply::Changed(true)));
    assert!(rig.closed.contains_key(&conn));
    rig.advance_secs(60);
    assert!(rig.dials.is_empty());
}

#[test]
fn a_client_is_as_strict_with_its_server_as_a_server_with_its_clients() {
    let mut rig = Rig::client(Config::default());
    rig.seat.is_watched = false;
    let conn = rig.connect();
    rig.say(conn, &[Msg::Keepalive]);
    assert!(rig.closed.contains_key(&conn));
    rig.advance_secs(1);
    let (conn, _) = rig.reach(OUR_SERVER);
    rig.say(conn, &[Msg::Hello(OUR_SERVER)]);
    assert!(rig.closed.contains_key(&conn));
}

#[test]
fn a_shutdown_closes_every_session_and_nothing_follows() {
    let mut rig = Rig::server();
    let conns = [rig.join(OURS), rig.join(LEGACY), rig.accept()];
    rig.command(Command::Shutdown { cleanup: false }).unwrap();
    rig.advance_secs(1);
    assert!(rig.terminated);
    assert!(conns.iter().all(|c| rig.closed.contains_key(c)));
    assert_eq!(rig.seat.timeout(), None);
}

fn host(addr: &str) -> HostAddr {
    SocketAddr::new(addr.parse().unwrap(), 0).into()
}

/// Returns the bytes received that are counted for an address and for a configured server together.
fn received(rig: &Rig, addr: &str) -> u64 {
    let open = rig.seat.node.sessions().filter(|session| session.peer.is_none());
    let open: u64 = open.map(|session| session.counters.bytes_in).sum();
    open + rig.seat.node.past_counters(host(addr)).bytes_in
}

#[test]
fn the_bytes_of_an_address_are_still_counted_when_one_of_its_connections_ends() {
    const ADDR: &str = "2001:db8::9";
    let mut rig = Rig::server();
    let (one, other) = (rig.join(OURS), rig.join(OURS));
    rig.say(one, &[Msg::Subscribe(Vni(1)), Msg::Subscribe(Vni(2))]);
    let before = received(&rig, ADDR);
    rig.end(one, TransportEnd::Eof);
    assert_eq!(received(&rig, ADDR), before);
    rig.end(other, TransportEnd::Eof);
    rig.advance_secs(300);
    rig.join(OURS);
    assert!(received(&rig, ADDR) > before, "the address is back within ten minutes");
    assert_eq!(rig.seat.node.past_counters(host("2001:db8::8")).bytes_in, 0);
}

#[test]
fn the_bytes_of_a_configured_server_are_counted_over_sessions_and_removals() {
    let mut rig = Rig::client(Config::default());
    let (conn, _) = rig.reach(OUR_SERVER);
    let peer = |rig: &Rig| rig.seat.node.peers().next().unwrap();
    let first = peer(&rig);
    assert_eq!((first.dials, first.sessions), (1, 1));
    rig.end(conn, TransportEnd::Reset);
    assert_eq!(peer(&rig).counters, first.counters);
    rig.await_dial();
    rig.reach(OUR_SERVER);
    let second = peer(&rig);
    assert_eq!(second.counters.bytes_in, 2 * first.counters.bytes_in);
    rig.command(Command::RemovePeer(second.id)).unwrap();
    rig.add_peer("s0");
    let third = peer(&rig);
    assert_eq!((third.counters, third.dials, third.sessions), (second.counters, 3, 2));
}
