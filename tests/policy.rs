//! A policy at work in a node: routes that it refuses never enter the table, and a new policy also applies to open
//! sessions.

use std::net::IpAddr;
use std::sync::Arc;

use crate::sim::model::Routes;
use crate::sim::policies::{self, Credentials};
use crate::sim::rig::{LEGACY, NO_RESTART_TIME, OURS, Rig, route, route_in};
use crate::sim::wire::{Hello, Msg};
use metalbond::{
    AnnounceRule, Close, CloseReason, Command, ConnId, Denied, DeniedItem, Input, PeerLimit, Policy, Route, Rule,
    SessionInfo, SessionState, TransportEnd, Vni,
};
use proptest::prelude::*;

/// See `sim::policies`.
const NOBODY: u8 = 1;
const EVENS: u8 = 2;
const NARROW: u8 = 3;
const OWN: u8 = 4;
const ONLY_EVENS: u8 = 5;

#[test]
fn a_refused_route_is_dropped_counted_and_reported_and_the_session_stays() {
    let mut rig = server(OWN);
    let (third, peer) = (subscriber(&mut rig), join(&mut rig, 1, OURS));
    rig.say(peer, &[Msg::Add(route(1, 1)), Msg::Add(route(2, 7)), Msg::Add(route(3, 8)), Msg::Keepalive]);
    assert_eq!(rig.heard_routes(third), [Msg::Add(route(1, 1))]);
    assert_eq!(rig.heard(peer), [Msg::Keepalive]);
    assert_eq!(session(&rig, peer).counters.denied_routes, 2);
    let refusal = &rig.refusals[0];
    assert_eq!((refusal.conn, &*refusal.rule, refusal.count), (Some(peer), "own", 2));
    assert_eq!((refusal.what, refusal.why), (DeniedItem::Announcement(route(2, 7)), Denied::NextHop(host(7))));
    let said = "announcement of 23 10.0.0.2/32 via 2001:db8::7: rule 'own' permits no next hop 2001:db8::7; and 1 more";
    assert_eq!((refusal.to_string().as_str(), rig.refusals.len()), (said, 1));
}

#[test]
fn a_refused_route_withdraws_no_route_of_another_client() {
    let mut rig = server(OWN);
    let (third, owner, other) = (subscriber(&mut rig), join(&mut rig, 1, OURS), join(&mut rig, 2, OURS));
    rig.say(owner, &[Msg::Add(route(1, 1))]);
    rig.say(other, &[Msg::Add(route(1, 1)), Msg::Remove(route(1, 1))]);
    rig.end(other, TransportEnd::Eof);
    assert_eq!(rig.heard_routes(third), [Msg::Add(route(1, 1))]);
    assert_eq!(rig.table(23), Routes::from([route(1, 1)]));
}

#[test]
fn a_refused_subscription_is_answered_like_an_empty_one() {
    let mut rig = server(NARROW);
    let (announcer, peer) = (join(&mut rig, 1, OURS), join(&mut rig, 2, OURS));
    rig.say(announcer, &[Msg::Add(route_in(23, 1, 1))]);
    rig.command(Command::Announce(route_in(77, 1, 1))).unwrap();
    rig.say(peer, &[Msg::Subscribe(Vni(77)), Msg::Subscribe(Vni(23)), Msg::Keepalive]);
    assert_eq!(rig.heard(peer), [Msg::Add(route_in(23, 1, 1)), Msg::Keepalive], "the routes and the End-of-RIB");
    let SessionInfo { subscriptions, counters, rule, .. } = session(&rig, peer);
    assert_eq!((subscriptions, counters.denied_subscriptions, rule.as_deref()), (1, 1, Some("narrow")));
    assert_eq!(rig.refusals[0].what, DeniedItem::Subscription(Vni(77)));
}

