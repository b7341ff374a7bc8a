//! The end of a node that was asked for.

use std::time::{Duration, Instant};

use metalbond_conformance::{SUBSCRIBE, VNI, route, routes};
use smol::future::zip;

use super::support::{Client, established, listen, node, server, silent};
use super::wait::{until, within};
use crate::driver::{ApiMisuse, ListenError};
use crate::run;

#[test]
fn a_busy_server_with_peers_that_neither_read_nor_leave_shuts_down_in_a_second() {
    run(async {
        let (server, addr) = server().await;
        let announcer = Client::of(addr).await;
        let mut stuck = Vec::new();
        for _ in 0..10 {
            let mut peer = established(addr).await;
            peer.send(SUBSCRIBE).await;
            stuck.push(peer);
        }
        announcer.node.announce_routes(routes(20_000, 1)).await.unwrap();
        // Some of it is on its way.
        until("a route", || async { !server.route_table().vnis().await.unwrap().is_empty() }).await;

        let began = Instant::now();
        within("the end of the server", server.shutdown()).await;

        // One second by design; the rest is for a loaded machine.
        assert!(began.elapsed() < Duration::from_secs(5), "took {:?}", began.elapsed());
        assert!(silent(addr).await.is_err());
        for mut peer in stuck {
            peer.end().await;
        }
    });
}

#[test]
fn the_port_is_free_as_soon_as_the_shutdown_is_over() {
    run(async {
        let (first, addr) = server().await;
        let client = established(addr).await;
        within("the end of the server", first.shutdown()).await;
        listen(&node().await, addr).await.unwrap();
        drop(client);
    });
}

#[test]
fn a_node_that_is_shut_down_says_closed_to_everything() {
    run(async {
        let (node, addr) = server().await;
        let other = node.clone();
        zip(node.shutdown(), other.shutdown_with_cleanup()).await;

        assert_eq!(node.subscribe(VNI).await, Err(ApiMisuse::Closed));
        assert_eq!(node.announce_routes(routes(3, 1)).await, Err(ApiMisuse::Closed));
        assert_eq!(node.add_peer(addr.into()).await, Err(ApiMisuse::Closed));
        assert_eq!(node.peers().await.map(|peers| peers.len()), Err(ApiMisuse::Closed));
        assert_eq!(node.route_table().vnis().await, Err(ApiMisuse::Closed));
        assert!(matches!(listen(&node, addr).await, Err(ListenError::Closed)));
        within("the end of what has ended", node.shutdown()).await;
    });
}

#[test]
fn routes_are_withdrawn_before_a_client_is_gone_for_good() {
    run(async {
        let (_server, addr) = server().await;
        let announcer = Client::of(addr).await;
        let mut subscriber = Client::subscribed(addr).await;
        announcer.node.announce_routes(routes(1000, 1)).await.unwrap();
        subscriber.table.becomes(&routes(1000, 1)).await;

        within("the end of the client", announcer.node.shutdown_with_cleanup()).await;

        // Within the grace of 10 s that a client without `cleanup` has.
        let began = Instant::now();
        subscriber.table.becomes(&[].into()).await;
        assert!(began.elapsed() < Duration::from_secs(9));
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
