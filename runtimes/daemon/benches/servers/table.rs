//! A full table: its memory, how fast late subscribers receive it, and how fast all subscribers see its loss.

use std::time::Instant;

use tokio::task::{spawn_local, yield_now};

use crate::figure::Figure;
use crate::peer::{Peer, read_all};
use crate::process::Subject;
use crate::routes::{VNI, adds};
use crate::scale::Scale;

/// Measures the memory of a large table.
pub(crate) async fn memory(subject: &Subject, scale: &Scale) -> Vec<Figure> {
    let process = subject.start();
    let mut announcer = Peer::announcer(&process, subject.is_relay, 0).await;
    process.rest();
    let before = process.memory();
    announcer.send(&adds(scale.table)).await;
    process.rest();
    let bytes = process.memory().saturating_sub(before) as f64;
    let name = format!("memory per route, {} routes", scale.table);
    vec![Figure::new(name, bytes / f64::from(scale.table), "B").at_most(120.0)]
}

/// Measures the memory of idle connections.
pub(crate) async fn idle(subject: &Subject, scale: &Scale) -> Vec<Figure> {
    let process = subject.start();
    let before = process.memory();
    let peers = Peer::connect_all(&process, subject.is_relay, scale.idle).await;
    process.rest();
    let bytes = process.memory().saturating_sub(before) as f64;
    let name = format!("memory per idle connection, {} of them", peers.len());
    vec![Figure::new(name, bytes / peers.len() as f64 / 1e3, "kB").at_most(6.0)]
}

/// Measures subscribers that join when all routes have been announced.
pub(crate) async fn late(subject: &Subject, scale: &Scale) -> Vec<Figure> {
    let process = subject.start();
    let mut announcer = Peer::announcer(&process, subject.is_relay, 0).await;
    announcer.send(&adds(scale.routes)).await;
    process.rest();
    let one = join(subject, &process, 1, scale.routes, 1).await;
    let ten = join(subject, &process, 10, scale.routes, 2).await;
    vec![
        Figure::new(format!("one late joiner, {} routes", scale.routes), one, "ms").at_most(10.0),
        Figure::new("ten late joiners at once", ten, "ms").times_relay(1.0),
    ]
}

/// Returns the milliseconds until this many further subscribers have all routes.
async fn join(subject: &Subject, process: &crate::process::Process, count: usize, routes: u32, from: usize) -> f64 {
    let mut peers = Vec::new();
    for n in 0..count {
        peers.push(Peer::connect(process, subject.is_relay, from + n).await);
    }
    process.rest();
    let start = Instant::now();
    for peer in &mut peers {
        peer.subscribe([VNI]).await;
    }
    let (_peers, end) = read_all(peers, routes.into()).await;
    (end - start).as_secs_f64() * 1e3
}

/// Measures the end of the announcer's connection.
pub(crate) async fn loss(subject: &Subject, scale: &Scale) -> Vec<Figure> {
    let process = subject.start();
    let mut announcer = Peer::announcer(&process, subject.is_relay, 0).await;
    let mut peers = Vec::new();
    for n in 1..=10 {
        let mut peer = Peer::connect(&process, subject.is_relay, n).await;
        peer.subscribe([VNI]).await;
        peers.push(peer);
    }
    process.rest();
    let bytes = adds(scale.routes);
    let sending = spawn_local(async move {
        announcer.send(&bytes).await;
        announcer
    });
    let (peers, _) = read_all(peers, scale.routes.into()).await;
    let announcer = sending.await.expect("all is sent");
    process.rest();
    let start = Instant::now();
    drop(announcer);
    yield_now().await;
    let (_peers, end) = read_all(peers, scale.routes.into()).await;
    let name = format!("announcer of {} routes vanishes, 10 subscribers", scale.routes);
    vec![Figure::new(name, (end - start).as_secs_f64() * 1e3, "ms").at_most(50.0)]
}
