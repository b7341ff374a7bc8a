//! The end of a node and of its connections, as seen by peers that a test drives by bytes.

use std::time::{Duration, Instant};

use metalbond_conformance::{KEEPALIVE, VNI};

use crate::behaviours::sockets::{established, silent};
use crate::behaviours::support::{Client, node, server};
use crate::behaviours::wait::{until, within};
use crate::driver::CommandError;
use crate::run;

#[test]
fn a_node_ends_when_its_last_handle_is_dropped() {
    run(async {
        let (server, addr) = server().await;
        let mut client = Client::subscribed(addr).await;
        let view = client.node.route_table();
        until("a session", || async { server.peers().await.unwrap().len() == 1 }).await;
        let mut raw = established(addr).await;

        drop(client.node);
        assert!(view.vnis().await.is_ok(), "a view is a handle");
        drop(view);
        client.table.ends().await;
        until("the client gone", || async { server.peers().await.unwrap().len() == 1 }).await;

        drop(server);
        raw.end().await;
        until("a free port", || async { silent(addr).await.is_err() }).await;
    });
}

#[test]
fn a_peer_that_closes_its_sending_direction_is_disconnected() {
    run(async {
        let (server, addr) = server().await;
        let mut raw = established(addr).await;
        raw.send(KEEPALIVE).await;
        raw.stream.close().await.unwrap();
        raw.end().await;
        until("no peer is left", || async { server.peers().await.unwrap().is_empty() }).await;
    });
}

#[test]
fn every_call_returns_whenever_the_node_ends() {
    run(async {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(1) {
            let node = node().await;
            let callers: Vec<_> = (0..16)
                .map(|_| {
                    let node = node.clone();
                    smol::spawn(async move { while node.subscribe(VNI).await != Err(CommandError::Closed) {} })
                })
                .collect();
            until("a subscription", || async { node.is_subscribed(VNI).await.unwrap() }).await;
            within("the end of the node", node.shutdown()).await;
            for caller in callers {
                within("an answer", caller).await;
            }
        }
    });
}

#[test]
fn every_iteration_is_timed() {
    run(async {
        let node = node().await;
        // The iteration that sends the answer has not ended yet, so it does not count.
        for iterations in 1..=3 {
            until("one iteration more", || async { node.iteration_times().await.unwrap().count() >= iterations }).await;
        }
        assert!(node.iteration_times().await.unwrap().sum() > Duration::ZERO);
    });
}
