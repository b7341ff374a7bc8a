//! A server node without sockets, and the amount of data that its subscribers receive.

use bytes::{Bytes, BytesMut};
use metalbond::wire::{Hello, encode_subscription, keepalive};
use metalbond::{Command, Config, ConnId, Input, Instant, Node, TransportEnd};

use super::updates::VNI;

pub(crate) const ANNOUNCER: ConnId = ConnId::accepted(0);

pub(crate) struct Server {
    pub(crate) node: Node,
    /// Number of bytes written to subscribers.
    delivered: usize,
    /// A subscriber that reads nothing.
    pub(super) stalled: Option<ConnId>,
}

impl Server {
    /// Creates a server. Subscribers are numbered from 1.
    pub(crate) fn new(subscribers: u64) -> Self {
        let mut node = Node::new(Config::default(), Instant::EPOCH).unwrap();
        node.handle_input(Instant::EPOCH, Input::Command(Command::SetListening(true)));
        let mut server = Self { node, delivered: 0, stalled: None };
        server.open(ANNOUNCER);
        (1..=subscribers).for_each(|n| server.join(n));
        server
    }

    /// Returns the number of bytes written since the last call.
    pub(crate) fn take_delivered(&mut self) -> usize {
        std::mem::take(&mut self.delivered)
    }

    pub(crate) fn join(&mut self, n: u64) {
        self.open(ConnId::accepted(n));
        self.subscribe(n);
        self.drain();
    }

    pub(crate) fn open(&mut self, conn: ConnId) {
        self.node.handle_input(Instant::EPOCH, Input::Accepted { conn, remote: "[::1]:9".parse().unwrap() });
        let hello = Hello { keepalive: 5, is_server: false, ordered: true, converging: false, restart_time: 0 };
        self.feed_and_drain(conn, &[hello.encode(), keepalive()]);
    }

    pub(crate) fn subscribe(&mut self, n: u64) {
        let mut subscribe = BytesMut::new();
        encode_subscription(&mut subscribe, true, VNI);
        self.feed(ConnId::accepted(n), &subscribe.freeze());
    }

    pub(crate) fn feed(&mut self, conn: ConnId, read: &Bytes) {
        self.node.handle_input(Instant::EPOCH, Input::Received { conn, bytes: read.clone() });
    }

    pub(crate) fn feed_and_drain(&mut self, conn: ConnId, reads: &[Bytes]) {
        for read in reads {
            self.feed(conn, read);
            self.drain();
        }
    }

    pub(crate) fn lose_announcer(&mut self) {
        self.node.handle_input(Instant::EPOCH, Input::Closed { conn: ANNOUNCER, end: TransportEnd::Eof });
        self.settle();
    }

    /// Does the background jobs until none is left.
    pub(crate) fn settle(&mut self) {
        while self.node.poll_timeout() == Some(Instant::EPOCH) {
            self.node.handle_input(Instant::EPOCH, Input::Tick);
            self.drain();
        }
    }

    pub(crate) fn drain(&mut self) {
        while let Some(transmit) = self.node.poll_transmit() {
            self.delivered += transmit.len();
            if self.stalled != Some(transmit.conn) {
                self.node.handle_input(Instant::EPOCH, Input::Sent { conn: transmit.conn });
            }
        }
    }
}
