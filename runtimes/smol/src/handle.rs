//! The embedder's handle: each method is a message to the actor, and waits for its answer.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use metalbond::{ApiMisuse, Command, Config, ConfigError, ConnId, Node, PeerId, Reply, Route, SessionState, Vni};
use metalbond_common::{BATCH, Clock, Endpoint, Error, MAILBOX, Message as CommonMessage, peer_snapshots};
use smol::channel::{self, Receiver, Sender};

use crate::actor::{self, Actor};
use crate::task::{self, Mailbox, Message, Tasks};
use crate::{Changes, Peer, RouteTable, changes};

/// A running node. Clones are handles to the same one; when the last is gone, it closes its sessions and ends.
///
/// Methods may be called from any task, at any time: what a node is told to want (servers, subscriptions,
/// announcements) holds whether or not a server is there.
///
/// The future of a method may be dropped at any time. What it asked for may then have been done or not: a server may be
/// added by [`add_peer`](Self::add_peer) whose id nobody learns (but [`peers`](Self::peers) tells it), and of the routes
/// of [`announce_routes`](Self::announce_routes) or [`withdraw_routes`](Self::withdraw_routes) a part may be done. A
/// [`shutdown`](Self::shutdown) that has been asked for goes on.
#[derive(Clone, Debug)]
pub struct MetalBond {
    mailbox: Mailbox,
    // Never sent on: its end is the end of the last handle.
    _alive: Sender<Infallible>,
}

