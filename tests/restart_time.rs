//! Which routes a server retains when a client's process goes away, and for how long; and how a client leaves for good.

use std::time::Duration;

use crate::sim::model::Routes;
use crate::sim::rig::{LEGACY, LEGACY_SERVER, NO_RESTART_TIME, OUR_SERVER, OURS, Rig, route};
use crate::sim::wire::{Hello, Msg, hex};
use metalbond::{Close, Command, Config, ConnId, SessionState, ShortRestartTime, TransportEnd, Vni};

const VNI: Vni = Vni(23);

#[test]
fn a_restart_within_the_restart_time_costs_third_parties_no_byte() {
    for end in [TransportEnd::Eof, TransportEnd::Reset] {
        let (mut rig, client, third) = server_with_a_client_and_a_third_party(OURS);
        rig.end(client, end);
        live(&mut rig, 9, third);
        let again = rig.join(OURS);
        rig.say(again, &[Msg::Add(route(1, 1)), Msg::Add(route(2, 1))]);
        rig.live(60, &[again, third]);
        assert_eq!(rig.heard_routes(third), []);
    }
}

#[test]
fn the_end_of_the_restart_time_withdraws_routes_that_were_not_taken_over() {
    let (mut rig, client, third) = server_with_a_client_and_a_third_party(OURS);
    rig.end(client, TransportEnd::Reset);
    live(&mut rig, 5, third);
    let again = rig.join(OURS);
    rig.say(again, &[Msg::Add(route(1, 1))]);
    rig.live(4, &[again, third]);
    assert_eq!(rig.heard_routes(third), []);
    rig.live(1, &[again, third]);
    assert_eq!(rig.heard_routes(third), [Msg::Remove(route(2, 1))]);
    assert_eq!(rig.table(23), Routes::from([route(1, 1)]));
}

/// In a soak, a hostile peer announced a route of a client that was restarting, and withdrew it. This removed the
/// client's route.
#[test]
fn a_stranger_neither_takes_over_nor_withdraws_retained_routes() {
    let (mut rig, client, third) = server_with_a_client_and_a_third_party(OURS);
    rig.end(client, TransportEnd::Reset);
    let stranger = rig.join_from("2001:db8::666".parse().unwrap(), OURS);
    rig.say(stranger, &[Msg::Add(route(1, 1)), Msg::Add(route(2, 1)), Msg::Remove(route(1, 1))]);
    rig.end(stranger, TransportEnd::TimedOut);
    assert_eq!(rig.table(23), Routes::from([route(1, 1), route(2, 1)]));
    live(&mut rig, 9, third);
    let again = rig.join(OURS);
    rig.say(again, &[Msg::Add(route(1, 1)), Msg::Add(route(2, 1))]);
    rig.live(60, &[again, third]);
    assert_eq!(rig.heard_routes(third), []);
}

/// There may be many clients at one address, for example behind a NAT. The names in their certificates distinguish
/// them.
#[test]
fn a_client_with_another_name_at_the_same_address_neither_takes_over_nor_withdraws_retained_routes() {
    let addr = "[2001:db8::9]:1025";
    for names in
        [&["dns:h8.example.org"][..], &["dns:h7.example.org", "uri:spiffe://cluster"], &["uri:spiffe://cluster"]]
    {
        let (mut rig, client, third) = server_with_a_named_client(addr, &["dns:h7.example.org"]);
        rig.end(client, TransportEnd::Reset);
        let other = rig.join_named(addr, Some(names), OURS);
        take_over_and_withdraw(&mut rig, other);
        assert_eq!(rig.table(23), Routes::from([route(1, 1), route(2, 1)]), "{names:?}");
        live(&mut rig, 9, third);
        assert_eq!(rig.heard_routes(third), [], "{names:?}");
        live(&mut rig, 1, third);
        assert_eq!(rig.heard_routes(third).len(), 2, "the restart time is over");
    }
}

#[test]
fn a_session_without_a_name_takes_nothing_over_from_a_client_that_had_one() {
    let addr = "[2001:db8::9]:1025";
    let (mut rig, client, third) = server_with_a_named_client(addr, &["dns:h7.example.org"]);
    rig.end(client, TransportEnd::Reset);
    for other in [rig.join(OURS), rig.join_named(addr, Some(&[]), OURS)] {
        take_over_and_withdraw(&mut rig, other);
    }
    live(&mut rig, 9, third);
    assert_eq!(rig.heard_routes(third), []);
    assert_eq!(rig.table(23), Routes::from([route(1, 1), route(2, 1)]));
}

