//! The embedder's handle: each method is a message to the actor, and waits for its answer.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use metalbond::{
    ApiMisuse, Command, Config, ConfigError, Histogram, Instant, Node, PeerId, Reply, Route, SessionState, Vni,
};
use metalbond_driver::{
    BATCH, Clock, Endpoint, ListenError, MAILBOX, Message as CommonMessage, Notice, Recorded, StartError, StartOptions,
    TlsConfig, Transport, TryNotifyError, make_node, peer_snapshots, seeded,
};
use smol::channel::{self, Receiver, Sender, TrySendError};

use crate::actor::Actor;
use crate::task::{self, Mailbox, Message, Tasks};
use crate::{Changes, Peer, RouteTable, changes};

/// A running node. Clones are handles to the same one; when the last is gone, it closes its sessions and ends.
///
/// Methods may be called from any task, at any time, also while a change is handled: what a node is told to want (servers,
/// subscriptions, announcements) holds whether or not a server is there, and the node never waits for whoever calls it.
/// Calls of one task are carried out in their order.
///
/// The future of a method may be dropped at any time. What it asked for may then have been done or not: a server may be
/// added by [`add_peer`](Self::add_peer) whose id nobody learns (but [`peers`](Self::peers) tells it), and of the routes
/// of [`announce_routes`](Self::announce_routes) or [`withdraw_routes`](Self::withdraw_routes) a part may be done. A
/// [`shutdown`](Self::shutdown) that has been asked for goes on.
#[derive(Clone, Debug)]
pub struct MetalBond {
    mailbox: Mailbox,
    clock: Clock,
    // Never sent on: its end is the end of the last handle.
    _alive: Sender<Infallible>,
}

impl MetalBond {
    /// Starts a node on smol's global executor. A [`Config::seed`] of 0 is
    /// replaced by a random one. It speaks plain MetalBond and is not recorded: see [`start_with`](Self::start_with).
    ///
    /// # Errors
    /// A setting that is out of its range.
    ///
    /// ```
    /// use metalbond_smol::{Config, ConfigError, MetalBond};
    ///
    /// # #[macro_rules_attribute::apply(smol_macros::main!)]
    /// # async fn main() {
    /// let config = Config { keepalive: 0, ..Config::default() };
    /// assert_eq!(MetalBond::start(config).unwrap_err(), ConfigError::Keepalive);
    /// # }
    /// ```
    pub fn start(config: Config) -> Result<(Self, Changes), ConfigError> {
        let clock = Clock::start();
        let node = Recorded::new(seeded(config), clock.now())?;
        Ok(Self::run((node, TlsConfig::default()), clock))
    }

