//! How a node treats peers without the capability `ordered`: it does nothing that they cannot handle.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::sim::model::Routes;
use crate::sim::rig::{LEGACY, LEGACY_SERVER, OURS, Rig, route};
use crate::sim::wire::Msg;
use metalbond::{CloseReason, Command, Config, Echo, Input, NextHopKind, Pacing, Prefix, Route, TransportEnd, Vni};
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

/// The announcer withdraws a route and announces it again, in one write.
#[test]
fn a_route_that_is_withdrawn_and_announced_again_is_sent_again() {
    let mut rig = Rig::server();
    let (announcer, legacy, ours) = (rig.join(OURS), rig.join(LEGACY), rig.join(OURS));
    let r = route(1, 1);
    rig.say(announcer, &[Msg::Add(r)]);
    for conn in [legacy, ours] {
        rig.say(conn, &[Msg::Subscribe(VNI)]);
        assert_eq!(rig.heard_routes(conn), [Msg::Add(r)]);
    }
    for _ in 0..20 {
        rig.say(announcer, &[Msg::Remove(r), Msg::Add(r)]);
        assert_eq!(rig.heard_routes(legacy), [Msg::Remove(r), Msg::Add(r)]);
        assert_eq!(rig.heard_routes(ours), [], "nothing has changed");
    }
    let often: Vec<_> = [Msg::Remove(r), Msg::Add(r)].into_iter().cycle().take(400).collect();
    rig.say(announcer, &often);
    assert_eq!(rig.heard_routes(legacy), [Msg::Remove(r), Msg::Add(r)], "once, however often it happened");
    // Another client announces the route: it is never gone.
    let second = rig.join(OURS);
    rig.say(second, &[Msg::Add(r)]);
    rig.say(announcer, &often);
    assert_eq!(rig.heard_routes(legacy), []);
}

#[test]
fn all_of_many_routes_that_are_withdrawn_and_announced_again_are_sent_again() {
    let mut rig = Rig::server();
    let (announcer, legacy) = (rig.join(OURS), rig.join(LEGACY));
    let routes: Vec<Route> = (0..200).map(|n| route(n, 1)).collect();
    rig.say(announcer, &routes.iter().map(|r| Msg::Add(*r)).collect::<Vec<_>>());
    rig.say(legacy, &[Msg::Subscribe(VNI)]);
    assert_eq!(rig.heard_routes(legacy).len(), 200);
    rig.say(announcer, &routes.iter().flat_map(|r| [Msg::Remove(*r), Msg::Add(*r)]).collect::<Vec<_>>());
    let heard = rig.heard_routes(legacy);
    for r in routes {
        let of_it: Vec<_> = heard.iter().filter(|m| matches!(m, Msg::Add(a) | Msg::Remove(a) if *a == r)).collect();
        assert_eq!(of_it, [&Msg::Remove(r), &Msg::Add(r)]);
    }
}

#[test]
fn a_route_that_is_withdrawn_and_announced_again_during_a_paced_sync_is_sent_again() {
    let pacing = Pacing { rate: 20_000, burst: 2000 };
    let mut rig = Rig::server_with(Config { pacing: Some(pacing), ..Config::default() });
    rig.seat.is_watched = false;
    let (announcer, other, legacy) = (rig.join(OURS), rig.join(OURS), rig.join(LEGACY));
    let touched = route(0, 1);
    rig.say(announcer, &[Msg::Add(touched)]);
    let routes: Vec<_> = (0..5000).map(|n| Msg::Add(route((n % 250) as u8, 1 + n / 250))).collect();
    rig.say(other, &routes[1..]);
    rig.say(legacy, &[Msg::Subscribe(VNI)]);
    let mut renewed = 0;
    for n in 0..300 {
        rig.live(1, &[announcer, other, legacy]);
        let heard = rig.heard_routes(legacy);
        let of_it: Vec<_> =
            heard.iter().filter(|m| matches!(m, Msg::Add(a) | Msg::Remove(a) if *a == touched)).collect();
        match (n, &of_it[..]) {
            (0, [Msg::Add(_)]) => {}
            (_, []) if n > 20 || renewed > 0 => break,
            (1.., [Msg::Remove(_), Msg::Add(_)]) => renewed += 1,
            (_, []) => {}
            other => panic!("{other:?}"),
        }
        if n < 3 {
            // Another subscriber keeps up, and reads between the two.
            rig.say(announcer, &[Msg::Remove(touched)]);
            rig.say(announcer, &[Msg::Add(touched)]);
        }
    }
    assert!(renewed > 0, "sent again during the sync, or after it");
}