/// A pod that is started again on another host, or a host that has another address now.
#[test]
fn a_client_with_the_same_names_takes_its_routes_over_wherever_it_comes_from() {
    let (mut rig, client, third) =
        server_with_a_named_client("[2001:db8::9]:1025", &["dns:h7.example.org", "uri:spiffe://cluster"]);
    rig.end(client, TransportEnd::Reset);
    let names = ["uri:spiffe://cluster", "dns:h7.example.org", "dns:h7.example.org"];
    let again = rig.join_named("192.0.2.77:4000", Some(&names), OURS);
    rig.say(again, &[Msg::Add(route(1, 1)), Msg::Add(route(2, 1))]);
    rig.live(11, &[again, third]);
    assert_eq!(rig.heard_routes(third), []);
    rig.say(again, &[Msg::Remove(route(1, 1))]);
    assert_eq!(rig.heard_routes(third), [Msg::Remove(route(1, 1))], "the client is the only announcer");
}

/// The usual upgrade: the process that comes back has a certificate, the one that went away had none.
#[test]
fn a_client_without_a_name_is_taken_over_by_one_with_a_name_at_the_same_address() {
    for had_certificate in [false, true] {
        let mut rig = Rig::server();
        let addr = "[2001:db8::9]:1025";
        let third = rig.join_from("2001:db8::3".parse().unwrap(), OURS);
        rig.say(third, &[Msg::Subscribe(VNI)]);
        // A certificate without a name that counts is like no certificate.
        let client = if had_certificate { rig.join_named(addr, Some(&[]), OURS) } else { rig.join(OURS) };
        rig.say(client, &[Msg::Add(route(1, 1))]);
        rig.end(client, TransportEnd::Eof);
        let again = rig.join_named(addr, Some(&["dns:h7.example.org"]), OURS);
        rig.say(again, &[Msg::Add(route(1, 1)), Msg::Remove(route(1, 1))]);
        let expected = [Msg::Add(route(1, 1)), Msg::Remove(route(1, 1))];
        assert_eq!(rig.heard_routes(third), expected, "had a certificate: {had_certificate}");
    }
}

#[test]
fn a_link_local_address_is_another_host_on_another_link() {
    let mut rig = Rig::server();
    let third = rig.join_from("2001:db8::3".parse().unwrap(), OURS);
    rig.say(third, &[Msg::Subscribe(VNI)]);
    let client = rig.join_named("[fe80::1%2]:1025", None, OURS);
    rig.say(client, &[Msg::Add(route(1, 1)), Msg::Add(route(2, 1))]);
    rig.heard(third);
    rig.end(client, TransportEnd::Reset);
    let other = rig.join_named("[fe80::1%3]:1025", None, OURS);
    take_over_and_withdraw(&mut rig, other);
    assert_eq!(rig.heard_routes(third), []);
    let again = rig.join_named("[fe80::1%2]:1026", None, OURS);
    take_over_and_withdraw(&mut rig, again);
    assert_eq!(rig.heard_routes(third), [Msg::Remove(route(1, 1)), Msg::Remove(route(2, 1))]);
}

#[test]
fn without_a_restart_time_the_routes_go_at_once() {
    for hello in [NO_RESTART_TIME, LEGACY] {
        let (mut rig, client, third) = server_with_a_client_and_a_third_party(hello);
        rig.end(client, TransportEnd::Reset);
        assert_eq!(rig.heard_routes(third).len(), 2);
    }
}

#[test]
fn the_server_caps_the_restart_time() {
    let (mut rig, client, third) = server_with_a_client_and_a_third_party(Hello { restart_time: u32::MAX, ..OURS });
    rig.end(client, TransportEnd::Eof);
    live(&mut rig, 59, third);
    assert_eq!(rig.heard_routes(third), []);
    live(&mut rig, 1, third);
    assert_eq!(rig.heard_routes(third).len(), 2);
}

