//! Limits of what peers may ask for: a peer that goes over a limit is refused or closed with a reason, and all others
//! are served.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::sim::rig::{LEGACY, NO_RESTART_TIME, OUR_SERVER, OURS, Rig, route, route_in};
use crate::sim::wire::Msg;
use metalbond::{
    CloseKind, CloseReason, Config, ConnId, Input, Instant, Limits, Node, PeerLimit, SessionState, TransportEnd, Vni,
};
use proptest::prelude::*;

#[test]
fn a_connection_over_the_limit_of_its_address_is_refused_and_others_are_not() {
    let mut rig = server(Limits { connections_per_address: 2, ..Limits::default() });
    let conns = [rig.join_from(addr(1), OURS), rig.join_from(addr(1), OURS)];
    let refused = rig.accept_from(addr(1));
    assert_eq!(rig.reason(refused), over(&rig, PeerLimit::ConnectionsPerAddress));
    assert!(rig.closed.contains_key(&refused));
    assert_eq!(rig.seat.node.sessions().count(), 2);
    assert!(conns.iter().all(|conn| rig.is_open(*conn)));
    rig.join_from(addr(2), OURS);

    rig.end(conns[0], TransportEnd::Eof);
    rig.join_from(addr(1), OURS);
    assert_eq!(closed(&rig, CloseKind::Limit(PeerLimit::ConnectionsPerAddress)), 1);
}

#[test]
fn an_ipv4_address_and_its_ipv4_mapped_form_share_their_limits() {
    let mut rig = server(Limits { connections_per_address: 1, ..Limits::default() });
    let IpAddr::V4(v4) = addr(1) else { panic!() };
    rig.join_from(v4.into(), OURS);
    let refused = rig.accept_from(v4.to_ipv6_mapped().into());
    assert_eq!(rig.reason(refused), over(&rig, PeerLimit::ConnectionsPerAddress));
}

#[test]
fn a_connection_over_the_limit_of_all_is_refused_and_open_ones_stay() {
    let mut rig = server(Limits { connections: 2, ..Limits::default() });
    let conns = [rig.join_from(addr(1), OURS), rig.join_from(addr(2), LEGACY)];
    let refused = rig.accept_from(addr(3));
    assert_eq!(rig.reason(refused), over(&rig, PeerLimit::Connections));
    rig.live(60, &conns);
    assert!(conns.iter().all(|conn| rig.is_open(*conn)));
    rig.end(conns[0], TransportEnd::Reset);
    rig.join_from(addr(3), OURS);
}

#[test]
fn connections_that_arrive_too_fast_are_refused_until_a_second_has_passed() {
    let mut rig = server(Limits { connections_per_second: 3, ..Limits::default() });
    for _ in 0..3 {
        rig.join_from(addr(1), OURS);
    }
    let refused = rig.accept_from(addr(2));
    assert_eq!(rig.reason(refused), over(&rig, PeerLimit::ConnectionsPerSecond));
    rig.advance(Duration::from_secs(1));
    for _ in 0..3 {
        rig.join_from(addr(2), OURS);
    }
}

#[test]
fn a_peer_with_a_route_too_many_is_closed_and_all_its_routes_go_at_once() {
    let mut rig = server(Limits { routes_per_peer: 3, ..Limits::default() });
    let (subscriber, other) = (rig.join_from(addr(9), OURS), rig.join_from(addr(2), OURS));
    rig.say(subscriber, &[Msg::Subscribe(Vni(23))]);
    rig.say(other, &adds(100..103));
    let greedy = rig.join_from(addr(1), OURS);
    rig.say(greedy, &adds(0..3));
    assert!(rig.is_open(greedy), "three routes are permitted");
    assert_eq!(rig.table(23).len(), 6);
    rig.say(greedy, &[Msg::Remove(route(0, 0)), Msg::Add(route(0, 0)), Msg::Add(route(1, 0))]);
    assert!(rig.is_open(greedy), "three routes are still permitted");

    rig.say(greedy, &adds(3..4));
    assert_eq!(rig.reason(greedy), over(&rig, PeerLimit::RoutesPerPeer));
    assert_eq!(rig.table(23).len(), 3, "a client that the node closes has no restart time");
    assert_eq!(crate::sim::fold(&rig.heard(subscriber)), rig.table(23));
    assert!(rig.is_open(other) && rig.is_open(subscriber));
    assert_eq!(closed(&rig, CloseKind::Limit(PeerLimit::RoutesPerPeer)), 1);
}

