//! The outputs of a node: control actions at once, bytes and route changes when the driver pulls them.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use crate::list::list;
use crate::{CloseReason, CommandError, ConnId, Denied, PeerId, PeerName, Route, SessionState, Vni};
use bytes::Bytes;

list! {
    /// The actions of one input, in order.
    Actions,
    /// An iterator over the actions of one input, by value.
    ActionsIntoIter,
    Action,
    2
}

impl Actions {
    pub(super) fn push(&mut self, action: Action) {
        self.0.push(action);
    }

    pub(super) fn insert(&mut self, index: usize, action: Action) {
        self.0.insert(index, action);
    }
}

/// An action that the driver has to carry out.
///
/// The enum is exhaustive, because a driver has to carry out every action.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Connect to `endpoint`, then pass [`Input::Connected`](crate::Input::Connected) or
    /// [`Input::DialFailed`](crate::Input::DialFailed).
    Dial {
        /// The id of the new connection.
        conn: ConnId,
        /// The configured server.
        peer: PeerId,
        /// `host:port`, to be resolved now.
        endpoint: Arc<str>,
    },
    /// End the connection or the dial. The node sends no more bytes on it, and the driver need not pass [`Input::Closed`](crate::Input::Closed).
    Close {
        /// The connection.
        conn: ConnId,
        /// How to end it.
        how: Close,
    },
    /// Measure the receive window of this connection's far end now, and pass [`Input::Window`](crate::Input::Window) in the same iteration.
    /// `Input::Window` itself never causes this action. A driver that cannot measure does nothing: the node then sends the client's routes at
    /// [`Pacing::SLOW`](crate::Pacing::SLOW) at most.
    MeasureWindow {
        /// The connection: an accepted one, of a client without `ordered`.
        conn: ConnId,
    },
    /// A session's state has changed. For the log and for monitoring.
    State(Transition),
    /// The policy denied something to a peer: messages, which had no effect, or routes, which were withdrawn. For the log. Limit its rate
    /// there: a peer can cause one with each [`Input::Received`](crate::Input::Received).
    Denied(Box<Denial>),
    /// The answer to a command.
    Reply(Result<Reply, CommandError>),
    /// The shutdown is complete: every connection is closed. Nothing follows.
    Terminated,
}

/// A report of what the policy denied to a peer.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Denial {
    /// The connection. `None` for a departed client, whose routes are retained.
    pub conn: Option<ConnId>,
    /// The peer's address. `None` for a client that is gone.
    pub remote: Option<SocketAddr>,
    /// The names in the peer's certificate. `None` without a certificate.
    pub names: Option<Arc<[PeerName]>>,
    /// The name of the policy's rule for the peer.
    pub rule: Arc<str>,
    /// The first thing that was denied.
    pub what: DeniedItem,
    /// Why it was denied.
    pub why: Denied,
    /// How many things were denied, the first one included.
    pub count: u64,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, what, why, count, .. } = self;
        write!(f, "{what}: rule '{rule}' {why}")?;
        if *count > 1 { write!(f, "; and {} more", count - 1) } else { Ok(()) }
    }
}

/// The item that a policy denied: a subscription or a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DeniedItem {
    /// A SUBSCRIBE.
    Subscription(Vni),
    /// An UPDATE that adds this route.
    Announcement(Route),
    /// A route that was announced under an earlier policy and that the new one denies. The node withdrew it.
    Standing(Route),
}

impl fmt::Display for DeniedItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subscription(vni) => write!(f, "subscription to {vni}"),
            Self::Announcement(route) => write!(f, "announcement of {route}"),
            Self::Standing(route) => write!(f, "{route}, which was announced before"),
        }
    }
}

/// How to end a connection. The enum is exhaustive, like [`Action`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Close {
    /// Close the connection at once. Bytes that are not written yet are lost.
    Now,
    /// Write the bytes that were handed out, and shut down the sending side. Then read and drop bytes until the peer closes its side, or
    /// a second has passed. A close with unread bytes would send RST, which destroys bytes that are on the way to the peer.
    Linger,
}

/// The result of a command that was carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Reply {
    /// The command is carried out.
    Done,
    /// The command is carried out. False: it has changed nothing, because there was nothing to change.
    Changed(bool),
    /// The new peer's id.
    Peer(PeerId),
}

