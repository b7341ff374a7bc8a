//! The peers of a node as an embedder sees them: configured ones and those that came by themselves, in one list.

use std::fmt;
use std::net::SocketAddr;

use metalbond::{Announcer, Node, PeerInfo, SessionInfo, SessionState};

use crate::Notice;

/// Who opened the connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Direction {
    /// This node: the peer is a configured server.
    Dialled,
    /// The peer.
    Accepted,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Dialled => "dialled",
            Self::Accepted => "accepted",
        })
    }
}

/// A peer, as it was when the owner was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PeerSnapshot {
    /// A configured server, and its session unless there is none now. In a box, because most peers of a server are clients.
    Dialled(Box<PeerInfo>, Option<SessionInfo>),
    /// A client that connected.
    Accepted(SessionInfo),
}

impl PeerSnapshot {
    /// Who opened the connection.
    pub const fn direction(&self) -> Direction {
        match self {
            Self::Dialled(..) => Direction::Dialled,
            Self::Accepted(_) => Direction::Accepted,
        }
    }

    /// Where the session stands; RETRY for a configured server between two of them.
    pub fn state(&self) -> SessionState {
        match self {
            Self::Dialled(peer, _) => peer.state,
            Self::Accepted(session) => session.state,
        }
    }

    /// The far end's address, while connected.
    pub fn remote(&self) -> Option<SocketAddr> {
        self.session()?.remote
    }

    /// The session and its figures, if there is one.
    pub const fn session(&self) -> Option<&SessionInfo> {
        match self {
            Self::Dialled(_, session) => session.as_ref(),
            Self::Accepted(session) => Some(session),
        }
    }

    /// What is known of a configured server over all its sessions; `None` for an accepted one.
    pub fn configured(&self) -> Option<&PeerInfo> {
        match self {
            Self::Dialled(peer, _) => Some(peer),
            Self::Accepted(_) => None,
        }
    }

    /// Its name as the announcer of routes.
    pub fn announcer(&self) -> Announcer {
        match self {
            Self::Dialled(peer, _) => Announcer::Peer(peer.id),
            Self::Accepted(session) => Announcer::Conn(session.conn),
        }
    }

    /// The notice that ends its session: a configured server is dialled again at once, an accepted one may come back.
    pub fn reset(&self) -> Notice {
        match self {
            Self::Dialled(peer, _) => Notice::ResetPeer(peer.id),
            Self::Accepted(session) => Notice::ResetConn(session.conn),
        }
    }
}

/// All peers of a node: the configured ones first, each with its session, then the accepted ones.
pub fn peer_snapshots(node: &Node) -> Vec<PeerSnapshot> {
    let (dialled, accepted): (Vec<_>, Vec<_>) = node.sessions().partition(|session| session.conn.is_dialled());
    let configured = node.peers().map(|peer| {
        let session = dialled.iter().find(|session| peer.conn == Some(session.conn)).cloned();
        PeerSnapshot::Dialled(Box::new(peer), session)
    });
    configured.chain(accepted.into_iter().map(PeerSnapshot::Accepted)).collect()
}