#[test]
fn a_server_answers_a_client_for_how_long_it_retains_its_routes() {
    for (asked, max, granted) in
        [(10, 60, 10), (120, 60, 60), (120, 300, 120), (10, 0, 0), (0, 60, 0), (u32::MAX, 7, 7)]
    {
        let mut rig = Rig::server_with(Config { restart_time_max: Duration::from_secs(max), ..Config::default() });
        let conn = rig.accept();
        rig.say(conn, &[Msg::Hello(Hello { restart_time: asked, ..OURS })]);
        let [Msg::Hello(hello)] = rig.heard(conn)[..] else { panic!("not a HELLO alone") };
        assert_eq!(hello.restart_time, granted, "{asked} s asked for, {max} s at most");
        assert_eq!(rig.seat.node.sessions().next().unwrap().restart_time, Some(Duration::from_secs(granted.into())));
    }
}

#[test]
fn a_client_notices_that_a_server_retains_its_routes_for_a_shorter_time_than_asked() {
    let secs = Duration::from_secs;
    let short = |granted: Option<u64>| Some(ShortRestartTime::new(secs(120), granted.map(secs)));
    for (server, shown, noticed) in [
        (Hello { restart_time: 120, ..OUR_SERVER }, Some(120), None),
        (Hello { restart_time: 300, ..OUR_SERVER }, Some(300), None),
        (Hello { restart_time: 60, ..OUR_SERVER }, Some(60), short(Some(60))),
        // A node of version 0.1, and the reference's: no answer is no promise.
        (OUR_SERVER, None, short(None)),
        (LEGACY_SERVER, None, short(None)),
    ] {
        let mut rig = Rig::client(Config { restart_time: secs(120), ..Config::default() });
        rig.reach(server);
        assert_eq!(rig.seat.node.sessions().next().unwrap().restart_time, shown.map(secs), "{server:?}");
        let (last, before) = rig.transitions.split_last().unwrap();
        assert_eq!((last.new, last.restart_time), (SessionState::Established, noticed), "{server:?}");
        assert!(before.iter().all(|transition| transition.restart_time.is_none()), "reported once for each session");
    }
}

#[test]
fn a_client_that_asks_for_no_restart_time_misses_none() {
    let mut rig = Rig::client(Config { restart_time: Duration::ZERO, ..Config::default() });
    rig.reach(LEGACY_SERVER);
    assert!(rig.transitions.iter().all(|transition| transition.restart_time.is_none()));
}

#[test]
fn a_silent_client_gets_no_restart_time() {
    let (mut rig, _, third) = server_with_a_client_and_a_third_party(OURS);
    live(&mut rig, 12, third);
    assert_eq!(rig.heard_routes(third), []);
    live(&mut rig, 1, third);
    assert_eq!(rig.heard_routes(third).len(), 2);
}

#[test]
fn a_client_whose_host_does_not_answer_gets_no_restart_time() {
    let (mut rig, client, third) = server_with_a_client_and_a_third_party(OURS);
    rig.end(client, TransportEnd::TimedOut);
    assert_eq!(rig.heard_routes(third).len(), 2);
}

#[test]
fn a_client_that_misbehaves_gets_no_restart_time() {
    let (mut rig, client, third) = server_with_a_client_and_a_third_party(OURS);
    rig.seat.is_watched = false;
    rig.say_bytes(client, &hex("02 0000 02"));
    assert_eq!(rig.heard_routes(third).len(), 2);
}

#[test]
fn a_departed_peers_routes_are_sent_to_new_subscribers() {
    let (mut rig, client, _) = server_with_a_client_and_a_third_party(OURS);
    rig.end(client, TransportEnd::Eof);
    let late = rig.join(OURS);
    rig.say(late, &[Msg::Subscribe(VNI), Msg::Keepalive]);
    assert_eq!(rig.heard(late), [Msg::Add(route(1, 1)), Msg::Add(route(2, 1)), Msg::Keepalive]);
}

#[test]
fn a_route_that_is_taken_over_belongs_to_the_successor_alone() {
    let (mut rig, client, third) = server_with_a_client_and_a_third_party(OURS);
    rig.end(client, TransportEnd::Reset);
    let again = rig.join(NO_RESTART_TIME);
    rig.say(again, &[Msg::Add(route(1, 1)), Msg::Remove(route(1, 1))]);
    assert_eq!(rig.heard_routes(third), [Msg::Remove(route(1, 1))]);
    rig.say(again, &[Msg::Add(route(2, 1))]);
    assert_eq!(rig.heard_routes(third), []);
    rig.end(again, TransportEnd::Reset);
    assert_eq!(rig.heard_routes(third), [Msg::Remove(route(2, 1))]);
}

