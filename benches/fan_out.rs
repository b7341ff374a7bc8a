//! What the core costs, without sockets: 100,000 routes of one announcer to the subscribers of a server node. Each line is
//! the median of several rounds; the last column is relative to decoding the same bytes.
//!
//! `cargo bench --bench fan_out`; `-- --test` runs one small round.

use std::time::{Duration, Instant as Clock};

use bytes::{Bytes, BytesMut};
use metalbond::wire::{Deframer, Hello, Message, Update, UpdateAction, keepalive, put_update, subscription};
use metalbond::{Command, Config, ConnId, Input, Instant, NextHop, Node, Prefix, Route, TransportEnd, Vni};

const VNI: Vni = Vni(23);
/// What one read brings.
const READ: usize = 64 * 1024;

fn main() {
    let is_test = std::env::args().any(|arg| arg == "--test");
    let (routes, rounds) = if is_test { (1_000, 1) } else { (100_000, 9) };
    let adds = updates(routes, UpdateAction::Add);
    println!("{routes} routes, {} bytes each; median of {rounds}", adds.iter().map(Bytes::len).sum::<usize>() / routes);
    let decode = median(rounds, || time(|| decode(&adds)));
    let report = |name: &str, took: Duration, deliveries: usize| {
        let each = took.as_nanos() as f64 / (routes * deliveries) as f64;
        let ratio = took.as_secs_f64() / decode.as_secs_f64();
        println!("{name:<52} {:>9.3} ms {each:>8.1} ns each {ratio:>7.2} x decode", took.as_secs_f64() * 1e3);
    };
    report("decode", decode, 1);
    for subscribers in [0, 1, 10, 100] {
        let took = median(rounds, || {
            let mut server = Server::new(subscribers);
            time(|| server.feed_and_drain(&adds))
        });
        report(&format!("announce, {subscribers} subscribers (each: per delivery)"), took, subscribers.max(1) as usize);
    }
    let took = median(rounds, || {
        let mut server = Server::new(0);
        server.feed_and_drain(&adds);
        time(|| server.join(1))
    });
    report("one late joiner", took, 1);
    let took = median(rounds, || {
        let mut server = Server::new(0);
        server.feed_and_drain(&adds);
        time(|| (1..=10).for_each(|n| server.join(n)))
    });
    report("ten late joiners", took, 10);
    let took = median(rounds, || {
        let mut server = Server::new(10);
        server.feed_and_drain(&adds);
        time(|| server.lose_announcer())
    });
    report("the announcer vanishes, 10 subscribers", took, 10);
}

fn median(rounds: usize, mut round: impl FnMut() -> Duration) -> Duration {
    let mut all: Vec<_> = (0..rounds).map(|_| round()).collect();
    all.sort();
    all[rounds / 2]
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Clock::now();
    work();
    start.elapsed()
}

/// The frames of many UPDATEs, as reads bring them.
fn updates(routes: usize, action: UpdateAction) -> Vec<Bytes> {
    let mut out = BytesMut::new();
    for n in 0..routes as u32 {
        let prefix = Prefix::new(std::net::Ipv4Addr::from(0x0a00_0000 + n).into(), 32).unwrap();
        let next_hop = NextHop::standard("2001:db8::1".parse().unwrap());
        put_update(&mut out, &Update { action, route: Route { vni: VNI, prefix, next_hop } });
    }
    let bytes = out.freeze();
    (0..bytes.len()).step_by(READ).map(|at| bytes.slice(at..bytes.len().min(at + READ))).collect()
}

fn decode(reads: &[Bytes]) {
    let mut deframer = Deframer::default();
    for read in reads {
        let mut input = &read[..];
        while let Some(frame) = deframer.next(&mut input).unwrap() {
            std::hint::black_box(Message::decode(frame).unwrap());
        }
    }
}

struct Server {
    node: Node,
    delivered: usize,
}

const ANNOUNCER: ConnId = ConnId::accepted(0);

impl Server {
    fn new(subscribers: u64) -> Self {
        let mut node = Node::new(Config::default(), Instant::EPOCH).unwrap();
        node.handle_input(Instant::EPOCH, Input::Command(Command::SetListening(true)));
        let mut server = Self { node, delivered: 0 };
        server.open(ANNOUNCER, BytesMut::new());
        (1..=subscribers).for_each(|n| server.join(n));
        server
    }

    fn join(&mut self, n: u64) {
        let mut subscribe = BytesMut::new();
        subscription(&mut subscribe, true, VNI);
        self.open(ConnId::accepted(n), subscribe);
    }

    fn open(&mut self, conn: ConnId, then: BytesMut) {
        self.node.handle_input(Instant::EPOCH, Input::Accepted { conn, remote: "[::1]:9".parse().unwrap() });
        let hello = Hello { keepalive: 5, is_server: false, ordered: true, warming: false, restart_time: 0 };
        for bytes in [hello.encode(), keepalive(), then.freeze()] {
            self.node.handle_input(Instant::EPOCH, Input::Received { conn, bytes });
            self.drain();
        }
    }

    fn feed_and_drain(&mut self, reads: &[Bytes]) {
        for bytes in reads {
            self.node.handle_input(Instant::EPOCH, Input::Received { conn: ANNOUNCER, bytes: bytes.clone() });
            self.drain();
        }
    }

    fn lose_announcer(&mut self) {
        self.node.handle_input(Instant::EPOCH, Input::Closed { conn: ANNOUNCER, end: TransportEnd::Eof });
        while self.node.poll_timeout() == Some(Instant::EPOCH) {
            self.node.handle_input(Instant::EPOCH, Input::Tick);
            self.drain();
        }
    }

    fn drain(&mut self) {
        while let Some(transmit) = self.node.poll_transmit() {
            self.delivered += transmit.len();
            self.node.handle_input(Instant::EPOCH, Input::Sent { conn: transmit.conn });
        }
    }
}