#[test]
fn a_client_without_a_rule_is_closed_at_its_hello_and_sent_nothing() {
    let mut rig = server(ONLY_EVENS);
    let conn = rig.accept_from(host(1));
    rig.say(conn, &[Msg::Hello(OURS), Msg::Keepalive, Msg::Subscribe(Vni(23)), Msg::Add(route(1, 1))]);
    assert_eq!(rig.reason(conn), Some(CloseReason::NotPermitted));
    assert_eq!((rig.heard(conn), rig.table(23)), (vec![], Routes::new()));
    assert!(rig.seat.node.closed().any(|(kind, count)| (kind.name(), count) == ("not_permitted", 1)));
}

#[test]
fn a_peer_is_identified_by_its_certificate_from_any_address() {
    let rule = Rule {
        subscribe: "23".parse().unwrap(),
        announce: vec![AnnounceRule::own("23".parse().unwrap())],
        ..Rule::new("h1", ["dns:h1.example.org".parse().unwrap()])
    };
    let mut rig = unwatched(Some(Policy::new([rule])));
    let (stranger, conn) = (rig.accept_from(host(1)), rig.accept_from(host(9)));
    let names = ["dns:h1.example.org", "ip:2001:db8::1"].map(|name| name.parse().unwrap());
    rig.feed(Input::Identified { conn, names: Arc::from(names) });
    for conn in [stranger, conn] {
        rig.say(conn, &[Msg::Hello(OURS), Msg::Keepalive, Msg::Add(route(1, 1)), Msg::Add(route(2, 9))]);
    }
    assert_eq!(rig.reason(stranger), Some(CloseReason::NotPermitted));
    assert_eq!(rig.table(23), Routes::from([route(1, 1)]));
}

#[test]
fn a_new_policy_withdraws_denied_routes_and_the_session_stays() {
    let mut rig = server(0);
    let (third, peer) = (subscriber(&mut rig), join(&mut rig, 1, OURS));
    rig.say(peer, &[Msg::Add(route(1, 1)), Msg::Add(route(2, 7)), Msg::Add(route(3, 7))]);
    rig.heard_routes(third);
    set(&mut rig, OWN);
    let mut heard = rig.heard_routes(third);
    heard.sort_by_key(|msg| format!("{msg:?}"));
    assert_eq!(heard, [Msg::Remove(route(2, 7)), Msg::Remove(route(3, 7))]);
    assert!(rig.is_open(peer));
    assert_eq!(session(&rig, peer).counters.denied_routes, 2);
    let [refusal] = &rig.refusals[..] else { panic!("{:?}", rig.refusals) };
    assert!(matches!(refusal.what, DeniedItem::Standing(_)) && refusal.count == 2, "{refusal}");
}

#[test]
fn a_new_policy_adds_newly_permitted_routes_and_keeps_permitted_ones() {
    let mut rig = server(OWN);
    let (third, peer) = (subscriber(&mut rig), join(&mut rig, 1, OURS));
    rig.say(peer, &[Msg::Add(route(1, 1)), Msg::Add(route(2, 7))]);
    assert_eq!(rig.heard_routes(third), [Msg::Add(route(1, 1))]);
    set(&mut rig, 0);
    assert_eq!(rig.reason(peer), Some(CloseReason::PolicyChanged));
    let again = join(&mut rig, 1, OURS);
    rig.say(again, &[Msg::Add(route(1, 1)), Msg::Add(route(2, 7))]);
    rig.live(60, &[again, third]);
    assert_eq!(rig.heard_routes(third), [Msg::Add(route(2, 7))]);
}

#[test]
fn a_session_without_refusals_stays_when_a_policy_permits_more() {
    let mut rig = server(OWN);
    let (third, peer) = (subscriber(&mut rig), join(&mut rig, 2, OURS));
    rig.say(peer, &[Msg::Add(route(1, 2))]);
    for policy in [0, EVENS, OWN] {
        set(&mut rig, policy);
    }
    assert_eq!(rig.heard_routes(third), [Msg::Add(route(1, 2))]);
    assert!(rig.is_open(peer) && rig.is_open(third));
}

