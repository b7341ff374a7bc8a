//! Which routes a client keeps of a server that it lost, and for how long.

use std::time::Duration;

use crate::sim::model::Routes;
use crate::sim::rig::{LEGACY_SERVER, OUR_SERVER, Rig, route, route_in};
use crate::sim::wire::{CONVERGING, Hello, Msg, ORDERED};
use metalbond::{Command, Config, TransportEnd};

const CONVERGING_SERVER: Hello = Hello { capabilities: ORDERED | CONVERGING, ..OUR_SERVER };

#[test]
fn a_lost_servers_routes_stay_for_the_stale_time() {
    for end in [TransportEnd::Eof, TransportEnd::Reset, TransportEnd::TimedOut] {
        let mut rig = client_with_two_routes();
        rig.end(conn(&rig), end);
        rig.advance(Duration::from_millis(59_999));
        assert_eq!(rig.changes(), []);
        assert_eq!(rig.seat.node.peers().map(|p| (p.routes, p.stale)).collect::<Vec<_>>(), [(2, 2)]);
        rig.advance(Duration::from_millis(1));
        assert_eq!(rig.changes().len(), 2);
        assert_eq!(rig.learned(23), Routes::new());
    }
}

#[test]
fn a_server_that_falls_silent_leaves_its_routes_too() {
    let mut rig = client_with_two_routes();
    rig.advance_secs(13);
    assert!(rig.seat.node.sessions().all(|s| s.state != metalbond::SessionState::Established));
    assert_eq!(rig.changes(), []);
    rig.advance_secs(60);
    assert_eq!(rig.learned(23), Routes::new());
}

#[test]
fn with_a_stale_time_of_zero_they_go_at_once() {
    let mut rig = client(Duration::ZERO, 1);
    let (conn, _) = rig.reach(OUR_SERVER);
    rig.say(conn, &[Msg::Add(route(1, 1)), Msg::Keepalive]);
    rig.end(conn, TransportEnd::Eof);
    assert_eq!(rig.learned(23), Routes::new());
}

#[test]
fn a_server_restart_removes_only_routes_that_it_does_not_announce_any_more() {
    let mut rig = client_with_two_routes();
    rig.end(conn(&rig), TransportEnd::Eof);
    rig.advance_secs(1);
    let (again, _) = rig.reach(OUR_SERVER);
    rig.say(again, &[Msg::Add(route(1, 1))]);
    assert_eq!(rig.changes(), [], "not before the End-of-RIB");
    rig.say(again, &[Msg::Keepalive]);
    assert_eq!(rig.changes(), [(false, route(2, 1))]);
    rig.serve(100, &[again]);
    assert_eq!(rig.changes(), []);
}

#[test]
fn the_stale_time_waits_for_a_sync_in_progress() {
    let mut rig = client_with_two_routes();
    rig.end(conn(&rig), TransportEnd::Eof);
    rig.advance_secs(50);
    rig.await_dial();
    let (again, _) = rig.reach(OUR_SERVER);
    for _ in 0..10 {
        rig.advance_secs(5);
        rig.say(again, &[Msg::Add(route(3, 1))]);
    }
    assert_eq!(rig.changes(), [(true, route(3, 1))], "100 s after the loss the sync still runs");
    rig.say(again, &[Msg::Keepalive]);
    assert_eq!(rig.learned(23), Routes::from([route(3, 1)]));
}

#[test]
fn the_end_of_rib_of_a_converging_server_removes_nothing_and_stale_routes_stay_120_s_from_its_first_session_on() {
    let mut rig = client_with_two_routes();
    rig.end(conn(&rig), TransportEnd::Eof);
    rig.advance_secs(50);
    rig.await_dial();
    let (again, _) = rig.reach(CONVERGING_SERVER);
    rig.say(again, &[Msg::Add(route(1, 1)), Msg::Keepalive]);
    rig.serve(119, &[again]);
    assert_eq!(rig.changes(), []);
    rig.serve(1, &[again]);
    assert_eq!(rig.changes(), [(false, route(2, 1))]);
}

