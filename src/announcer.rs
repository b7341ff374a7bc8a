//! The name of an announcer of routes, as an application sees it.

use core::fmt;

use crate::{ConnId, PeerId};

/// An announcer of a route. The enum is exhaustive, because code that looks an announcer up has to know each kind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Announcer {
    /// This node itself.
    Local,
    /// A configured server, over all its sessions. Its stale routes are its routes, too.
    Peer(PeerId),
    /// A client, by its connection.
    Conn(ConnId),
    /// A departed client, whose routes are retained; or a client or server that is gone, and whose routes are being removed.
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
