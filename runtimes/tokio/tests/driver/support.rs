//! Nodes with short back-offs, tables built from the stream of changes, and waiting for a condition with a deadline.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use metalbond_tokio::{Changes, Config, MetalBond, NextHop, NextHopKind, PeerId, Route, RouteChange, Vni};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// How long a condition may take to come true: far longer than it ever should.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) const VNI: Vni = Vni(23);

/// Frames, byte by byte as in the protocol's description.
pub(crate) const HELLO: &[u8] = &[1, 0, 2, 1, 8, 60];
pub(crate) const KEEPALIVE: &[u8] = &[1, 0, 0, 2];
pub(crate) const SUBSCRIBE: &[u8] = &[1, 0, 2, 3, 8, 23];

/// Short waits between dials, and no heartbeat within the time of a test.
pub(crate) fn config() -> Config {
    Config {
        keepalive: 60,
        backoff_min: Duration::from_millis(5),
        backoff_max: Duration::from_millis(50),
        ..Config::default()
    }
}

pub(crate) async fn server() -> (MetalBond, SocketAddr) {
    let (server, _) = MetalBond::start(config()).unwrap();
    let addr = server.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    (server, addr)
}

/// Whether this machine has an IPv6 loopback. Says so if not: the test is skipped.
pub(crate) fn has_ipv6() -> bool {
    let found = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !found {
        eprintln!("skipped: this machine has no ::1");
    }
    found
}

/// A client of one server, with the table that its stream of changes tells.
pub(crate) struct Client {
    pub(crate) node: MetalBond,
    pub(crate) peer: PeerId,
    pub(crate) table: Table,
}

impl Client {
    pub(crate) async fn of(server: SocketAddr) -> Self {
        Self::with(config(), server).await
    }

    pub(crate) async fn with(config: Config, server: SocketAddr) -> Self {
        let (node, changes) = MetalBond::start(config).unwrap();
        let peer = node.add_peer(server.into()).await.unwrap();
        Self { node, peer, table: Table::new(changes) }
    }

    pub(crate) async fn subscribed(server: SocketAddr) -> Self {
        let client = Self::of(server).await;
        client.node.subscribe(VNI).await.unwrap();
        client
    }
}

/// What the stream of changes tells, and the stream.
pub(crate) struct Table {
    pub(crate) routes: BTreeSet<Route>,
    pub(crate) removals: usize,
    changes: Changes,
}

impl Table {
    pub(crate) fn new(changes: Changes) -> Self {
        Self { routes: BTreeSet::new(), removals: 0, changes }
    }

    /// Follows the stream until the table is as wanted.
    pub(crate) async fn becomes(&mut self, wanted: &BTreeSet<Route>) {
        let reached = timeout(DEADLINE, async {
            while self.routes != *wanted {
                let change = self.changes.next().await.expect("the node runs");
                self.apply(change);
            }
        });
        if reached.await.is_err() {
            let missing = wanted.difference(&self.routes).count();
            let surplus = self.routes.difference(wanted).count();
            panic!("{missing} routes are missing, {surplus} are too many");
        }
    }

    /// Follows the stream until it ends.
    pub(crate) async fn ends(&mut self) {
        within("the end of the stream", async {
            while let Some(change) = self.changes.next().await {
                self.apply(change);
            }
        })
        .await;
    }

    fn apply(&mut self, change: RouteChange) {
        let route = |next_hop: &NextHop| Route { vni: change.vni, prefix: change.prefix, next_hop: *next_hop };
        assert!(!change.added().is_empty() || !change.removed().is_empty(), "a change that changes nothing");
        for route in change.removed().iter().map(route) {
            assert!(self.routes.remove(&route), "{change}");
            self.removals += 1;
        }
        self.routes.extend(change.added().iter().map(route));
        assert!(change.next_hops().iter().map(route).all(|route| self.routes.contains(&route)), "{change}");
    }
}

/// The outcome, unless it takes for ever.
pub(crate) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    timeout(DEADLINE, work).await.unwrap_or_else(|_| panic!("{what} did not come"))
}

/// Asks again and again until it is so.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    within(what, async {
        while !is_so().await {
            sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// The `n`th route behind this hypervisor; kinds and families take turns.
pub(crate) fn route(n: u32, hypervisor: u16) -> Route {
    let prefix = if n.is_multiple_of(2) {
        format!("10.{}.{}.{}/32", n >> 16 & 255, n >> 8 & 255, n & 255)
    } else {
        format!("2001:db8:1::{n:x}/128")
    };
    let kind = match n % 3 {
        0 => NextHopKind::Standard,
        1 => NextHopKind::Nat { from: 1000, to: 2000 },
        _ => NextHopKind::LoadBalancer,
    };
    let addr = format!("2001:db8::{hypervisor:x}").parse().unwrap();
    Route { vni: VNI, prefix: prefix.parse().unwrap(), next_hop: NextHop { addr, target_vni: 0, kind } }
}

pub(crate) fn routes(n: u32, hypervisor: u16) -> BTreeSet<Route> {
    (0..n).map(|i| route(i, hypervisor)).collect()
}

/// A peer that speaks by hand, after its handshake.
pub(crate) async fn raw_client(server: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(HELLO).await.unwrap();
    assert_eq!(read_frame(&mut stream).await[3], 1, "HELLO");
    stream.write_all(KEEPALIVE).await.unwrap();
    assert_eq!(read_frame(&mut stream).await, KEEPALIVE);
    stream
}

pub(crate) async fn read_frame(stream: &mut TcpStream) -> Vec<u8> {
    within("a frame", async {
        let mut frame = vec![0; 4];
        stream.read_exact(&mut frame).await.unwrap();
        let len = u16::from_be_bytes([frame[1], frame[2]]);
        frame.resize(4 + usize::from(len), 0);
        stream.read_exact(&mut frame[4..]).await.unwrap();
        frame
    })
    .await
}

/// Reads until the peer has ended the connection, one way or another.
pub(crate) async fn read_to_end(stream: &mut TcpStream) {
    within("the end of the connection", async {
        let mut buf = [0; 4096];
        while stream.read(&mut buf).await.is_ok_and(|n| n > 0) {}
    })
    .await;
}
