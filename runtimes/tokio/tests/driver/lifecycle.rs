//! The end of a node: asked for, or because nobody holds it any more.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use metalbond_tokio::{ApiMisuse, MetalBond};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{
    Client, KEEPALIVE, SUBSCRIBE, VNI, config, raw_client, read_to_end, route, routes, server, until, within,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_server_with_peers_that_neither_read_nor_leave_shuts_down_in_a_second() {
    let (server, addr) = server().await;
    let announcer = Client::of(addr).await;
    let mut stuck = Vec::new();
    for _ in 0..10 {
        let mut peer = raw_client(addr).await;
        peer.write_all(SUBSCRIBE).await.unwrap();
        stuck.push(peer);
    }
    announcer.node.announce_routes(routes(20_000, 1)).await.unwrap();
    // Some of it is on its way.
    until("a route", || async { !server.route_table().vnis().await.unwrap().is_empty() }).await;

    let began = Instant::now();
    within("the end of the server", server.shutdown()).await;

    // One second by design; the rest is for a loaded machine.
    assert!(began.elapsed() < Duration::from_secs(5), "took {:?}", began.elapsed());
    assert!(TcpStream::connect(addr).await.is_err());
    for mut peer in stuck {
        read_to_end(&mut peer).await;
    }
}

#[tokio::test]
async fn the_port_is_free_as_soon_as_the_shutdown_is_over() {
    let (first, addr) = server().await;
    let client = raw_client(addr).await;
    within("the end of the server", first.shutdown()).await;
    let (second, _) = MetalBond::start(config()).unwrap();
    second.listen(addr).await.unwrap();
    drop(client);
}

#[tokio::test]
async fn a_node_that_is_shut_down_says_closed_to_everything() {
    let (node, addr) = server().await;
    let other = node.clone();
    tokio::join!(node.shutdown(), other.shutdown_with_cleanup());

    assert_eq!(node.subscribe(VNI).await, Err(ApiMisuse::Closed));
    assert_eq!(node.announce_routes(routes(3, 1)).await, Err(ApiMisuse::Closed));
    assert_eq!(node.add_peer("localhost:4711".parse().unwrap()).await, Err(ApiMisuse::Closed));
    assert_eq!(node.peers().await.map(|peers| peers.len()), Err(ApiMisuse::Closed));
    assert!(node.listen(addr).await.is_err());
    within("the end of what has ended", node.shutdown()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_call_returns_whenever_the_node_ends() {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(1) {
        let (node, _) = MetalBond::start(config()).unwrap();
        let callers: Vec<_> = (0..16)
            .map(|_| {
                let node = node.clone();
                tokio::spawn(async move { while node.subscribe(VNI).await != Err(ApiMisuse::Closed) {} })
            })
            .collect();
        until("a subscription", || async { node.is_subscribed(VNI).await.unwrap() }).await;
        within("the end of the node", node.shutdown()).await;
        for caller in callers {
            within("an answer", caller).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_question_that_nobody_waits_for_does_not_hold_up_the_end() {
    let (node, _) = MetalBond::start(config()).unwrap();
    let mut end = Box::pin(node.shutdown());
    assert!(poll_once(&mut end).await.is_pending());
    // More than the mailbox holds, asked and then left alone.
    let mut waiting: Vec<_> = (0..1000).map(|_| Box::pin(node.subscribe(VNI))).collect();
    for question in &mut waiting {
        assert!(poll_once(question).await.is_pending());
    }
    within("the end of the node", end).await;
    for question in waiting {
        // Answered or not, but not for ever.
        let _ = within("an answer", question).await;
    }
}

/// Polls a future once.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}

#[tokio::test]
async fn a_node_ends_when_its_last_handle_is_gone() {
    let (server, addr) = server().await;
    let mut client = Client::subscribed(addr).await;
    let view = client.node.route_table();
    until("a session", || async { server.peers().await.unwrap().len() == 1 }).await;
    let mut raw = raw_client(addr).await;

    drop(client.node);
    assert!(view.vnis().await.is_ok(), "a view is a handle");
    drop(view);
    client.table.ends().await;
    until("the client gone", || async { server.peers().await.unwrap().len() == 1 }).await;

    drop(server);
    read_to_end(&mut raw).await;
    until("a free port", || async { TcpStream::connect(addr).await.is_err() }).await;
}

#[tokio::test]
async fn routes_are_withdrawn_before_a_client_is_gone_for_good() {
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
}

#[tokio::test]
async fn a_client_that_restarts_within_its_grace_disturbs_nobody() {
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
}

#[tokio::test]
async fn a_dropped_stream_of_changes_stops_nothing() {
    let (server, addr) = server().await;
    let announcer = Client::of(addr).await;
    let (node, changes) = MetalBond::start(config()).unwrap();
    drop(changes);
    node.add_peer(addr.into()).await.unwrap();
    node.subscribe(VNI).await.unwrap();

    announcer.node.announce_routes(routes(10_000, 1)).await.unwrap();

    let table = node.route_table();
    until("all routes", || async { table.learned(VNI).await.unwrap().len() == 10_000 }).await;
    drop(server);
}

#[tokio::test]
async fn a_peer_that_half_closes_is_closed() {
    let (server, addr) = server().await;
    let mut raw = raw_client(addr).await;
    raw.write_all(KEEPALIVE).await.unwrap();
    raw.shutdown().await.unwrap();
    read_to_end(&mut raw).await;
    until("nobody", || async { server.peers().await.unwrap().is_empty() }).await;
}