#[test]
fn a_second_session_with_a_converging_server_that_has_announced_nothing_new_does_not_begin_the_120_s_again() {
    let mut rig = client_with_two_routes();
    rig.end(conn(&rig), TransportEnd::Eof);
    rig.advance_secs(1);
    let (first, _) = rig.reach(CONVERGING_SERVER);
    let opened = rig.now;
    rig.say(first, &[Msg::Keepalive]);
    rig.serve(60, &[first]);
    rig.end(first, TransportEnd::Eof);
    rig.await_dial();
    let (second, _) = rig.reach(CONVERGING_SERVER);
    rig.say(second, &[Msg::Keepalive]);
    while rig.now + Duration::from_secs(1) < opened + Duration::from_secs(120) {
        rig.serve(1, &[second]);
    }
    assert_eq!(rig.changes(), []);
    rig.serve(1, &[second]);
    assert_eq!(rig.changes().len(), 2);
}

#[test]
fn a_sync_with_a_converging_server_that_takes_longer_than_120_s_extends_the_time() {
    let mut rig = client_with_two_routes();
    rig.end(conn(&rig), TransportEnd::Eof);
    rig.advance_secs(1);
    let (again, _) = rig.reach(CONVERGING_SERVER);
    for _ in 0..30 {
        rig.advance_secs(5);
        rig.say(again, &[Msg::Add(route(3, 1))]);
    }
    assert_eq!(rig.changes(), [(true, route(3, 1))], "after 150 s the sync is still in progress");
    rig.say(again, &[Msg::Keepalive]);
    assert_eq!(rig.learned(23), Routes::from([route(3, 1)]));
}

#[test]
fn a_new_subscription_extends_the_time_too() {
    let mut rig = client_with_two_routes();
    rig.end(conn(&rig), TransportEnd::Eof);
    rig.advance_secs(1);
    let (again, _) = rig.reach(CONVERGING_SERVER);
    rig.say(again, &[Msg::Keepalive]);
    rig.serve(110, &[again]);
    rig.subscribe(0);
    for _ in 0..4 {
        rig.advance_secs(5);
        rig.say(again, &[Msg::Add(route_in(0, 1, 1))]);
    }
    assert_eq!(rig.learned(23).len(), 2, "after 130 s");
    rig.answer(again);
    assert_eq!(rig.learned(23).len(), 0);
}

#[test]
fn without_a_session_nothing_expires_if_there_is_no_stale_time() {
    let mut rig = client_with(None, 1);
    let (first, _) = rig.reach(OUR_SERVER);
    rig.say(first, &[Msg::Add(route(1, 1)), Msg::Keepalive]);
    rig.end(first, TransportEnd::Eof);
    rig.changes();
    rig.advance_secs(7 * 24 * 3600);
    assert_eq!(rig.changes(), []);
    // The time starts when the first new session opens.
    rig.await_dial();
    let (again, _) = rig.reach(CONVERGING_SERVER);
    rig.say(again, &[Msg::Keepalive]);
    rig.serve(119, &[again]);
    assert_eq!(rig.changes(), []);
    rig.serve(1, &[again]);
    assert_eq!(rig.changes(), [(false, route(1, 1))]);
}

#[test]
fn without_a_stale_time_a_synced_server_ends_stale_routes_at_once() {
    let mut rig = client_with(None, 1);
    let (first, _) = rig.reach(OUR_SERVER);
    rig.say(first, &[Msg::Add(route(1, 1)), Msg::Keepalive]);
    rig.end(first, TransportEnd::Eof);
    rig.changes();
    rig.advance_secs(3600);
    rig.await_dial();
    let (again, _) = rig.reach(OUR_SERVER);
    assert_eq!(rig.changes(), []);
    rig.say(again, &[Msg::Keepalive]);
    assert_eq!(rig.changes(), [(false, route(1, 1))]);
}

#[test]
fn stale_routes_without_a_stale_time_stay_120_s_if_another_server_is_there() {
    let mut rig = client_with(None, 2);
    let ((one, _), (two, _)) = (rig.reach(OUR_SERVER), rig.reach(OUR_SERVER));
    rig.say(two, &[Msg::Keepalive]);
    rig.say(one, &[Msg::Add(route(1, 1)), Msg::Keepalive]);
    rig.end(one, TransportEnd::Reset);
    rig.changes();
    rig.serve(119, &[two]);
    assert_eq!(rig.changes(), []);
    rig.serve(1, &[two]);
    assert_eq!(rig.changes(), [(false, route(1, 1))]);
}

