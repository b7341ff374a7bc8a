//! The other end of a server's connections: sends announcements that were encoded before, and counts what it receives.

use std::cell::RefCell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use metalbond::Vni;
use metalbond::wire::{Hello, encode_subscription, keepalive};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::frames::Frames;
use crate::process::Process;
use crate::relay;

/// Maximum duration of any step. If it takes longer, the benchmark fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Maximum number of connections from one loopback address, whose ports are limited.
const PER_ADDRESS: usize = 5_000;

thread_local! {
    /// Shared by all peers: received data is counted before anything else is read.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 256 * 1024]);
}

/// An open session, or a connection to the relay.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    pub(crate) frames: Frames,
    is_relay: bool,
}

impl Peer {
    /// Opens connection number `n` and a session.
    pub(crate) async fn connect(process: &Process, is_relay: bool, n: usize) -> Self {
        let mut peer = Self { stream: dial(process.addr, n).await, frames: Frames::default(), is_relay };
        peer.greet().await;
        peer
    }

    /// Wraps a connection to a server on which nothing was sent yet.
    pub(crate) fn silent(stream: TcpStream) -> Self {
        Self { stream, frames: Frames::default(), is_relay: false }
    }

    /// Opens the session.
    pub(crate) async fn greet(&mut self) {
        if !self.is_relay {
            let hello = Hello { keepalive: 60, is_server: false, ordered: true, converging: false, restart_time: 0 };
            self.send(&[&hello.encode()[..], &keepalive()].concat()).await;
            self.read_until(|frames| frames.hellos > 0 && frames.keepalives > 0).await;
        }
    }

    /// Opens `count` sessions.
    pub(crate) async fn connect_all(process: &Process, is_relay: bool, count: usize) -> Vec<Self> {
        let mut peers = Vec::with_capacity(count);
        for n in 0..count {
            peers.push(Self::connect(process, is_relay, n).await);
        }
        peers
    }

    /// Opens an announcer's session. Only the relay needs to know the role.
    pub(crate) async fn announcer(process: &Process, is_relay: bool, n: usize) -> Self {
        let mut peer = Self::connect(process, is_relay, n).await;
        if is_relay {
            peer.send(&[relay::ANNOUNCER]).await;
        }
        peer
    }

    /// Subscribes to the VNIs. At the relay, subscribes to everything.
    pub(crate) async fn subscribe(&mut self, vnis: impl IntoIterator<Item = Vni>) {
        if self.is_relay {
            return self.send(&[relay::SUBSCRIBER]).await;
        }
        let mut bytes = bytes::BytesMut::new();
        vnis.into_iter().for_each(|vni| encode_subscription(&mut bytes, true, vni));
        self.send(&bytes).await;
    }

    /// Writes all bytes.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the server takes what is sent");
    }

    /// Reads until this many UPDATEs have arrived since the last call.
    pub(crate) async fn read_updates(&mut self, count: u64) {
        let until = self.frames.updates + count;
        self.read_until(|frames| frames.updates >= until).await;
        assert_eq!(self.frames.updates, until, "more than was announced");
    }

    pub(crate) async fn read_until(&mut self, is_done: impl Fn(&Frames) -> bool) {
        let all = async {
            while !is_done(&self.frames) {
                self.stream.readable().await.expect("the connection is open");
                self.read_some();
            }
        };
        if timeout(PATIENCE, all).await.is_err() {
            panic!("lost: only {:?} came", self.frames);
        }
    }

    /// Reads the data that has already arrived.
    fn read_some(&mut self) {
        BUFFER.with_borrow_mut(|buffer| match self.stream.try_read(buffer) {
            Ok(0) => panic!("the server closed the connection after {:?}", self.frames),
            Ok(len) => self.frames.take(&buffer[..len]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error} after {:?}", self.frames),
        });
    }
}

/// Opens a connection from one of several local addresses.
pub(crate) async fn dial(addr: SocketAddr, n: usize) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    // Frees the ports of thousands of connections at once.
    socket.set_zero_linger().expect("a new socket");
    let host = Ipv4Addr::new(127, 0, 0, 1 + (n / PER_ADDRESS) as u8);
    socket.bind(SocketAddr::from((host, 0))).expect("a free port");
    let stream = socket.connect(addr).await.unwrap_or_else(|error| panic!("connection {n}: {error}"));
    stream.set_nodelay(true).expect("the connection is open");
    stream
}

/// Lets each peer read this many UPDATEs, at the same time. Returns the peers, and the time when the last one was done.
pub(crate) async fn read_all(peers: Vec<Peer>, updates: u64) -> (Vec<Peer>, Instant) {
    let done = Rc::new(RefCell::new(Vec::with_capacity(peers.len())));
    let tasks: Vec<_> = peers
        .into_iter()
        .map(|mut peer| {
            let done = Rc::clone(&done);
            tokio::task::spawn_local(async move {
                peer.read_updates(updates).await;
                done.borrow_mut().push(peer);
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("the peer has read all");
    }
    let at = Instant::now();
    (done.take(), at)
}
