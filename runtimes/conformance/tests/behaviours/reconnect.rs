//! Sessions that are lost and open again.

use metalbond_conformance::{route, routes};

use super::support::{Client, config, node, server, server_at};
use super::wait::until;
use crate::driver::CloseReason;
use crate::run;

#[test]
fn a_server_restarts_on_its_port_and_no_client_loses_a_route() {
    run(async {
        let (server, addr) = server().await;
        let announcer = Client::of(addr).await;
        let mut subscriber = Client::subscribed(addr).await;
        announcer.node.announce_routes(routes(100, 1)).await.unwrap();
        subscriber.table.becomes(&routes(100, 1)).await;

        server.shutdown().await;
        let _server = server_at(addr, config()).await;

        // The new route shows that the sessions are open again: it arrives after the routes that were announced before it.
        announcer.node.announce_route(route(100, 1)).await.unwrap();
        subscriber.table.becomes(&routes(101, 1)).await;
        assert_eq!(subscriber.table.removals, 0);
    });
}

#[test]
fn calls_while_a_server_is_away_take_effect_when_it_is_back() {
    run(async {
        let (server, addr) = server().await;
        let announcer = Client::of(addr).await;
        let mut subscriber = Client::of(addr).await;
        announcer.node.announce_routes(routes(10, 1)).await.unwrap();
        until("the routes", || async { server.route_table().vnis().await.unwrap().len() == 1 }).await;

        server.shutdown().await;
        announcer.node.withdraw_routes(routes(5, 1)).await.unwrap();
        announcer.node.announce_route(route(10, 1)).await.unwrap();
        subscriber.node.subscribe(metalbond_conformance::VNI).await.unwrap();
        let _server = server_at(addr, config()).await;

        subscriber.table.becomes(&(5..=10).map(|n| route(n, 1)).collect()).await;
    });
}

#[test]
fn a_name_that_does_not_resolve_is_looked_up_again() {
    run(async {
        let node = node().await;
        // A label has at most 63 characters, so this name is invalid, and no resolver is asked.
        node.add_peer(format!("{}:4711", "a".repeat(64)).parse().unwrap()).await.unwrap();

        until("three dials", || async { node.peers().await.unwrap()[0].configured().unwrap().dials >= 3 }).await;

        let peers = node.peers().await.unwrap();
        assert!(matches!(peers[0].configured().unwrap().last_close, Some(CloseReason::DialFailed(_))));
    });
}

#[test]
fn a_reset_peer_is_dialled_again_and_its_routes_stay() {
    run(async {
        let (server, addr) = server().await;
        let announcer = Client::of(addr).await;
        let mut subscriber = Client::subscribed(addr).await;
        announcer.node.announce_route(route(1, 1)).await.unwrap();
        subscriber.table.becomes(&[route(1, 1)].into()).await;

        subscriber.node.reset_peer(subscriber.peer).await.unwrap();
        announcer.node.announce_route(route(2, 1)).await.unwrap();
        subscriber.table.becomes(&[route(1, 1), route(2, 1)].into()).await;
        assert!(subscriber.dials().await > 1);
        assert_eq!(subscriber.table.removals, 0);

        // A server that closes a connection retains no routes of it, so the announcer's routes may be removed for a moment.
        for peer in server.peers().await.unwrap() {
            peer.reset().await;
        }
        announcer.node.announce_route(route(3, 1)).await.unwrap();
        subscriber.table.becomes(&[route(1, 1), route(2, 1), route(3, 1)].into()).await;
    });
}

#[test]
fn a_removed_peer_is_not_dialled_again_and_its_routes_are_removed() {
    run(async {
        let (server, addr) = server().await;
        let announcer = Client::of(addr).await;
        let mut subscriber = Client::subscribed(addr).await;
        announcer.node.announce_route(route(1, 1)).await.unwrap();
        subscriber.table.becomes(&[route(1, 1)].into()).await;

        subscriber.node.remove_peer(subscriber.peer).await.unwrap();

        subscriber.table.becomes(&[].into()).await;
        until("one client left", || async { server.peers().await.unwrap().len() == 1 }).await;
        assert!(subscriber.node.peers().await.unwrap().is_empty());
    });
}