#[test]
fn the_120_s_with_another_server_begin_with_its_first_session_if_both_were_away() {
    let mut rig = client_with(None, 2);
    let ((one, _), (two, _)) = (rig.reach(OUR_SERVER), rig.reach(OUR_SERVER));
    rig.say(two, &[Msg::Keepalive]);
    rig.say(one, &[Msg::Add(route(1, 1)), Msg::Keepalive]);
    rig.end(one, TransportEnd::Reset);
    rig.end(two, TransportEnd::Reset);
    rig.changes();
    // It is random which server is dialled first; neither one takes the place of the other here.
    rig.advance_secs(600);
    rig.await_dial();
    let (back, _) = rig.reach(LEGACY_SERVER);
    rig.serve(119, &[back]);
    assert_eq!(rig.changes(), []);
    rig.serve(1, &[back]);
    assert_eq!(rig.changes(), [(false, route(1, 1))]);
}

#[test]
fn the_end_of_a_sync_is_unknown_with_a_server_without_the_capability() {
    let mut rig = client(Duration::from_secs(60), 1);
    let (conn, _) = rig.reach(LEGACY_SERVER);
    rig.say(conn, &[Msg::Add(route(1, 1)), Msg::Add(route(2, 1))]);
    rig.end(conn, TransportEnd::Eof);
    rig.advance_secs(1);
    rig.changes();
    let (again, _) = rig.reach(LEGACY_SERVER);
    rig.say(again, &[Msg::Keepalive, Msg::Add(route(1, 1))]);
    rig.serve(119, &[again]);
    assert_eq!(rig.changes(), []);
    rig.serve(1, &[again]);
    assert_eq!(rig.changes(), [(false, route(2, 1))]);
}

#[test]
fn one_of_two_servers_dying_changes_nothing() {
    for stale_time in [0, 60] {
        let (mut rig, [one, two]) = client_of_two(Duration::from_secs(stale_time));
        for conn in [one, two] {
            rig.say(conn, &[Msg::Add(route(1, 1)), Msg::Keepalive]);
        }
        assert_eq!(rig.changes(), [(true, route(1, 1))], "the route is installed once");
        rig.end(one, TransportEnd::Reset);
        rig.serve(100, &[two]);
        assert_eq!(rig.changes(), []);
        rig.say(two, &[Msg::Remove(route(1, 1))]);
        assert_eq!(rig.changes(), [(false, route(1, 1))]);
    }
}

#[test]
fn a_live_servers_removal_ends_stale_copies_from_others() {
    let (mut rig, [one, two]) = client_of_two(Duration::from_secs(60));
    for conn in [one, two] {
        rig.say(conn, &[Msg::Add(route(1, 1)), Msg::Add(route(2, 1)), Msg::Keepalive]);
    }
    rig.end(one, TransportEnd::Reset);
    rig.changes();
    rig.say(two, &[Msg::Remove(route(1, 1))]);
    assert_eq!(rig.changes(), [(false, route(1, 1))]);
}

#[test]
fn a_live_servers_removal_ends_no_live_copy_from_another() {
    let (mut rig, [one, two]) = client_of_two(Duration::from_secs(60));
    for conn in [one, two] {
        rig.say(conn, &[Msg::Add(route(1, 1)), Msg::Keepalive]);
    }
    rig.changes();
    rig.say(two, &[Msg::Remove(route(1, 1))]);
    assert_eq!(rig.changes(), []);
}

#[test]
fn the_end_of_a_live_servers_sync_ends_stale_copies_that_it_does_not_have() {
    let (mut rig, [one, two]) = client_of_two(Duration::from_secs(60));
    rig.say(one, &[Msg::Add(route(1, 1)), Msg::Add(route(2, 1)), Msg::Keepalive]);
    rig.end(one, TransportEnd::Reset);
    rig.changes();
    rig.say(two, &[Msg::Add(route(1, 1))]);
    assert_eq!(rig.changes(), []);
    rig.say(two, &[Msg::Keepalive]);
    assert_eq!(rig.changes(), [(false, route(2, 1))]);
}

