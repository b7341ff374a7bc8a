//! Requests of an application that have no answer.

use metalbond::{Command, ConnId, PeerId, Route, Vni};

/// A request without an answer, for [`MetalBond::notify`](crate::MetalBond::notify). Each is like the method or the
/// [`Command`] of this name. One that fails has no effect, and its error is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Notice {
    /// Subscribe to a VNI.
    Subscribe(Vni),
    /// Unsubscribe from a VNI.
    Unsubscribe(Vni),
    /// Report all routes of a VNI again.
    Resync(Vni),
    /// Announce a route of this node's own.
    Announce(Route),
    /// Withdraw a route of this node's own.
    Withdraw(Route),
    /// Remove a server.
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

/// Why [`MetalBond::try_notify`](crate::MetalBond::try_notify) did not send a notice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TryNotifyError {
    /// The node's mailbox is full. Try again later.
    #[error("the node is busy")]
    Busy,
    /// The node is shut down.
    #[error("the node is shut down")]
    Closed,
}
