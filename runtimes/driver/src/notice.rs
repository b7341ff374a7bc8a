//! What an embedder can ask for without waiting for an answer.

use metalbond::{Command, ConnId, PeerId, Route, Vni};

/// A wish whose outcome its sender does not care about: if it cannot be done (there already, not there), nothing is done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Notice {
    /// Want the routes of a VNI.
    Subscribe(Vni),
    /// Want them no more.
    Unsubscribe(Vni),
    /// Be told all of a VNI again.
    Resync(Vni),
    /// Announce a route of this node's own.
    Announce(Route),
    /// Withdraw it.
    Withdraw(Route),
    /// Leave a server.
    RemovePeer(PeerId),
    /// Close the connection to a server, if there is one, and dial it again at once.
    ResetPeer(PeerId),
    /// Close one connection, dialled or accepted.
    ResetConn(ConnId),
}

impl From<Notice> for Command {
    fn from(notice: Notice) -> Self {
        match notice {
            Notice::Subscribe(vni) => Self::Subscribe(vni),
            Notice::Unsubscribe(vni) => Self::Unsubscribe(vni),
            Notice::Resync(vni) => Self::Resync(vni),
            Notice::Announce(route) => Self::Announce(route),
            Notice::Withdraw(route) => Self::Withdraw(route),
            Notice::RemovePeer(peer) => Self::RemovePeer(peer),
            Notice::ResetPeer(peer) => Self::ResetPeer(peer),
            Notice::ResetConn(conn) => Self::ResetConn(conn),
        }
    }
}

/// Why a notice cannot be taken at once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TryNotifyError {
    /// The node has a mailbox full to do. Later there is room again.
    #[error("the node is busy")]
    Busy,
    /// The node is gone.
    #[error("the node is shut down")]
    Closed,
}