impl MetalBond {
    /// Starts a node on smol's global executor. A [`Config::seed`] of 0 is
    /// replaced by a random one.
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
        let node = actor::node(config, clock)?;
        let (mailbox, inbox) = task::mailbox(MAILBOX);
        let (sender, changes) = changes::channel();
        let (alive, last) = channel::bounded(1);
        smol::spawn(Actor::new(node, clock, inbox, sender, Tasks::new(mailbox.clone())).run()).detach();
        smol::spawn(watch(last, mailbox.clone())).detach();
        Ok((Self { mailbox, _alive: alive }, changes))
    }

    /// Listens for clients; can be called for several addresses. `[::]` takes IPv4 as well. Returns the address with
    /// the port that was given out for port 0.
    ///
    /// # Errors
    /// What the system says, an address in use for example; and [`Error::Closed`] inside of an
    /// [`io::ErrorKind::Other`].
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
    pub async fn listen(&self, addr: SocketAddr) -> io::Result<SocketAddr> {
        self.ask(|answer| CommonMessage::Listen { addr, answer }).await.map_err(io::Error::other)?
    }

    /// Dials a server, `host:port`, and keeps at it until [`remove_peer`](Self::remove_peer). The name is resolved
    /// anew at each dial.
    ///
    /// # Errors
    /// [`Error::Endpoint`] if it is not `host:port`, [`ApiMisuse::PeerExists`], [`Error::Closed`].
    ///
    /// ```
    /// # use metalbond_smol::{ApiMisuse, Config, Error, MetalBond};
    /// # #[macro_rules_attribute::apply(smol_macros::main!)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (client, _) = MetalBond::start(Config::default())?;
    /// let peer = client.add_peer("127.0.0.1:4711").await?;
    /// assert_eq!(client.add_peer("127.0.0.1:4711").await, Err(Error::Misuse(ApiMisuse::PeerExists)));
    /// assert!(matches!(client.add_peer("::1:4711").await, Err(Error::Endpoint(_))));
    /// client.remove_peer(peer).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn add_peer(&self, endpoint: &str) -> Result<PeerId, Error> {
        let endpoint: Endpoint = endpoint.parse()?;
        match self.command(Command::AddPeer { endpoint: endpoint.into() }).await? {
            Reply::Peer(id) => Ok(id),
            // The core names the peer that it added, or fails.
            Reply::Done => Err(Error::Closed),
        }
    }

    /// Leaves a server. Its routes go at once.
    ///
    /// # Errors
    /// [`ApiMisuse::NoSuchPeer`], [`Error::Closed`].
    pub async fn remove_peer(&self, peer: PeerId) -> Result<(), Error> {
        self.want(Command::RemovePeer(peer)).await
    }

    /// Closes the connection to a server, if there is one, and dials it again at once.
    ///
    /// # Errors
    /// [`ApiMisuse::NoSuchPeer`], [`Error::Closed`].
    pub async fn reset_peer(&self, peer: PeerId) -> Result<(), Error> {
        self.want(Command::ResetPeer(peer)).await
    }

    /// Closes one connection, dialled or accepted. A notice: nobody waits for the effect, and it has none if the
    /// connection is gone.
    pub async fn reset_conn(&self, conn: ConnId) {
        self.notify(Command::ResetConn(conn)).await;
    }

    /// Where the session with a server stands.
    ///
    /// # Errors
    /// [`ApiMisuse::NoSuchPeer`], [`Error::Closed`].
    pub async fn peer_state(&self, peer: PeerId) -> Result<SessionState, Error> {
        self.inspect(move |node| node.peer_state(peer)).await?.ok_or(Error::Misuse(ApiMisuse::NoSuchPeer))
    }

    /// All peers: the configured servers, then the clients that connected.
    ///
    /// # Errors
    /// [`Error::Closed`].
    ///
    /// ```
    /// # use metalbond_smol::{Config, Direction, MetalBond};
    /// # #[macro_rules_attribute::apply(smol_macros::main!)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (client, _) = MetalBond::start(Config::default())?;
    /// client.add_peer("127.0.0.1:4711").await?;
    /// for peer in client.peers().await? {
    ///     println!("{:?} {:?} {}", peer.direction(), peer.remote(), peer.state());
    ///     peer.reset().await;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn peers(&self) -> Result<Vec<Peer>, Error> {
        let snapshots = self.inspect(peer_snapshots).await?;
        Ok(snapshots.into_iter().map(|snapshot| Peer::new(snapshot, self.clone())).collect())
    }

    /// Wants the routes of a VNI: they come by the stream of changes.
    ///
    /// # Errors
    /// [`ApiMisuse::AlreadySubscribed`], [`Error::Closed`].
    ///
    /// ```
    /// # use metalbond_smol::{ApiMisuse, Config, Error, MetalBond, Vni};
    /// # #[macro_rules_attribute::apply(smol_macros::main!)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (client, _) = MetalBond::start(Config::default())?;
    /// client.subscribe(Vni(23)).await?;
    /// assert_eq!(client.subscribe(Vni(23)).await, Err(Error::Misuse(ApiMisuse::AlreadySubscribed)));
    /// assert_eq!(client.subscribed_vnis().await?, [Vni(23)]);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn subscribe(&self, vni: Vni) -> Result<(), Error> {
        self.want(Command::Subscribe(vni)).await
    }

    /// Wants them no more.
    ///
    /// # Errors
    /// [`ApiMisuse::NotSubscribed`], [`Error::Closed`].
    pub async fn unsubscribe(&self, vni: Vni) -> Result<(), Error> {
        self.want(Command::Unsubscribe(vni)).await
    }

    /// Whether the routes of a VNI are wanted.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn is_subscribed(&self, vni: Vni) -> Result<bool, Error> {
        self.inspect(move |node| node.is_subscribed(vni)).await
    }

    /// The VNIs whose routes are wanted.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn subscribed_vnis(&self) -> Result<Vec<Vni>, Error> {
        self.inspect(|node| node.subscribed_vnis().collect()).await
    }

    /// Announces a route of this node's own.
    ///
    /// # Errors
    /// [`ApiMisuse::AlreadyAnnounced`], [`Error::Closed`].
    ///
    /// ```
    /// # use metalbond_smol::{ApiMisuse, Config, Error, MetalBond, NextHop, Route, Vni};
    /// # #[macro_rules_attribute::apply(smol_macros::main!)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (client, _) = MetalBond::start(Config::default())?;
    /// let next_hop = NextHop::standard("2001:db8::1".parse()?);
    /// let route = Route { vni: Vni(23), prefix: "10.0.23.0/24".parse()?, next_hop };
    /// client.announce_route(route).await?;
    /// assert_eq!(client.announce_route(route).await, Err(Error::Misuse(ApiMisuse::AlreadyAnnounced)));
    /// assert!(client.is_route_announced(route).await?);
    /// client.withdraw_route(route).await?;
    /// assert_eq!(client.withdraw_route(route).await, Err(Error::Misuse(ApiMisuse::NoSuchRoute)));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn announce_route(&self, route: Route) -> Result<(), Error> {
        self.want(Command::Announce(route)).await
    }

    /// Withdraws a route of this node's own.
    ///
    /// # Errors
    /// [`ApiMisuse::NoSuchRoute`], [`Error::Closed`].
    pub async fn withdraw_route(&self, route: Route) -> Result<(), Error> {
        self.want(Command::Withdraw(route)).await
    }

    /// Announces many routes, in few messages. Returns how many were not announced before.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn announce_routes(&self, routes: impl IntoIterator<Item = Route>) -> Result<usize, Error> {
        self.batches(routes.into_iter().map(Command::Announce)).await
    }

    /// Withdraws many routes, in few messages. Returns how many were announced.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn withdraw_routes(&self, routes: impl IntoIterator<Item = Route>) -> Result<usize, Error> {
        self.batches(routes.into_iter().map(Command::Withdraw)).await
    }

    /// Whether this node announces a route itself.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn is_route_announced(&self, route: Route) -> Result<bool, Error> {
        self.inspect(move |node| node.is_announced(&route)).await
    }

    /// The routes that this node announces itself.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn announced_routes(&self) -> Result<Vec<Route>, Error> {
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
    /// [`Error::Closed`].
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
    pub async fn inspect<T: Send + 'static>(&self, look: impl FnOnce(&Node) -> T + Send + 'static) -> Result<T, Error> {
        self.ask(|answer| CommonMessage::Inspect(Box::new(move |node| answer(look(node))))).await
    }

    /// Ends the node and waits until all its sessions and sockets are closed: under a second with the default
    /// [`Config::shutdown_timeout`]. With `cleanup` it leaves for good: its announcements are withdrawn first, where
    /// otherwise its servers may keep them for a restart.
    ///
    /// ```
    /// # use metalbond_smol::{Config, Error, MetalBond, Vni};
    /// # #[macro_rules_attribute::apply(smol_macros::main!)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (node, mut changes) = MetalBond::start(Config::default())?;
    /// node.shutdown(false).await;
    /// assert_eq!(node.subscribe(Vni(1)).await, Err(Error::Closed));
    /// assert_eq!(changes.next().await, None);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn shutdown(&self, cleanup: bool) {
        // An error says that it is closed already.
        let _ = self.ask(|answer| CommonMessage::Shutdown { cleanup, answer: Some(answer) }).await;
    }

    /// Tells the actor, and waits for nothing but room in its mailbox.
    pub(crate) async fn notify(&self, command: Command) {
        // Of a node that is gone, nothing is to be had.
        let _ = self.mailbox.send(CommonMessage::Command { command, answer: None }).await;
    }

    async fn want(&self, command: Command) -> Result<(), Error> {
        self.command(command).await.map(|_| ())
    }

    async fn command(&self, command: Command) -> Result<Reply, Error> {
        let reply = self.ask(|answer| CommonMessage::Command { command, answer: Some(answer) }).await?;
        reply.map_err(Error::from)
    }

    async fn batches(&self, mut commands: impl Iterator<Item = Command>) -> Result<usize, Error> {
        let mut succeeded = 0;
        loop {
            let commands: Vec<_> = commands.by_ref().take(BATCH).collect();
            if commands.is_empty() {
                return Ok(succeeded);
            }
            succeeded += self.ask(|answer| CommonMessage::Batch { commands, answer }).await?;
        }
    }

    /// Sends a message that holds the way for its answer, and waits for that.
    async fn ask<T: Send + 'static>(
        &self,
        message: impl FnOnce(metalbond_common::Answer<T>) -> Message,
    ) -> Result<T, Error> {
        let (sender, receiver) = channel::bounded(1);
        let answer = Box::new(move |value| {
            // Whoever asked may have stopped waiting.
            let _ = sender.try_send(value);
        });
        self.mailbox.send(message(answer)).await.map_err(|_| Error::Closed)?;
        receiver.recv().await.map_err(|_| Error::Closed)
    }
}

/// Tells the actor when the last handle is gone.
async fn watch(mut handles: Receiver<Infallible>, mailbox: Mailbox) {
    let Err(_) = handles.recv().await;
    let _ = mailbox.send(CommonMessage::Shutdown { cleanup: false, answer: None }).await;
}