#[test]
fn a_client_that_goes_over_a_limit_is_banned_for_longer_each_time_and_no_other_client_is() {
    let mut rig = server(Limits { routes_per_peer: 1, ban_time_max: Duration::from_secs(4), ..Limits::default() });
    let neighbour = rig.join_from(addr(1), OURS);
    for secs in [1, 2, 4, 4] {
        let greedy = rig.join_from(addr(1), OURS);
        rig.say(greedy, &adds(0..2));
        assert_eq!(rig.reason(greedy), over(&rig, PeerLimit::RoutesPerPeer));

        let refused = rig.accept_from(addr(1));
        assert_eq!(rig.reason(refused), Some(CloseReason::Banned(Duration::from_secs(secs))));
        let other = rig.join_from(addr(2), OURS);
        rig.end(other, TransportEnd::Eof);
        rig.live(secs - 1, &[neighbour]);
        rig.advance(Duration::from_millis(999));
        let refused = rig.accept_from(addr(1));
        assert_eq!(rig.reason(refused), Some(CloseReason::Banned(Duration::from_millis(1))));
        rig.advance(Duration::from_millis(1));
    }
    assert!(rig.is_open(neighbour), "an open session of the same address stays");
    assert_eq!(closed(&rig, CloseKind::Banned), 8);
}

/// Two hosts on two links may have the same link-local address.
#[test]
fn link_local_peers_on_different_links_have_their_own_limits_and_bans() {
    let limits = Limits { connections_per_address: 1, routes_per_peer: 1, ..Limits::default() };
    let mut rig = server(limits);
    let [here, there] = ["[fe80::1%2]:1025", "[fe80::1%3]:1025"].map(|remote| remote.parse().unwrap());
    let first = rig.accept_at(here);
    let second = rig.accept_at(there);
    assert_eq!(rig.reason(second), None, "it is the first connection of its host");
    let again = rig.accept_at(here);
    assert_eq!(rig.reason(again), over(&rig, PeerLimit::ConnectionsPerAddress));

    rig.open(first, OURS);
    rig.say(first, &adds(0..2));
    assert_eq!(rig.reason(first), over(&rig, PeerLimit::RoutesPerPeer));
    rig.end(second, TransportEnd::Eof);
    let (banned, neighbour) = (rig.accept_at(here), rig.accept_at(there));
    assert!(matches!(rig.reason(banned), Some(CloseReason::Banned(_))));
    assert_eq!(rig.reason(neighbour), None);
}

#[test]
fn a_link_local_peer_is_not_closed_for_the_routes_of_the_same_address_on_another_link() {
    let mut rig = server(Limits { routes: 6, ..Limits::default() });
    // Together they would have the most routes.
    let namesakes = ["[fe80::1%2]:1025", "[fe80::1%3]:1025"].map(|remote| rig.join_named(remote, None, OURS));
    let greedy = rig.join_from(addr(1), OURS);
    rig.say(namesakes[0], &adds(0..2));
    rig.say(namesakes[1], &adds(10..12));
    rig.say(greedy, &adds(20..23));
    assert_eq!(rig.reason(greedy), over(&rig, PeerLimit::Routes));
    assert!(namesakes.into_iter().all(|conn| rig.is_open(conn)));
}

#[test]
fn over_the_limit_of_all_routes_the_address_with_the_most_is_closed_not_the_last_one() {
    let mut rig = server(Limits { routes: 10, ..Limits::default() });
    let small = [rig.join_from(addr(2), OURS), rig.join_from(addr(3), LEGACY)];
    rig.say(small[0], &adds(0..3));
    // One address has the most routes, but none of its connections has the most.
    let hoard = [rig.join_from(addr(1), OURS), rig.join_from(addr(1), OURS), rig.join_from(addr(1), OURS)];
    for (n, conn) in hoard.iter().enumerate() {
        let first = 100 + 2 * n as u8;
        rig.say(*conn, &adds(first..first + 2));
    }
    rig.say(small[1], &adds(50..51));
    assert!(rig.closed.is_empty(), "ten routes are permitted");

    rig.say(small[1], &adds(51..52));
    let closed: Vec<ConnId> = rig.closed.keys().copied().collect();
    assert_eq!(closed, [hoard[2]]);
    assert_eq!(rig.reason(hoard[2]), over(&rig, PeerLimit::Routes));
    assert_eq!(rig.table(23).len(), 9);
}

