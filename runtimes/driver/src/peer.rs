//! The peers of a node as an application sees them: configured servers and accepted clients, in one list.

use std::fmt;
use std::net::SocketAddr;

use metalbond::{Announcer, Node, PeerInfo, SessionInfo, SessionState};

use crate::{MetalBond, Notice};

/// Which end opened the connection.
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

/// A peer, as it was when the node was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PeerSnapshot {
    /// A configured server, and its session if there is one. In a box, because most peers of a server are clients.
    Dialled(Box<PeerInfo>, Option<SessionInfo>),
    /// A client that connected.
    Accepted(SessionInfo),
}

impl PeerSnapshot {
    /// Returns which end opened the connection.
    pub const fn direction(&self) -> Direction {
        match self {
            Self::Dialled(..) => Direction::Dialled,
            Self::Accepted(_) => Direction::Accepted,
        }
    }

    /// Returns the session's state; RETRY for a configured server between two sessions.
    pub fn state(&self) -> SessionState {
        match self {
            Self::Dialled(peer, _) => peer.state,
            Self::Accepted(session) => session.state,
        }
    }

    /// Returns the peer's address, while it is connected.
    pub fn remote(&self) -> Option<SocketAddr> {
        self.session()?.remote
    }

    /// Returns the session and its counters, if there is one.
    pub const fn session(&self) -> Option<&SessionInfo> {
        match self {
            Self::Dialled(_, session) => session.as_ref(),
            Self::Accepted(session) => Some(session),
        }
    }

    /// Returns what is known of a configured server over all its sessions; `None` for a client.
    pub fn configured(&self) -> Option<&PeerInfo> {
        match self {
            Self::Dialled(peer, _) => Some(peer),
            Self::Accepted(_) => None,
        }
    }

    /// Returns the peer's id as the announcer of routes.
    pub fn announcer(&self) -> Announcer {
        match self {
            Self::Dialled(peer, _) => Announcer::Peer(peer.id),
            Self::Accepted(session) => Announcer::Conn(session.conn),
        }
    }

    /// Returns the notice that ends the session: a configured server is dialled again at once, a client may come back.
    pub fn reset(&self) -> Notice {
        match self {
            Self::Dialled(peer, _) => Notice::ResetPeer(peer.id),
            Self::Accepted(session) => Notice::ResetConn(session.conn),
        }
    }
}

/// Iterates over the peers of a node: the configured servers first, each with its session, then the clients, in the order of their ids. `last`:
/// the [announcer](PeerSnapshot::announcer) of the last peer seen, to go on after it; `None`: from the first.
///
/// A node may have 65,536 clients. Look at some hundred of them in one call of [`MetalBond::inspect`], and go on in the next: peers that
/// are there all the time are seen once each.
///
/// ```
/// # use metalbond_tokio::{Config, peer_snapshots};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (server, _) = metalbond_tokio::start(Config::default())?;
/// let (mut last, mut bytes_in) = (None, 0);
/// loop {
///     let piece: Vec<_> = server.inspect(move |node| peer_snapshots(node, last).take(256).collect()).await?;
///     let Some(end) = piece.last() else { break };
///     last = Some(end.announcer());
///     bytes_in += piece.iter().filter_map(|peer| peer.session()).map(|session| session.counters.bytes_in).sum::<u64>();
/// }
/// assert_eq!(bytes_in, 0);
/// # Ok(())
/// # }
/// ```
pub fn peer_snapshots(node: &Node, last: Option<Announcer>) -> impl Iterator<Item = PeerSnapshot> + '_ {
    let (peer, conn) = match last {
        Some(Announcer::Peer(id)) => (Some(id), None),
        Some(Announcer::Conn(id)) => (None, Some(id)),
        Some(Announcer::Local | Announcer::Departed) | None => (None, None),
    };
    let configured = conn.is_none().then(|| node.peers_after(peer)).into_iter().flatten().map(|peer| {
        let session = peer.conn.and_then(|conn| node.session(conn));
        PeerSnapshot::Dialled(Box::new(peer), session)
    });
    // Accepted connections have the lower ids.
    let accepted = node.sessions_after(conn).take_while(|session| !session.conn.is_dialled());
    configured.chain(accepted.map(PeerSnapshot::Accepted))
}

/// A peer: its address, direction, state and counters as they were when the node was asked, and a handle to reset it.
#[derive(Clone, Debug)]
pub struct Peer {
    snapshot: PeerSnapshot,
    handle: MetalBond,
}

impl Peer {
    pub(crate) const fn new(snapshot: PeerSnapshot, handle: MetalBond) -> Self {
        Self { snapshot, handle }
    }

    /// Returns all that was known of the peer when the node was asked.
    pub const fn snapshot(&self) -> &PeerSnapshot {
        &self.snapshot
    }

    /// Returns which end opened the connection.
    pub const fn direction(&self) -> Direction {
        self.snapshot.direction()
    }

    /// Returns the session's state; RETRY for a configured server between two sessions.
    pub fn state(&self) -> SessionState {
        self.snapshot.state()
    }

    /// Returns the peer's address, while it is connected.
    pub fn remote(&self) -> Option<SocketAddr> {
        self.snapshot.remote()
    }

    /// Returns the session and its counters, if there is one.
    pub const fn session(&self) -> Option<&SessionInfo> {
        self.snapshot.session()
    }

    /// Returns what is known of a configured server over all its sessions; `None` for a client.
    pub fn configured(&self) -> Option<&PeerInfo> {
        self.snapshot.configured()
    }

    /// Returns the peer's id as the announcer of routes.
    pub fn announcer(&self) -> Announcer {
        self.snapshot.announcer()
    }

    /// Ends the session: a configured server is dialled again at once, a client may come back. It is a notice: the call does not wait for
    /// the effect, and has none if the session has ended. A future that is dropped before it is ready has sent nothing.
    pub async fn reset(&self) {
        self.handle.notify(self.snapshot.reset()).await;
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Peer {
    /// As [`PeerSnapshot`].
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.snapshot.serialize(serializer)
    }
}
