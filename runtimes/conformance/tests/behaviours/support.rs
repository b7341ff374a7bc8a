//! Nodes with short back-offs, and tables that are built from the stream of changes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use metalbond_conformance::{Authority, Identity, VNI};

use super::wait::within;
use crate::TLS;
use crate::driver::{
    ApiMisuse, Changes, CommandError, Config, ListenError, MetalBond, NextHop, PeerId, Prefix, Route, RouteChange,
    SessionState, StartOptions, TlsConfig, Vni, start_with,
};

/// Any free port on loopback.
pub(crate) const ANY: &str = "127.0.0.1:0";

/// Returns settings with short back-offs, and a keepalive interval longer than a test.
pub(crate) fn config() -> Config {
    Config {
        keepalive: Duration::from_secs(60),
        backoff_min: Duration::from_millis(5),
        backoff_max: Duration::from_millis(50),
        ..Config::default()
    }
}

/// Over TLS, all peers on this machine trust each other.
static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);
static IDENTITY: LazyLock<Identity> = LazyLock::new(|| AUTHORITY.issue(&["127.0.0.1", "::1", "localhost"]));

pub(crate) async fn start(config: Config) -> (MetalBond, Changes) {
    start_with(config, options()).unwrap()
}

/// Returns the options of a node, with TLS if the tests run over TLS.
pub(crate) fn options() -> StartOptions {
    if TLS { StartOptions::default().tls(tls()) } else { StartOptions::default() }
}

/// Returns the certificate and the trusted authority of each node in the tests over TLS.
pub(crate) fn tls() -> TlsConfig {
    TlsConfig { server: Some(AUTHORITY.server(&IDENTITY)), client: Some(AUTHORITY.client(&IDENTITY)) }
}

pub(crate) async fn listen(node: &MetalBond, addr: SocketAddr) -> Result<SocketAddr, ListenError> {
    if TLS { node.listen_tls(addr).await } else { node.listen(addr).await }
}

pub(crate) async fn node() -> MetalBond {
    start(config()).await.0
}

pub(crate) async fn server() -> (MetalBond, SocketAddr) {
    server_with(config()).await
}

pub(crate) async fn server_with(config: Config) -> (MetalBond, SocketAddr) {
    let (server, _) = start(config).await;
    let addr = listen(&server, ANY.parse().unwrap()).await.unwrap();
    (server, addr)
}

/// Starts a server that is not converging: it announces from its start that its table is complete.
pub(crate) async fn converged_server() -> (MetalBond, SocketAddr) {
    server_with(Config { convergence_time: Duration::ZERO, ..config() }).await
}

/// Starts a server at a given address, for a restart.
pub(crate) async fn server_at(addr: SocketAddr, config: Config) -> MetalBond {
    let (server, _) = start(config).await;
    listen(&server, addr).await.unwrap();
    server
}

/// Returns an address at which no server listens.
pub(crate) async fn unused_address() -> SocketAddr {
    let (server, addr) = server().await;
    server.shutdown().await;
    addr
}

/// A client of one server, with the table that its stream of changes reports.
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
        let (node, changes) = start(config).await;
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

/// The stream of changes, and the table that it reports.
pub(crate) struct Table {
    pub(crate) routes: BTreeSet<Route>,
    hops: BTreeMap<(Vni, Prefix), BTreeSet<NextHop>>,
    pub(crate) additions: usize,
    pub(crate) removals: usize,
    pub(crate) changes: Changes,
}

impl Table {
    pub(crate) fn new(changes: Changes) -> Self {
        Self { routes: BTreeSet::new(), hops: BTreeMap::new(), additions: 0, removals: 0, changes }
    }

    /// Reads the stream until the table equals `wanted`.
    pub(crate) async fn becomes(&mut self, wanted: &BTreeSet<Route>) {
        within("the wanted table", async {
            // Counts the differing routes: comparing whole tables at each change would take most of the time.
            let mut difference = self.routes.symmetric_difference(wanted).count();
            while difference > 0 {
                let change = self.changes.next().await.expect("the node runs");
                self.apply(&change);
                let route = |next_hop: &_| Route { vni: change.vni, prefix: change.prefix, next_hop: *next_hop };
                let is_wanted = |next_hop: &_| wanted.contains(&route(next_hop));
                let count =
                    |next_hops: &[_], are_wanted| next_hops.iter().filter(|hop| is_wanted(hop) == are_wanted).count();
                difference += count(change.added(), false) + count(change.removed(), true);
                difference -= count(change.added(), true) + count(change.removed(), false);
            }
            assert_eq!(self.routes, *wanted);
        })
        .await;
    }

    /// Reads the stream until it ends.
    pub(crate) async fn ends(&mut self) {
        within("the end of the stream", async { while self.follow().await.is_some() {} }).await;
    }

    /// Reads and applies the next change.
    async fn follow(&mut self) -> Option<()> {
        let change = self.changes.next().await?;
        self.apply(&change);
        Some(())
    }

    /// Applies a change. Checks that it changes something, and that its complete set of next hops agrees with its additions and removals.
    pub(crate) fn apply(&mut self, change: &RouteChange) {
        let (vni, prefix) = (change.vni, change.prefix);
        let hops = self.hops.entry((vni, prefix)).or_default();
        for &next_hop in change.removed() {
            assert!(hops.remove(&next_hop), "removed, and was not there: {change}");
            self.routes.remove(&Route { vni, prefix, next_hop });
        }
        for &next_hop in change.added() {
            assert!(hops.insert(next_hop), "added, and was there: {change}");
            self.routes.insert(Route { vni, prefix, next_hop });
        }
        assert_eq!(change.next_hops().iter().copied().collect::<BTreeSet<_>>(), *hops, "{change}");
        let news = (change.added().len(), change.removed().len());
        assert_ne!(news, (0, 0), "a change that changes nothing");
        (self.additions, self.removals) = (self.additions + news.0, self.removals + news.1);
    }
}

pub(crate) fn misuse<T>(misuse: ApiMisuse) -> Result<T, CommandError> {
    Err(misuse.into())
}
