//! A policy: a peer that tries everything that is denied achieves nothing and keeps its session, and other peers are not affected.

use std::collections::BTreeSet;

use metalbond_conformance::{VNI, route};

use super::support::{Client, config, server_with};
use super::wait::until;
use crate::TLS;
use crate::driver::{
    AnnounceRule, CloseReason, Config, MetalBond, NextHop, NextHopKind, Policy, Route, Rule, SessionInfo, Vni,
};
use crate::run;

#[test]
fn a_peer_that_tries_everything_that_is_denied_achieves_nothing_and_keeps_its_session() {
    run(async {
        let (server, addr) = server_with(Config { policy: Some(policy(&[1, 2])), ..config() }).await;
        let mut subscriber = Client::subscribed(addr).await;
        let hostile = Client::of(addr).await;
        let allowed = of(1);
        let hop = allowed.next_hop;
        let forbidden = [
            Route { vni: Vni(24), ..allowed },
            Route { prefix: "0.0.0.0/0".parse().unwrap(), ..allowed },
            Route { prefix: "11.0.0.0/32".parse().unwrap(), ..allowed },
            Route { prefix: "2001:db8::/64".parse().unwrap(), ..allowed },
            of(3),
            Route { next_hop: NextHop::standard("192.0.2.1".parse().unwrap()), ..allowed },
            Route { next_hop: NextHop { target_vni: Vni(24), ..hop }, ..allowed },
            Route { next_hop: NextHop { kind: NextHopKind::Nat { from: 1, to: 9 }, ..hop }, ..allowed },
            Route { next_hop: NextHop { kind: NextHopKind::LoadBalancer, ..hop }, ..allowed },
        ];
        for route in forbidden {
            hostile.node.announce_route(route).await.unwrap();
        }
        hostile.node.subscribe(Vni(24)).await.unwrap();
        server.announce_route(Route { vni: Vni(24), ..allowed }).await.unwrap();
        hostile.node.announce_route(allowed).await.unwrap();

        subscriber.table.becomes(&[allowed].into()).await;
        assert_eq!(subscriber.table.additions, 1);
        until("all refused", || async { refused(&server).await == (9, 1) }).await;
        assert_eq!(hostile.node.route_table().learned(Vni(24)).await.unwrap(), []);
        assert!(hostile.is_established().await);
        assert_eq!(server.route_table().routes(VNI).await.unwrap(), [allowed]);
    });
}

#[test]
fn a_client_without_a_rule_cannot_connect() {
    run(async {
        let policy = Policy::new([Rule { who: vec!["from:192.0.2.0/24".parse().unwrap()], ..rule(&[1]) }]);
        let (server, addr) = server_with(Config { policy: Some(policy), ..config() }).await;
        let client = Client::of(addr).await;
        until("several tries", || async { client.dials().await > 3 }).await;
        let peer = client.node.peers().await.unwrap()[0].configured().unwrap().clone();
        assert_eq!(peer.sessions, 0);
        assert!(matches!(peer.last_close, Some(CloseReason::Transport(_))), "{:?}", peer.last_close);
        until("no peer is left", || async { server.peers().await.unwrap().is_empty() }).await;
    });
}

#[test]
fn a_new_policy_applies_to_connected_peers() {
    run(async {
        let (server, addr) = server_with(Config { policy: Some(policy(&[1, 2])), ..config() }).await;
        let announcer = Client::of(addr).await;
        let mut subscriber = Client::subscribed(addr).await;
        for hypervisor in 1..=3 {
            announcer.node.announce_route(of(hypervisor)).await.unwrap();
        }
        subscriber.table.becomes(&[of(1), of(2)].into()).await;

        server.set_policy(Some(policy(&[2, 3]))).await.unwrap();
        subscriber.table.becomes(&[of(2), of(3)].into()).await;
        assert_eq!(subscriber.table.removals, 1, "what stays allowed was never gone");

        server.set_policy(None).await.unwrap();
        subscriber.table.becomes(&(1..=3).map(of).collect()).await;
        server.set_policy(Some(Policy::default())).await.unwrap();
        until("no peer is left", || async { server.peers().await.unwrap().is_empty() }).await;
        until("an empty table", || async { server.route_table().routes(VNI).await.unwrap().is_empty() }).await;
    });
}

/// Returns an ordinary route to 10.0.0.6/32 with this hypervisor.
pub(crate) fn of(hypervisor: u16) -> Route {
    route(6, hypervisor)
}

/// Returns a policy that permits every peer on this machine to announce ordinary routes within 10.0.0.0/8 in [`VNI`], with these
/// hypervisors.
pub(crate) fn policy(hypervisors: &[u16]) -> Policy {
    Policy::new([rule(hypervisors)])
}

fn rule(hypervisors: &[u16]) -> Rule {
    // Over TLS, a peer is identified by its certificate.
    let who = if TLS { "dns:localhost" } else { "from:127.0.0.1" };
    let hops: BTreeSet<_> = hypervisors.iter().map(|n| of(*n).next_hop.addr.to_string()).collect();
    let grant = AnnounceRule {
        prefixes: "10.0.0.0/8".parse().unwrap(),
        next_hops: hops.into_iter().collect::<Vec<_>>().join(",").parse().unwrap(),
        types: "STD".parse().unwrap(),
        ..AnnounceRule::own("23".parse().unwrap())
    };
    Rule { subscribe: "23".parse().unwrap(), announce: vec![grant], ..Rule::new("these", [who.parse().unwrap()]) }
}

/// Returns the numbers of routes and of subscriptions of connected peers that the server has refused.
pub(crate) async fn refused(server: &MetalBond) -> (u64, u64) {
    let peers = server.peers().await.unwrap();
    let sessions = peers.iter().filter_map(|peer| peer.session());
    sessions.map(|SessionInfo { counters, .. }| counters).fold((0, 0), |(routes, subscriptions), counters| {
        (routes + counters.refused_routes, subscriptions + counters.refused_subscriptions)
    })
}
