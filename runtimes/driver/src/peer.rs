//! The peers of a node as an application sees them: configured servers and accepted clients, in one list.

use std::fmt;
use std::net::SocketAddr;

use metalbond::{Announcer, Node, PeerInfo, SessionInfo, SessionState};

use crate::{MetalBond, Notice};

/// The direction of a connection: which end opened it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Direction {
    /// This node opened it: the peer is a configured server.
    Dialled,
    /// The peer opened it: the peer is a client.
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

/// A snapshot of a peer: its properties at one moment.
///
/// With the feature `serde` it is serialized as an object with the fields `direction`, `state`, `remote`, `configured` and `session`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PeerSnapshot {
    /// A configured server, and its connection if there is one.
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

    /// Returns the snapshot of a configured server over all its sessions. `None` for a client.
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

    /// Returns the notice that closes the connection. A configured server is dialled again at once, a client may come back.
    pub fn reset(&self) -> Notice {
        match self {
            Self::Dialled(peer, _) => Notice::ResetPeer(peer.id),
            Self::Accepted(session) => Notice::ResetConn(session.conn),
        }
    }
}

/// Iterates over the peers of a node: first the configured servers, each with its session, then the clients, both in the order of their
/// ids. `last`: the [announcer](PeerSnapshot::announcer) of a peer, to begin after it. `None`: from the first.
///
/// A node may have very many clients ([`Limits::connections`](crate::Limits::connections)). Visit some hundred peers in one call of
/// [`MetalBond::inspect`], and go on after the last one in the next call: a peer that exists all the time is visited once.
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

/// A [`PeerSnapshot`] with a handle of the node, to reset the peer. The node lives as long as the handle does. The methods return the
/// properties of the peer at the time of the snapshot.
#[derive(Clone, Debug)]
pub struct Peer {
    snapshot: PeerSnapshot,
    handle: MetalBond,
}

impl Peer {
    pub(crate) const fn new(snapshot: PeerSnapshot, handle: MetalBond) -> Self {
        Self { snapshot, handle }
    }

    /// Returns the snapshot.
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

    /// Returns the snapshot of a configured server over all its sessions. `None` for a client.
    pub fn configured(&self) -> Option<&PeerInfo> {
        self.snapshot.configured()
    }

    /// Returns the peer's id as the announcer of routes.
    pub fn announcer(&self) -> Announcer {
        self.snapshot.announcer()
    }

    /// Resets the peer: closes its connection. A configured server is dialled again at once, a client may come back. The call sends a
    /// [`Notice`], and does not wait for the effect. It has no effect if the client or the server does not exist any more. A future that is
    /// dropped before it is ready has sent nothing.
    pub async fn reset(&self) {
        self.handle.notify(self.snapshot.reset()).await;
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Peer {
    /// Serializes the [`PeerSnapshot`].
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.snapshot.serialize(serializer)
    }
}
