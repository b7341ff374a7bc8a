//! A subscriber that stops reading while all routes change, and the other subscribers.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use metalbond::wire::{Update, UpdateAction, encode_update};
use metalbond::{NextHop, Prefix, Route};
use tokio::task::spawn_local;

use crate::figure::Figure;
use crate::peer::{Peer, read_all};
use crate::process::Subject;
use crate::routes::{LEN, VNI, adds, updates};
use crate::scale::Scale;

const SUBSCRIBERS: usize = 10;
const REWRITES: usize = 10;

struct Run {
    /// Time until all other subscribers have the last change.
    wall: Duration,
    /// Growth of the server's memory in bytes.
    more: f64,
    /// Number of UPDATEs that the stalled subscriber received when it read again.
    resumed: f64,
    /// Number of those UPDATEs that were in the sockets' buffers.
    on_the_way: f64,
}

pub(crate) async fn measure(subject: &Subject, scale: &Scale) -> Vec<Figure> {
    let without = run(subject, scale.routes, false).await;
    let with = run(subject, scale.routes, true).await;
    let each = (with.resumed - with.on_the_way) / f64::from(scale.routes);
    vec![
        Figure::new("one stalled during ten rewrites: more memory", (with.more - without.more) / 1e6, "MB")
            .at_most(1.0),
        Figure::new("on resume, UPDATEs per destination beyond the socket's", each, "").at_most(2.0),
        Figure::new("all others, times what they need without it", with.wall.div_duration_f64(without.wall), "x"),
    ]
}

async fn run(subject: &Subject, routes: u32, is_one_stalled: bool) -> Run {
    let process = subject.start();
    let mut announcer = Peer::announcer(&process, subject.is_relay, 0).await;
    announcer.send(&adds(routes)).await;
    let mut peers = Vec::new();
    for n in 1..=SUBSCRIBERS + usize::from(is_one_stalled) {
        let mut peer = Peer::connect(&process, subject.is_relay, n).await;
        peer.subscribe([VNI]).await;
        peers.push(peer);
    }
    let (mut peers, _) = read_all(peers, routes.into()).await;
    let mut stalled = if is_one_stalled { peers.pop() } else { None };
    process.rest();
    let (before, start) = (process.memory() as f64, Instant::now());
    let bytes = rewrites(routes);
    let sending = spawn_local(async move {
        announcer.send(&bytes).await;
        announcer
    });
    let others = peers.into_iter().map(|mut peer| {
        spawn_local(async move {
            peer.read_until(|frames| frames.marks > 0).await;
            peer
        })
    });
    let mut alive = Vec::new();
    for other in others.collect::<Vec<_>>() {
        alive.push(other.await.expect("the peer has read all"));
    }
    let wall = start.elapsed();
    let _announcer = sending.await.expect("all is sent");
    process.rest();
    let more = process.memory() as f64 - before;
    let (mut resumed, mut on_the_way) = (0.0, 0.0);
    if let Some(peer) = &mut stalled {
        on_the_way = (queued(peer.stream.local_addr().expect("the connection is open")) / LEN) as f64;
        let known = peer.frames.updates;
        peer.read_until(|frames| frames.marks > 0).await;
        resumed = (peer.frames.updates - known) as f64;
    }
    Run { wall, more, resumed, on_the_way }
}

/// Withdraws and announces all routes several times. The last announcement is longer than all others.
fn rewrites(routes: u32) -> BytesMut {
    let once = [UpdateAction::Remove, UpdateAction::Add].map(|action| updates(action, 0..routes)).concat();
    let mut out = BytesMut::from(&once.repeat(REWRITES)[..]);
    let prefix: Prefix = "2001:db8:ffff::/64".parse().expect("a prefix");
    let next_hop = NextHop::standard("2001:db8::1".parse().expect("an address"));
    encode_update(&mut out, &Update { action: UpdateAction::Add, route: Route { vni: VNI, prefix, next_hop } });
    out
}

/// Returns the number of bytes in the sockets' buffers on the way to `addr`.
fn queued(addr: SocketAddr) -> usize {
    let port = format!(":{:04X}", addr.port());
    let mut sum = 0;
    for line in ["tcp", "tcp6"].iter().flat_map(|file| {
        let text = fs::read_to_string(format!("/proc/net/{file}")).unwrap_or_default();
        text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    }) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, local, remote, _, queues, ..] = fields[..] else { continue };
        let Some((unsent, unread)) = queues.split_once(':') else { continue };
        if local.ends_with(&port) {
            sum += usize::from_str_radix(unread, 16).unwrap_or(0);
        }
        if remote.ends_with(&port) {
            sum += usize::from_str_radix(unsent, 16).unwrap_or(0);
        }
    }
    sum
}
