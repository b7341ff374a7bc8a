//! The application's handle: each method sends a request to the actor, and waits for its answer.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use async_channel::TrySendError;
use futures_channel::oneshot;
use metalbond::{
    ApiMisuse, Closed, Command, CommandError, Histogram, Instant, Node, PeerId, Policy, Reply, Route, SessionState, Vni,
};

use crate::budget::{BATCH, PIECE};
use crate::clock::Timer;
use crate::mailbox::{Answer, Request, Requests};
use crate::peer::peer_snapshots;
use crate::tasks::Ended;
use crate::tls::Transport;
use crate::{Endpoint, ListenError, Notice, Peer, PeerSnapshot, RouteTable, TryNotifyError};
#[cfg(feature = "tls")]
use crate::{SetTlsError, TlsConfig};

/// A handle to a running node. Clones are handles to the same node. When the last handle is dropped, the node closes its sessions and ends.
/// [`RouteTable`] and [`Peer`] are handles, too.
///
/// Methods may be called from any task and any thread, at any time, also while a change is handled. Servers, subscriptions and
/// announcements stay until they are removed, whether or not there is a session. The node never waits for a caller. Calls of one task are
/// carried out in their order.
///
/// The type is the same under every runtime: only the start of a node names a runtime.
///
/// The future of a method may be dropped at any time. Its request may then have been carried out or not. [`add_peer`](Self::add_peer) may
/// have added a server, whose id [`peers`](Self::peers) returns. [`announce_routes`](Self::announce_routes) and
/// [`withdraw_routes`](Self::withdraw_routes) may have done a part of the routes. A [`shutdown`](Self::shutdown) that was sent goes on.
///
/// The error [`Closed`], or [`CommandError::Closed`], means that the node is shut down, or about to be.
#[derive(Clone)]
pub struct MetalBond {
    requests: Requests,
    ended: Ended,
    timer: Arc<dyn Timer>,
}

impl MetalBond {
    pub(crate) fn new(requests: Requests, ended: Ended, timer: Arc<dyn Timer>) -> Self {
        Self { requests, ended, timer }
    }

