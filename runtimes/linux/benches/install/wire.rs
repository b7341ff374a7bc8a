//! A client as a whole: the bytes of UPDATEs pass through its core and its FIB into the kernel.

use std::net::IpAddr;
use std::time::{Duration, Instant as Clock};

use bytes::{Bytes, BytesMut};
use metalbond::fib::{Fib, FibSettings, Op};
use metalbond::wire::{Hello, Update, UpdateAction, encode_update, keepalive};
use metalbond::{Action, Command, Config, ConnId, Input, Instant, NextHop, Node, Route, Vni};
use metalbond_linux::Kernel;

use crate::linux::netns::{TABLE, nexthop, prefix, settings};

const VNI: Vni = Vni(23);
/// The bytes of one read.
const READ: usize = 16 * 1024;
const BATCH: usize = 128;

/// Returns the frames of UPDATEs that add or remove these routes, cut like the reads of a connection.
pub(crate) fn updates(action: UpdateAction, destinations: impl Iterator<Item = (String, u16)>) -> Vec<Bytes> {
    let mut out = BytesMut::new();
    for (destination, hypervisor) in destinations {
        let next_hop = NextHop::standard(IpAddr::V6(nexthop(hypervisor).addr));
        let route = Route { vni: VNI, prefix: prefix(&destination), next_hop };
        encode_update(&mut out, &Update { action, route });
    }
    let bytes = out.freeze();
    (0..bytes.len()).step_by(READ).map(|at| bytes.slice(at..bytes.len().min(at + READ))).collect()
}

/// A client with an open session, and its connection to the kernel.
pub(crate) struct Client {
    node: Node,
    conn: ConnId,
    fib: Fib,
    kernel: Kernel,
}

impl Client {
    pub(crate) fn new(kernel: Kernel) -> Self {
        let mut node = Node::new(Config { seed: 7, ..Config::default() }, Instant::EPOCH).unwrap();
        let mut feed = |input| node.handle_input(Instant::EPOCH, input);
        feed(Input::Command(Command::Subscribe(VNI)));
        let actions = feed(Input::Command(Command::AddPeer { endpoint: "server:4711".into() }));
        let dialled = actions.iter().find_map(|a| if let Action::Dial { conn, .. } = a { Some(*conn) } else { None });
        let conn = dialled.expect("a new peer is dialled");
        feed(Input::Connected { conn, remote: "[::1]:4711".parse().unwrap() });
        let ids = settings().ids;
        let fib_settings = FibSettings { tables: [(VNI, TABLE)].into(), ids, ..FibSettings::default() };
        let fib = Fib::new(fib_settings, kernel.device()).unwrap();
        let mut client = Self { node, conn, fib, kernel };
        let hello = Hello { keepalive: 5, is_server: true, ordered: true, converging: false, restart_time: 0 };
        client.receive(hello.encode());
        client.receive(keepalive());
        client.fib.dump_begins(Instant::EPOCH);
        client.kernel.dump(|found| client.fib.found(found)).unwrap();
        client.fib.dump_ends(Instant::EPOCH, true);
        client.fib.release_adopted();
        client
    }

    fn receive(&mut self, bytes: Bytes) {
        self.node.handle_input(Instant::EPOCH, Input::Received { conn: self.conn, bytes });
        while let Some(transmit) = self.node.poll_transmit() {
            self.node.handle_input(Instant::EPOCH, Input::Sent { conn: transmit.conn });
        }
        while let Some(change) = self.node.poll_change() {
            self.fib.change(&change);
        }
    }

    /// Carries out one batch of operations. Returns false if there were none.
    fn work(&mut self) -> bool {
        let ops: Vec<_> = std::iter::from_fn(|| self.fib.poll_op(Instant::EPOCH)).take(BATCH).collect();
        for result in self.kernel.execute(&ops).unwrap() {
            assert_eq!(result, Ok(()));
            self.fib.done(Instant::EPOCH, result);
        }
        !ops.is_empty()
    }

    /// Installs all routes. Returns the time from the first byte to the last installed route.
    pub(crate) fn install(&mut self, reads: &[Bytes]) -> Duration {
        let start = Clock::now();
        for bytes in reads {
            self.receive(bytes.clone());
            self.work();
        }
        while self.work() {}
        let took = start.elapsed();
        assert!(self.fib.is_settled());
        took
    }

    /// Removes a next hop from all destinations, which the `reads` say. Returns the time from the last read until the message to the kernel is
    /// sent that replaces their group, and the time of the kernel.
    pub(crate) fn remove_next_hop(&mut self, reads: &[Bytes]) -> (Duration, Duration) {
        let (last, others) = reads.split_last().expect("at least one read");
        for bytes in others {
            self.receive(bytes.clone());
            assert!(!self.work(), "until the last one, the routes wait for each other");
        }
        let start = Clock::now();
        self.receive(last.clone());
        let op = self.fib.poll_op(Instant::EPOCH).expect("the replacement of the group");
        let sent = Clock::now();
        let results = self.kernel.execute(std::slice::from_ref(&op)).unwrap();
        let ended = Clock::now();
        assert!(matches!(op, Op::ReplaceGroup { .. }), "{op}");
        results.into_iter().for_each(|result| self.fib.done(Instant::EPOCH, result));
        while self.work() {}
        assert!(self.fib.is_settled());
        (sent - start, ended - sent)
    }

    pub(crate) fn installed(&self) -> usize {
        self.fib.stats().installed
    }
}