#[test]
fn routes_of_a_departed_client_count_and_go_first() {
    let mut rig = server(Limits { routes: 4, ..Limits::default() });
    let (gone, stays) = (rig.join_from(addr(1), OURS), rig.join_from(addr(2), OURS));
    rig.say(gone, &adds(0..3));
    rig.end(gone, TransportEnd::Eof);
    rig.say(stays, &adds(10..11));
    assert_eq!(rig.table(23).len(), 4, "within its restart time");
    rig.say(stays, &adds(11..12));
    assert!(rig.is_open(stays));
    assert_eq!(rig.table(23), [route(10, 0), route(11, 0)].into());
    rig.live(60, &[stays]);
    assert_eq!(rig.table(23).len(), 2, "its restart time ends only once");
}

/// This also holds if the live session has more routes: it may be the same client, which is taking its routes over.
#[test]
fn retained_routes_go_before_a_live_session_of_the_same_address() {
    let mut rig = server(Limits { routes: 4, ..Limits::default() });
    let (gone, live) = (rig.join_from(addr(1), OURS), rig.join_from(addr(1), OURS));
    rig.say(gone, &adds(0..1));
    rig.end(gone, TransportEnd::Eof);
    rig.say(live, &adds(1..4));
    let other = rig.join_from(addr(2), OURS);
    rig.say(other, &adds(9..10));
    assert!(rig.is_open(live) && rig.is_open(other));
    assert_eq!(rig.table(23).len(), 4);
    assert_eq!(closed(&rig, CloseKind::Limit(PeerLimit::Routes)), 1, "and is counted");
}

#[test]
fn a_restarted_client_does_not_count_twice() {
    let mut rig = server(Limits { routes: 3, routes_per_peer: 3, ..Limits::default() });
    for _ in 0..5 {
        let conn = rig.join_from(addr(1), OURS);
        rig.say(conn, &adds(0..3));
        assert!(rig.is_open(conn));
        rig.end(conn, TransportEnd::Eof);
    }
    assert_eq!(rig.table(23).len(), 3);
}

#[test]
fn over_the_limit_of_next_hops_the_address_with_the_most_is_closed() {
    let mut rig = server(Limits { next_hops: 20, ..Limits::default() });
    let hop = |hypervisor: u16| Msg::Add(route(1, hypervisor));
    let small: Vec<ConnId> = (10..14).map(|n| rig.join_from(addr(n), OURS)).collect();
    for (n, conn) in small.iter().enumerate() {
        rig.say(*conn, &[hop(n as u16)]);
    }
    let greedy = rig.join_from(addr(1), NO_RESTART_TIME);
    rig.say(greedy, &(100..116).map(hop).collect::<Vec<_>>());
    assert!(rig.closed.is_empty(), "twenty next hops are permitted");
    // Other destinations have their own number, and a second announcer adds nothing.
    rig.say(greedy, &[Msg::Add(route(2, 1)), hop(0)]);
    assert!(rig.closed.is_empty());

    let late = rig.join_from(addr(20), OURS);
    rig.say(late, &[hop(99)]);
    assert_eq!(rig.reason(greedy), over(&rig, PeerLimit::NextHops));
    assert!(rig.is_open(late) && small.iter().all(|conn| rig.is_open(*conn)));
    assert_eq!(rig.table(23).len(), 5);
}

/// Next hops count even if they are moved to another destination and back. Sessions that announce the same next hops
/// are closed together.
#[test]
fn the_limit_of_next_hops_holds_in_whatever_order_they_arrive() {
    let mut rig = server(Limits { next_hops: 20, ban_time_max: Duration::ZERO, ..Limits::default() });
    let hop = |n: u8, hypervisor: u16| route(n, hypervisor);
    let honest = rig.join_from(addr(9), OURS);
    rig.say(honest, &[Msg::Add(hop(1, 999)), Msg::Add(hop(2, 999))]);
    let sessions: Vec<ConnId> = (0..6).map(|_| rig.join_from(addr(1), NO_RESTART_TIME)).collect();
    for conn in &sessions {
        rig.say(*conn, &(0..19).map(|n| Msg::Add(hop(2, n))).collect::<Vec<_>>());
    }
    let more = (0..30).map(|n| Msg::Add(hop(1, n)));
    let decoy = [Msg::Add(hop(2, 500)), Msg::Remove(hop(2, 500))];
    rig.say(sessions[0], &more.chain(decoy).collect::<Vec<_>>());
    assert_eq!(rig.reason(sessions[0]), over(&rig, PeerLimit::NextHops));
    rig.say(sessions[1], &[Msg::Add(hop(2, 600)), Msg::Add(hop(2, 601))]);
    assert!(rig.closed.len() > 1 && rig.is_open(honest));
    for n in [1, 2] {
        let hops = rig.table(23).into_iter().filter(|r| r.prefix == hop(n, 0).prefix);
        assert!(hops.count() <= 20);
    }
}

