//! Runs a [`metalbond`] node on an asynchronous runtime: an actor that owns the node, and tasks for sockets around it.
//!
//! Applications use the package of their runtime, `metalbond-tokio` or `metalbond-smol`, which starts nodes and exports everything else
//! from here. This package is for a runtime of your own: implement [`Runtime`], and call [`start`]. The example `own_runtime` does that
//! with one thread and `poll`.
//!
//! The guide for applications is [`embedding`].
//!
//! # Tasks
//!
//! In the figure, each arrow to the actor is a task that waits until the actor takes its message. The actor waits for its mailboxes, its
//! timer, and room in the stream of changes, all at once, and for no task: so there is no deadlock.
//!
//! ```text
//!   +-------------+    +--------+ one per    +----------+ +--------+ +---------+
//!   | application |    | reader | connection | listener | |  dial  | | lookup  | one per
//!   +------+------+    +---+----+            +----+-----+ +---+----+ +----+----+ name
//!          | Command,      | Received,            | Accepted  | Dialled   | Resolved
//!          | Listen,       | Ended                |           |           |
//!          | Inspect, ...  |                      |           |           |
//!          v               v                      v           v           v
//!   +----------------+ +-------------------------------------------------------+
//!   |    requests    | |   events      Both are bounded. When a mailbox is     |
//!   |                | |   full, its senders wait, and a reader that waits     |
//!   |                | |   lets TCP stop the peer.                             |
//!   +-------+--------+ +---------------------------+---------------------------+
//!           v                                      v
//!   +--------------------------------------------------------------------------+
//!   |   actor: owns the node, the clock, the table of connections              |
//!   |   an iteration: messages, Tick if due, writes, handshakes, changes       |
//!   +--------------------------------------+-----------------------------------+
//!          ^                 ^             | RouteChange
//!          | Written         | Drained     | if there is room
//!   +------+------+   +------+------+      v
//!   |   writer,   |   |   linger,   |  (application)
//!   | while the   |   |   after a   |
//!   | connection  |   |   graceful  |
//!   | is full     |   |   close     |
//!   +-------------+   +-------------+
//! ```
//!
//! After a graceful close, a task writes the rest, shuts down the sending side, and reads until the peer's end, for at most a second: a
//! close with unread input would reset the connection, and destroy bytes on their way to the peer.
//!
//! The actor itself writes to a connection. If the connection does not take all bytes at once, a writer task writes the rest; until it has
//! sent `Written`, the node hands out nothing more for the connection. An idle connection has one task, its reader, which holds no buffer
//! while it waits.
//!
//! With TLS, the actor also owns the TLS state of each connection. Bytes that are received during a handshake wait in the actor. An
//! iteration does at most four steps of handshakes, and begins none after a millisecond of them. They come after messages and writes, so
//! that they hardly delay open sessions.
//!
//! # Channels
//!
//! The mailboxes are channels of `async-channel`: bounded whatever the number of senders, safe to cancel at both ends, and tied to no
//! runtime. A request has one answer, by the oneshot channel of `futures-channel`. The stream of changes is its `mpsc` channel, whose
//! single sender can wait for room without a message in hand, so that changes stay in the node, and merge, until they are read.
//!
//! # Features
//!
//! All are off by default.
//!
//! - `serde`: `Serialize` for the snapshots of peers, `Serialize` and `Deserialize` for the types of [`metalbond`].
//! - `tls`: `StartOptions::tls`, `MetalBond::listen_tls`, `set_tls`. The application chooses the provider of the cryptography. The
//!   configurations are those of rustls 0.23, which is exported as `rustls`.
//! - `record`: `StartOptions::record`, and `replay`. Includes `serde`.

#![forbid(unsafe_code)]

#[cfg(test)]
extern crate self as metalbond_driver;

mod actor;
mod applier;
mod budget;
mod changes;
mod clock;
mod connection;
mod denial_log;
mod dial;
pub mod embedding;
mod endpoint;
mod handle;
mod handler;
mod listen_error;
mod listener;
mod log;
mod lookup;
mod mailbox;
mod notice;
mod peer;
#[cfg(feature = "record")]
mod record;
mod recorded;
mod runtime;
mod seed;
#[cfg(feature = "serde")]
mod serde;
pub mod socket;
mod start;
mod table;
mod tasks;
#[cfg(test)]
mod testing;
mod tls;
mod unwritten;
mod waiters;

pub use changes::Changes;
pub use endpoint::{Endpoint, EndpointError};
pub use handle::MetalBond;
pub use handler::{Applied, Failure, Operation, RouteHandler};
pub use listen_error::ListenError;
/// The types in a [`Step`] of a recording.
#[cfg(feature = "record")]
pub use metalbond::{Action, Actions, Input, Transmit};
pub use metalbond::{
    AnnounceRule, Announcer, ApiMisuse, Bookmark, CloseKind, CloseReason, Closed, CommandError, Config, ConfigError,
    ConnId, Counters, DecodeError, Denied, Destination, Entry, Histogram, HostAddr, Instant, KindSet, Limit, Limits,
    Martian, MessageCounts, MessageType, Moved, NextHop, NextHopKind, NextHopSet, Node, Pacing, ParseBookmarkError,
    ParseKindSetError, ParsePeerNameError, ParsePeerPatternError, ParsePrefixError, ParsePrefixSetError,
    ParseRouteError, ParseVniSetError, PeerId, PeerInfo, PeerLimit, PeerMisbehaved, PeerName, PeerPattern, Permit,
    Policy, Prefix, PrefixLengthError, PrefixSet, Route, RouteChange, Rule, SessionInfo, SessionState, TableInfo,
    TransportEnd, Vni, VniSet,
};
pub use notice::{Notice, TryNotifyError};
pub use peer::{Direction, Peer, PeerSnapshot, peer_snapshots};
#[cfg(feature = "record")]
pub use record::{ReplayError, Step, Summary, replay};
pub use runtime::{Runtime, SendWindow, Stream, Task};
#[cfg(feature = "tls")]
pub use rustls;
pub use start::{StartError, StartOptions, start, start_with};
pub use table::RouteTable;
#[cfg(not(feature = "tls"))]
use tls::TlsConfig;
#[cfg(feature = "tls")]
pub use tls::{SetTlsError, TlsConfig};

/// Makes the README's example a documentation test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
