//! Futures of a handle that are dropped before they are done.

use metalbond_conformance::{VNI, poll_once, route, routes};

use super::support::{Client, node, server};
use super::wait::within;
use crate::driver::Vni;
use crate::run;

#[test]
fn a_dropped_wait_for_a_change_loses_no_change() {
    run(async {
        let (_server, addr) = server().await;
        let announcer = Client::of(addr).await;
        let mut subscriber = Client::subscribed(addr).await;
        announcer.node.announce_routes(routes(5000, 1)).await.unwrap();
        announcer.node.withdraw_routes(routes(1000, 1)).await.unwrap();
        let wanted = (1000..5000).map(|n| route(n, 1)).collect();

        within("the wanted table", async {
            while subscriber.table.routes != wanted {
                // Polls once and drops the future, many times.
                let next = poll_once(&mut Box::pin(subscriber.table.changes.next())).await;
                match next {
                    std::task::Poll::Ready(change) => subscriber.table.apply(&change.unwrap()),
                    std::task::Poll::Pending => smol::future::yield_now().await,
                }
            }
        })
        .await;
    });
}

#[test]
fn a_dropped_call_is_carried_out_or_not_and_the_node_goes_on() {
    run(async {
        let node = node().await;
        for n in 0..1000 {
            // More requests than the mailbox has room for. The node does not run in between.
            let _ = poll_once(&mut Box::pin(node.subscribe(Vni(n)))).await;
            let _ = poll_once(&mut Box::pin(node.peers())).await;
            let _ = poll_once(&mut Box::pin(node.add_peer("localhost:1".parse().unwrap()))).await;
        }
        let done = within("an answer", node.subscribed_vnis()).await.unwrap();
        assert!(!done.is_empty() && done.len() <= 1000);
        assert_eq!(node.peers().await.unwrap().len(), 1);
        for n in 1000..2000 {
            node.subscribe(Vni(n)).await.unwrap();
        }
        assert_eq!(node.subscribed_vnis().await.unwrap().len(), done.len() + 1000);
    });
}

#[test]
fn a_dropped_call_with_many_routes_announces_the_first_of_them() {
    run(async {
        let node = node().await;
        let many: Vec<_> = (0..20_000).map(|n| route(n, 1)).collect();
        let mut announce = Box::pin(node.announce_routes(many.clone()));
        for _ in 0..4 {
            if poll_once(&mut announce).await.is_ready() {
                // The node has already answered. A future must not be polled after its end.
                break;
            }
            // When the node has answered this, it has carried out all earlier requests.
            node.peers().await.unwrap();
        }
        drop(announce);
        let made = node.announced_routes().await.unwrap();
        let (first, rest) = many.split_at(made.len());
        assert!(!first.is_empty());
        assert!(made.iter().all(|route| first.contains(route)));
        assert_eq!(node.announce_routes(many.clone()).await, Ok(rest.len()));
    });
}

#[test]
fn a_shutdown_whose_future_is_dropped_goes_on() {
    run(async {
        let (_server, addr) = server().await;
        let mut client = Client::subscribed(addr).await;
        let _ = poll_once(&mut Box::pin(client.node.shutdown())).await;
        client.table.ends().await;
        assert!(client.node.is_subscribed(VNI).await.is_err());
    });
}