#[test]
fn a_peer_with_a_vni_too_many_is_closed() {
    let mut rig = server(Limits { vnis_per_peer: 2, ..Limits::default() });
    let (conn, other) = (rig.join_from(addr(1), OURS), rig.join_from(addr(2), OURS));
    rig.say(conn, &[1, 2, 1, 2].map(subscribe));
    rig.say(conn, &[Msg::Unsubscribe(Vni(1)), subscribe(3)]);
    assert!(rig.is_open(conn));
    rig.say(conn, &[subscribe(4)]);
    assert_eq!(rig.reason(conn), over(&rig, PeerLimit::VnisPerPeer));
    rig.say(other, &[1, 2].map(subscribe));
    assert!(rig.is_open(other));
}

#[test]
fn a_peer_that_announces_in_a_vni_too_many_is_closed() {
    let mut rig = server(Limits { vnis_per_peer: 2, ..Limits::default() });
    let (conn, other) = (rig.join_from(addr(1), OURS), rig.join_from(addr(2), OURS));
    rig.say(other, &[1, 2].map(|vni| Msg::Add(route_in(vni, 1, 1))));
    // A VNI without announcements counts no more, even if peers subscribe to it.
    rig.say(other, &[subscribe(1), subscribe(3)]);
    for vni in 1..10 {
        rig.say(conn, &[Msg::Add(route_in(vni, 1, 2)), Msg::Add(route_in(vni, 2, 2))]);
        rig.say(conn, &[Msg::Remove(route_in(vni, 1, 2)), Msg::Remove(route_in(vni, 2, 2))]);
    }
    rig.say(conn, &[3, 4].map(|vni| Msg::Add(route_in(vni, 1, 2))));
    assert!(rig.is_open(conn));
    // A subscription to the VNI does not avoid the limit.
    rig.say(conn, &[subscribe(5), Msg::Add(route_in(5, 1, 2)), Msg::Unsubscribe(Vni(5))]);
    assert_eq!(rig.reason(conn), over(&rig, PeerLimit::VnisPerPeer));
    assert_eq!(rig.seat.node.vnis().count(), 2);
}

#[test]
fn over_the_limit_of_all_vnis_the_address_with_the_most_is_closed() {
    let mut rig = server(Limits { vnis: 6, ..Limits::default() });
    let (greedy, small) = (rig.join_from(addr(1), NO_RESTART_TIME), rig.join_from(addr(2), OURS));
    rig.say(greedy, &[1, 2, 3, 4].map(|vni| Msg::Add(route_in(vni, 1, 1))));
    rig.say(small, &[4, 1].map(|vni| Msg::Add(route_in(vni, 1, 2))));
    assert!(rig.closed.is_empty());
    rig.say(small, &[Msg::Add(route_in(5, 1, 2))]);
    assert_eq!(rig.reason(greedy), over(&rig, PeerLimit::Vnis));
    assert!(rig.is_open(small));
    assert_eq!(rig.seat.node.vnis().count(), 3);
}

#[test]
fn over_the_limit_of_all_subscriptions_the_address_with_the_most_is_closed() {
    let mut rig = server(Limits { subscriptions: 5, ..Limits::default() });
    let (greedy, small) = (rig.join_from(addr(1), OURS), rig.join_from(addr(2), OURS));
    rig.say(greedy, &[1, 2, 3].map(subscribe));
    rig.say(small, &[1, 2].map(subscribe));
    rig.say(small, &[subscribe(4)]);
    // Three each: of equals, the later one is closed.
    assert_eq!(rig.reason(small), over(&rig, PeerLimit::Subscriptions));
    rig.advance_secs(1);
    let small = rig.join_from(addr(2), OURS);
    rig.say(small, &[1, 2].map(subscribe));
    rig.say(greedy, &[subscribe(4)]);
    assert_eq!(rig.reason(greedy), over(&rig, PeerLimit::Subscriptions));
    assert!(rig.is_open(small));
}

