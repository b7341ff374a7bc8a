//! When an application may remove routes that it had installed before its node started: `Node::may_remove_adopted`.

use std::time::Duration;

use crate::sim::rig::{LEGACY_SERVER, OUR_SERVER, Rig, route, route_in};
use crate::sim::wire::{CONVERGING, Hello, Msg, ORDERED};
use metalbond::{Command, Config, ConnId, Input, TransportEnd};

const CONVERGING_SERVER: Hello = Hello { capabilities: ORDERED | CONVERGING, ..OUR_SERVER };

#[test]
fn adopted_routes_may_go_once_the_server_has_synced() {
    for stale_time in [None, Some(0), Some(60)] {
        let mut rig = client(stale_time, 1);
        assert!(!may(&rig));
        let (conn, _) = rig.reach(OUR_SERVER);
        assert!(!may(&rig));
        rig.say(conn, &[Msg::Add(route(1, 1))]);
        assert!(!may(&rig), "the sync is in progress");
        rig.say(conn, &[Msg::Keepalive]);
        assert!(may(&rig));
    }
}

#[test]
fn adopted_routes_stay_until_the_first_dial_has_ended_even_without_a_stale_time() {
    let mut rig = client(Some(0), 1);
    rig.advance_secs(9);
    assert!(!may(&rig), "the server may be slow");
    refuse(&mut rig);
    assert!(may(&rig), "the server is away");
}

#[test]
fn adopted_routes_stay_until_the_first_handshake_has_ended() {
    let mut rig = client(Some(0), 1);
    rig.advance_secs(9);
    let conn = rig.connect();
    rig.advance_secs(9);
    rig.say(conn, &[Msg::Hello(OUR_SERVER)]);
    rig.advance_secs(9);
    rig.say(conn, &[Msg::Keepalive]);
    assert!(!may(&rig));
    rig.say(conn, &[Msg::Keepalive]);
    assert!(may(&rig));
}

#[test]
fn if_the_only_server_is_away_adopted_routes_may_go_a_stale_time_after_the_start() {
    let mut rig = client(Some(60), 1);
    rig.advance_secs(9);
    be_away(&mut rig, 50);
    assert!(!may(&rig));
    be_away(&mut rig, 1);
    assert!(may(&rig));
}

#[test]
fn if_the_only_server_is_away_adopted_routes_stay_without_a_stale_time() {
    let mut rig = client(None, 1);
    be_away(&mut rig, 3600);
    assert!(!may(&rig));
    rig.await_dial();
    let (conn, _) = rig.reach(OUR_SERVER);
    assert!(!may(&rig));
    rig.say(conn, &[Msg::Keepalive]);
    assert!(may(&rig));
}

#[test]
fn adopted_routes_stay_during_a_sync_that_began_just_before_the_end_of_the_stale_time() {
    let mut rig = client(Some(60), 1);
    be_away(&mut rig, 58);
    rig.await_dial();
    let (conn, _) = rig.reach(OUR_SERVER);
    for _ in 0..10 {
        rig.advance_secs(1);
        rig.say(conn, &[Msg::Add(route(1, 1))]);
        assert!(!may(&rig));
    }
    rig.say(conn, &[Msg::Keepalive]);
    assert!(may(&rig));
}

#[test]
fn with_a_converging_or_legacy_server_adopted_routes_may_go_after_120_s_of_its_session() {
    for (hello, stale_time) in [(CONVERGING_SERVER, None), (CONVERGING_SERVER, Some(0)), (LEGACY_SERVER, None)] {
        let mut rig = client(stale_time, 1);
        rig.advance_secs(9);
        let (conn, _) = rig.reach(hello);
        rig.serve(119, &[conn]);
        assert!(!may(&rig));
        rig.serve(1, &[conn]);
        assert!(may(&rig));
    }
}

#[test]
fn with_a_converging_server_whose_sync_takes_longer_adopted_routes_may_go_at_its_end() {
    let mut rig = client(None, 1);
    let (conn, _) = rig.reach(CONVERGING_SERVER);
    for _ in 0..30 {
        rig.advance_secs(5);
        rig.say(conn, &[Msg::Add(route(1, 1))]);
        assert!(!may(&rig));
    }
    rig.say(conn, &[Msg::Keepalive]);
    assert!(may(&rig));
}