#[test]
fn a_subscriber_that_a_new_policy_denies_a_vni_has_to_reconnect() {
    let mut rig = server(0);
    let (announcer, peer) = (join(&mut rig, 1, OURS), join(&mut rig, 2, OURS));
    rig.say(announcer, &[Msg::Add(route_in(0x0100_0007, 1, 1))]);
    rig.say(peer, &[Msg::Subscribe(Vni(0x0100_0007)), Msg::Keepalive]);
    assert_eq!(rig.heard_routes(peer).len(), 1);
    set(&mut rig, NARROW);
    assert_eq!(rig.reason(peer), Some(CloseReason::PolicyChanged));
    let again = join(&mut rig, 2, OURS);
    rig.say(again, &[Msg::Subscribe(Vni(0x0100_0007)), Msg::Keepalive]);
    assert_eq!(rig.heard(again), [Msg::Keepalive], "an End-of-RIB, so that the subscriber removes its routes");
}

#[test]
fn a_client_that_a_new_policy_permits_nothing_is_closed_at_once_with_all_its_routes() {
    let mut rig = server(0);
    let (third, peer) = (subscriber(&mut rig), join(&mut rig, 1, OURS));
    rig.say(peer, &[Msg::Add(route(1, 1))]);
    set(&mut rig, ONLY_EVENS);
    assert_eq!((rig.reason(peer), rig.closed.get(&peer)), (Some(CloseReason::NotPermitted), Some(&Close::Now)));
    assert_eq!(rig.heard_routes(third), [Msg::Add(route(1, 1)), Msg::Remove(route(1, 1))]);
}

#[test]
fn routes_that_arrive_before_a_new_policy_is_applied_are_held_to_it() {
    let mut rig = server(0);
    let (third, peer) = (subscriber(&mut rig), join(&mut rig, 1, OURS));
    rig.feed_within_turn(Input::Command(Command::SetPolicy(policies::policy(OWN))));
    rig.say(peer, &[Msg::Add(route(2, 7))]);
    assert_eq!((rig.heard_routes(third), rig.table(23)), (vec![], Routes::new()));
}

#[test]
fn retained_routes_are_held_to_a_new_policy_as_well() {
    for (policy, left) in [(OWN, Routes::from([route(1, 1)])), (NOBODY, Routes::new())] {
        let mut rig = server(0);
        let peer = join(&mut rig, 1, OURS);
        rig.say(peer, &[Msg::Add(route(1, 1)), Msg::Add(route(2, 7))]);
        rig.end(peer, TransportEnd::Reset);
        assert_eq!(rig.table(23).len(), 2);
        set(&mut rig, policy);
        assert_eq!(rig.table(23), left);
        rig.advance_secs(10);
        assert_eq!(rig.table(23), Routes::new());
    }
}

#[test]
fn a_client_that_leaves_before_a_new_policy_is_applied_leaves_only_permitted_routes() {
    for (policy, left) in [(OWN, Routes::from([route(1, 1)])), (NOBODY, Routes::new())] {
        let mut rig = unwatched(None);
        let peer = join(&mut rig, 1, OURS);
        rig.say(peer, &[Msg::Add(route(1, 1)), Msg::Add(route(2, 7))]);
        rig.feed_within_turn(Input::Command(Command::SetPolicy(policies::policy(policy))));
        rig.end(peer, TransportEnd::Eof);
        assert_eq!(rig.table(23), left);
    }
}

#[test]
fn an_unsubscribe_from_a_refused_vni_withdraws_what_a_legacy_peer_announces_in_it() {
    let mut policy = policies::policy(NARROW).unwrap().rules()[0].as_ref().clone();
    policy.subscribe = "0".parse().unwrap();
    let mut rig = unwatched(Some(Policy::new([policy])));
    let peer = join(&mut rig, 1, LEGACY);
    rig.say(peer, &[Msg::Add(route(1, 1)), Msg::Unsubscribe(Vni(23))]);
    assert_eq!(rig.table(23).len(), 1, "the peer has no subscription to this VNI");
    rig.say(peer, &[Msg::Subscribe(Vni(23)), Msg::Unsubscribe(Vni(23))]);
    assert_eq!(rig.table(23), Routes::new());
}

