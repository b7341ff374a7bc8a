//! A client's process goes away: what its server keeps of it, and for how long; and how a client leaves for good.

mod sim;

use std::time::Duration;

use metalbond::{Close, Command, Config, ConnId, TransportEnd, Vni};
use sim::model::Routes;
use sim::rig::{LEGACY, LEGACY_SERVER, NO_GRACE, OUR_SERVER, OURS, Rig, route};
use sim::wire::{Hello, Msg, hex};

const VNI: Vni = Vni(23);

#[test]
fn a_restart_within_the_grace_costs_third_parties_no_byte() {
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
fn the_end_of_the_grace_withdraws_what_nobody_took_over() {
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

/// A soak's hostile peer announced what a client that was just restarting had left, and withdrew it again: gone it was.
#[test]
fn a_stranger_neither_takes_over_nor_withdraws_what_a_departed_client_left() {
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

#[test]
fn without_a_restart_time_the_routes_go_at_once() {
    for hello in [NO_GRACE, LEGACY] {
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
fn a_silent_client_gets_no_grace() {
    let (mut rig, _, third) = server_with_a_client_and_a_third_party(OURS);
    live(&mut rig, 12, third);
    assert_eq!(rig.heard_routes(third), []);
    live(&mut rig, 1, third);
    assert_eq!(rig.heard_routes(third).len(), 2);
}

#[test]
fn a_client_whose_host_does_not_answer_gets_no_grace() {
    let (mut rig, client, third) = server_with_a_client_and_a_third_party(OURS);
    rig.end(client, TransportEnd::TimedOut);
    assert_eq!(rig.heard_routes(third).len(), 2);
}

#[test]
fn a_client_that_misbehaves_gets_no_grace() {
    let (mut rig, client, third) = server_with_a_client_and_a_third_party(OURS);
    rig.seat.is_watched = false;
    rig.say_bytes(client, &hex("02 0000 02"));
    assert_eq!(rig.heard_routes(third).len(), 2);
}

#[test]
fn a_departed_peers_routes_are_shown_to_newcomers() {
    let (mut rig, client, _) = server_with_a_client_and_a_third_party(OURS);
    rig.end(client, TransportEnd::Eof);
    let late = rig.join(OURS);
    rig.say(late, &[Msg::Subscribe(VNI), Msg::Keepalive]);
    assert_eq!(rig.heard(late), [Msg::Add(route(1, 1)), Msg::Add(route(2, 1)), Msg::Keepalive]);
}

#[test]
fn what_is_taken_over_is_the_successors_alone() {
    let (mut rig, client, third) = server_with_a_client_and_a_third_party(OURS);
    rig.end(client, TransportEnd::Reset);
    let again = rig.join(NO_GRACE);
    rig.say(again, &[Msg::Add(route(1, 1)), Msg::Remove(route(1, 1))]);
    assert_eq!(rig.heard_routes(third), [Msg::Remove(route(1, 1))]);
    rig.say(again, &[Msg::Add(route(2, 1))]);
    assert_eq!(rig.heard_routes(third), []);
    rig.end(again, TransportEnd::Reset);
    assert_eq!(rig.heard_routes(third), [Msg::Remove(route(2, 1))]);
}

#[test]
fn a_session_older_than_the_departure_takes_nothing_over() {
    let (mut rig, client, third) = server_with_a_client_and_a_third_party(OURS);
    let old = rig.join(NO_GRACE);
    rig.end(client, TransportEnd::Reset);
    rig.say(old, &[Msg::Add(route(1, 1)), Msg::Remove(route(1, 1))]);
    assert_eq!(rig.heard_routes(third), []);
    rig.live(10, &[old, third]);
    assert_eq!(rig.heard_routes(third).len(), 2);
}

#[test]
fn one_of_two_announcers_leaving_changes_nothing_for_third_parties() {
    let (mut rig, one, third) = server_with_a_client_and_a_third_party(NO_GRACE);
    let two = rig.join(NO_GRACE);
    rig.say(two, &[Msg::Add(route(1, 1)), Msg::Subscribe(VNI), Msg::Keepalive]);
    assert_eq!(rig.heard(two).len(), 3, "the other's copy of its own, and the other one");
    rig.end(one, TransportEnd::Reset);
    assert_eq!(rig.heard_routes(third), [Msg::Remove(route(2, 1))]);
    // The one that stays hears that nobody else has the route any more.
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
    assert_eq!(rig.closed.get(&conn), Some(&Close::Drain));
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
fn from_a_server_without_the_capability_a_client_just_goes() {
    let mut rig = announcing_client();
    let (conn, _) = rig.reach(LEGACY_SERVER);
    rig.command(Command::Shutdown { cleanup: true }).unwrap();
    rig.advance_secs(1);
    assert!(rig.terminated && rig.closed.contains_key(&conn));
    assert!(rig.heard_routes(conn).iter().all(|m| matches!(m, Msg::Remove(_))));
}

#[test]
fn a_client_that_goes_for_a_restart_withdraws_nothing() {
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

/// The client announces two routes, the third party was told of them.
fn server_with_a_client_and_a_third_party(hello: Hello) -> (Rig, ConnId, ConnId) {
    let mut rig = Rig::server();
    let (client, third) = (rig.join(hello), rig.join(OURS));
    rig.say(client, &[Msg::Add(route(1, 1)), Msg::Add(route(2, 1))]);
    rig.say(third, &[Msg::Subscribe(VNI)]);
    assert_eq!(rig.heard(third), [Msg::Add(route(1, 1)), Msg::Add(route(2, 1))]);
    (rig, client, third)
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
