//! The vocabulary that the drivers of `metalbond` share, whatever their runtime: messages to the actor, the bounds of
//! its turns, its clock, sockets, errors, logs. Synchronous: nothing here waits.
//!
//! An embedder does not use this crate; a driver (`metalbond-tokio`) exports what it needs of it.

#![forbid(unsafe_code)]

mod clock;
mod endpoint;
mod error;
mod log;
mod message;
mod peer;
mod seed;
#[cfg(feature = "serde")]
mod serde;
mod socket;
mod turn;
mod unwritten;

pub use clock::Clock;
pub use endpoint::{Endpoint, EndpointError};
pub use error::Error;
pub use log::{AcceptLog, SessionLog};
pub use message::{Answer, Message};
pub use peer::{Direction, PeerSnapshot, peer_snapshots};
pub use seed::seeded;
pub use socket::{accept_pause, listen, pack, prepare, remote, transport_end};
pub use turn::{ACCEPT_PAUSE, BATCH, Budget, CHANGES, CHANGES_BATCH, DIAL_EACH, DRAIN, MAILBOX, READ, SHUTDOWN_MARGIN};
pub use unwritten::Unwritten;