#[test]
fn a_node_sends_its_own_route_to_a_legacy_server_again() {
    let mut rig = Rig::client(Config::default());
    rig.announce(route(1, 1));
    let (conn, heard) = rig.reach(LEGACY_SERVER);
    assert!(heard.contains(&Msg::Add(route(1, 1))));
    rig.feed_within_turn(Input::Command(Command::Withdraw(route(1, 1))));
    rig.feed(Input::Command(Command::Announce(route(1, 1))));
    assert_eq!(rig.heard_routes(conn), [Msg::Remove(route(1, 1)), Msg::Add(route(1, 1))]);
}

#[test]
fn the_default_route_comes_first_to_a_legacy_client() {
    let mut rig = Rig::server();
    let (announcer, legacy, ours) = (rig.join(OURS), rig.join(LEGACY), rig.join(OURS));
    let hosts: Vec<_> = (0..800).map(|n| Msg::Add(route((n % 200) as u8, 1 + n / 200))).collect();
    rig.say(announcer, &hosts);
    let network = |len| Route { prefix: Prefix::new(Ipv4Addr::UNSPECIFIED.into(), len).unwrap(), ..route(1, 9) };
    rig.say(announcer, &[24, 0, 8].map(|len| Msg::Add(network(len))));
    for conn in [legacy, ours] {
        rig.say(conn, &[Msg::Subscribe(VNI)]);
    }
    let heard = rig.heard_routes(legacy);
    assert_eq!(heard.len(), 803);
    assert_eq!(heard[..3], [0, 8, 24].map(|len| Msg::Add(network(len))));
    assert_eq!(
        rig.heard_routes(ours)[800..],
        [24, 0, 8].map(|len| Msg::Add(network(len))),
        "others in their own order"
    );
}

#[test]
fn legacy_clients_are_sent_their_own_routes_if_the_server_is_set_to() {
    let plain = route(1, 1);
    let mut target = route(2, 1);
    target.next_hop.kind = NextHopKind::LoadBalancer;
    for (echo, echoed) in [(Echo::None, vec![]), (Echo::LoadBalancers, vec![target]), (Echo::All, vec![plain, target])]
    {
        let mut rig = Rig::server_with(Config { pacing: None, echo, ..Config::default() });
        let (legacy, ours) = (rig.join(LEGACY), rig.join(OURS));
        let all = [plain, target];
        let sent = |of: fn(Route) -> Msg| echoed.iter().map(|r| of(*r)).collect::<Vec<_>>();
        // At SUBSCRIBE, and live.
        rig.say(legacy, &[Msg::Add(plain), Msg::Add(target), Msg::Subscribe(VNI)]);
        assert_eq!(rig.heard_routes(legacy), sent(Msg::Add), "{echo:?}");
        rig.say(legacy, &all.map(Msg::Remove));
        assert_eq!(rig.heard_routes(legacy), sent(Msg::Remove), "{echo:?}");
        rig.say(legacy, &all.map(Msg::Add));
        assert_eq!(rig.heard_routes(legacy), sent(Msg::Add), "{echo:?}");
        rig.say(ours, &[Msg::Add(plain), Msg::Add(target), Msg::Subscribe(VNI)]);
        assert_eq!(rig.heard_routes(ours).len(), 2, "the other client's");
        rig.say(legacy, &all.map(Msg::Remove));
        assert_eq!(rig.heard_routes(ours), all.map(Msg::Remove), "a capable client never");
    }
}