#[test]
fn a_server_that_sends_too_many_routes_is_closed_and_dialled_again_later_each_time() {
    let limits = Limits { routes: 3, ban_time_max: Duration::from_secs(5), ..Limits::default() };
    let mut rig = Rig::client(Config { limits, ..Config::default() });
    rig.subscribe(23);
    let mut first = 0;
    for secs in [1, 2, 4, 5, 5] {
        let (conn, _) = rig.reach(OUR_SERVER);
        rig.serve(6, &[conn]);
        // Different routes each time.
        first += 10;
        rig.say(conn, &adds(first..first + 4));
        assert_eq!(rig.reason(conn), over(&rig, PeerLimit::Routes));
        let kept = rig.learned(23).len();
        assert!((4..=10).contains(&kept), "{kept}: learned routes stay for the stale time, and do not accumulate");
        rig.advance(Duration::from_millis(secs * 1000 - 1));
        assert_eq!(rig.dials.len(), 0, "before {secs} s");
        rig.advance(Duration::from_millis(1));
        assert_eq!(rig.dials.len(), 1, "after {secs} s");
    }
}

#[test]
fn a_server_that_does_not_read_is_closed_after_the_send_hold_time() {
    let config = Config { send_hold_time: Duration::from_secs(7), ..Config::default() };
    let mut rig = Rig::client(config);
    let (conn, _) = rig.reach(OUR_SERVER);
    rig.stall(conn);
    rig.announce(route(1, 1));
    for _ in 0..6 {
        rig.advance_secs(1);
        rig.say(conn, &[Msg::Keepalive]);
    }
    assert!(rig.is_open(conn));
    rig.advance_secs(1);
    assert_eq!(rig.reason(conn), Some(CloseReason::NotReading(Duration::from_secs(7))));
    assert_eq!(closed(&rig, CloseKind::NotReading), 1);
}

#[test]
fn a_handshake_that_takes_too_long_is_counted() {
    let mut rig = Rig::server();
    let conn = rig.accept_from(addr(1));
    rig.advance_secs(10);
    assert_eq!(rig.reason(conn), Some(CloseReason::HandshakeTimeout(SessionState::Connecting)));
    assert_eq!(rig.seat.node.closed().collect::<Vec<_>>(), [(CloseKind::HandshakeTimeout, 1)]);
}

/// What one of six peers from three addresses does.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Add(u8, u8),
    Remove(u8, u8),
    Subscribe(u8),
    Unsubscribe(u8),
    Leave,
    Wait,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        8 => (0..4u8, 0..6u8).prop_map(|(n, hop)| Deed::Add(n, hop)),
        1 => (0..4u8, 0..6u8).prop_map(|(n, hop)| Deed::Remove(n, hop)),
        3 => (0..6u8).prop_map(Deed::Subscribe),
        1 => (0..6u8).prop_map(Deed::Unsubscribe),
        1 => Just(Deed::Leave),
        1 => Just(Deed::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    /// No peer and no address exceeds its limits, nor do all together, and the node closes a peer only for a limit that
    /// it exceeded.
    #[test]
    fn no_limit_is_ever_exceeded_and_no_peer_is_closed_below_it(
        deeds in proptest::collection::vec((0..6usize, deed()), 0..120)
    ) {
        let limits = Limits {
            connections: 5, connections_per_address: 2, routes: 20, routes_per_peer: 9, next_hops: 5, subscriptions: 10,
            vnis_per_peer: 4, ..Limits::default()
        };
        let mut rig = server(limits.clone());
        let mut conns: [Option<ConnId>; 6] = [None; 6];
        for (peer, deed) in deeds {
            let conn = match conns[peer] {
                Some(conn) if !rig.closed.contains_key(&conn) => conn,
                _ => {
                    let conn = rig.accept_from(addr(peer as u8 % 3));
                    rig.say(conn, &[Msg::Hello(OURS)]);
                    rig.say(conn, &[Msg::Keepalive]);
                    conns[peer] = Some(conn);
                    conn
                }
            };
            let before = rig.closed.len();
            match deed {
                Deed::Add(n, hop) => rig.say(conn, &[Msg::Add(route(n, hop.into()))]),
                Deed::Remove(n, hop) => rig.say(conn, &[Msg::Remove(route(n, hop.into()))]),
                Deed::Subscribe(vni) => rig.say(conn, &[subscribe(vni.into())]),
                Deed::Unsubscribe(vni) => rig.say(conn, &[Msg::Unsubscribe(Vni(vni.into()))]),
                Deed::Leave => {
                    rig.end(conn, TransportEnd::Eof);
                    conns[peer] = None;
                }
                Deed::Wait => {
                    let open: Vec<ConnId> = conns.iter().flatten().copied().collect();
                    rig.live(1, &open);
                }
            }
            prop_assert!(rig.closed.len() <= before + 6);
            let sessions: Vec<_> = rig.seat.node.sessions().collect();
            prop_assert!(sessions.len() <= limits.connections);
            prop_assert!(sessions.iter().all(|s| s.routes <= limits.routes_per_peer));
            prop_assert!(sessions.iter().all(|s| s.subscriptions <= limits.vnis_per_peer));
            prop_assert!(sessions.iter().map(|s| s.subscriptions).sum::<usize>() <= limits.subscriptions);
            prop_assert!(sessions.iter().map(|s| s.routes).sum::<usize>() <= limits.routes);
            prop_assert!(rig.seat.node.route_count() <= limits.routes, "including retained routes");
            for destination in rig.seat.node.destinations(Vni(23)) {
                prop_assert!(destination.next_hops.len() <= limits.next_hops);
            }
            for closed in rig.closed.keys() {
                let why = rig.reason(*closed);
                prop_assert!(
                    matches!(why, Some(CloseReason::Limit { .. } | CloseReason::Banned(_))), "{:?}", why
                );
            }
        }
    }
}

