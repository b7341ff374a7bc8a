//! The capability `ordered`: a node answers a KEEPALIVE after the sync of every SUBSCRIBE before it, which makes the
//! answer an End-of-RIB.

use crate::sim::model::Routes;
use crate::sim::rig::{LEGACY, NO_RESTART_TIME, OUR_SERVER, OURS, Rig, route, route_in};
use crate::sim::wire::Msg;
use metalbond::{Command, Config, Input, TransportEnd, Vni};

const VNI: Vni = Vni(23);

#[test]
fn the_answer_follows_the_sync() {
    let mut rig = Rig::server();
    let (announcer, subscriber) = (rig.join(OURS), rig.join(OURS));
    rig.say(announcer, &[Msg::Add(route(1, 1)), Msg::Add(route(2, 1))]);
    rig.say(subscriber, &[Msg::Subscribe(VNI), Msg::Keepalive]);
    let heard = rig.heard(subscriber);
    assert_eq!(heard.len(), 3);
    assert_eq!(heard[2], Msg::Keepalive);
}

#[test]
fn the_answer_follows_a_sync_of_many_transmits_and_a_slow_reader() {
    let mut rig = big_server(3000);
    let subscriber = rig.join(OURS);
    rig.stall(subscriber);
    rig.say(subscriber, &[Msg::Subscribe(VNI), Msg::Keepalive, Msg::Keepalive]);
    let mut heard = rig.heard(subscriber);
    assert!(!heard.contains(&Msg::Keepalive));
    while heard.len() < 3002 {
        rig.resume(subscriber);
        rig.stall(subscriber);
        heard.extend(rig.heard(subscriber));
    }
    assert!(!heard[..3000].contains(&Msg::Keepalive));
    assert_eq!(heard[3000..], [Msg::Keepalive, Msg::Keepalive]);
}

#[test]
fn a_peer_without_the_capability_is_answered_before_its_routes() {
    let mut rig = big_server(3000);
    let subscriber = rig.join(LEGACY);
    rig.stall(subscriber);
    rig.say(subscriber, &[Msg::Subscribe(VNI)]);
    rig.heard(subscriber);
    rig.say(subscriber, &[Msg::Keepalive]);
    rig.resume(subscriber);
    assert_eq!(rig.heard(subscriber)[0], Msg::Keepalive);
}

#[test]
fn the_sync_of_an_empty_vni_ends_at_once() {
    let mut rig = Rig::server();
    let subscriber = rig.join(OURS);
    rig.say(subscriber, &[Msg::Subscribe(VNI), Msg::Keepalive]);
    assert_eq!(rig.heard(subscriber), [Msg::Keepalive]);
}

#[test]
fn routes_that_change_all_the_time_delay_no_end_of_rib() {
    let mut rig = Rig::server();
    let (announcer, subscriber) = (rig.join(OURS), rig.join(OURS));
    rig.stall(subscriber);
    rig.say(subscriber, &[Msg::Subscribe(VNI), Msg::Keepalive]);
    for n in 0..50 {
        rig.say(announcer, &[Msg::Add(route(n % 3, 1)), Msg::Remove(route((n + 1) % 3, 1))]);
        rig.resume(subscriber);
        rig.stall(subscriber);
        if rig.heard(subscriber).contains(&Msg::Keepalive) {
            return;
        }
    }
    panic!("no answer");
}

#[test]
fn a_client_unsubscribes_with_a_barrier_and_subscribes_again_only_after_its_answer() {
    let mut rig = Rig::client(Config::default());
    rig.subscribe(23);
    let (conn, _) = rig.reach(OUR_SERVER);
    rig.say(conn, &[Msg::Add(route(1, 1)), Msg::Keepalive]);
    assert_eq!(rig.learned(23), Routes::from([route(1, 1)]));
    rig.unsubscribe(23);
    assert_eq!(rig.learned(23), Routes::new());
    assert_eq!(rig.heard(conn), [Msg::Unsubscribe(VNI), Msg::Keepalive]);
    assert!(is_synced(&rig), "there is no subscription");
    rig.subscribe(23);
    assert_eq!(rig.heard(conn), [], "not before the answer");
    assert!(!is_synced(&rig), "the new subscription is yet to be sent");
    // The server sent this before it read the UNSUBSCRIBE.
    rig.say(conn, &[Msg::Add(route(2, 1))]);
    assert_eq!(rig.learned(23), Routes::new());
    assert!(!is_synced(&rig));
    rig.say(conn, &[Msg::Keepalive]);
    assert_eq!(rig.heard(conn), [Msg::Subscribe(VNI), Msg::Keepalive]);
    assert!(!is_synced(&rig), "this answer was for the UNSUBSCRIBE");
    rig.say(conn, &[Msg::Add(route(3, 1))]);
    assert!(!is_synced(&rig));
    rig.say(conn, &[Msg::Keepalive]);
    assert_eq!(rig.learned(23), Routes::from([route(3, 1)]));
    assert!(is_synced(&rig));
}

