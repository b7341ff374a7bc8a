//! Who keeps a node alive, and who does not.

use std::panic::AssertUnwindSafe;

use metalbond_conformance::{VNI, poll_once, routes};
use smol::future::FutureExt;

use super::support::{ANY, Client, config, node, server, start};
use super::wait::{until, within};
use crate::run;

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
        assert_eq!(node.subscribe(VNI).await, Ok(true), "the node goes on");
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
