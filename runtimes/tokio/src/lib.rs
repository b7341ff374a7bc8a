//! Runs a [`metalbond`] node on tokio: an actor that owns the node, and tasks for sockets around it.
//!
//! Start with [`MetalBond::start`], which gives a handle, cheap to clone, and the stream of route changes:
//!
//! ```
//! use metalbond_tokio::{Config, MetalBond, Route, Vni, NextHop};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (server, _) = MetalBond::start(Config::default())?;
//! let addr = server.listen("127.0.0.1:0".parse()?).await?;
//!
//! let (web, _) = MetalBond::start(Config::default())?;
//! web.add_peer(addr.into()).await?;
//! let next_hop = NextHop::standard("2001:db8::1".parse()?);
//! web.announce_route(Route { vni: Vni(23), prefix: "10.0.23.0/24".parse()?, next_hop }).await?;
//!
//! let (host, mut changes) = MetalBond::start(Config::default())?;
//! host.add_peer(addr.into()).await?;
//! host.subscribe(Vni(23)).await?;
//! let change = changes.next().await.expect("the node runs");
//! assert_eq!((change.prefix.to_string().as_str(), change.next_hops()), ("10.0.23.0/24", &[next_hop][..]));
//! # Ok(())
//! # }
//! ```
//!
//! What else there is to know for living with a node is in [`embedding`].
//!
//! # Who waits for whom
//!
//! Every arrow is a task that waits for the actor to take its message, and points at the actor. The actor waits for
//! its mailbox, its timer, and room in the stream of changes, all at once, and for no task: so there is no deadlock.
//!
//! ```text
//!   +----------+   +--------+  one per     +----------+  +----------+
//!   | embedder |   | reader |  connection  | listener |  | dialler  |
//!   +----+-----+   +---+----+              +----+-----+  +----+-----+
//!        | Command,    | Received,              | Accepted    | Dialled
//!        | Listen,     | Ended                  |             |
//!        | Inspect     |                        |             |
//!        v             v                        v             v
//!   +---------------------------------------------------------------+
//!   |   mailbox: bounded; when it is full, its senders wait, and    |
//!   |   a reader that waits lets TCP stop the peer                  |
//!   +-------------------------------+-------------------------------+
//!                                   v
//!   +---------------------------------------------------------------+
//!   |   actor: owns the node, the clock, the table of connections   |
//!   |   a turn: messages, Tick if due, writes, handshakes, changes   |
//!   +-------------------------------+-------------------------------+
//!        ^                ^         | RouteChange      ^
//!        | Written        | Drained | if there is room | Shutdown
//!   +----+-----+   +------+------+  v             +----+---------+
//!   |  writer  |   | drain: after|  (embedder)    | watch: the   |
//!   | while a  |   | Close::Drain|                | last handle  |
//!   | socket is|   | for 1 s     |                | is gone      |
//!   | full     |   +-------------+                +--------------+
//!   +----------+
//! ```
//!
//! The actor itself writes to a socket as long as it takes everything at once; only what a full socket leaves goes to
//! a writer task, and until that has said `Written` the node hands out nothing more for the connection. An idle
//! connection has one task, its reader, which holds no buffer while it waits.
//!
//! With TLS, the actor owns that of each connection, too. What comes during a handshake waits in a queue of the actor's, and of each
//! turn the handshakes get what is left, a millisecond at most: they never delay those who are through. What TLS has to say itself
//! is written like all else, behind what is under way.

#![forbid(unsafe_code)]

mod actor;
mod changes;
mod connection;
mod dialler;
mod handle;
mod listener;
mod peer;
mod security;
mod table;
mod task;
mod time;
#[cfg(feature = "tls")]
mod tls;

pub use changes::Changes;
pub use handle::MetalBond;
pub use metalbond::{
    Announcer, ApiMisuse, Bookmark, CloseKind, CloseReason, Config, ConfigError, ConnId, Counters, Denied, Destination,
    Entry, Grant, Histogram, Instant, KindSet, Limit, Limits, Martian, MessageCounts, Moved, NextHop, NextHopKind,
    NextHopSet, Node, Pacing, PeerId, PeerInfo, PeerLimit, PeerName, PeerPattern, Permit, Policy, Prefix, PrefixSet,
    Route, RouteChange, Rule, SessionInfo, SessionState, TableInfo, Vni, VniSet,
};
#[doc(inline)]
pub use metalbond_driver::embedding;
pub use metalbond_driver::{
    Applied, Direction, Endpoint, EndpointError, Failure, ListenError, Notice, Operation, PeerSnapshot, RouteHandler,
    StartError, StartOptions, TryNotifyError, peer_snapshots,
};
#[cfg(feature = "record")]
pub use metalbond_driver::{ReplayError, Step, Summary, replay};
#[cfg(feature = "tls")]
pub use metalbond_driver::{TlsConfig, rustls};
pub use peer::Peer;
pub use table::RouteTable;

/// The README's example is a test. That of the workspace's README is the same.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
