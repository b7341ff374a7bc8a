//! Units of work: what one call does does not grow with the number of peers or VNIs. Counted in what follows from a call, not in time.
//! And what may happen between two slices.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use bytes::{Bytes, BytesMut};

use super::*;
use crate::wire::{self, Hello, Update, UpdateAction};
use crate::{AnnounceRule, CloseKind, Limits, NextHop, PeerLimit, Policy, Prefix, Route, Rule, SessionState, Vni};

const PEERS: u64 = 65_536;
const NOW: Instant = Instant::EPOCH;

fn hello(restart_time: u32) -> Hello {
    Hello { keepalive: 5, is_server: false, ordered: true, converging: false, restart_time }
}

fn update(vni: u32, n: u64) -> Bytes {
    let addr = IpAddr::V6(Ipv6Addr::from(u128::from(n) | 0x2001_0db8 << 96));
    let (prefix, next_hop) = (Prefix::new(addr, 128).unwrap(), NextHop::standard(addr));
    let mut out = BytesMut::new();
    wire::encode_update(
        &mut out,
        &Update { action: UpdateAction::Add, route: Route { vni: Vni(vni), prefix, next_hop } },
    );
    out.freeze()
}

/// Accepts a peer from an address of its own, which announces one route.
fn join(node: &mut Node, n: u64) {
    let conn = ConnId::accepted(n);
    let ip = Ipv6Addr::from(u128::from(n / 4) | 0x2001_0db8 << 96);
    node.handle_input(NOW, Input::Accepted { conn, remote: SocketAddr::from((ip, 1025)) });
    let handshake = [Bytes::copy_from_slice(&hello(0).encode()), wire::keepalive()].concat();
    node.handle_input(NOW, Input::Received { conn, bytes: handshake.into() });
    node.handle_input(NOW, Input::Received { conn, bytes: update(1, n) });
}

fn server(limits: Limits, peers: u64) -> Node {
    let limits = Limits { connections_per_second: u32::MAX, ..limits };
    let mut node = Node::new(Config { limits, ..Config::default() }, NOW).unwrap();
    for n in 0..peers {
        join(&mut node, n);
    }
    assert_eq!(node.sessions().filter(|session| session.state == SessionState::Established).count() as u64, peers);
    node
}

fn closed(actions: &Actions) -> usize {
    actions.iter().filter(|action| matches!(action, Action::Close { .. })).count()
}

/// Ticks while there is work. Returns how many connections each tick closed.
fn ticks(node: &mut Node) -> Vec<usize> {
    core::iter::from_fn(|| {
        (node.poll_timeout() == Some(NOW)).then(|| {
            while node.poll_transmit().is_some() {}
            closed(&node.handle_input(NOW, Input::Tick))
        })
    })
    .collect()
}

#[test]
fn a_limit_is_relieved_in_slices_however_many_peers_there_are() {
    let limits = Limits { routes: PEERS as usize - 1, connections: PEERS as usize, ..Limits::default() };
    let mut node = server(limits, PEERS - 1);
    ticks(&mut node);
    // One more client reaches the limit, and its second route goes over it.
    let bytes = [update(1, PEERS), update(1, PEERS + 1)].concat().into();
    let actions = node.handle_input(NOW, Input::Received { conn: ConnId::accepted(7), bytes });
    assert_eq!(closed(&actions), 0, "the walk over all peers is not done in one call");
    let closed = ticks(&mut node);
    let is_looking = closed.iter().take_while(|closed| **closed == 0).count();
    assert!(is_looking >= 50, "{is_looking} ticks look at all peers");
    assert!(closed.iter().all(|closed| *closed <= background::SLICE / 16), "{closed:?}");
    assert_eq!(node.route_count(), PEERS as usize - 1 - (PEERS as usize - 1) / 64);
    assert!(!node.sessions().any(|session| session.conn == ConnId::accepted(7)), "the one that had the most is closed");
    let over: Vec<_> = node.closed().collect();
    assert_eq!(over, [(CloseKind::Limit(PeerLimit::Routes), closed.iter().sum::<usize>() as u64)]);
}

#[test]
fn a_new_policy_is_applied_in_slices_however_many_peers_there_are() {
    let mut node = server(Limits { connections: PEERS as usize, ..Limits::default() }, PEERS);
    ticks(&mut node);
    let rule = Rule {
        announce: alloc::vec![AnnounceRule::own("1".parse().unwrap())],
        ..Rule::new("none", ["from:192.0.2.1/32".parse().unwrap()])
    };
    let command = Command::SetPolicy(Some(Policy::new([rule])));
    let actions = node.handle_input(NOW, Input::Command(command));
    assert_eq!(actions.len(), 1, "the reply");
    let closed = ticks(&mut node);
    assert!(closed.iter().all(|closed| *closed <= background::SLICE / 16), "{closed:?}");
    assert_eq!(closed.iter().sum::<usize>(), PEERS as usize);
    assert_eq!(node.route_count(), 0);
}

