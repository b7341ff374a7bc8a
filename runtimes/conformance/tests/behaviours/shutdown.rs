//! The end of a node that was asked for.

use std::time::Duration;

use metalbond_conformance::{VNI, route, routes};
use smol::future::zip;

use super::support::{Client, config, listen, server};
use super::wait::within;
use crate::driver::{Closed, CommandError, Config, ListenError};
use crate::run;

#[test]
fn a_node_that_is_shut_down_says_closed_to_everything() {
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
fn routes_are_withdrawn_before_a_client_is_gone_for_good() {
    run(async {
        let (_server, addr) = server().await;
        // Long enough for a slow network.
        let shutdown_timeout = Duration::from_secs(5);
        let announcer = Client::with(Config { shutdown_timeout, ..config() }, addr).await;
        let mut subscriber = Client::subscribed(addr).await;
        announcer.node.announce_routes(routes(1000, 1)).await.unwrap();
        subscriber.table.becomes(&routes(1000, 1)).await;

        within("the end of the client", announcer.node.shutdown_with_cleanup()).await;

        // Within the grace of 10 s that a client without `cleanup` has.
        let began = crate::now();
        subscriber.table.becomes(&[].into()).await;
        assert!(crate::now() - began < Duration::from_secs(9));
    });
}

#[test]
fn a_client_that_restarts_within_its_grace_disturbs_nobody() {
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
