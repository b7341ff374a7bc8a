//! What peers may do: who they are, and which of their announcements and subscriptions are taken. Pure: no I/O, no time.

mod name;

pub use name::{ParsePeerNameError, PeerName};
