//! How a node treats peers without the capability `ordered`: it does nothing that they cannot handle.

use std::time::Duration;

use crate::sim::model::Routes;
use crate::sim::rig::{LEGACY, LEGACY_SERVER, OURS, Rig, route};
use crate::sim::wire::Msg;
use metalbond::{CloseReason, Command, Config, Pacing, Route, TransportEnd, Vni};
use proptest::prelude::*;

const VNI: Vni = Vni(23);

#[test]
fn a_legacy_server_gets_no_more_than_the_window_between_two_proofs() {
    let mut rig = Rig::client(Config { unproven_max: 4096, ..Config::default() });
    let routes: Vec<Route> = (0..1000).map(|n| route((n % 200) as u8, n)).collect();
    routes.iter().for_each(|r| rig.announce(*r));
    let conn = rig.connect();
    rig.heard(conn);
    rig.say(conn, &[Msg::Hello(LEGACY_SERVER)]);
    rig.heard(conn);
    rig.say(conn, &[Msg::Keepalive]);
    let mut announced = Routes::new();
    for _ in 0..1000 {
        let bytes = rig.heard_bytes(conn);
        let msgs = crate::sim::wire::decode_all(&bytes);
        let keepalives = msgs.iter().filter(|m| **m == Msg::Keepalive).count();
        assert!(bytes.len() <= 4096 + 4 * keepalives, "{} bytes that no answer confirms", bytes.len());
        assert!(keepalives <= 1, "at most one KEEPALIVE is unanswered");
        for msg in msgs {
            if let Msg::Add(r) = msg {
                assert!(announced.insert(r), "announced twice");
            }
        }
        if announced.len() == routes.len() {
            return;
        }
        assert_eq!(keepalives, 1, "the node sends a KEEPALIVE itself");
        rig.say(conn, &[Msg::Keepalive]);
    }
    panic!("{} of {} routes announced", announced.len(), routes.len());
}

#[test]
fn an_unanswered_keepalive_holds_announcements_back_and_subscriptions_count() {
    let mut rig = Rig::client(Config { unproven_max: 4096, ..Config::default() });
    (0..2000).for_each(|n| rig.subscribe(n));
    let (conn, heard) = rig.reach(LEGACY_SERVER);
    let count = |msgs: &[Msg]| msgs.iter().filter(|m| matches!(m, Msg::Subscribe(_))).count();
    let first = count(&heard);
    assert!(first > 100 && first < 1000, "{first}");
    rig.advance_secs(4);
    assert_eq!(count(&rig.heard(conn)), 0);
    rig.say(conn, &[Msg::Keepalive]);
    assert!(count(&rig.heard(conn)) > 100);
}

#[test]
fn a_second_subscription_at_a_legacy_server_reconnects() {
    let mut rig = Rig::client(Config::default());
    rig.subscribe(23);
    let (conn, _) = rig.reach(LEGACY_SERVER);
    rig.unsubscribe(23);
    assert_eq!(rig.heard_routes(conn), [Msg::Unsubscribe(VNI)]);
    rig.subscribe(23);
    assert!(rig.closed.contains_key(&conn));
    assert_eq!(rig.reason(conn), Some(CloseReason::Resubscribe));
    rig.advance_secs(6);
    let (_, heard) = rig.reach(LEGACY_SERVER);
    assert!(heard.contains(&Msg::Subscribe(VNI)));
}

#[test]
fn a_vni_in_which_the_node_announces_stays_subscribed_at_a_legacy_server_and_is_filtered() {
    let mut rig = Rig::client(Config::default());
    rig.subscribe(23);
    rig.announce(route(1, 1));
    let (conn, _) = rig.reach(LEGACY_SERVER);
    rig.say(conn, &[Msg::Add(route(2, 2))]);
    assert_eq!(rig.learned(23).len(), 1);
    rig.unsubscribe(23);
    assert_eq!(rig.heard_routes(conn), []);
    assert_eq!(rig.learned(23), Routes::new());
    rig.say(conn, &[Msg::Add(route(3, 2))]);
    assert_eq!(rig.learned(23), Routes::new());
    rig.say(conn, &[Msg::Remove(route(2, 2))]);
    rig.subscribe(23);
    assert_eq!(rig.heard_routes(conn), [], "the node stays subscribed");
    assert!(rig.closed.is_empty());
    assert_eq!(rig.learned(23), Routes::from([route(3, 2)]));
}

#[test]
fn a_route_of_this_node_that_a_legacy_server_sends_is_not_learned_in_that_session() {
    let mut rig = Rig::client(Config::default());
    rig.subscribe(23);
    rig.announce(route(1, 1));
    let (conn, _) = rig.reach(LEGACY_SERVER);
    rig.say(conn, &[Msg::Add(route(1, 1)), Msg::Add(route(2, 2))]);
    rig.withdraw(route(1, 1));
    assert_eq!(rig.heard_routes(conn), [Msg::Remove(route(1, 1))]);
    // If the server has sent the node's own route back, the node cannot know that the route is gone.
    assert_eq!(rig.learned(23), Routes::from([route(2, 2)]));
    rig.end(conn, TransportEnd::Reset);
    rig.advance_secs(6);
    let (conn, _) = rig.reach(LEGACY_SERVER);
    rig.say(conn, &[Msg::Add(route(1, 1))]);
    assert!(rig.learned(23).contains(&route(1, 1)), "the next session has another peer's route");
}

