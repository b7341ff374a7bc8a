//! The vocabulary that the drivers of `metalbond` share, whatever their runtime: messages to the actor, the bounds of
//! its turns, its clock, sockets, errors, logs, recordings. Synchronous: nothing here waits (but an [`Applier`] for its
//! handler, and [`connect_any`] for its attempts).
//!
//! An embedder does not use this crate; a driver (`metalbond-tokio`) exports what it needs of it.

#![forbid(unsafe_code)]

mod applier;
mod clock;
mod dial;
pub mod embedding;
mod endpoint;
mod handler;
mod listen_error;
mod log;
mod message;
mod notice;
mod peer;
#[cfg(feature = "record")]
mod record;
mod recorded;
mod refusal_log;
mod seed;
#[cfg(feature = "serde")]
mod serde;
mod socket;
mod start;
mod tls;
mod turn;
mod unwritten;

pub use applier::Applier;
pub use clock::Clock;
pub use dial::{DialOrder, DialOrders, connect_any};
pub use endpoint::{Endpoint, EndpointError};
pub use handler::{Applied, Failure, Operation, RouteHandler};
pub use listen_error::ListenError;
pub use log::{AcceptLog, SessionLog};
pub use message::{Answer, Message};
pub use notice::{Notice, TryNotifyError};
pub use peer::{Direction, PeerSnapshot, peer_snapshots};
#[cfg(feature = "record")]
pub use record::{ReplayError, Step, Summary, replay};
pub use recorded::Recorded;
#[cfg(feature = "tls")]
pub use rustls;
pub use seed::seeded;
pub use socket::{accept_pause, adopt, listen, prepare, receive, remote, transport_end};
pub use start::{StartError, StartOptions, make_node};
pub use tls::{Channel, Opened, TlsConfig, Transport};
pub use turn::{
    ACCEPT_PAUSE, BATCH, Budget, CHANGES, DRAIN, DRAINS, HANDSHAKES, LAST_LINES, MAILBOX, READ, SHUTDOWN_MARGIN,
    SHUTDOWN_MAX, change_batch,
};
pub use unwritten::Unwritten;

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