#[test]
fn the_end_of_a_converging_servers_sync_ends_no_stale_copies() {
    let mut rig = client(Duration::from_secs(60), 2);
    let (one, _) = rig.reach(OUR_SERVER);
    let (two, _) = rig.reach(CONVERGING_SERVER);
    rig.say(one, &[Msg::Add(route(1, 1)), Msg::Keepalive]);
    rig.end(one, TransportEnd::Reset);
    rig.changes();
    rig.say(two, &[Msg::Keepalive]);
    assert_eq!(rig.changes(), []);
}

#[test]
fn stale_copies_that_no_live_server_contradicts_stay_for_the_stale_time() {
    let (mut rig, [one, two]) = client_of_two(Duration::from_secs(60));
    rig.say(two, &[Msg::Keepalive]);
    rig.say(one, &[Msg::Add(route(1, 1)), Msg::Keepalive]);
    rig.end(one, TransportEnd::Reset);
    rig.changes();
    rig.serve(59, &[two]);
    assert_eq!(rig.changes(), []);
    rig.serve(2, &[two]);
    assert_eq!(rig.changes(), [(false, route(1, 1))]);
}

#[test]
fn a_removed_peers_routes_go_at_once() {
    let mut rig = client_with_two_routes();
    let peer = rig.seat.node.peers().next().unwrap().id;
    rig.command(Command::RemovePeer(peer)).unwrap();
    assert_eq!(rig.learned(23), Routes::new());
}

#[test]
fn a_removed_peers_stale_routes_go_at_once_too() {
    let mut rig = client_with_two_routes();
    let peer = rig.seat.node.peers().next().unwrap().id;
    rig.end(conn(&rig), TransportEnd::Reset);
    rig.command(Command::RemovePeer(peer)).unwrap();
    assert_eq!(rig.learned(23), Routes::new());
}

#[test]
fn a_second_loss_during_the_sync_keeps_what_was_stale() {
    let mut rig = client_with_two_routes();
    rig.end(conn(&rig), TransportEnd::Eof);
    rig.advance_secs(1);
    let (again, _) = rig.reach(OUR_SERVER);
    rig.say(again, &[Msg::Add(route(1, 1))]);
    rig.end(again, TransportEnd::Eof);
    rig.advance_secs(5);
    assert_eq!(rig.changes(), []);
    rig.advance_secs(120);
    assert_eq!(rig.learned(23), Routes::new());
}

#[test]
fn an_unsubscribed_vnis_stale_routes_go_at_once() {
    let mut rig = client_with_two_routes();
    rig.end(conn(&rig), TransportEnd::Eof);
    rig.unsubscribe(23);
    assert_eq!(rig.changes().len(), 2);
    rig.subscribe(23);
    assert_eq!(rig.learned(23), Routes::new());
}

#[test]
fn a_route_that_this_node_announces_itself_is_not_learned() {
    let mut rig = client_with_two_routes();
    rig.announce(route(1, 1));
    assert_eq!(rig.changes(), [(false, route(1, 1))]);
    rig.withdraw(route(1, 1));
    assert_eq!(rig.changes(), [(true, route(1, 1))]);
}

fn client(stale_time: Duration, servers: u32) -> Rig {
    client_with(Some(stale_time), servers)
}

fn client_with(stale_time: Option<Duration>, servers: u32) -> Rig {
    let mut rig = Rig::new(Config { stale_time, ..Config::default() });
    for n in 0..servers {
        rig.add_peer(&format!("s{n}"));
    }
    rig.subscribe(23);
    rig
}

/// Returns a client that is synced with its server, with a stale time of 60 s.
fn client_with_two_routes() -> Rig {
    let mut rig = client(Duration::from_secs(60), 1);
    let (conn, _) = rig.reach(OUR_SERVER);
    rig.say(conn, &[Msg::Add(route(1, 1)), Msg::Add(route(2, 1)), Msg::Keepalive]);
    assert_eq!(rig.changes(), [(true, route(1, 1)), (true, route(2, 1))]);
    rig
}

/// Returns a client that is connected to two servers. Neither sync has ended.
fn client_of_two(stale_time: Duration) -> (Rig, [metalbond::ConnId; 2]) {
    let mut rig = client(stale_time, 2);
    let (one, _) = rig.reach(OUR_SERVER);
    let (two, _) = rig.reach(OUR_SERVER);
    (rig, [one, two])
}

fn conn(rig: &Rig) -> metalbond::ConnId {
    rig.seat.node.sessions().next().expect("a session").conn
}