#[test]
fn a_legacy_server_may_withdraw_a_route_that_it_sent_while_the_node_announced_it() {
    let mut rig = Rig::client(Config::default());
    rig.subscribe(23);
    rig.announce(route(1, 1));
    let (conn, _) = rig.reach(LEGACY_SERVER);
    rig.say(conn, &[Msg::Add(route(1, 1)), Msg::Remove(route(1, 1))]);
    rig.withdraw(route(1, 1));
    assert_eq!(rig.learned(23), Routes::new());
    rig.say(conn, &[Msg::Add(route(1, 1))]);
    assert_eq!(rig.learned(23), Routes::from([route(1, 1)]), "announced by another peer later");
}

#[test]
fn a_legacy_client_is_fed_at_its_pace() {
    let pacing = Pacing { rate: 10_000, burst: 2000 };
    let mut rig = Rig::server_with(Config { pacing: Some(pacing), ..Config::default() });
    rig.seat.is_watched = false;
    let announcer = rig.join(OURS);
    let routes: Vec<_> = (0..1000).map(|n| Msg::Add(route((n % 200) as u8, n))).collect();
    rig.say(announcer, &routes);
    let (legacy, ours) = (rig.join(LEGACY), rig.join(OURS));
    rig.say(ours, &[Msg::Subscribe(VNI)]);
    assert_eq!(rig.heard(ours).len(), 1000, "a capable client is not paced");
    rig.say(legacy, &[Msg::Subscribe(VNI)]);
    let (mut bytes, mut messages) = (0, 0);
    for step in 0..100 {
        let heard = rig.heard_bytes(legacy);
        bytes += heard.len();
        messages += crate::sim::wire::decode_all(&heard).iter().filter(|m| **m != Msg::Keepalive).count();
        let allowed = 2000 + 10_000 * step / 10 + 1208;
        assert!(bytes <= allowed, "{bytes} bytes after {step}00 ms, {allowed} allowed");
        if messages == 1000 {
            return;
        }
        rig.say(legacy, &[Msg::Keepalive]);
        assert!(rig.heard(legacy).contains(&Msg::Keepalive), "answered at once, however much is waiting");
        rig.advance(Duration::from_millis(100));
    }
    panic!("only {messages} routes in 10 s");
}

#[test]
fn a_paced_clients_changes_are_merged_while_it_waits() {
    let pacing = Pacing { rate: 1208, burst: 1208 };
    let mut rig = Rig::server_with(Config { pacing: Some(pacing), ..Config::default() });
    let (announcer, legacy) = (rig.join(OURS), rig.join(LEGACY));
    rig.say(legacy, &[Msg::Subscribe(VNI)]);
    for n in 0..400 {
        let r = route((n % 5) as u8, 1);
        rig.say(announcer, &[if n / 5 % 2 == 0 { Msg::Add(r) } else { Msg::Remove(r) }]);
    }
    let mut heard = rig.heard(legacy);
    for _ in 0..10 {
        rig.live(1, &[announcer, legacy]);
        heard.extend(rig.heard_routes(legacy));
    }
    assert!(heard.len() < 100, "{} messages", heard.len());
    let held = crate::sim::fold(&heard);
    assert_eq!(held, rig.table(23));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    /// A sync takes about five bursts here, with changes between any two of them.
    #[test]
    fn a_paced_client_ends_with_the_table_whatever_changes_meanwhile(
        steps in proptest::collection::vec((0..2usize, any::<bool>(), 0..50u8, 0..50u8, 0..3u16, 0..300u64), 1..60),
        early in any::<bool>(),
    ) {
        let pacing = Pacing { rate: Pacing::MIN, burst: Pacing::MIN };
        let mut rig = Rig::server_with(Config { pacing: Some(pacing), ..Config::default() });
        let (announcers, legacy) = ([rig.join(OURS), rig.join(OURS)], rig.join(LEGACY));
        if early {
            rig.say(legacy, &[Msg::Subscribe(VNI)]);
        }
        for (who, add, from, len, hypervisor, millis) in steps {
            let routes = (from..from + len).map(|n| route(n, hypervisor));
            let msgs: Vec<_> = routes.map(|r| if add { Msg::Add(r) } else { Msg::Remove(r) }).collect();
            rig.say(announcers[who], &msgs);
            rig.say(legacy, &[Msg::Subscribe(VNI)]);
            rig.advance(Duration::from_millis(millis));
        }
        rig.live(30, &[announcers[0], announcers[1], legacy]);
        prop_assert_eq!(crate::sim::fold(&rig.heard(legacy)), rig.table(23));
    }
}

#[test]
fn many_routes_reach_a_legacy_client_in_segments_of_whole_frames() {
    // The rig splits every segment into frames; the watcher checks its size.
    let mut rig = Rig::server();
    let (announcer, legacy) = (rig.join(OURS), rig.join(LEGACY));
    let routes: Vec<_> = (0..300).map(|n| Msg::Add(route((n % 200) as u8, n))).collect();
    rig.say(announcer, &routes);
    rig.say(legacy, &[Msg::Subscribe(VNI)]);
    assert_eq!(rig.heard(legacy).len(), 300);
}

#[test]
fn a_legacy_server_is_sent_nothing_when_the_peer_is_removed() {
    let mut rig = Rig::new(Config::default());
    let peer = rig.add_peer("s0");
    rig.announce(route(1, 1));
    let (conn, _) = rig.reach(LEGACY_SERVER);
    rig.command(Command::RemovePeer(peer)).unwrap();
    assert!(rig.closed.contains_key(&conn));
}
