//! Nodes with short back-offs, and tables built from the stream of changes.

use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use metalbond_conformance::{VNI, within};

use crate::driver::{ApiMisuse, Changes, Config, MetalBond, PeerId, Route, RouteChange, SessionState};

/// Any free port of loopback.
pub(crate) const ANY: &str = "127.0.0.1:0";

/// Short waits between dials, and no heartbeat within the time of a test.
pub(crate) fn config() -> Config {
    Config {
        keepalive: 60,
        backoff_min: Duration::from_millis(5),
        backoff_max: Duration::from_millis(50),
        ..Config::default()
    }
}

pub(crate) fn node() -> MetalBond {
    MetalBond::start(config()).unwrap().0
}

pub(crate) async fn server() -> (MetalBond, SocketAddr) {
    server_with(config()).await
}

pub(crate) async fn server_with(config: Config) -> (MetalBond, SocketAddr) {
    let (server, _) = MetalBond::start(config).unwrap();
    let addr = server.listen(ANY.parse().unwrap()).await.unwrap();
    (server, addr)
}

/// A server that tells from its start that its table is complete.
pub(crate) async fn warm_server() -> (MetalBond, SocketAddr) {
    server_with(Config { warming: Duration::ZERO, ..config() }).await
}

/// The same at a given address: a restart.
pub(crate) async fn server_at(addr: SocketAddr, config: Config) -> MetalBond {
    let (server, _) = MetalBond::start(config).unwrap();
    server.listen(addr).await.unwrap();
    server
}

/// An address at which nobody listens.
pub(crate) async fn nobody() -> SocketAddr {
    let (server, addr) = server().await;
    server.shutdown().await;
    addr
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
        Self::subscribed_with(config(), server).await
    }

    pub(crate) async fn subscribed_with(config: Config, server: SocketAddr) -> Self {
        let client = Self::with(config, server).await;
        client.node.subscribe(VNI).await.unwrap();
        client
    }

    pub(crate) async fn is_established(&self) -> bool {
        self.node.peer_state(self.peer).await == Ok(SessionState::Established)
    }

    pub(crate) async fn dials(&self) -> u64 {
        self.node.peers().await.unwrap()[0].configured().unwrap().dials
    }

    pub(crate) async fn learned(&self) -> BTreeSet<Route> {
        self.node.route_table().learned(VNI).await.unwrap().into_iter().collect()
    }
}

/// What the stream of changes tells, and the stream.
pub(crate) struct Table {
    pub(crate) routes: BTreeSet<Route>,
    pub(crate) additions: usize,
    pub(crate) removals: usize,
    pub(crate) changes: Changes,
}

impl Table {
    pub(crate) fn new(changes: Changes) -> Self {
        Self { routes: BTreeSet::new(), additions: 0, removals: 0, changes }
    }

    /// Follows the stream until the table is as wanted.
    pub(crate) async fn becomes(&mut self, wanted: &BTreeSet<Route>) {
        within("the wanted table", async {
            while self.routes != *wanted {
                self.follow().await.expect("the node runs");
            }
        })
        .await;
    }

    /// Follows the stream until it ends.
    pub(crate) async fn ends(&mut self) {
        within("the end of the stream", async { while self.follow().await.is_some() {} }).await;
    }

    /// The next change.
    async fn follow(&mut self) -> Option<()> {
        let change = self.changes.next().await?;
        self.apply(&change);
        Some(())
    }

    /// Takes a change, and checks that it is one, and that its complete set is what its additions and removals lead to.
    pub(crate) fn apply(&mut self, change: &RouteChange) {
        let (vni, prefix) = (change.vni, change.prefix);
        let route = |&next_hop| Route { vni, prefix, next_hop };
        for next_hop in change.removed() {
            assert!(self.routes.remove(&route(next_hop)), "removed, and was not there: {change:?}");
            self.removals += 1;
        }
        for next_hop in change.added() {
            assert!(self.routes.insert(route(next_hop)), "added, and was there: {change:?}");
            self.additions += 1;
        }
        assert_ne!(change.added().len() + change.removed().len(), 0, "a change that changes nothing");
        let known = self.routes.iter().filter(|route| (route.vni, route.prefix) == (vni, prefix));
        assert!(change.next_hops().iter().map(route).collect::<BTreeSet<_>>().iter().eq(known), "{change:?}");
    }
}

pub(crate) fn misuse<T>(misuse: ApiMisuse) -> Result<T, ApiMisuse> {
    Err(misuse)
}
