//! Who keeps a node alive, and who does not.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use metalbond_conformance::{KEEPALIVE, VNI, poll_once, routes};
use smol::future::FutureExt;

use super::support::{ANY, Client, config, established, node, server, silent, start};
use super::wait::{until, within};
use crate::driver::ApiMisuse;
use crate::run;

#[test]
fn a_node_ends_when_its_last_handle_is_gone() {
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
fn a_dropped_stream_of_changes_stops_nothing() {
    run(async {
        let (_server, addr) = server().await;
        let announcer = Client::of(addr).await;
        let (node, changes) = start(config()).await;
        node.add_peer(addr.into()).await.unwrap();
        node.subscribe(VNI).await.unwrap();
        let table = node.route_table();
        // It is full when it is dropped.
        announcer.node.announce_routes(routes(10_000, 1)).await.unwrap();
        until("all routes", || async { table.learned(VNI).await.unwrap().len() == 10_000 }).await;
        drop(changes);

        announcer.node.withdraw_routes(routes(9_000, 1)).await.unwrap();
        until("the rest", || async { table.learned(VNI).await.unwrap().len() == 1_000 }).await;
    });
}

#[test]
fn a_peer_that_half_closes_is_closed() {
    run(async {
        let (server, addr) = server().await;
        let mut raw = established(addr).await;
        raw.send(KEEPALIVE).await;
        raw.stream.close().await.unwrap();
        raw.end().await;
        until("nobody", || async { server.peers().await.unwrap().is_empty() }).await;
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
                    smol::spawn(async move { while node.subscribe(VNI).await != Err(ApiMisuse::Closed) {} })
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
fn a_question_that_nobody_waits_for_does_not_hold_up_the_end() {
    run(async {
        let node = node().await;
        let mut end = Box::pin(node.shutdown());
        let is_over = poll_once(&mut end).await.is_ready();
        // More than the mailbox holds, asked and then left alone.
        let mut waiting = Vec::new();
        for _ in 0..1000 {
            let mut question = Box::pin(node.subscribe(VNI));
            if poll_once(&mut question).await.is_pending() {
                waiting.push(question);
            }
        }
        if !is_over {
            within("the end of the node", end).await;
        }
        for question in waiting {
            // Answered or not, but not for ever.
            let _ = within("an answer", question).await;
        }
    });
}

#[test]
fn a_look_that_panics_does_so_at_whoever_looks() {
    run(async {
        let (node, _) = start(config()).await;
        let look = AssertUnwindSafe(node.inspect(|node| node.sessions().next().expect("there are none").conn));
        assert!(look.catch_unwind().await.is_err());
        assert_eq!(node.subscribe(VNI).await, Ok(()), "the node goes on");
    });
}

/// Whatever an embedder holds can go to another thread; and what it shares, be used by several.
#[test]
fn handles_streams_and_futures_can_be_sent() {
    fn is_send(_: &impl Send) {}
    fn is_shared(_: &(impl Send + Sync)) {}
    run(async {
        let (node, mut changes) = start(config()).await;
        is_shared(&node);
        is_shared(&node.route_table());
        is_send(&node.subscribe(VNI));
        is_send(&node.announce_routes([]));
        is_send(&node.listen(ANY.parse().unwrap()));
        is_send(&node.peers());
        is_send(&node.shutdown());
        is_send(&changes.next());
        is_send(&changes);
    });
}