#[test]
fn a_rule_has_limits_of_its_own() {
    let rule = |max_routes| {
        let rule = policies::policy(OWN).unwrap().rules()[0].as_ref().clone();
        Some(Policy::new([Rule { max_routes, max_vnis: Some(1), ..rule }]))
    };
    let mut rig = unwatched(rule(Some(2)));
    let over = |limit, max| Some(CloseReason::Limit { limit, max });
    let (one, other, third) = (join(&mut rig, 1, OURS), join(&mut rig, 2, OURS), join(&mut rig, 3, OURS));
    rig.say(one, &[Msg::Add(route(1, 1)), Msg::Add(route(2, 1)), Msg::Add(route(3, 1))]);
    assert_eq!(rig.reason(one), over(PeerLimit::RoutesPerPeer, 2));
    rig.say(other, &[Msg::Subscribe(Vni(1)), Msg::Subscribe(Vni(2))]);
    assert_eq!(rig.reason(other), over(PeerLimit::VnisPerPeer, 1));
    rig.say(third, &[Msg::Add(route(1, 3)), Msg::Add(route(2, 3))]);
    assert!(rig.is_open(third));
    rig.command(Command::SetPolicy(rule(Some(1)))).unwrap();
    assert_eq!(rig.reason(third), over(PeerLimit::RoutesPerPeer, 1), "a lower limit applies at once");
}

#[test]
fn a_new_policy_is_applied_to_a_large_table_in_slices_and_peers_are_served_in_between() {
    let mut rig = unwatched(None);
    let (peer, other) = (join(&mut rig, 1, NO_RESTART_TIME), join(&mut rig, 2, OURS));
    let routes = (0..20_000u32).map(|n| {
        let prefix = format!("10.{}.{}.{}/32", n >> 16, n >> 8 & 255, n & 255).parse().unwrap();
        Msg::Add(Route { prefix, ..route(0, if n % 2 == 0 { 1 } else { 7 }) })
    });
    rig.say(peer, &routes.collect::<Vec<_>>());
    rig.feed_within_turn(Input::Command(Command::SetPolicy(policies::policy(OWN))));
    let mut slices = 0;
    while rig.table(23).len() > 10_000 {
        slices += 1;
        assert!(slices < 100, "the policy is not applied in the end");
        rig.feed_within_turn(Input::Tick);
        let bytes = crate::sim::wire::encode(&Msg::Keepalive).into();
        rig.feed_within_turn(Input::Received { conn: other, bytes });
        let answers = rig.seat.drain();
        assert!(answers.iter().any(|transmit| transmit.conn == other), "slice {slices}");
        rig.feed_within_turn(Input::Sent { conn: other });
    }
    assert!(slices > 3, "{slices}");
}

/// What can happen in one iteration. Numbers are taken modulo the size of their domain.
#[derive(Clone, Debug)]
enum Act {
    Policy(u8),
    Announce(u8, u8, u8),
    Withdraw(u8, u8, u8),
    Come(u8),
    Leave(u8),
    EndOfIteration,
}