#[test]
fn unsubscribing_and_subscribing_in_one_iteration_is_not_synced_before_the_new_subscription() {
    let mut rig = Rig::client(Config::default());
    rig.subscribe(23);
    let (conn, _) = rig.reach(OUR_SERVER);
    rig.say(conn, &[Msg::Keepalive]);
    assert!(is_synced(&rig));
    rig.feed_within_turn(Input::Command(Command::Unsubscribe(VNI)));
    rig.subscribe(23);
    assert_eq!(rig.heard(conn), [Msg::Unsubscribe(VNI), Msg::Keepalive]);
    assert!(!is_synced(&rig));
    rig.say(conn, &[Msg::Keepalive]);
    assert_eq!(rig.heard(conn), [Msg::Subscribe(VNI), Msg::Keepalive]);
    assert!(!is_synced(&rig));
    rig.say(conn, &[Msg::Keepalive]);
    assert!(is_synced(&rig));
}

#[test]
fn another_vni_that_is_synced_meanwhile_does_not_hide_one_that_is_subscribed_again() {
    let mut rig = Rig::client(Config::default());
    rig.subscribe(23);
    let (conn, _) = rig.reach(OUR_SERVER);
    rig.say(conn, &[Msg::Keepalive]);
    rig.unsubscribe(23);
    rig.subscribe(7);
    rig.subscribe(23);
    assert_eq!(rig.heard(conn), [Msg::Unsubscribe(VNI), Msg::Keepalive, Msg::Subscribe(Vni(7)), Msg::Keepalive],);
    // The first answer ends the old subscription to 23, the second one the sync of 7, the third one that of 23.
    for is_last in [false, false, true] {
        assert!(!is_synced(&rig));
        rig.say(conn, &[Msg::Keepalive]);
        assert_eq!(is_synced(&rig), is_last);
    }
}

#[test]
fn stale_copies_in_a_vni_that_is_subscribed_again_go_at_the_end_of_its_new_sync() {
    let mut rig = Rig::client(Config::default());
    rig.add_peer("s1");
    rig.subscribe(23);
    let ((lost, _), (live, _)) = (rig.reach(OUR_SERVER), rig.reach(OUR_SERVER));
    for conn in [lost, live] {
        rig.say(conn, &[Msg::Keepalive]);
    }
    rig.unsubscribe(23);
    rig.subscribe(23);
    for conn in [lost, live] {
        rig.heard(conn);
        rig.say(conn, &[Msg::Keepalive]);
        assert_eq!(rig.heard(conn), [Msg::Subscribe(VNI), Msg::Keepalive]);
    }
    rig.say(lost, &[Msg::Add(route(1, 1)), Msg::Keepalive]);
    rig.end(lost, TransportEnd::Reset);
    assert_eq!(rig.learned(23), Routes::from([route(1, 1)]));
    rig.say(live, &[Msg::Keepalive]);
    assert_eq!(rig.learned(23), Routes::new());
}

#[test]
fn updates_of_a_vni_that_was_not_asked_for_are_dropped_and_counted() {
    let mut rig = Rig::client(Config::default());
    rig.subscribe(23);
    let (conn, _) = rig.reach(OUR_SERVER);
    rig.say(conn, &[Msg::Add(route_in(7, 1, 1))]);
    assert_eq!(rig.learned(7), Routes::new());
    assert_eq!(rig.table(7), Routes::new());
    let session = rig.seat.node.sessions().find(|s| s.conn == conn).unwrap();
    assert_eq!(session.counters.unsubscribed_updates, 1);
}

#[test]
fn a_peer_is_synced_once_its_answer_has_arrived() {
    let mut rig = Rig::client(Config::default());
    rig.subscribe(23);
    let (conn, _) = rig.reach(OUR_SERVER);
    assert!(!is_synced(&rig));
    rig.say(conn, &[Msg::Add(route(1, 1))]);
    assert!(!is_synced(&rig));
    rig.say(conn, &[Msg::Keepalive]);
    assert!(is_synced(&rig));
    rig.subscribe(7);
    assert!(!is_synced(&rig));
    rig.say(conn, &[Msg::Keepalive]);
    assert!(is_synced(&rig));
}

