//! Why connections end, and how many ended why.

use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;

use crate::{DecodeError, PeerLimit, PeerMisbehaved, SessionState};

/// How a transport ended, as the driver saw it. Exhaustive: what is none of these is [`Error`](Self::Error).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum TransportEnd {
    /// The peer closed its sending side (FIN).
    Eof,
    /// The peer reset the connection (RST, broken pipe).
    Reset,
    /// The peer's host did not answer any more (ETIMEDOUT, EHOSTUNREACH).
    TimedOut,
    /// Anything else, in the words of the system.
    Error(Box<str>),
}

impl fmt::Display for TransportEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eof => f.write_str("closed by the peer"),
            Self::Reset => f.write_str("reset by the peer"),
            Self::TimedOut => f.write_str("the peer's host does not answer"),
            Self::Error(text) => f.write_str(text),
        }
    }
}

/// Why a connection ended.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum CloseReason {
    /// It could not be dialled, in the words of the system.
    DialFailed(Box<str>),
    /// The transport ended.
    Transport(TransportEnd),
    /// Nothing was received for 2.5 keepalive intervals: this long.
    Silence(#[cfg_attr(feature = "serde", serde(with = "crate::serde::seconds"))] Duration),
    /// The dial, the HELLO or the first KEEPALIVE took longer than the handshake may.
    HandshakeTimeout(SessionState),
    /// The peer sent what can't be decoded.
    Decode(DecodeError),
    /// The peer sent what it may not.
    Misbehaved(PeerMisbehaved),
    /// The peer reads so slowly that the routes withdrawn meanwhile outweigh the table.
    TooSlow,
    /// What was to be written could not be, all of it, for this long: the peer does not read.
    NotReading(#[cfg_attr(feature = "serde", serde(with = "crate::serde::seconds"))] Duration),
    /// More than one of the [`Limits`](crate::Limits) allows.
    Limit {
        /// Which.
        limit: PeerLimit,
        /// What it allows.
        max: u64,
    },
    /// Refused, because a connection from this address was closed for a limit: for this much longer.
    KeptOut(#[cfg_attr(feature = "serde", serde(with = "crate::serde::seconds"))] Duration),
    /// The [`Policy`](crate::Policy) has no rule for the peer, or one that permits nothing.
    NotAllowed,
    /// The policy was replaced, and now allows the peer what it had refused to it, or no longer a network that it is subscribed to:
    /// in a new session it says everything again.
    PolicyChanged,
    /// The peer was removed from the configuration.
    Removed,
    /// A reset was asked for.
    ResetRequested,
    /// A server without the capability `ordered` locks up when a VNI is subscribed to twice in one session.
    Resubscribe,
    /// This node is shutting down.
    Shutdown,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DialFailed(text) => write!(f, "cannot connect: {text}"),
            Self::Transport(end) => end.fmt(f),
            Self::Silence(d) => write!(f, "nothing received for {d:?}"),
            Self::HandshakeTimeout(state) => write!(f, "handshake timed out in {state}"),
            Self::Decode(e) => e.fmt(f),
            Self::Misbehaved(e) => e.fmt(f),
            Self::TooSlow => f.write_str("the peer reads too slowly"),
            Self::NotReading(d) => write!(f, "the peer has not read what was sent {d:?} ago"),
            Self::Limit { limit, max } => write!(f, "more than {max} {limit}"),
            Self::KeptOut(d) => write!(f, "this address went over a limit and is kept out for {d:?} more"),
            Self::NotAllowed => f.write_str("the policy allows this peer nothing"),
            Self::PolicyChanged => f.write_str("the policy changed what this peer may do"),
            Self::Removed => f.write_str("the peer was removed"),
            Self::ResetRequested => f.write_str("a reset was asked for"),
            Self::Resubscribe => f.write_str("this server cannot be subscribed to the same VNI twice in one session"),
            Self::Shutdown => f.write_str("shutting down"),
        }
    }
}

impl CloseReason {
    /// Whether the peer, not chance or somebody here, brought it about.
    pub const fn is_peers_fault(&self) -> bool {
        matches!(
            self,
            Self::Decode(_)
                | Self::Misbehaved(_)
                | Self::TooSlow
                | Self::NotReading(_)
                | Self::Limit { .. }
                | Self::KeptOut(_)
                | Self::NotAllowed
        )
    }

    /// Its kind, by which such ends are counted: [`Node::closed`](crate::Node::closed).
    pub const fn kind(&self) -> CloseKind {
        match self {
            Self::DialFailed(_) => CloseKind::DialFailed,
            Self::Transport(_) => CloseKind::Transport,
            Self::Silence(_) => CloseKind::Silence,
            Self::HandshakeTimeout(_) => CloseKind::HandshakeTimeout,
            Self::Decode(_) => CloseKind::Decode,
            Self::Misbehaved(_) => CloseKind::Misbehaved,
            Self::TooSlow => CloseKind::TooSlow,
            Self::NotReading(_) => CloseKind::NotReading,
            Self::Limit { limit, .. } => CloseKind::Limit(*limit),
            Self::KeptOut(_) => CloseKind::KeptOut,
            Self::NotAllowed => CloseKind::NotAllowed,
            Self::PolicyChanged => CloseKind::PolicyChanged,
            Self::Removed => CloseKind::Removed,
            Self::ResetRequested => CloseKind::ResetRequested,
            Self::Resubscribe => CloseKind::Resubscribe,
            Self::Shutdown => CloseKind::Shutdown,
        }
    }
}

/// A [`CloseReason`] without its particulars.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum CloseKind {
    /// [`CloseReason::DialFailed`].
    DialFailed,
    /// [`CloseReason::Transport`].
    Transport,
    /// [`CloseReason::Silence`].
    Silence,
    /// [`CloseReason::HandshakeTimeout`].
    HandshakeTimeout,
    /// [`CloseReason::Decode`].
    Decode,
    /// [`CloseReason::Misbehaved`].
    Misbehaved,
    /// [`CloseReason::TooSlow`].
    TooSlow,
    /// [`CloseReason::NotReading`].
    NotReading,
    /// [`CloseReason::Limit`], by the limit.
    Limit(PeerLimit),
    /// [`CloseReason::KeptOut`].
    KeptOut,
    /// [`CloseReason::NotAllowed`].
    NotAllowed,
    /// [`CloseReason::PolicyChanged`].
    PolicyChanged,
    /// [`CloseReason::Removed`].
    Removed,
    /// [`CloseReason::ResetRequested`].
    ResetRequested,
    /// [`CloseReason::Resubscribe`].
    Resubscribe,
    /// [`CloseReason::Shutdown`].
    Shutdown,
}

impl CloseKind {
    /// A word for it: `dial_failed`, `routes_per_peer` and the like.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DialFailed => "dial_failed",
            Self::Transport => "transport",
            Self::Silence => "silence",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::Decode => "decode",
            Self::Misbehaved => "misbehaved",
            Self::TooSlow => "too_slow",
            Self::NotReading => "not_reading",
            Self::Limit(limit) => limit.name(),
            Self::KeptOut => "kept_out",
            Self::NotAllowed => "not_allowed",
            Self::PolicyChanged => "policy_changed",
            Self::Removed => "removed",
            Self::ResetRequested => "reset_requested",
            Self::Resubscribe => "resubscribe",
            Self::Shutdown => "shutdown",
        }
    }
}

impl fmt::Display for CloseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