proptest! {
    /// Policies replace each other before the node has applied them. Peers are on even and odd hosts, and send any
    /// message.
    #[test]
    fn no_refused_route_is_in_the_table_at_rest(
        acts in prop::collection::vec(
            prop_oneof![
                3 => (0..policies::COUNT).prop_map(Act::Policy),
                6 => (0..4u8, 0..3u8, 1..4u8).prop_map(|(p, n, hop)| Act::Announce(p, n, hop)),
                2 => (0..4u8, 0..3u8, 1..4u8).prop_map(|(p, n, hop)| Act::Withdraw(p, n, hop)),
                2 => (0..4u8).prop_map(Act::Come),
                1 => (0..4u8).prop_map(Act::Leave),
                2 => Just(Act::EndOfIteration),
            ],
            1..60,
        ),
    ) {
        let mut rig = unwatched(None);
        let mut peers: [Option<(ConnId, Routes)>; 4] = Default::default();
        let mut policy = 0;
        for act in &acts {
            match *act {
                Act::Policy(n) => {
                    policy = n;
                    rig.feed_within_turn(Input::Command(Command::SetPolicy(policies::policy(n))));
                }
                Act::Come(p) if policies::admits(policy, &Credentials::of_host(host(p))) => {
                    let conn = rig.accept_from(host(p));
                    rig.say(conn, &[Msg::Hello(OURS), Msg::Keepalive]);
                    peers[usize::from(p)] = Some((conn, Routes::new()));
                }
                Act::Announce(p, n, hop) => {
                    if let Some((conn, said)) = &mut peers[usize::from(p)] {
                        let bytes = crate::sim::wire::encode(&Msg::Add(route(n, hop.into()))).into();
                        said.insert(route(n, hop.into()));
                        rig.feed_within_turn(Input::Received { conn: *conn, bytes });
                    }
                }
                Act::Withdraw(p, n, hop) => {
                    if let Some((conn, said)) = &mut peers[usize::from(p)] {
                        let bytes = crate::sim::wire::encode(&Msg::Remove(route(n, hop.into()))).into();
                        said.remove(&route(n, hop.into()));
                        rig.feed_within_turn(Input::Received { conn: *conn, bytes });
                    }
                }
                Act::Leave(p) => {
                    if let Some((conn, _)) = peers[usize::from(p)].take() {
                        rig.end(conn, TransportEnd::Eof);
                    }
                }
                Act::Come(_) => {}
                Act::EndOfIteration => rig.feed(Input::Tick),
            }
        }
        rig.feed(Input::Tick);
        let mut allowed = Routes::new();
        for (p, peer) in (0..).zip(&peers) {
            let Some((conn, said)) = peer else { continue };
            let may = |route: &&Route| policies::may_announce(policy, &Credentials::of_host(host(p)), route);
            let expected: Routes = said.iter().filter(may).copied().collect();
            if rig.is_open(*conn) {
                let announced: Routes = rig.seat.node.announced_by(metalbond::Announcer::Conn(*conn)).collect();
                prop_assert_eq!(announced, expected.clone(), "routes of {} (left), permitted ones (right)", conn);
            }
            allowed.extend(expected);
        }
        // The table also contains retained routes of departed clients: each must be one that a client with permission
        // has announced.
        for route in rig.table(23).difference(&allowed) {
            let may = (0..4).any(|p| policies::may_announce(policy, &Credentials::of_host(host(p)), route));
            prop_assert!(may, "{} is in the table", route);
        }
    }
}

fn host(n: u8) -> IpAddr {
    IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, n.into()])
}

fn server(policy: u8) -> Rig {
    let mut rig = Rig::server();
    set(&mut rig, policy);
    rig
}

fn unwatched(policy: Option<Policy>) -> Rig {
    let mut rig = Rig::unwatched();
    rig.command(Command::SetPolicy(policy)).unwrap();
    rig
}

fn set(rig: &mut Rig, policy: u8) {
    rig.command(Command::SetPolicy(policies::policy(policy))).unwrap();
}

fn join(rig: &mut Rig, n: u8, hello: Hello) -> ConnId {
    let conn = rig.join_from(host(n), hello);
    assert_eq!(session(rig, conn).state, SessionState::Established);
    conn
}

/// Adds a subscriber on an even host.
fn subscriber(rig: &mut Rig) -> ConnId {
    let conn = join(rig, 4, OURS);
    rig.say(conn, &[Msg::Subscribe(Vni(23))]);
    conn
}

fn session(rig: &Rig, conn: ConnId) -> SessionInfo {
    rig.seat.node.sessions().find(|session| session.conn == conn).expect("the session is open")
}