/// A client that connects with many routes and leaves again and again does not accumulate retained routes. As the
/// driver does, a Tick follows each mebibyte, in which a slice of the remaining routes is withdrawn.
#[test]
fn routes_of_clients_that_come_and_go_fast_do_not_accumulate() {
    let limits = Limits { routes_per_peer: 30_000, routes: 30_000, ban_time_max: Duration::ZERO, ..Limits::default() };
    let mut node = Node::new(Config { limits, seed: 1, ..Config::default() }, Instant::EPOCH).unwrap();
    let (now, mut most) = (Instant::EPOCH, 0);
    for visit in 0..40u32 {
        let conn = ConnId::accepted(visit.into());
        let remote = (addr((visit % 200) as u8), 1025).into();
        node.handle_input(now, Input::Accepted { conn, remote });
        let hello = crate::sim::wire::encode_all(&[Msg::Hello(NO_RESTART_TIME), Msg::Keepalive]);
        node.handle_input(now, Input::Received { conn, bytes: hello.into() });
        for part in 0..30u16 {
            let msgs: Vec<Msg> = (0..1000).map(|n| Msg::Add(route_in(visit, n as u8, part << 8 | n >> 8))).collect();
            let bytes = crate::sim::wire::encode_all(&msgs).into();
            node.handle_input(now, Input::Received { conn, bytes });
            if part % 15 == 14 {
                node.handle_input(now, Input::Tick);
            }
            most = most.max(node.route_count());
        }
        node.handle_input(now, Input::Closed { conn, end: TransportEnd::Eof });
    }
    assert!(most <= 90_000, "{most} routes at once");
    while node.poll_timeout() == Some(now) {
        node.handle_input(now, Input::Tick);
        while node.poll_transmit().is_some() {}
    }
    assert_eq!(node.route_count(), 0);
}

fn server(limits: Limits) -> Rig {
    let mut rig = Rig::server_with(Config { limits, pacing: None, ..Config::default() });
    // Sessions end for reasons that the watcher doesn't know.
    rig.seat.is_watched = false;
    rig
}

fn addr(n: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, n).into()
}

fn over(rig: &Rig, limit: PeerLimit) -> Option<CloseReason> {
    Some(CloseReason::Limit { limit, max: rig.seat.node.config().limits.get(limit) })
}

fn closed(rig: &Rig, kind: CloseKind) -> u64 {
    rig.seat.node.closed().collect::<BTreeMap<_, _>>().get(&kind).copied().unwrap_or(0)
}

fn adds(numbers: std::ops::Range<u8>) -> Vec<Msg> {
    numbers.map(|n| Msg::Add(route(n, 0))).collect()
}

fn subscribe(vni: u32) -> Msg {
    Msg::Subscribe(Vni(vni))
}