/// A change of a session's state, for the log: the old and the new state, and the reason.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Transition {
    /// The connection. If the new state is RETRY, the one that was lost.
    pub conn: ConnId,
    /// The configured peer, if this node dialled.
    pub peer: Option<Peer>,
    /// The far end's address, once connected.
    pub remote: Option<SocketAddr>,
    /// The names in the far end's certificate. `None` without a certificate.
    #[cfg_attr(feature = "serde", serde(default))]
    pub names: Option<Arc<[PeerName]>>,
    /// The state before.
    pub old: SessionState,
    /// The state from now on.
    pub new: SessionState,
    /// Why a connection or a dial ended, if one did.
    pub reason: Option<CloseReason>,
    /// For a session with a server that has just opened: the server's restart time, if it is shorter than the time that this node asked for.
    /// For the log, when it changes. `None`: it is not shorter, or no session with a server has opened.
    #[cfg_attr(feature = "serde", serde(default))]
    pub restart_time: Option<ShortRestartTime>,
}

/// A restart time that is shorter than the time that this node asked the server for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ShortRestartTime {
    /// The time that this node asked for: [`Config::restart_time`](crate::Config::restart_time).
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::whole_seconds"))]
    pub asked: Duration,
    /// The time that the server grants, in whole seconds. `None`: its HELLO has no restart time. Such a server retains no routes, as those of the
    /// reference, or is of version 0.1 of this project, which retains routes for 60 s at most.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::optional_whole_seconds"))]
    pub granted: Option<Duration>,
}

impl ShortRestartTime {
    /// Returns a value for tests of code that shows it; a node makes its own. Both times are whole seconds.
    pub const fn new(asked: Duration, granted: Option<Duration>) -> Self {
        Self { asked, granted }
    }
}

impl Transition {
    /// Returns a transition with the other fields `None`, for tests of code that handles transitions; a node makes its own.
    pub const fn new(conn: ConnId, old: SessionState, new: SessionState) -> Self {
        Self { conn, peer: None, remote: None, names: None, old, new, reason: None, restart_time: None }
    }
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.peer, self.remote) {
            (Some(peer), Some(remote)) => write!(f, "{} ({remote})", peer.endpoint)?,
            (Some(peer), None) => write!(f, "{}", peer.endpoint)?,
            (None, Some(remote)) => write!(f, "{remote}")?,
            (None, None) => write!(f, "{}", self.conn)?,
        }
        write!(f, ": {} -> {}", self.old, self.new)?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

/// The id and the endpoint of a configured peer. No minor version adds fields.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Peer {
    /// The server's id.
    pub id: PeerId,
    /// `host:port`.
    pub endpoint: Arc<str>,
}

/// Bytes for a connection: whole frames, under 64 KiB in all.
///
/// Write `chunks` one after the other, then pass [`Input::Sent`](crate::Input::Sent). Until then the node returns no other transmit for this
/// connection.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use = "bytes that are not written are lost, and the node waits for `Input::Sent`"]
#[non_exhaustive]
pub struct Transmit {
    /// The connection.
    pub conn: ConnId,
    /// The bytes. Subscribers that are sent the same routes share them.
    pub chunks: Chunks,
    /// How the chunks are to be written.
    pub mode: TransmitMode,
}

list! {
    /// The bytes of a [`Transmit`], in the order in which they are to be written.
    Chunks,
    /// An iterator over the bytes of a [`Transmit`], by value.
    ChunksIntoIter,
    Bytes,
    4
}

impl Transmit {
    /// Returns a transmit for tests of code that writes transmits; a node makes its own.
    pub fn new(conn: ConnId, chunks: impl IntoIterator<Item = Bytes>, mode: TransmitMode) -> Self {
        Self { conn, chunks: chunks.into_iter().collect(), mode }
    }

    /// Returns the number of bytes.
    pub fn len(&self) -> usize {
        self.chunks.iter().map(Bytes::len).sum()
    }

    /// Returns true if there are no bytes. A transmit of a node always has some.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How a transmit is to be written. The enum is exhaustive, like [`Action`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransmitMode {
    /// As a stream of bytes, which may be split at any byte.
    Stream,
    /// Each chunk by a send of its own, with MSG_EOR, so that each has its own TCP segment: the peer lacks `ordered`, and cannot read a frame
    /// that is split between two segments. A chunk has at most 1,208 bytes, the smallest MSS of TCP over IPv6 with timestamps (RFC 8200,
    /// RFC 7323).
    Segments,
}
