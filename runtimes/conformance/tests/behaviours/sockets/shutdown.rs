//! The shutdown of a node whose peers neither read nor close their connections.

use std::time::{Duration, Instant};

use metalbond_conformance::{SUBSCRIBE, routes};

use crate::behaviours::sockets::{established, silent};
use crate::behaviours::support::{Client, listen, node, server};
use crate::behaviours::wait::{until, within};
use crate::run;

#[test]
fn a_busy_server_with_peers_that_neither_read_nor_close_shuts_down_in_a_second() {
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
        // Some routes have arrived.
        until("a route", || async { !server.route_table().vnis().await.unwrap().is_empty() }).await;

        let began = Instant::now();
        within("the end of the server", server.shutdown()).await;

        // A shutdown takes at most one second; the rest is for a busy machine.
        assert!(began.elapsed() < Duration::from_secs(5), "took {:?}", began.elapsed());
        assert!(silent(addr).await.is_err());
        for mut peer in stuck {
            peer.end().await;
        }
    });
}

#[test]
fn the_port_is_free_when_the_shutdown_has_ended() {
    run(async {
        let (first, addr) = server().await;
        let client = established(addr).await;
        within("the end of the server", first.shutdown()).await;
        listen(&node().await, addr).await.unwrap();
        drop(client);
    });
}