#[test]
fn a_replaced_next_hop_is_added_before_the_old_one_goes_but_not_for_peers_without_the_capability() {
    let mut rig = Rig::server();
    let (announcer, ours, legacy) = (rig.join(OURS), rig.join(OURS), rig.join(LEGACY));
    let (old, new) = (route(1, 1), route(1, 2));
    rig.say(announcer, &[Msg::Add(old)]);
    for conn in [ours, legacy] {
        rig.say(conn, &[Msg::Subscribe(VNI)]);
        assert_eq!(rig.heard(conn), [Msg::Add(old)]);
    }
    for (from, to) in [(old, new), (new, old)] {
        rig.say(announcer, &[Msg::Remove(from), Msg::Add(to)]);
        assert_eq!(rig.heard(ours), [Msg::Add(to), Msg::Remove(from)]);
        assert_eq!(rig.heard(legacy), [Msg::Remove(from), Msg::Add(to)]);
    }
}

#[test]
fn unsubscribe_ends_the_subscription_only_but_a_legacy_peers_routes_too() {
    let mut rig = Rig::server();
    let (ours, legacy, watcher) = (rig.join(NO_RESTART_TIME), rig.join(LEGACY), rig.join(OURS));
    rig.say(watcher, &[Msg::Subscribe(VNI)]);
    rig.say(ours, &[Msg::Subscribe(VNI), Msg::Add(route(1, 1)), Msg::Add(route_in(7, 1, 1))]);
    rig.say(legacy, &[Msg::Subscribe(VNI), Msg::Add(route(2, 1)), Msg::Add(route_in(7, 2, 1))]);
    rig.heard(watcher);
    rig.say(ours, &[Msg::Unsubscribe(VNI)]);
    assert_eq!(rig.heard(watcher), []);
    rig.say(legacy, &[Msg::Unsubscribe(VNI)]);
    assert_eq!(rig.heard(watcher), [Msg::Remove(route(2, 1))]);
    assert_eq!(rig.table(7).len(), 2, "other VNIs are not touched");
    // UNSUBSCRIBE from a VNI without a subscription has no effect.
    rig.say(legacy, &[Msg::Add(route(2, 1)), Msg::Unsubscribe(VNI)]);
    assert_eq!(rig.table(23), Routes::from([route(1, 1), route(2, 1)]));
}

#[test]
fn a_peer_is_sent_its_own_routes_only_if_another_peer_announces_them() {
    let mut rig = Rig::server();
    let (a, b) = (rig.join(NO_RESTART_TIME), rig.join(NO_RESTART_TIME));
    let r = route(1, 1);
    rig.say(a, &[Msg::Add(r), Msg::Subscribe(VNI)]);
    rig.say(b, &[Msg::Subscribe(VNI)]);
    assert_eq!((rig.heard(a), rig.heard(b)), (vec![], vec![Msg::Add(r)]));
    rig.say(b, &[Msg::Add(r)]);
    assert_eq!((rig.heard(a), rig.heard(b)), (vec![Msg::Add(r)], vec![]));
    rig.say(a, &[Msg::Remove(r)]);
    assert_eq!((rig.heard(a), rig.heard(b)), (vec![], vec![Msg::Remove(r)]));
    rig.say(a, &[Msg::Remove(r)]);
    assert_eq!(rig.table(23), Routes::from([r]), "no peer withdraws another's");
}

#[test]
fn a_server_sends_no_routes_to_a_server() {
    let mut rig = Rig::server();
    let servers = [rig.join(OUR_SERVER), rig.join(OUR_SERVER)];
    let client = rig.join(OURS);
    rig.say(servers[0], &[Msg::Subscribe(VNI), Msg::Add(route(1, 1))]);
    rig.say(servers[1], &[Msg::Subscribe(VNI)]);
    rig.say(client, &[Msg::Subscribe(VNI), Msg::Add(route(2, 2))]);
    assert_eq!(rig.heard(client), [Msg::Add(route(1, 1))]);
    for server in servers {
        assert_eq!(rig.heard(server), [Msg::Add(route(2, 2))]);
    }
}

#[test]
fn a_node_does_not_announce_to_one_server_what_it_learned_from_another() {
    let mut rig = Rig::client(Config::default());
    rig.add_peer("s1");
    rig.subscribe(23);
    let (one, _) = rig.reach(OUR_SERVER);
    let (other, heard) = rig.reach(OUR_SERVER);
    assert_eq!(heard, [Msg::Subscribe(VNI), Msg::Keepalive]);
    rig.say(one, &[Msg::Add(route(1, 1)), Msg::Keepalive]);
    assert_eq!(rig.learned(23).len(), 1);
    assert_eq!(rig.heard(other), []);
}

fn is_synced(rig: &Rig) -> bool {
    rig.seat.node.peers().all(|peer| peer.synced)
}

fn big_server(routes: u16) -> Rig {
    let mut rig = Rig::server();
    rig.seat.is_watched = false;
    let announcer = rig.join(OURS);
    let adds: Vec<_> = (0..routes).map(|n| Msg::Add(route((n % 256) as u8, n))).collect();
    rig.say(announcer, &adds);
    assert_eq!(rig.table(23).len(), usize::from(routes));
    rig
}