    /// Starts a node like [`start`](Self::start), with what it has to have before it listens or dials for the first time: how it
    /// speaks TLS, and where it is recorded to. The [policy](Config::policy) is one of the settings.
    ///
    /// # Errors
    /// A setting that is out of its range; no thread to be had for the recording.
    ///
    /// ```
    /// # #[cfg(feature = "record")]
    /// # #[macro_rules_attribute::apply(smol_macros::main!)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use metalbond_smol::{Config, MetalBond, StartOptions, Vni, replay};
    ///
    /// # let path = std::env::temp_dir().join(format!("metalbond-smol-{}.jsonl", std::process::id()));
    /// let options = StartOptions::default().record(std::fs::File::create(&path)?);
    /// let (node, _) = MetalBond::start_with(Config::default(), options)?;
    /// node.subscribe(Vni(23)).await?;
    /// node.shutdown().await;
    ///
    /// let recording = std::io::BufReader::new(std::fs::File::open(&path)?);
    /// let summary = replay(recording, |line, step| Ok(println!("{line}: {step:?}")))?;
    /// assert!(summary.inputs >= 2, "the subscription, and the end");
    /// # std::fs::remove_file(path)?;
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "record"))]
    /// # fn main() {}
    /// ```
    pub fn start_with(config: Config, options: StartOptions) -> Result<(Self, Changes), StartError> {
        let clock = Clock::start();
        let node = make_node(config, options, clock.now())?;
        Ok(Self::run(node, clock))
    }

    fn run(node: (Recorded, TlsConfig), clock: Clock) -> (Self, Changes) {
        let (mailbox, inbox) = task::mailbox(MAILBOX);
        let (sender, changes) = changes::channel();
        let (alive, last) = channel::bounded(1);
        smol::spawn(Actor::new(node, clock, inbox, sender, Tasks::new(mailbox.clone())).run()).detach();
        smol::spawn(watch(last, mailbox.clone())).detach();
        (Self { mailbox, clock, _alive: alive }, changes)
    }

    /// Listens for clients; can be called for several addresses. `[::]` takes IPv4 as well. Returns the address with
    /// the port that was given out for port 0.
    ///
    /// # Errors
    /// What the system says, an address in use for example; [`ListenError::Closed`].
    ///
    /// ```
    /// # use metalbond_smol::{Config, MetalBond};
    /// # #[macro_rules_attribute::apply(smol_macros::main!)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (server, _) = MetalBond::start(Config::default())?;
    /// let addr = server.listen("127.0.0.1:0".parse()?).await?;
    /// assert_ne!(addr.port(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn listen(&self, addr: SocketAddr) -> Result<SocketAddr, ListenError> {
        let transport = Transport::Plain;
        self.ask(|answer| CommonMessage::Listen { addr, transport, answer }).await.unwrap_or(Err(ListenError::Closed))
    }

    /// Listens on a TCP socket that somebody else has bound: a service manager that hands it over at the start, say. Returns its
    /// address.
    ///
    /// # Errors
    /// [`ListenError::Socket`], if it is no such socket; [`ListenError::Closed`].
    ///
    /// ```
    /// # use metalbond_smol::{Config, MetalBond};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # smol::block_on(async {
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let bound = listener.local_addr()?;
    /// let (server, _) = MetalBond::start(Config::default())?;
    /// assert_eq!(server.listen_on(listener).await?, bound);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub async fn listen_on(&self, listener: TcpListener) -> Result<SocketAddr, ListenError> {
        let transport = Transport::Plain;
        self.ask(|answer| CommonMessage::ListenOn { listener, transport, answer })
            .await
            .unwrap_or(Err(ListenError::Closed))
    }

    /// Dials a server, `host:port`, and keeps at it until [`remove_peer`](Self::remove_peer). The name is resolved
    /// anew at each dial.
    ///
    /// # Errors
    /// [`ApiMisuse::PeerExists`], [`ApiMisuse::Limit`], [`ApiMisuse::Closed`].
    ///
    /// ```
    /// # use metalbond_smol::{ApiMisuse, Config, Endpoint, MetalBond};
    /// # #[macro_rules_attribute::apply(smol_macros::main!)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (client, _) = MetalBond::start(Config::default())?;
    /// let endpoint: Endpoint = "localhost:4711".parse()?;
    /// let peer = client.add_peer(endpoint.clone()).await?;
    /// assert_eq!(client.add_peer(endpoint).await, Err(ApiMisuse::PeerExists));
    /// client.remove_peer(peer).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn add_peer(&self, endpoint: Endpoint) -> Result<PeerId, ApiMisuse> {
        match self.command(Command::AddPeer { endpoint: endpoint.into() }).await? {
            Reply::Peer(id) => Ok(id),
            // The core names the peer that it added, or fails.
            Reply::Done => Err(ApiMisuse::Closed),
        }
    }

    /// Leaves a server. Its routes go at once.
    ///
    /// # Errors
    /// [`ApiMisuse::NoSuchPeer`], [`ApiMisuse::Closed`].
    pub async fn remove_peer(&self, peer: PeerId) -> Result<(), ApiMisuse> {
        self.want(Command::RemovePeer(peer)).await
    }

    /// Closes the connection to a server, if there is one, and dials it again at once.
    ///
    /// # Errors
    /// [`ApiMisuse::NoSuchPeer`], [`ApiMisuse::Closed`].
    pub async fn reset_peer(&self, peer: PeerId) -> Result<(), ApiMisuse> {
        self.want(Command::ResetPeer(peer)).await
    }

    /// Where the session with a server stands.
    ///
    /// # Errors
    /// [`ApiMisuse::NoSuchPeer`], [`ApiMisuse::Closed`].
    pub async fn peer_state(&self, peer: PeerId) -> Result<SessionState, ApiMisuse> {
        self.inspect(move |node| node.peer_state(peer)).await?.ok_or(ApiMisuse::NoSuchPeer)
    }

    /// All peers: the configured servers, then the clients that connected. Each counts as a handle.
    ///
    /// # Errors
    /// [`ApiMisuse::Closed`].
    ///
    /// ```
    /// # use metalbond_smol::{Config, Direction, MetalBond};
    /// # #[macro_rules_attribute::apply(smol_macros::main!)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (client, _) = MetalBond::start(Config::default())?;
    /// client.add_peer("127.0.0.1:4711".parse()?).await?;
    /// for peer in client.peers().await? {
    ///     println!("{:?} {:?} {}", peer.direction(), peer.remote(), peer.state());
    ///     peer.reset().await;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn peers(&self) -> Result<Vec<Peer>, ApiMisuse> {
        let snapshots = self.inspect(peer_snapshots).await?;
        Ok(snapshots.into_iter().map(|snapshot| Peer::new(snapshot, self.clone())).collect())
    }

    /// Wants the routes of a VNI: they come by the stream of changes.
    ///
    /// # Errors
    /// [`ApiMisuse::AlreadySubscribed`], [`ApiMisuse::Limit`], [`ApiMisuse::Closed`].
    ///
    /// ```
    /// # use metalbond_smol::{ApiMisuse, Config, MetalBond, Vni};
    /// # #[macro_rules_attribute::apply(smol_macros::main!)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (client, _) = MetalBond::start(Config::default())?;
    /// client.subscribe(Vni(23)).await?;
    /// assert_eq!(client.subscribe(Vni(23)).await, Err(ApiMisuse::AlreadySubscribed));
    /// assert_eq!(client.subscribed_vnis().await?, [Vni(23)]);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn subscribe(&self, vni: Vni) -> Result<(), ApiMisuse> {
        self.want(Command::Subscribe(vni)).await
    }

    /// Wants them no more: their destinations are told as gone. Keep what you have until then: who subscribes again before
    /// that is read is told the difference only.
    ///
    /// # Errors
    /// [`ApiMisuse::NotSubscribed`], [`ApiMisuse::Closed`].
    pub async fn unsubscribe(&self, vni: Vni) -> Result<(), ApiMisuse> {
        self.want(Command::Unsubscribe(vni)).await
    }

    /// Wants to be told all of a VNI again: each destination comes as a change that has all of its next hops as added. For
    /// an embedder that has lost what it knew.
    ///
    /// # Errors
    /// [`ApiMisuse::NotSubscribed`], [`ApiMisuse::Closed`].
    pub async fn resync(&self, vni: Vni) -> Result<(), ApiMisuse> {
        self.want(Command::Resync(vni)).await
    }

    /// Whether the routes of a VNI are wanted.
    ///
    /// # Errors
    /// [`ApiMisuse::Closed`].
    pub async fn is_subscribed(&self, vni: Vni) -> Result<bool, ApiMisuse> {
        self.inspect(move |node| node.is_subscribed(vni)).await
    }

    /// The VNIs whose routes are wanted.
    ///
    /// # Errors
    /// [`ApiMisuse::Closed`].
    pub async fn subscribed_vnis(&self) -> Result<Vec<Vni>, ApiMisuse> {
        self.inspect(|node| node.subscribed_vnis().collect()).await
    }

    /// Announces a route of this node's own.
    ///
    /// # Errors
    /// [`ApiMisuse::AlreadyAnnounced`], [`ApiMisuse::Limit`], [`ApiMisuse::Closed`], and [`ApiMisuse::MartianNextHop`] if no
    /// packet can be sent to the next hop.
    ///
    /// ```
    /// # use metalbond_smol::{ApiMisuse, Config, MetalBond, NextHop, Route, Vni};
    /// # #[macro_rules_attribute::apply(smol_macros::main!)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (client, _) = MetalBond::start(Config::default())?;
    /// let next_hop = NextHop::standard("2001:db8::1".parse()?);
    /// let route = Route { vni: Vni(23), prefix: "10.0.23.0/24".parse()?, next_hop };
    /// client.announce_route(route).await?;
    /// assert_eq!(client.announce_route(route).await, Err(ApiMisuse::AlreadyAnnounced));
    /// assert!(client.is_route_announced(route).await?);
    /// client.withdraw_route(route).await?;
    /// assert_eq!(client.withdraw_route(route).await, Err(ApiMisuse::NoSuchRoute));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn announce_route(&self, route: Route) -> Result<(), ApiMisuse> {
        self.want(Command::Announce(route)).await
    }

    /// Withdraws a route of this node's own.
    ///
    /// # Errors
    /// [`ApiMisuse::NoSuchRoute`], [`ApiMisuse::Closed`].
    pub async fn withdraw_route(&self, route: Route) -> Result<(), ApiMisuse> {
        self.want(Command::Withdraw(route)).await
    }

    /// Announces many routes, in few messages. Returns how many were not announced before: the others are announced as they
    /// were.
    ///
    /// # Errors
    /// [`ApiMisuse::Limit`], [`ApiMisuse::MartianNextHop`], [`ApiMisuse::Closed`]. Routes before the one that met the limit, or has
    /// such a next hop, are announced.
    pub async fn announce_routes(&self, routes: impl IntoIterator<Item = Route>) -> Result<usize, ApiMisuse> {
        self.batches(routes.into_iter().map(Command::Announce)).await
    }

    /// Withdraws many routes, in few messages. Returns how many were announced.
    ///
    /// # Errors
    /// [`ApiMisuse::Closed`].
    pub async fn withdraw_routes(&self, routes: impl IntoIterator<Item = Route>) -> Result<usize, ApiMisuse> {
        self.batches(routes.into_iter().map(Command::Withdraw)).await
    }

    /// Whether this node announces a route itself.
    ///
    /// # Errors
    /// [`ApiMisuse::Closed`].
    pub async fn is_route_announced(&self, route: Route) -> Result<bool, ApiMisuse> {
        self.inspect(move |node| node.is_announced(&route)).await
    }

    /// The routes that this node announces itself.
    ///
    /// # Errors
    /// [`ApiMisuse::Closed`].
    pub async fn announced_routes(&self) -> Result<Vec<Route>, ApiMisuse> {
        self.inspect(|node| node.announcements().collect()).await
    }

    /// A read-only view of the routes that the node knows.
    pub fn route_table(&self) -> RouteTable {
        RouteTable::new(self.clone())
    }

    /// Looks at the node through its getters, at one moment: for metrics, or for what no other method tells. Runs on
    /// the node's own task: while it looks, nothing else goes on.
    ///
    /// # Errors
    /// [`ApiMisuse::Closed`].
    ///
    /// # Panics
    /// If `look` does; the node itself goes on.
    ///
    /// ```
    /// # use metalbond_smol::{Config, MetalBond};
    /// # #[macro_rules_attribute::apply(smol_macros::main!)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (server, _) = MetalBond::start(Config::default())?;
    /// let bytes_in: u64 = server.inspect(|node| node.sessions().map(|s| s.counters.bytes_in).sum()).await?;
    /// assert_eq!(bytes_in, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn inspect<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Node) -> T + Send + 'static,
    ) -> Result<T, ApiMisuse> {
        let look = move |node: &Node| catch_unwind(AssertUnwindSafe(|| look(node)));
        let seen = self.ask(|answer| CommonMessage::Inspect(Box::new(move |node| answer(look(node))))).await?;
        Ok(seen.unwrap_or_else(|panic| resume_unwind(panic)))
    }

    /// The time by the node's clock: what its instants are to be compared with, of which [`Node::now`] is the last that it was told.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// How long the turns of the node's task took so far, of which each takes what has come, does what is due, and writes what is to
    /// be sent: what one peer's messages cost the others in time.
    ///
    /// # Errors
    /// [`ApiMisuse::Closed`].
    pub async fn turn_times(&self) -> Result<Histogram, ApiMisuse> {
        self.ask(CommonMessage::TurnTimes).await
    }

    /// Asks for something and does not wait for what becomes of it, but for room in the node's mailbox if it is full.
    ///
    /// ```
    /// # use metalbond_smol::{Config, MetalBond, Notice, Vni};
    /// # #[macro_rules_attribute::apply(smol_macros::main!)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (client, _) = MetalBond::start(Config::default())?;
    /// client.notify(Notice::Subscribe(Vni(23))).await;
    /// assert!(client.is_subscribed(Vni(23)).await?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn notify(&self, notice: Notice) {
        // Of a node that is gone, nothing is to be had.
        let _ = self.mailbox.send(notify(notice)).await;
    }

    /// The same for where nothing can be awaited: in a `Drop`, in a callback, on a thread without a runtime.
    ///
    /// # Errors
    /// [`TryNotifyError::Busy`] if the mailbox is full, [`TryNotifyError::Closed`].
    pub fn try_notify(&self, notice: Notice) -> Result<(), TryNotifyError> {
        self.mailbox.try_send(notify(notice)).map_err(|error| match error {
            TrySendError::Full(_) => TryNotifyError::Busy,
            TrySendError::Closed(_) => TryNotifyError::Closed,
        })
    }

    /// Ends the node and waits until all its sessions and sockets are closed: under a second with the default
    /// [`Config::shutdown_timeout`]. Its servers keep its announcements for [`Config::restart_time`], so that whoever
    /// comes back by then has disturbed nobody.
    ///
    /// ```
    /// # use metalbond_smol::{ApiMisuse, Config, MetalBond, Vni};
    /// # #[macro_rules_attribute::apply(smol_macros::main!)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (node, mut changes) = MetalBond::start(Config::default())?;
    /// node.shutdown().await;
    /// assert_eq!(node.subscribe(Vni(1)).await, Err(ApiMisuse::Closed));
    /// assert_eq!(changes.next().await, None);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn shutdown(&self) {
        self.end(false).await;
    }

    /// The same for good: withdraws what the node announces first. A [`shutdown`](Self::shutdown) cuts that short.
    pub async fn shutdown_with_cleanup(&self) {
        self.end(true).await;
    }

    async fn end(&self, cleanup: bool) {
        // An error says that it is closed already.
        let _ = self.ask(|answer| CommonMessage::Shutdown { cleanup, answer: Some(answer) }).await;
    }

    pub(crate) async fn want(&self, command: Command) -> Result<(), ApiMisuse> {
        self.command(command).await.map(|_| ())
    }

    async fn command(&self, command: Command) -> Result<Reply, ApiMisuse> {
        self.ask(|answer| CommonMessage::Command { command, answer: Some(answer) }).await?
    }

    async fn batches(&self, mut commands: impl Iterator<Item = Command>) -> Result<usize, ApiMisuse> {
        let mut changed = 0;
        loop {
            let commands: Vec<_> = commands.by_ref().take(BATCH).collect();
            if commands.is_empty() {
                return Ok(changed);
            }
            changed += self.ask(|answer| CommonMessage::Batch { commands, answer }).await??;
        }
    }

    /// Sends a message that holds the way for its answer, and waits for that.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        message: impl FnOnce(metalbond_driver::Answer<T>) -> Message,
    ) -> Result<T, ApiMisuse> {
        let (sender, receiver) = channel::bounded(1);
        let answer = Box::new(move |value| {
            // Whoever asked may have stopped waiting.
            let _ = sender.try_send(value);
        });
        self.mailbox.send(message(answer)).await.map_err(|_| ApiMisuse::Closed)?;
        receiver.recv().await.map_err(|_| ApiMisuse::Closed)
    }
}

fn notify(notice: Notice) -> Message {
    CommonMessage::Command { command: notice.into(), answer: None }
}

/// Tells the actor when the last handle is gone.
async fn watch(handles: Receiver<Infallible>, mailbox: Mailbox) {
    let Err(_) = handles.recv().await;
    let _ = mailbox.send(CommonMessage::Shutdown { cleanup: false, answer: None }).await;
}
