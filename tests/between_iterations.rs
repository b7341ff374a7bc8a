//! Events that are harmless alone, in one iteration or while work is in progress.

use std::time::Duration;

use crate::sim::rig::{LEGACY, LEGACY_SERVER, OUR_SERVER, OURS, Rig, route};
use crate::sim::wire::{Msg, encode_all};
use metalbond::{Command, Config, ConnId, Input, Prefix, Route, TransportEnd, Vni};

#[test]
fn routes_that_a_sync_has_just_confirmed_become_stale_when_the_session_is_lost_in_the_same_iteration() {
    let mut rig = client();
    rig.subscribe(23);
    let (conn, _) = rig.reach(OUR_SERVER);
    rig.say(conn, &[Msg::Add(route(1, 1))]);
    let now = rig.now;
    rig.seat.feed(now, received(conn, &[Msg::Keepalive]));
    rig.end(conn, TransportEnd::Reset);
    assert_eq!(rig.learned(23).len(), 1);
}

#[test]
fn a_second_loss_before_the_sync_has_ended_does_not_shorten_the_stale_time() {
    let mut rig = client();
    rig.subscribe(23);
    let (conn, _) = rig.reach(OUR_SERVER);
    rig.say(conn, &[Msg::Add(route(1, 1)), Msg::Keepalive]);
    rig.advance_secs(6);
    rig.end(conn, TransportEnd::Reset);
    let lost = rig.now;
    while rig.now < lost + Duration::from_secs(58) || rig.dials.is_empty() {
        rig.advance(Duration::from_millis(100));
        if rig.now < lost + Duration::from_secs(57) {
            while let Some(conn) = rig.dials.pop_front() {
                rig.feed(Input::DialFailed { conn, why: "refused".into() });
            }
        }
    }
    let (conn, _) = rig.reach(OUR_SERVER);
    rig.say(conn, &[Msg::Add(route(1, 1)), Msg::Add(route(2, 1))]);
    rig.end(conn, TransportEnd::Reset);
    rig.advance_secs(5);
    assert_eq!(rig.learned(23).len(), 2);
}

#[test]
fn unsubscribing_and_subscribing_again_at_once_keeps_the_routes_of_a_legacy_server() {
    let mut rig = client();
    rig.subscribe(23);
    rig.announce(route(9, 9));
    let (conn, _) = rig.reach(LEGACY_SERVER);
    rig.say(conn, &[Msg::Add(route(1, 1))]);
    let now = rig.now;
    rig.seat.feed(now, Input::Command(Command::Unsubscribe(Vni(23))));
    rig.seat.feed(now, Input::Command(Command::Subscribe(Vni(23))));
    rig.feed(Input::Tick);
    assert!(rig.is_open(conn));
    assert_eq!(rig.learned(23).len(), 1);
}

#[test]
fn a_capable_peer_that_pipelines_is_answered_before_it_is_sent_routes() {
    let mut rig = Rig::unwatched();
    let announcer = rig.join(OURS);
    rig.say(announcer, &[Msg::Add(route(1, 1))]);
    let conn = rig.accept();
    rig.say(conn, &[Msg::Hello(OURS), Msg::Keepalive, Msg::Subscribe(Vni(23))]);
    let heard = rig.heard(conn);
    assert!(matches!(heard[..], [Msg::Hello(_), Msg::Keepalive, Msg::Add(_)]), "{heard:?}");
}

#[test]
fn the_end_of_a_sync_is_noticed_if_the_subscription_was_replaced_in_one_iteration() {
    let mut rig = client();
    rig.subscribe(1);
    let (conn, _) = rig.reach(OUR_SERVER);
    rig.say(conn, &[Msg::Keepalive]);
    let now = rig.now;
    rig.seat.feed(now, Input::Command(Command::Unsubscribe(Vni(1))));
    rig.seat.feed(now, Input::Command(Command::Subscribe(Vni(2))));
    rig.feed(Input::Tick);
    rig.say(conn, &[Msg::Keepalive]);
    assert!(rig.seat.node.peers().all(|peer| peer.synced));
}

#[test]
fn a_subscription_that_is_removed_before_it_was_sent_is_not_waited_for() {
    let mut rig = client();
    rig.subscribe(1);
    let conn = rig.connect();
    rig.say(conn, &[Msg::Hello(OUR_SERVER)]);
    let now = rig.now;
    rig.seat.feed(now, received(conn, &[Msg::Keepalive]));
    rig.feed(Input::Command(Command::Unsubscribe(Vni(1))));
    assert!(rig.seat.node.peers().all(|peer| peer.synced));
}