#[test]
fn adopted_routes_stay_until_a_second_server_has_synced_as_well() {
    let mut rig = client(None, 2);
    let (first, _) = rig.reach(OUR_SERVER);
    rig.say(first, &[Msg::Keepalive]);
    assert!(!may(&rig), "the second is being dialled");
    let (second, _) = rig.reach(OUR_SERVER);
    assert!(!may(&rig), "the second is syncing");
    rig.say(second, &[Msg::Keepalive]);
    assert!(may(&rig));
}

#[test]
fn a_second_server_that_is_away_is_not_waited_for_if_the_first_has_synced() {
    for stale_time in [None, Some(3600)] {
        let mut rig = client(stale_time, 2);
        let (first, _) = rig.reach(OUR_SERVER);
        refuse(&mut rig);
        assert!(!may(&rig));
        rig.say(first, &[Msg::Keepalive]);
        assert!(may(&rig));
    }
}

#[test]
fn a_second_server_that_is_converging_is_waited_for_until_it_has_synced() {
    let mut rig = client(None, 2);
    let ((first, _), (second, _)) = (rig.reach(OUR_SERVER), rig.reach(CONVERGING_SERVER));
    rig.say(first, &[Msg::Keepalive]);
    assert!(!may(&rig));
    rig.say(second, &[Msg::Keepalive]);
    assert!(may(&rig));
}

#[test]
fn a_second_server_that_lacks_the_capability_is_waited_for_120_s() {
    let mut rig = client(None, 2);
    let ((first, _), (second, _)) = (rig.reach(OUR_SERVER), rig.reach(LEGACY_SERVER));
    rig.say(first, &[Msg::Keepalive]);
    rig.serve(119, &[first, second]);
    assert!(!may(&rig));
    rig.serve(1, &[first, second]);
    assert!(may(&rig));
}

#[test]
fn if_one_server_is_converging_and_the_other_is_away_adopted_routes_may_go_after_120_s() {
    let mut rig = client(None, 2);
    let (first, _) = rig.reach(CONVERGING_SERVER);
    refuse(&mut rig);
    rig.say(first, &[Msg::Keepalive]);
    for _ in 0..119 {
        rig.serve(1, &[first]);
        refuse(&mut rig);
    }
    assert!(!may(&rig));
    rig.serve(1, &[first]);
    assert!(may(&rig));
}

#[test]
fn adopted_routes_stay_while_a_new_subscription_is_synced() {
    let mut rig = client(None, 2);
    let (first, _) = rig.reach(OUR_SERVER);
    rig.say(first, &[Msg::Keepalive]);
    rig.subscribe(0);
    refuse(&mut rig);
    assert!(!may(&rig));
    rig.say(first, &[Msg::Add(route_in(0, 1, 1)), Msg::Keepalive]);
    assert!(may(&rig));
}

#[test]
fn a_session_that_is_lost_before_its_end_of_rib_does_not_count() {
    let mut rig = client(None, 1);
    let (conn, _) = rig.reach(OUR_SERVER);
    rig.say(conn, &[Msg::Add(route(1, 1))]);
    rig.end(conn, TransportEnd::Reset);
    rig.advance_secs(3600);
    assert!(!may(&rig));
}

#[test]
fn without_a_server_adopted_routes_stay() {
    let mut rig = client(Some(0), 0);
    rig.advance_secs(3600);
    assert!(!may(&rig));
    let peer = rig.add_peer("late");
    refuse(&mut rig);
    assert!(may(&rig));
    rig.command(Command::RemovePeer(peer)).unwrap();
    assert!(!may(&rig));
}

fn client(stale_time: Option<u64>, servers: u32) -> Rig {
    let mut rig = Rig::new(Config { stale_time: stale_time.map(Duration::from_secs), ..Config::default() });
    rig.subscribe(23);
    for n in 0..servers {
        rig.add_peer(&format!("s{n}"));
    }
    rig
}

fn may(rig: &Rig) -> bool {
    rig.seat.node.may_remove_adopted()
}

/// Fails all dials that are in progress.
fn refuse(rig: &mut Rig) {
    let dials: Vec<ConnId> = rig.dials.drain(..).collect();
    for conn in dials {
        rig.feed(Input::DialFailed { conn, why: "refused".into() });
    }
}

/// Lets time pass while every dial fails.
fn be_away(rig: &mut Rig, secs: u64) {
    for _ in 0..secs {
        refuse(rig);
        rig.advance_secs(1);
    }
    refuse(rig);
}
