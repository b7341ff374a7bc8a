//! Readers that do not keep up: they delay nobody, cost little, and are right in the end.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use metalbond_tokio::{Config, MetalBond, Route};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;

use crate::support::{Client, VNI, config, routes, server, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedder_that_reads_late_gets_the_right_table() {
    let (_server, addr) = server().await;
    let announcer = Client::of(addr).await;
    let mut subscriber = Client::subscribed(addr).await;
    let view = subscriber.node.route_table();

    // More than the stream holds, several times over.
    let last = rewrite(&announcer, 10_000, 1..=5).await;
    until("the last table", || async { view.learned(VNI).await.unwrap().into_iter().collect::<BTreeSet<_>>() == last })
        .await;

    subscriber.table.becomes(&last).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_does_not_read_for_a_million_updates_delays_nobody_and_is_right_in_the_end() {
    let (server, addr) = server().await;
    let announcer = Client::of(addr).await;
    let mut quick = Client::subscribed(addr).await;
    let line = Line::to(addr).await;
    let mut slow = Client::subscribed(line.addr).await;
    let first = rewrite(&announcer, 10_000, 0..=0).await;
    slow.table.becomes(&first).await;

    line.open.send_replace(false);
    let before = *line.bytes.borrow();
    // Each rewrite is 10,000 additions and as many removals, there and back again.
    let last = rewrite(&announcer, 10_000, (1..=50).map(|n| n % 2)).await;
    quick.table.becomes(&last).await;
    assert_eq!(server.peers().await.unwrap().len(), 3, "the slow one is still there");

    line.open.send_replace(true);
    slow.table.becomes(&last).await;
    let passed = *line.bytes.borrow() - before;
    // All of them would be 36 MB. What passes is the little that the kernel held, and the difference once.
    assert!(passed < 2_000_000, "{passed} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_is_too_slow_is_closed_comes_back_and_is_right() {
    // A server that is `warming` could not end what is stale at the client.
    let (server, _) = MetalBond::start(Config { warming: Duration::ZERO, ..config() }).unwrap();
    let addr = server.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let announcer = Client::of(addr).await;
    let mut quick = Client::subscribed(addr).await;
    let line = Line::to(addr).await;
    let mut slow = Client::subscribed(line.addr).await;
    let first = rewrite(&announcer, 10_000, 0..=0).await;
    slow.table.becomes(&first).await;

    line.open.send_replace(false);
    // What is gone and still to be told outgrows the table by more than 65,536.
    let mut last = first;
    for hypervisor in 1..=20 {
        last = rewrite(&announcer, 10_000, hypervisor..=hypervisor).await;
        quick.table.becomes(&last).await;
    }
    until("the slow one closed", || async { server.peers().await.unwrap().len() == 2 }).await;

    line.open.send_replace(true);
    slow.table.becomes(&last).await;
}

/// Announces the routes behind one hypervisor after the other. Returns what is announced in the end.
async fn rewrite(announcer: &Client, n: u32, hypervisors: impl Iterator<Item = u16>) -> BTreeSet<Route> {
    let mut last: BTreeSet<Route> = announcer.node.announced_routes().await.unwrap().into_iter().collect();
    for hypervisor in hypervisors {
        let next = routes(n, hypervisor);
        announcer.node.announce_routes(next.clone()).await.unwrap();
        announcer.node.withdraw_routes(last).await.unwrap();
        last = next;
    }
    last
}

/// A line to a server, for one connection at a time, that can be held up in the direction from the server.
struct Line {
    addr: SocketAddr,
    open: watch::Sender<bool>,
    /// How many came from the server.
    bytes: watch::Receiver<usize>,
}

impl Line {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (open, mut is_open) = watch::channel(true);
        let (count, bytes) = watch::channel(0);
        let line = Self { addr: listener.local_addr().unwrap(), open, bytes };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // Little room, so that what waits does so at the server.
                let socket = TcpSocket::new_v4().unwrap();
                socket.set_recv_buffer_size(64 * 1024).unwrap();
                let server = socket.connect(server).await.unwrap();
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
                let mut buf = vec![0; 64 * 1024];
                while is_open.wait_for(|open| *open).await.is_ok() {
                    let Ok(n @ 1..) = from_server.read(&mut buf).await else { break };
                    count.send_modify(|bytes| *bytes += n);
                    if to_client.write_all(&buf[..n]).await.is_err() {
                        break;
                    }
                }
            }
        });
        line
    }
}