#[test]
fn a_later_sync_with_another_server_removes_stale_routes() {
    let mut rig = Rig::new(Config::default());
    rig.seat.is_watched = false;
    rig.add_peer("a");
    rig.add_peer("b");
    let ((a, _), (b, _)) = (rig.reach(OUR_SERVER), rig.reach(OUR_SERVER));
    rig.subscribe(23);
    rig.say(a, &[Msg::Add(route(1, 1)), Msg::Keepalive]);
    rig.end(a, TransportEnd::Reset);
    assert_eq!(rig.learned(23).len(), 1);
    rig.say(b, &[Msg::Keepalive]);
    assert_eq!(rig.learned(23).len(), 0);
}

#[test]
fn a_legacy_servers_removal_of_a_route_that_the_node_announces_as_well_takes_effect() {
    let mut rig = client();
    rig.subscribe(23);
    let (conn, _) = rig.reach(LEGACY_SERVER);
    rig.say(conn, &[Msg::Add(route(1, 1))]);
    rig.announce(route(1, 1));
    rig.say(conn, &[Msg::Remove(route(1, 1))]);
    rig.withdraw(route(1, 1));
    assert_eq!(rig.learned(23).len(), 0);
}

#[test]
fn a_change_after_many_own_announcements_is_reported_without_another_event() {
    let mut rig = Rig::server();
    rig.seat.is_watched = false;
    let conn = rig.join(OURS);
    let now = rig.now;
    for n in 0..70_000 {
        rig.seat.feed(now, Input::Command(Command::Announce(numbered(n))));
    }
    rig.say(conn, &[Msg::Add(route(1, 7))]);
    rig.subscribe(23);
    assert_eq!(rig.changes().len(), 1);
}

#[test]
fn a_shutdown_does_not_wait_for_other_work() {
    let mut rig = client();
    rig.announce(route(1, 1));
    rig.subscribe(23);
    let (conn, _) = rig.reach(OUR_SERVER);
    rig.say(conn, &(0..20_000).map(|n| Msg::Add(numbered(n))).collect::<Vec<_>>());
    rig.say(conn, &[Msg::Keepalive]);
    rig.end(conn, TransportEnd::Reset);
    rig.await_dial();
    let (conn, _) = rig.reach(OUR_SERVER);
    let now = rig.now;
    rig.seat.feed(now, Input::Command(Command::Shutdown { cleanup: true }));
    // The end of the sync leaves 20,000 routes to sweep.
    rig.feed(received(conn, &[Msg::Keepalive]));
    let heard = rig.heard(conn);
    assert_eq!(heard.last(), Some(&Msg::Keepalive), "{heard:?}");
    rig.say(conn, &[Msg::Keepalive]);
    assert!(rig.terminated);
}

/// UNSUBSCRIBE from a peer without the capability withdraws its own routes of the VNI. It may have many, so the node
/// works in slices.
#[test]
fn a_legacy_peer_that_unsubscribes_from_a_vni_with_many_routes_delays_no_peer_and_may_announce_again() {
    let mut rig = Rig::server();
    rig.seat.is_watched = false;
    let (legacy, other) = (rig.join(LEGACY), rig.join(OURS));
    rig.say(other, &[Msg::Subscribe(Vni(23))]);
    let all: Vec<Msg> = (0..50_000).map(|n| Msg::Add(numbered(n))).collect();
    all.chunks(1000).for_each(|part| rig.say(legacy, part));
    rig.say(legacy, &[Msg::Subscribe(Vni(23))]);
    rig.heard(other);

    let now = rig.now;
    rig.seat.feed(now, received(legacy, &[Msg::Unsubscribe(Vni(23))]));
    assert_eq!(rig.table(23).len(), 50_000, "one call does not remove all of them");
    rig.seat.feed(now, Input::Tick);
    assert!((1..50_000).contains(&rig.table(23).len()), "but each call removes some");
    // The peer's new messages count, both for routes that are already removed and for routes that are still to be
    // removed.
    let (again, gone) = ([0, 49_999].map(numbered), [1, 49_998].map(numbered));
    let said = again.iter().map(|r| Msg::Add(*r)).chain(gone.iter().map(|r| Msg::Remove(*r)));
    rig.say(legacy, &said.collect::<Vec<_>>());
    assert_eq!(rig.table(23), again.into());
    assert_eq!(crate::sim::fold(&all.into_iter().chain(rig.heard(other)).collect::<Vec<_>>()), again.into());
    rig.end(legacy, TransportEnd::Eof);
    assert!(rig.table(23).is_empty());
}

fn client() -> Rig {
    let mut rig = Rig::client(Config::default());
    rig.seat.is_watched = false;
    rig
}

fn received(conn: ConnId, msgs: &[Msg]) -> Input {
    Input::Received { conn, bytes: encode_all(msgs).into() }
}

fn numbered(n: u32) -> Route {
    let prefix = Prefix::new(std::net::Ipv4Addr::from(n).into(), 32).unwrap();
    Route { prefix, ..route(1, 1) }
}
