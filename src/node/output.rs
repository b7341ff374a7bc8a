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
    /// The actions of one input, by value.
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

/// Something for the driver to do.
///
/// The enum is exhaustive: a driver has to carry out every action, so that a new one is a change of the contract.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Connect to `endpoint`, then feed [`Input::Connected`](crate::Input::Connected) or
    /// [`Input::DialFailed`](crate::Input::DialFailed).
    Dial {
        /// The connection that the dial makes.
        conn: ConnId,
        /// The configured server.
        peer: PeerId,
        /// `host:port`, to be resolved now.
        endpoint: Arc<str>,
    },
    /// End the connection (or the dial). The node says nothing more of it, and the driver need not.
    Close {
        /// The connection.
        conn: ConnId,
        /// How.
        how: Close,
    },
    /// A session's state has changed. Reported once; worth a line in the log.
    State(Transition),
    /// The policy refused something that a peer said. It was counted, and had no other effect; worth a line in the log, now and
    /// then. At most one for each [`Input::Received`](crate::Input::Received).
    Refused(Box<Refusal>),
    /// The answer to a command.
    Reply(Result<Reply, CommandError>),
    /// The shutdown is complete: every connection is closed. Nothing follows.
    Terminated,
}

/// What the policy refused to a peer.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Refusal {
    /// The connection; `None` for a departed client, of which the routes are retained.
    pub conn: Option<ConnId>,
    /// The peer's address.
    pub remote: Option<SocketAddr>,
    /// The names in the peer's certificate; `None` without one.
    pub names: Option<Arc<[PeerName]>>,
    /// The policy's rule for the peer.
    pub rule: Arc<str>,
    /// What was refused; the first, if more was.
    pub what: Refused,
    /// Why.
    pub why: Denied,
    /// How many things were refused, this one included.
    pub count: u64,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, what, why, count, .. } = self;
        write!(f, "{what}: rule '{rule}' {why}")?;
        if *count > 1 { write!(f, "; and {} more", count - 1) } else { Ok(()) }
    }
}

/// Something that a policy can refuse.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Refused {
    /// A SUBSCRIBE.
    Subscription(Vni),
    /// An UPDATE that adds this route.
    Announcement(Route),
    /// This route was announced when that was permitted. It was withdrawn.
    Standing(Route),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subscription(vni) => write!(f, "subscription to {vni}"),
            Self::Announcement(route) => write!(f, "announcement of {route}"),
            Self::Standing(route) => write!(f, "{route}, which was announced before"),
        }
    }
}

/// How to end a connection. Exhaustive, like [`Action`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Close {
    /// At once; what was not yet written is lost.
    Now,
    /// Write what was handed out, shut the sending side down, read and drop what comes until the peer ends it (or a
    /// second has passed). Closing with unread input would send RST, which destroys what is still under way.
    Drain,
}

/// The result of a command that was carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Reply {
    /// The command is carried out.
    Done,
    /// The command is carried out. False: nothing has changed, because it was so before.
    Changed(bool),
    /// The new peer's id.
    Peer(PeerId),
}

/// A session's change of state.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Transition {
    /// The connection. In RETRY, the one that was lost.
    pub conn: ConnId,
    /// The configured peer, if this node dialled.
    pub peer: Option<Peer>,
    /// The far end's address, once connected.
    pub remote: Option<SocketAddr>,
    /// The names in the far end's certificate; `None` without one.
    #[cfg_attr(feature = "serde", serde(default))]
    pub names: Option<Arc<[PeerName]>>,
    /// The state before.
    pub old: SessionState,
    /// The state from now on.
    pub new: SessionState,
    /// Why a connection or a dial ended, if one did.
    pub reason: Option<CloseReason>,
    /// Where a session with a server has just opened: whether that server retains this node's routes for a shorter time than it
    /// was asked to. Worth a line in the log when it changes. `None`: as long as it was asked to.
    #[cfg_attr(feature = "serde", serde(default))]
    pub restart_time: Option<ShortRestartTime>,
}

/// A server retains this node's routes for a shorter time than it was asked to when this node's process goes away.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ShortRestartTime {
    /// The time that this node asked for: [`Config::restart_time`](crate::Config::restart_time).
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::whole_seconds"))]
    pub asked: Duration,
    /// The time that the server grants, in whole seconds. `None`: the server does not say. It retains nothing, or is of version 0.1, which
    /// retains routes for 60 s at most; the reference's servers retain nothing.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::optional_whole_seconds"))]
    pub granted: Option<Duration>,
}

impl ShortRestartTime {
    /// Makes one. A node makes its own; this is for tests of what shows them. Both are whole seconds.
    pub const fn new(asked: Duration, granted: Option<Duration>) -> Self {
        Self { asked, granted }
    }
}

impl Transition {
    /// A change of which nothing more is known. A node makes its own; this is for tests of code that handles them.
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

/// A configured peer's id and endpoint. Not `#[non_exhaustive]`: it is the key of a peer, and complete.
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
/// Write `chunks` one after the other, then say [`Input::Sent`](crate::Input::Sent). Until then the node hands out
/// nothing more for this connection.
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
    /// The bytes of a [`Transmit`], by value.
    ChunksIntoIter,
    Bytes,
    4
}

impl Transmit {
    /// Makes a transmit. A node makes its own; this is for tests of what writes them.
    pub fn new(conn: ConnId, chunks: impl IntoIterator<Item = Bytes>, mode: TransmitMode) -> Self {
        Self { conn, chunks: chunks.into_iter().collect(), mode }
    }

    /// Returns the number of bytes.
    pub fn len(&self) -> usize {
        self.chunks.iter().map(Bytes::len).sum()
    }

    /// Returns true if there are no bytes, which is never so for a transmit of a node.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How a transmit is to be written. Exhaustive, like [`Action`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransmitMode {
    /// As a stream: any cut will do.
    Stream,
    /// Each chunk in a send of its own, with MSG_EOR: the peer misparses a frame that a segment cuts. A chunk has
    /// at most 1,208 bytes, the smallest MSS of TCP over IPv6 with timestamps (RFC 8200, RFC 7323).
    Segments,
}