#[test]
fn a_route_is_taken_over_from_every_session_that_departed_with_it() {
    let (mut rig, client, third) = server_with_a_client_and_a_third_party(OURS);
    let second = rig.join(OURS);
    rig.say(second, &[Msg::Add(route(1, 1))]);
    rig.end(client, TransportEnd::Reset);
    rig.end(second, TransportEnd::Reset);
    let again = rig.join(OURS);
    rig.say(again, &[Msg::Subscribe(VNI)]);
    assert_eq!(rig.heard(again), [Msg::Add(route(1, 1)), Msg::Add(route(2, 1))]);
    rig.say(again, &[Msg::Add(route(1, 1))]);
    assert_eq!(rig.heard(again), [Msg::Remove(route(1, 1))], "no other client has the route");
    assert_eq!(rig.heard_routes(third), []);
    rig.say(again, &[Msg::Remove(route(1, 1))]);
    assert_eq!(rig.heard_routes(third), [Msg::Remove(route(1, 1))]);
}

#[test]
fn a_session_older_than_the_departure_takes_nothing_over() {
    let (mut rig, client, third) = server_with_a_client_and_a_third_party(OURS);
    let old = rig.join(NO_RESTART_TIME);
    rig.end(client, TransportEnd::Reset);
    rig.say(old, &[Msg::Add(route(1, 1)), Msg::Remove(route(1, 1))]);
    assert_eq!(rig.heard_routes(third), []);
    rig.live(10, &[old, third]);
    assert_eq!(rig.heard_routes(third).len(), 2);
}

/// Another session of the same client had departed when it opened. It may take that one's routes over, and no others.
#[test]
fn a_session_takes_nothing_over_from_a_later_departure_although_it_is_a_successor_of_an_earlier_one() {
    let (mut rig, client, third) = server_with_a_client_and_a_third_party(OURS);
    let first = rig.join(OURS);
    rig.say(first, &[Msg::Add(route(3, 1))]);
    rig.end(first, TransportEnd::Reset);
    let old = rig.join(NO_RESTART_TIME);
    rig.end(client, TransportEnd::Reset);
    rig.heard(third);
    take_over_and_withdraw(&mut rig, old);
    assert_eq!(rig.heard_routes(third), []);
    rig.say(old, &[Msg::Add(route(3, 1)), Msg::Remove(route(3, 1))]);
    assert_eq!(rig.heard_routes(third), [Msg::Remove(route(3, 1))]);
    rig.live(10, &[old, third]);
    assert_eq!(rig.heard_routes(third).len(), 2);
}

#[test]
fn one_of_two_announcers_leaving_changes_nothing_for_third_parties() {
    let (mut rig, one, third) = server_with_a_client_and_a_third_party(NO_RESTART_TIME);
    let two = rig.join(NO_RESTART_TIME);
    rig.say(two, &[Msg::Add(route(1, 1)), Msg::Subscribe(VNI), Msg::Keepalive]);
    assert_eq!(rig.heard(two).len(), 3, "the other client's copy of its route, and the other route");
    rig.end(one, TransportEnd::Reset);
    assert_eq!(rig.heard_routes(third), [Msg::Remove(route(2, 1))]);
    // The client that stays learns that no other client has the route any more.
    assert_eq!(rig.heard_routes(two).len(), 2);
}

#[test]
fn a_client_that_crashes_over_and_over_loses_its_routes_in_the_end() {
    let (mut rig, client, third) = server_with_a_client_and_a_third_party(OURS);
    rig.end(client, TransportEnd::Reset);
    for _ in 0..5 {
        live(&mut rig, 1, third);
        let again = rig.join(OURS);
        rig.end(again, TransportEnd::Reset);
    }
    live(&mut rig, 5, third);
    assert_eq!(rig.heard_routes(third).len(), 2);
}

#[test]
fn a_client_that_leaves_for_good_withdraws_waits_for_the_answer_and_drains() {
    let mut rig = announcing_client();
    let (conn, _) = rig.reach(OUR_SERVER);
    rig.command(Command::Shutdown { cleanup: true }).unwrap();
    let heard = rig.heard(conn);
    assert_eq!(heard.len(), 3);
    assert!(heard[..2].contains(&Msg::Remove(route(1, 1))) && heard[..2].contains(&Msg::Remove(route(2, 1))));
    assert_eq!(heard[2], Msg::Keepalive);
    assert!(rig.closed.is_empty() && !rig.terminated);
    rig.advance(Duration::from_millis(100));
    rig.say(conn, &[Msg::Keepalive]);
    assert_eq!(rig.closed.get(&conn), Some(&Close::Linger));
    assert!(rig.terminated);
}

