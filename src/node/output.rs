//! The outputs of a node: control actions at once, bytes and route changes when the driver pulls them.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::net::SocketAddr;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::{ApiMisuse, CloseReason, ConnId, Denied, PeerId, PeerName, Route, SessionState, Vni};

/// The actions of one input, in order.
pub type Actions = SmallVec<[Action; 2]>;

/// Something for the driver to do.
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
    Reply(Result<Reply, ApiMisuse>),
    /// The shutdown is complete: every connection is closed. Nothing follows.
    Terminated,
}

/// What the policy refused to a peer.
#[derive(Clone, PartialEq, Eq, Debug)]
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

/// How to end a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Close {
    /// At once; what was not yet written is lost.
    Now,
    /// Write what was handed out, shut the sending side down, read and drop what comes until the peer ends it (or a
    /// second has passed). Closing with unread input would send RST, which destroys what is still under way.
    Drain,
}

/// A success that a command has to tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reply {
    /// It is done.
    Done,
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
pub struct ShortRestartTime {
    /// The seconds that it was asked for: [`Config::restart_time`](crate::Config::restart_time).
    pub asked: u32,
    /// The seconds that it grants. `None`: it does not say. It retains nothing, or is of version 0.1, which retains routes for
    /// 60 s at most; the reference's servers retain nothing.
    pub granted: Option<u32>,
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

/// A configured peer's id and endpoint.
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
/// Write `chunks` one behind the other, then say [`Input::Sent`](crate::Input::Sent). Until then the node hands out
/// nothing more for this connection.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use = "bytes that are not written are lost, and the node waits for `Input::Sent`"]
pub struct Transmit {
    /// Where to.
    pub conn: ConnId,
    /// What. Shared between the peers that are told the same.
    pub chunks: SmallVec<[Bytes; 4]>,
    /// How.
    pub mode: TransmitMode,
}

impl Transmit {
    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.chunks.iter().map(Bytes::len).sum()
    }

    /// Whether there are none. Never so for what a node hands out.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How a transmit is to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransmitMode {
    /// As a stream: any cut will do.
    Stream,
    /// Each chunk in a send of its own, with MSG_EOR: the peer misparses a frame that a segment cuts. A chunk has
    /// at most 1,208 bytes, the smallest MSS of TCP over IPv6 with timestamps (RFC 8200, RFC 7323).
    Segments,
}
