//! Limits on peers: a peer over a limit is refused or disconnected, and the others are not affected.

use metalbond_conformance::{route, routes};

use super::support::{Client, config, server_with};
use crate::driver::{CloseKind, Config, Limits, MetalBond, PeerLimit};
use crate::run;

#[test]
fn a_client_with_too_many_routes_is_disconnected_and_returns_with_fewer() {
    run(async {
        let limits = Limits { routes_per_peer: 1000, ..Limits::default() };
        let (server, addr) = server_with(Config { limits, ..config() }).await;
        let mut subscriber = Client::subscribed(addr).await;
        let announcer = Client::of(addr).await;
        let all = routes(1000, 1);
        announcer.node.announce_routes(all.clone()).await.unwrap();
        subscriber.table.becomes(&all).await;

        announcer.node.announce_route(route(1, 2)).await.unwrap();
        subscriber.table.becomes(&[].into()).await;
        announcer.node.withdraw_route(route(1, 2)).await.unwrap();
        subscriber.table.becomes(&all).await;
        assert!(closed(&server, CloseKind::Limit(PeerLimit::RoutesPerPeer)).await > 0);
        assert!(closed(&server, CloseKind::Banned).await > 0, "it tried at once, and had to wait");
    });
}

pub(crate) async fn closed(server: &MetalBond, kind: CloseKind) -> u64 {
    server.inspect(move |node| node.closed().find(|(k, _)| *k == kind).map_or(0, |(_, n)| n)).await.unwrap()
}