#[test]
fn a_client_does_not_wait_for_ever_to_leave() {
    let mut rig = announcing_client();
    let (conn, _) = rig.reach(OUR_SERVER);
    rig.command(Command::Shutdown { cleanup: true }).unwrap();
    rig.advance(Duration::from_millis(799));
    assert!(!rig.terminated);
    rig.advance(Duration::from_millis(1));
    assert!(rig.terminated && rig.closed.contains_key(&conn));
}

#[test]
fn a_client_leaves_a_server_without_the_capability_at_once() {
    let mut rig = announcing_client();
    let (conn, _) = rig.reach(LEGACY_SERVER);
    rig.command(Command::Shutdown { cleanup: true }).unwrap();
    rig.advance_secs(1);
    assert!(rig.terminated && rig.closed.contains_key(&conn));
    assert!(rig.heard_routes(conn).iter().all(|m| matches!(m, Msg::Remove(_))));
}

#[test]
fn a_client_that_shuts_down_for_a_restart_withdraws_nothing() {
    let mut rig = announcing_client();
    let (conn, _) = rig.reach(OUR_SERVER);
    rig.command(Command::Shutdown { cleanup: false }).unwrap();
    assert_eq!(rig.heard(conn), []);
    rig.advance_secs(1);
    assert!(rig.terminated && rig.closed.contains_key(&conn));
}

fn announcing_client() -> Rig {
    let mut rig = Rig::client(Config::default());
    rig.announce(route(1, 1));
    rig.announce(route(2, 1));
    rig
}

/// Returns a server, a client that announces two routes, and a third client that was sent them.
fn server_with_a_client_and_a_third_party(hello: Hello) -> (Rig, ConnId, ConnId) {
    let mut rig = Rig::server();
    let (client, third) = (rig.join(hello), rig.join(OURS));
    rig.say(client, &[Msg::Add(route(1, 1)), Msg::Add(route(2, 1))]);
    rig.say(third, &[Msg::Subscribe(VNI)]);
    assert_eq!(rig.heard(third), [Msg::Add(route(1, 1)), Msg::Add(route(2, 1))]);
    (rig, client, third)
}

/// The same with a client whose certificate has these names.
fn server_with_a_named_client(addr: &str, names: &[&str]) -> (Rig, ConnId, ConnId) {
    let mut rig = Rig::server();
    let client = rig.join_named(addr, Some(names), OURS);
    let third = rig.join_from("2001:db8::3".parse().unwrap(), OURS);
    rig.say(client, &[Msg::Add(route(1, 1)), Msg::Add(route(2, 1))]);
    rig.say(third, &[Msg::Subscribe(VNI)]);
    assert_eq!(rig.heard_routes(third), [Msg::Add(route(1, 1)), Msg::Add(route(2, 1))]);
    (rig, client, third)
}

/// Announces both routes in a session, and withdraws them.
fn take_over_and_withdraw(rig: &mut Rig, conn: ConnId) {
    let both = [route(1, 1), route(2, 1)];
    rig.say(conn, &both.map(Msg::Add));
    rig.say(conn, &both.map(Msg::Remove));
}

fn live(rig: &mut Rig, secs: u64, conn: ConnId) {
    rig.live(secs, &[conn]);
}

#[test]
fn a_client_that_is_reset_here_keeps_its_routes_for_its_restart_time() {
    let mut rig = Rig::server();
    let watcher = rig.join(OURS);
    rig.say(watcher, &[Msg::Subscribe(Vni(23))]);
    let client = rig.join(Hello { restart_time: 10, ..OURS });
    rig.say(client, &[Msg::Add(route(1, 1))]);
    rig.heard(watcher);

    rig.command(Command::ResetConn(client)).unwrap();
    let again = rig.join(Hello { restart_time: 10, ..OURS });
    rig.say(again, &[Msg::Add(route(1, 1))]);
    rig.live(11, &[watcher, again]);

    assert_eq!(rig.heard_routes(watcher), []);
}