    /// Listens for clients on an address, without TLS. May be called for several addresses. `[::]` accepts IPv4 as well. Returns the
    /// address; if its port was 0, with the port that the system chose.
    ///
    /// # Errors
    /// [`ListenError::System`] if the system refuses, because the address is in use for example; [`ListenError::Closed`].
    ///
    /// ```
    /// # use metalbond_tokio::Config;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (server, _) = metalbond_tokio::start(Config::default())?;
    /// let addr = server.listen("127.0.0.1:0".parse()?).await?;
    /// assert_ne!(addr.port(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn listen(&self, addr: SocketAddr) -> Result<SocketAddr, ListenError> {
        self.listen_by(addr, Transport::Plain).await
    }

    /// Listens on a TCP socket that another program has bound, a service manager for example, without TLS. Returns its address.
    ///
    /// # Errors
    /// [`ListenError::Socket`] if it is not a TCP socket, or cannot listen; [`ListenError::Closed`].
    ///
    /// ```
    /// # use metalbond_tokio::Config;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let bound = listener.local_addr()?;
    /// let (server, _) = metalbond_tokio::start(Config::default())?;
    /// assert_eq!(server.listen_on(listener).await?, bound);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn listen_on(&self, listener: TcpListener) -> Result<SocketAddr, ListenError> {
        self.listen_on_by(listener, Transport::Plain).await
    }

    /// Adds a server. The node dials it now, and again whenever there is no connection, until [`remove_peer`](Self::remove_peer). Returns
    /// the server's id at once, before there is a connection. Each dial looks the name up; a dial uses the lookup of an earlier dial if
    /// that lookup ended after its own dial, or has not ended.
    ///
    /// # Errors
    /// [`ApiMisuse::PeerExists`] if there is a server with this endpoint; [`CommandError::Limit`] at
    /// [`Config::peers_max`](crate::Config::peers_max); [`CommandError::Closed`].
    ///
    /// ```
    /// # use metalbond_tokio::{ApiMisuse, Config, Endpoint};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (client, _) = metalbond_tokio::start(Config::default())?;
    /// let endpoint: Endpoint = "localhost:4711".parse()?;
    /// let peer = client.add_peer(endpoint.clone()).await?;
    /// assert_eq!(client.add_peer(endpoint).await, Err(ApiMisuse::PeerExists.into()));
    /// assert!(client.remove_peer(peer).await?);
    /// assert!(!client.remove_peer(peer).await?, "it is removed");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn add_peer(&self, endpoint: Endpoint) -> Result<PeerId, CommandError> {
        match self.command(Command::AddPeer { endpoint: endpoint.into() }).await? {
            Reply::Peer(id) => Ok(id),
            // Not reached: the core returns the id of the server that it added, or an error.
            _ => Err(CommandError::Closed),
        }
    }

    /// Removes a server, and its routes without a stale time. Returns false if there is no such server.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn remove_peer(&self, peer: PeerId) -> Result<bool, Closed> {
        self.change(Command::RemovePeer(peer)).await.map_err(closed)
    }

    /// Closes the connection to a server, if there is one, and dials it again at once.
    ///
    /// # Errors
    /// [`ApiMisuse::NoSuchPeer`], [`CommandError::Closed`].
    pub async fn reset_peer(&self, peer: PeerId) -> Result<(), CommandError> {
        self.command(Command::ResetPeer(peer)).await.map(drop)
    }

    /// Returns the state of the session with a configured server.
    ///
    /// # Errors
    /// [`ApiMisuse::NoSuchPeer`], [`CommandError::Closed`].
    pub async fn peer_state(&self, peer: PeerId) -> Result<SessionState, CommandError> {
        Ok(self.inspect(move |node| node.peer_state(peer)).await?.ok_or(ApiMisuse::NoSuchPeer)?)
    }

    /// Waits until the session with a server is ESTABLISHED. Returns at once if it is. The node dials a server that does not answer, or
    /// refuses the connection, again and again: to limit the wait, use a timeout of the runtime.
    ///
    /// When the future is ready, the session may have been lost again. Dropping the future ends the wait.
    ///
    /// # Errors
    /// [`ApiMisuse::NoSuchPeer`] if the server does not exist, or is removed meanwhile; [`CommandError::Closed`].
    ///
    /// ```
    /// # use metalbond_tokio::{Config, SessionState};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (server, _) = metalbond_tokio::start(Config::default())?;
    /// let addr = server.listen("127.0.0.1:0".parse()?).await?;
    /// let (client, _) = metalbond_tokio::start(Config::default())?;
    /// let peer = client.add_peer(addr.into()).await?;
    /// tokio::time::timeout(std::time::Duration::from_secs(10), client.wait_established(peer)).await??;
    /// assert_eq!(client.peer_state(peer).await?, SessionState::Established);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn wait_established(&self, peer: PeerId) -> Result<(), CommandError> {
        self.ask(|answer| Request::WaitEstablished { peer, answer }).await?
    }

    /// Returns all peers: the configured servers, then the clients that connected. Each has a handle of the node.
    ///
    /// The node returns 256 of them at a time, and does other work in between. So each peer is a snapshot of one moment, but the moments
    /// differ. A peer that exists all the time is returned once.
    ///
    /// # Errors
    /// [`Closed`].
    ///
    /// ```
    /// # use metalbond_tokio::{Config, Direction};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (client, _) = metalbond_tokio::start(Config::default())?;
    /// client.add_peer("127.0.0.1:4711".parse()?).await?;
    /// for peer in client.peers().await? {
    ///     println!("{:?} {:?} {}", peer.direction(), peer.remote(), peer.state());
    ///     peer.reset().await;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn peers(&self) -> Result<Vec<Peer>, Closed> {
        let (mut peers, mut last) = (Vec::new(), None);
        loop {
            let look = move |node: &Node| peer_snapshots(node, last).take(PIECE).collect::<Vec<_>>();
            let piece = self.inspect(look).await?;
            last = piece.last().map(PeerSnapshot::announcer);
            let is_end = piece.len() < PIECE;
            peers.extend(piece.into_iter().map(|snapshot| Peer::new(snapshot, self.clone())));
            if is_end {
                return Ok(peers);
            }
        }
    }

    /// Subscribes to a VNI: its routes come out of [`Changes`](crate::Changes). Returns false if the node is subscribed already.
    ///
    /// # Errors
    /// [`CommandError::Limit`] at [`Config::subscriptions_max`](crate::Config::subscriptions_max); [`CommandError::Closed`].
    ///
    /// ```
    /// # use metalbond_tokio::{Config, Vni};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (client, _) = metalbond_tokio::start(Config::default())?;
    /// assert!(client.subscribe(Vni(23)).await?);
    /// assert!(!client.subscribe(Vni(23)).await?, "nothing has changed");
    /// assert_eq!(client.subscribed_vnis().await?, [Vni(23)]);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn subscribe(&self, vni: Vni) -> Result<bool, CommandError> {
        self.change(Command::Subscribe(vni)).await
    }

    /// Unsubscribes from a VNI. Returns false if the node is not subscribed. [`Changes`](crate::Changes) reports the VNI's routes as
    /// removed. Keep them until then: if you subscribe again before you have read these changes, only the difference is reported.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn unsubscribe(&self, vni: Vni) -> Result<bool, Closed> {
        self.change(Command::Unsubscribe(vni)).await.map_err(closed)
    }

    /// Requests that all routes of a VNI are reported again, for an application that has lost its routes: [`Changes`](crate::Changes)
    /// reports each destination with all of its next hops as added. Routes that this node announces itself are not reported: see
    /// [`resync_with_own`](Self::resync_with_own).
    ///
    /// # Errors
    /// [`ApiMisuse::NotSubscribed`], [`CommandError::Closed`].
    pub async fn resync(&self, vni: Vni) -> Result<(), CommandError> {
        self.command(Command::Resync(vni)).await.map(drop)
    }

    /// Requests that all routes of a VNI are reported again, like [`resync`](Self::resync), and returns the routes of the VNI that this
    /// node announces itself at this moment. [`Changes`](crate::Changes) does not report these, so that both together are all routes of the
    /// VNI. The node does nothing else while it copies its own routes: 1,000,000 of them take some tens of milliseconds.
    ///
    /// # Errors
    /// [`ApiMisuse::NotSubscribed`], [`CommandError::Closed`].
    pub async fn resync_with_own(&self, vni: Vni) -> Result<Vec<Route>, CommandError> {
        self.ask(|answer| Request::ResyncWithOwn { vni, answer }).await?
    }

    /// Returns whether the node is subscribed to a VNI.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn is_subscribed(&self, vni: Vni) -> Result<bool, Closed> {
        self.inspect(move |node| node.is_subscribed(vni)).await
    }

    /// Returns the VNIs that the node is subscribed to, in order. The node does nothing else while it copies them.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn subscribed_vnis(&self) -> Result<Vec<Vni>, Closed> {
        self.inspect(|node| node.subscribed_vnis().collect()).await
    }

    /// Announces a route of this node's own. Returns false if the node announces it already.
    ///
    /// # Errors
    /// [`ApiMisuse::MartianNextHop`] if no packet can be sent to the next hop; [`CommandError::Limit`] at
    /// [`Config::announcements_max`](crate::Config::announcements_max); [`CommandError::Closed`].
    ///
    /// ```
    /// # use metalbond_tokio::{Config, NextHop, Route, Vni};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (client, _) = metalbond_tokio::start(Config::default())?;
    /// let next_hop = NextHop::standard("2001:db8::1".parse()?);
    /// let route = Route { vni: Vni(23), prefix: "10.0.23.0/24".parse()?, next_hop };
    /// assert!(client.announce_route(route).await?);
    /// assert!(!client.announce_route(route).await?, "nothing has changed");
    /// assert!(client.is_route_announced(route).await?);
    /// assert!(client.withdraw_route(route).await?);
    /// assert!(!client.withdraw_route(route).await?, "nothing has changed");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn announce_route(&self, route: Route) -> Result<bool, CommandError> {
        self.change(Command::Announce(route)).await
    }

    /// Withdraws a route of this node's own. Returns false if the node does not announce it.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn withdraw_route(&self, route: Route) -> Result<bool, Closed> {
        self.change(Command::Withdraw(route)).await.map_err(closed)
    }

    /// Announces many routes, 1,024 in a request. Returns how many of them the node did not announce before.
    ///
    /// # Errors
    /// Those of [`announce_route`](Self::announce_route). The routes before the one that failed are announced, those after it are not.
    pub async fn announce_routes(&self, routes: impl IntoIterator<Item = Route>) -> Result<usize, CommandError> {
        self.batches(routes.into_iter().map(Command::Announce)).await
    }

    /// Withdraws many routes, 1,024 in a request. Returns how many of them the node announced before.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn withdraw_routes(&self, routes: impl IntoIterator<Item = Route>) -> Result<usize, Closed> {
        self.batches(routes.into_iter().map(Command::Withdraw)).await.map_err(closed)
    }

    /// Returns whether this node announces a route itself.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn is_route_announced(&self, route: Route) -> Result<bool, Closed> {
        self.inspect(move |node| node.is_announced(&route)).await
    }

    /// Returns the routes that this node announces itself. The node does nothing else while it copies them: see
    /// [`resync_with_own`](Self::resync_with_own).
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn announced_routes(&self) -> Result<Vec<Route>, Closed> {
        self.inspect(|node| node.announcements().collect()).await
    }

    /// Returns a read-only view of the routes that the node knows.
    pub fn route_table(&self) -> RouteTable {
        RouteTable::new(self.clone())
    }

    /// Calls `look` with the node, and returns its result: for metrics, and for data that no other method returns. `look` runs on the
    /// actor's task, and the node does nothing else meanwhile. So collect what you need, and return; never wait in `look` for another call.
    /// Visit some hundred sessions, tables or destinations in a call, and go on in the next call: with [`peer_snapshots`],
    /// [`Node::sessions_after`], [`Node::tables`] and [`Node::walk`].
    ///
    /// # Errors
    /// [`Closed`].
    ///
    /// # Panics
    /// If `look` panics; the node itself goes on.
    ///
    /// ```
    /// # use metalbond_tokio::Config;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (server, _) = metalbond_tokio::start(Config::default())?;
    /// let bytes_in: u64 = server.inspect(|node| node.counters().bytes_in).await?;
    /// assert_eq!(bytes_in, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn inspect<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Node) -> T + Send + 'static,
    ) -> Result<T, Closed> {
        let look = move |node: &Node| catch_unwind(AssertUnwindSafe(|| look(node)));
        let look = |answer: Answer<_>| {
            // Sending the answer fails if the caller has stopped waiting.
            Request::Inspect(Box::new(move |node| drop(answer.send(look(node)))))
        };
        let seen = self.ask(look).await?;
        Ok(seen.unwrap_or_else(|panic| resume_unwind(panic)))
    }

    /// Returns the time of the node's clock, to compare with the instants that the node returns
    /// ([`SessionInfo::last_received`](crate::SessionInfo::last_received) for example). [`Node::now`] is the time of its last input.
    pub fn now(&self) -> Instant {
        self.timer.now()
    }

    /// Returns how long the iterations of the actor's loop took since its start. In an iteration, the actor handles waiting messages, does
    /// the work that is due, and writes. The histogram shows how long one peer's messages delay the others.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn iteration_times(&self) -> Result<Histogram, Closed> {
        self.ask(Request::IterationTimes).await
    }

    /// Sends a notice, and does not wait until it is carried out. Waits for room if the node's mailbox is full. Without effect if the node
    /// is shut down.
    ///
    /// ```
    /// # use metalbond_tokio::{Config, Notice, Vni};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (client, _) = metalbond_tokio::start(Config::default())?;
    /// client.notify(Notice::Subscribe(Vni(23))).await;
    /// assert!(client.is_subscribed(Vni(23)).await?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn notify(&self, notice: Notice) {
        // Fails if the node has ended: then the notice has no effect.
        let _ = self.requests.send(request_of(notice)).await;
    }

    /// Sends a notice without waiting, for code that cannot wait: in a `Drop`, in a callback, or on a thread without a runtime.
    ///
    /// # Errors
    /// [`TryNotifyError::Busy`] if the mailbox is full: the notice is not sent. [`TryNotifyError::Closed`].
    pub fn try_notify(&self, notice: Notice) -> Result<(), TryNotifyError> {
        self.requests.try_send(request_of(notice)).map_err(|error| match error {
            TrySendError::Full(_) => TryNotifyError::Busy,
            TrySendError::Closed(_) => TryNotifyError::Closed,
        })
    }

    /// Shuts the node down, and waits until all its sessions and sockets are closed: less than a second with the default
    /// [`Config::shutdown_timeout`](crate::Config::shutdown_timeout). Its servers retain its routes for the
    /// [`Config::restart_time`](crate::Config::restart_time), if their own limit permits it: if the node is back by then, other clients see
    /// no change.
    ///
    /// ```
    /// # use metalbond_tokio::{CommandError, Config, Vni};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (node, mut changes) = metalbond_tokio::start(Config::default())?;
    /// node.shutdown().await;
    /// assert_eq!(node.subscribe(Vni(1)).await, Err(CommandError::Closed));
    /// assert_eq!(changes.next().await, None);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn shutdown(&self) {
        self.end(false).await;
    }

    /// Shuts the node down for good: it first withdraws its announcements, and waits until its servers have read the withdrawals, at most
    /// for [`Config::shutdown_timeout`](crate::Config::shutdown_timeout). Otherwise like [`shutdown`](Self::shutdown), which ends this
    /// wait.
    pub async fn shutdown_with_cleanup(&self) {
        self.end(true).await;
    }

    /// Replaces the policy, which limits what the peers that this node accepts may do. With `None`, they may do everything. A node starts
    /// with the policy of its [`Config`](crate::Config). The new policy applies to connected peers as well, within some iterations: see
    /// [`Command::SetPolicy`].
    ///
    /// # Errors
    /// [`Closed`].
    ///
    /// ```
    /// # use metalbond_tokio::{Config, Policy, Rule};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (server, _) = metalbond_tokio::start(Config::default())?;
    /// let readers = Rule { subscribe: "100-199".parse()?, ..Rule::new("readers", ["from:10.0.0.0/8".parse()?]) };
    /// server.set_policy(Some(Policy::new([readers]))).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn set_policy(&self, policy: Option<Policy>) -> Result<(), Closed> {
        self.command(Command::SetPolicy(policy)).await.map(drop).map_err(closed)
    }

    /// Replaces the configuration of TLS that the node was [started with](crate::StartOptions::tls), after certificates were renewed
    /// or revoked. New connections use the new configuration, and open ones stay. TLS has to be configured at the start: a server that is
    /// dialled before would be dialled without TLS.
    ///
    /// [`listen_tls`](Self::listen_tls) uses the configuration for a server. If there is one for a client, every dial uses it.
    ///
    /// The names in a peer's certificate are in [`SessionInfo::names`](crate::SessionInfo::names). Both ends log why a handshake
    /// fails. The node's [`handshake_timeout`](crate::Config::handshake_timeout) and limits apply to handshakes.
    ///
    /// # Errors
    /// [`SetTlsError::FixedAtStart`] if the configuration for a server or for a client would be added or removed; nothing is changed then.
    /// [`SetTlsError::Closed`].
    ///
    /// ```no_run
    /// use std::sync::Arc;
    ///
    /// use metalbond_tokio::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    /// use metalbond_tokio::rustls::server::WebPkiClientVerifier;
    /// use metalbond_tokio::rustls::version::TLS13;
    /// use metalbond_tokio::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::CryptoProvider};
    /// use metalbond_tokio::{Config, StartOptions, TlsConfig};
    ///
    /// /// `provider` is that of aws-lc-rs or of ring, for example; the rest comes from the files of a certificate authority.
    /// fn secure(
    ///     provider: Arc<CryptoProvider>,
    ///     trusted: Arc<RootCertStore>,
    ///     chain: Vec<CertificateDer<'static>>,
    ///     key: PrivateKeyDer<'static>,
    /// ) -> Result<TlsConfig, Box<dyn std::error::Error>> {
    ///     let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&trusted), Arc::clone(&provider)).build()?;
    ///     let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
    ///         .with_protocol_versions(&[&TLS13])?
    ///         .with_client_cert_verifier(clients)
    ///         .with_single_cert(chain.clone(), key.clone_key())?;
    ///     let client = ClientConfig::builder_with_provider(provider)
    ///         .with_protocol_versions(&[&TLS13])?
    ///         .with_root_certificates(trusted)
    ///         .with_client_auth_cert(chain, key)?;
    ///     Ok(TlsConfig { server: Some(Arc::new(server)), client: Some(Arc::new(client)) })
    /// }
    ///
    /// # async fn run(read: impl Fn() -> Result<TlsConfig, Box<dyn std::error::Error>>) -> Result<(), Box<dyn std::error::Error>> {
    /// let (node, _) = metalbond_tokio::start_with(Config::default(), StartOptions::default().tls(read()?))?;
    /// node.listen_tls("[::]:4711".parse()?).await?;
    /// node.add_peer("other-server.example:4711".parse()?).await?;
    /// // Later, when the files have changed:
    /// node.set_tls(read()?).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tls")]
    pub async fn set_tls(&self, config: TlsConfig) -> Result<(), SetTlsError> {
        self.ask(|answer| Request::SetTls { config, answer }).await.unwrap_or(Err(SetTlsError::Closed))
    }

    /// Listens for clients that speak TLS; otherwise like [`listen`](Self::listen). A node may have listeners of both kinds.
    ///
    /// # Errors
    /// [`ListenError::NoTls`] if the node was started without a configuration for a server; those of `listen`.
    #[cfg(feature = "tls")]
    pub async fn listen_tls(&self, addr: SocketAddr) -> Result<SocketAddr, ListenError> {
        self.listen_by(addr, Transport::Tls).await
    }

    /// Listens for clients that speak TLS on a TCP socket that another program has bound: see [`listen_on`](Self::listen_on).
    ///
    /// # Errors
    /// [`ListenError::NoTls`] if the node was started without a configuration for a server; those of `listen_on`.
    #[cfg(feature = "tls")]
    pub async fn listen_tls_on(&self, listener: TcpListener) -> Result<SocketAddr, ListenError> {
        self.listen_on_by(listener, Transport::Tls).await
    }

    async fn end(&self, cleanup: bool) {
        // Fails if the node is ending already.
        let _ = self.requests.send(Request::Shutdown { cleanup }).await;
        self.ended.wait().await;
    }

    async fn listen_by(&self, address: SocketAddr, transport: Transport) -> Result<SocketAddr, ListenError> {
        self.ask(|answer| Request::Listen { address, transport, answer }).await.unwrap_or(Err(ListenError::Closed))
    }

    async fn listen_on_by(&self, listener: TcpListener, transport: Transport) -> Result<SocketAddr, ListenError> {
        self.ask(|answer| Request::ListenOn { listener, transport, answer }).await.unwrap_or(Err(ListenError::Closed))
    }

    /// Carries out an idempotent command. Returns whether it changed something.
    async fn change(&self, command: Command) -> Result<bool, CommandError> {
        Ok(self.command(command).await? == Reply::Changed(true))
    }

    async fn command(&self, command: Command) -> Result<Reply, CommandError> {
        self.ask(|answer| Request::Command { command, answer: Some(answer) }).await?
    }

    async fn batches(&self, mut commands: impl Iterator<Item = Command>) -> Result<usize, CommandError> {
        let mut changed = 0;
        loop {
            let commands: Vec<_> = commands.by_ref().take(BATCH).collect();
            if commands.is_empty() {
                return Ok(changed);
            }
            changed += self.ask(|answer| Request::Batch { commands, answer }).await??;
        }
    }

    /// Sends a request with a channel for its answer, and waits for the answer.
    async fn ask<T>(&self, request: impl FnOnce(Answer<T>) -> Request) -> Result<T, Closed> {
        let (sender, answer) = oneshot::channel();
        self.requests.send(request(sender)).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }
}

/// Returns the only error of a command that cannot fail otherwise: the node is shut down.
fn closed(_: CommandError) -> Closed {
    Closed
}

fn request_of(notice: Notice) -> Request {
    Request::Command { command: notice.into(), answer: None }
}

impl fmt::Debug for MetalBond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetalBond").finish_non_exhaustive()
    }
}
