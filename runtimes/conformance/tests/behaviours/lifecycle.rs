//! The life of a node: the handles that keep it alive, and everything else that does not.

use std::panic::AssertUnwindSafe;

use metalbond_conformance::{VNI, poll_once, routes};
use smol::future::FutureExt;

use super::support::{ANY, Client, config, node, server, start};
use super::wait::{until, within};
use crate::run;

#[test]
fn a_node_goes_on_after_its_stream_of_changes_is_dropped() {
    run(async {
        let (_server, addr) = server().await;
        let announcer = Client::of(addr).await;
        let (node, changes) = start(config()).await;
        node.add_peer(addr.into()).await.unwrap();
        node.subscribe(VNI).await.unwrap();
        let table = node.route_table();
        // The stream is full when it is dropped.
        announcer.node.announce_routes(routes(10_000, 1)).await.unwrap();
        until("all routes", || async { table.learned(VNI).await.unwrap().len() == 10_000 }).await;
        drop(changes);

        announcer.node.withdraw_routes(routes(9_000, 1)).await.unwrap();
        until("the rest", || async { table.learned(VNI).await.unwrap().len() == 1_000 }).await;
    });
}

#[test]
fn calls_that_are_not_polled_do_not_delay_the_end() {
    run(async {
        let node = node().await;
        let mut end = Box::pin(node.shutdown());
        let is_over = poll_once(&mut end).await.is_ready();
        // More requests than the mailbox has room for, which are sent and then not polled.
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
            // The call ends, with an answer or without.
            let _ = within("an answer", question).await;
        }
    });
}

#[test]
fn a_panic_in_inspect_is_the_callers_and_the_node_goes_on() {
    run(async {
        let (node, _) = start(config()).await;
        let look = AssertUnwindSafe(node.inspect(|node| node.sessions().next().expect("there are none").conn));
        assert!(look.catch_unwind().await.is_err());
        assert_eq!(node.subscribe(VNI).await, Ok(true), "the node goes on");
    });
}

/// Everything that an application owns can be sent to another thread, and handles can be shared between threads.
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
