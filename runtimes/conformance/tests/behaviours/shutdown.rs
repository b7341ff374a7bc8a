//! The shutdown of a node.

use std::time::Duration;

use metalbond_conformance::{VNI, route, routes};
use smol::future::zip;

use super::support::{Client, config, listen, server};
use super::wait::within;
use crate::driver::{Closed, CommandError, Config, ListenError};
use crate::run;

#[test]
fn every_call_of_a_node_that_is_shut_down_returns_closed() {
    run(async {
        let (node, addr) = server().await;
        let other = node.clone();
        zip(node.shutdown(), other.shutdown_with_cleanup()).await;

        assert_eq!(node.subscribe(VNI).await, Err(CommandError::Closed));
        assert_eq!(node.announce_routes(routes(3, 1)).await, Err(CommandError::Closed));
        assert_eq!(node.add_peer(addr.into()).await, Err(CommandError::Closed));
        assert_eq!(node.withdraw_route(route(1, 1)).await, Err(Closed));
        assert_eq!(node.peers().await.map(|peers| peers.len()), Err(Closed));
        assert_eq!(node.route_table().vnis().await, Err(Closed));
        assert!(matches!(listen(&node, addr).await, Err(ListenError::Closed)));
        within("the end of what has ended", node.shutdown()).await;
    });
}

#[test]
fn a_shutdown_with_cleanup_withdraws_the_routes_before_it_ends() {
    run(async {
        let (_server, addr) = server().await;
        // This is long enough for a slow network.
        let shutdown_timeout = Duration::from_secs(5);
        let announcer = Client::with(Config { shutdown_timeout, ..config() }, addr).await;
        let mut subscriber = Client::subscribed(addr).await;
        announcer.node.announce_routes(routes(1000, 1)).await.unwrap();
        subscriber.table.becomes(&routes(1000, 1)).await;

        within("the end of the client", announcer.node.shutdown_with_cleanup()).await;

        // The routes are removed before the default restart time of 10 s, which applies without `cleanup`.
        let began = crate::now();
        subscriber.table.becomes(&[].into()).await;
        assert!(crate::now() - began < Duration::from_secs(9));
    });
}

#[test]
fn other_clients_see_no_change_when_a_client_restarts_within_its_restart_time() {
    run(async {
        let (_server, addr) = server().await;
        let announcer = Client::of(addr).await;
        let mut subscriber = Client::subscribed(addr).await;
        announcer.node.announce_routes(routes(100, 1)).await.unwrap();
        subscriber.table.becomes(&routes(100, 1)).await;

        within("the end of the client", announcer.node.shutdown()).await;
        let again = Client::of(addr).await;
        again.node.announce_routes(routes(100, 1)).await.unwrap();
        again.node.announce_route(route(100, 1)).await.unwrap();

        subscriber.table.becomes(&routes(101, 1)).await;
        assert_eq!(subscriber.table.removals, 0);
    });
}
