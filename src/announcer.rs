//! The name of an announcer of routes, as an application sees it.

use core::fmt;

use crate::{ConnId, PeerId};

/// An announcer of a route. Exhaustive: a node has no other kinds of origins, and code that looks one up has to know each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Announcer {
    /// This node itself.
    Local,
    /// A configured server, over all its sessions: what it announced before its last session was lost is among it.
    Peer(PeerId),
    /// A client, by its connection.
    Conn(ConnId),
    /// A client that is gone, and whose routes stay for its restart time; or are about to go.
    Departed,
}

impl fmt::Display for Announcer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::Peer(id) => id.fmt(f),
            Self::Conn(id) => id.fmt(f),
            Self::Departed => f.write_str("departed"),
        }
    }
}