#[test]
fn a_session_with_a_server_opens_and_syncs_in_slices_however_many_vnis_there_are() {
    const VNIS: u32 = 100_000;
    let mut node = Node::new(Config::default(), NOW).unwrap();
    for vni in 0..VNIS {
        node.handle_input(NOW, Input::Command(Command::Subscribe(Vni(vni))));
        let next_hop = NextHop::standard("2001:db8::1".parse().unwrap());
        let route = Route { vni: Vni(vni), prefix: "10.0.0.0/24".parse().unwrap(), next_hop };
        node.handle_input(NOW, Input::Command(Command::Announce(route)));
    }
    node.handle_input(NOW, Input::Command(Command::AddPeer { endpoint: "server".into() }));
    let conn = ConnId::dialled(0);
    let remote = "[2001:db8::2]:4711".parse().unwrap();
    node.handle_input(NOW, Input::Connected { conn, remote });
    let bytes = Bytes::copy_from_slice(&Hello { is_server: true, ..hello(60) }.encode());
    node.handle_input(NOW, Input::Received { conn, bytes });
    node.handle_input(NOW, Input::Received { conn, bytes: wire::keepalive() });
    assert!(node.common.own.subscriptions() <= 1024, "one call subscribes to some of the VNIs only");

    // The server reads, and answers each KEEPALIVE.
    let (mut deframer, mut subscribed, mut synced) = (wire::Deframer::default(), BTreeSet::new(), 0);
    while !node.peers().all(|peer| peer.synced) {
        while let Some(transmit) = node.poll_transmit() {
            let mut answers = 0;
            for chunk in transmit.chunks {
                let mut input = &chunk[..];
                while let Some(frame) = deframer.next(&mut input).unwrap() {
                    match wire::Message::decode(frame).unwrap() {
                        wire::Decoded::Message(wire::Message::Subscribe(vni)) => assert!(subscribed.insert(vni)),
                        wire::Decoded::Message(wire::Message::Keepalive) => answers += 1,
                        _ => {}
                    }
                }
            }
            let asked = subscribed.len() - synced;
            assert!(asked <= 16_384, "what one answer proves: {asked} VNIs");
            synced = subscribed.len();
            node.handle_input(NOW, Input::Sent { conn });
            for _ in 0..answers {
                node.handle_input(NOW, Input::Received { conn, bytes: wire::keepalive() });
            }
        }
        node.handle_input(NOW, Input::Tick);
    }
    assert_eq!(subscribed.len(), VNIS as usize);
}

#[test]
fn a_tick_handles_some_of_the_deadlines_and_the_rest_are_due_at_once() {
    let mut node = server(Limits { connections: 1000, ..Limits::default() }, 1000);
    ticks(&mut node);
    let later = NOW + core::time::Duration::from_secs(3600);
    // The loop was not late: it is woken by a deadline that it has kept.
    let mut rounds = 0;
    let mut now = node.poll_timeout().unwrap();
    while node.sessions().count() > 0 && now < later {
        let actions = node.handle_input(now, Input::Tick);
        assert!(closed(&actions) <= TIMERS_PER_TICK);
        rounds += usize::from(closed(&actions) > 0);
        while node.poll_transmit().is_some() {}
        now = node.poll_timeout().map_or(later, |at| at.max(now));
    }
    assert_eq!((node.sessions().count(), rounds), (0, 4));
}

/// A client does not announce again by itself what a policy has withdrawn, so its session begins anew when that is permitted again.
#[test]
fn a_client_whose_routes_a_policy_was_withdrawing_begins_anew_when_the_next_one_permits_them() {
    let mut node = server(Limits::default(), 1);
    let conn = ConnId::accepted(0);
    let many = 2 * background::SLICE as u64;
    let bytes: Vec<_> = (1..many).map(|n| update(1, n)).collect();
    node.handle_input(NOW, Input::Received { conn, bytes: bytes.concat().into() });
    let rule = Rule {
        subscribe: "all".parse().unwrap(),
        announce: alloc::vec![AnnounceRule::own("2".parse().unwrap())],
        ..Rule::new("others", ["any".parse().unwrap()])
    };
    node.handle_input(NOW, Input::Command(Command::SetPolicy(Some(Policy::new([rule])))));
    let before = node.route_count();
    while node.route_count() == before {
        node.handle_input(NOW, Input::Tick);
    }
    assert!(node.route_count() > 0, "the filter is under way");
    node.handle_input(NOW, Input::Command(Command::SetPolicy(None)));
    // Bytes of the client arrive before the next tick.
    let actions = node.handle_input(NOW, Input::Received { conn, bytes: wire::keepalive() });
    let later = ticks(&mut node).iter().sum::<usize>();
    assert_eq!(closed(&actions) + later, 1);
    assert!(node.closed().any(|(kind, count)| (kind.name(), count) == ("policy_changed", 1)), "not for another reason");
}
