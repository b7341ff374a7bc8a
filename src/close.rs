//! Reasons for the end of a connection. Pure: no I/O, no state.

use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;

use crate::{DecodeError, PeerLimit, PeerMisbehaved, SessionState};

/// The end of a transport, as the driver saw it. The enum is exhaustive: any other end is an [`Error`](Self::Error).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum TransportEnd {
    /// The peer closed its sending side (FIN).
    Eof,
    /// The peer reset the connection (RST, broken pipe).
    Reset,
    /// The peer's host stopped answering (ETIMEDOUT, EHOSTUNREACH).
    TimedOut,
    /// Another error, with the operating system's message.
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

/// The reason for the end of a connection.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum CloseReason {
    /// The server could not be dialled. Has the operating system's message.
    DialFailed(Box<str>),
    /// The transport ended.
    Transport(TransportEnd),
    /// The hold time expired: nothing was received for this long, 2.5 keepalive intervals.
    #[cfg_attr(feature = "serde", serde(alias = "silence"))]
    HoldTime(#[cfg_attr(feature = "serde", serde(with = "crate::serde::seconds"))] Duration),
    /// The handshake took longer than [`Config::handshake_timeout`](crate::Config::handshake_timeout). Has the state that it was in: the dial, the
    /// HELLO or the first KEEPALIVE was missing.
    HandshakeTimeout(SessionState),
    /// The peer sent bytes that cannot be decoded.
    Decode(DecodeError),
    /// The peer sent a message that the protocol does not permit in that state.
    Misbehaved(PeerMisbehaved),
    /// The peer reads so slowly that it holds back over 65,536 tombstones more than its VNIs have routes, now or when it was caught up last.
    TooSlow,
    /// The send hold time expired: the peer did not read everything that was written this long ago
    /// ([`Config::send_hold_time`](crate::Config::send_hold_time), RFC 9687).
    NotReading(#[cfg_attr(feature = "serde", serde(with = "crate::serde::seconds"))] Duration),
    /// The peer went over one of the [`Limits`](crate::Limits), or has the largest part of one that all peers share.
    Limit {
        /// The limit.
        limit: PeerLimit,
        /// The limit's value.
        max: u64,
    },
    /// The connection was refused, because an earlier one from this address went over a limit. Has the rest of the ban.
    #[cfg_attr(feature = "serde", serde(alias = "kept_out"))]
    Banned(#[cfg_attr(feature = "serde", serde(with = "crate::serde::seconds"))] Duration),
    /// The [`Policy`](crate::Policy) has no rule for the peer, or one that permits nothing.
    #[cfg_attr(feature = "serde", serde(alias = "not_allowed"))]
    NotPermitted,
    /// The policy was replaced. It permits something that it denied to the peer before, or denies a VNI that the peer is subscribed
    /// to. In a new session the peer announces and subscribes again.
    PolicyChanged,
    /// The application removed the server ([`Command::RemovePeer`](crate::Command::RemovePeer)).
    Removed,
    /// The application reset the connection ([`Command::ResetPeer`](crate::Command::ResetPeer), [`Command::ResetConn`](crate::Command::ResetConn)).
    ResetRequested,
    /// The application subscribed again to a VNI of a server without the capability `ordered`. Such a server locks up when one session
    /// subscribes twice to a VNI, so that a new session is needed.
    Resubscribe,
    /// This node is shutting down.
    Shutdown,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DialFailed(text) => write!(f, "cannot connect: {text}"),
            Self::Transport(end) => end.fmt(f),
            Self::HoldTime(d) => write!(f, "nothing received for {d:?}"),
            Self::HandshakeTimeout(state) => write!(f, "handshake timed out in {state}"),
            Self::Decode(e) => e.fmt(f),
            Self::Misbehaved(e) => e.fmt(f),
            Self::TooSlow => f.write_str("the peer reads too slowly"),
            Self::NotReading(d) => write!(f, "the peer has not read what was sent {d:?} ago"),
            Self::Limit { limit, max } => write!(f, "more than {max} {limit}"),
            Self::Banned(d) => write!(f, "this address went over a limit and is banned for {d:?} more"),
            Self::NotPermitted => f.write_str("the policy permits this peer nothing"),
            Self::PolicyChanged => f.write_str("the policy changed what this peer may do"),
            Self::Removed => f.write_str("the peer was removed"),
            Self::ResetRequested => f.write_str("a reset was asked for"),
            Self::Resubscribe => f.write_str("this server cannot be subscribed to the same VNI twice in one session"),
            Self::Shutdown => f.write_str("shutting down"),
        }
    }
}

impl CloseReason {
    /// Returns whether the peer is at fault, rather than the network or this node.
    pub const fn is_peers_fault(&self) -> bool {
        matches!(
            self,
            Self::Decode(_)
                | Self::Misbehaved(_)
                | Self::TooSlow
                | Self::NotReading(_)
                | Self::Limit { .. }
                | Self::Banned(_)
                | Self::NotPermitted
        )
    }

    /// Returns the kind of this reason, by which [`Node::closed`](crate::Node::closed) counts.
    pub const fn kind(&self) -> CloseKind {
        match self {
            Self::DialFailed(_) => CloseKind::DialFailed,
            Self::Transport(_) => CloseKind::Transport,
            Self::HoldTime(_) => CloseKind::HoldTime,
            Self::HandshakeTimeout(_) => CloseKind::HandshakeTimeout,
            Self::Decode(_) => CloseKind::Decode,
            Self::Misbehaved(_) => CloseKind::Misbehaved,
            Self::TooSlow => CloseKind::TooSlow,
            Self::NotReading(_) => CloseKind::NotReading,
            Self::Limit { limit, .. } => CloseKind::Limit(*limit),
            Self::Banned(_) => CloseKind::Banned,
            Self::NotPermitted => CloseKind::NotPermitted,
            Self::PolicyChanged => CloseKind::PolicyChanged,
            Self::Removed => CloseKind::Removed,
            Self::ResetRequested => CloseKind::ResetRequested,
            Self::Resubscribe => CloseKind::Resubscribe,
            Self::Shutdown => CloseKind::Shutdown,
        }
    }
}

/// A [`CloseReason`] without its details, as a label for counters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum CloseKind {
    /// [`CloseReason::DialFailed`].
    DialFailed,
    /// [`CloseReason::Transport`].
    Transport,
    /// [`CloseReason::HoldTime`].
    #[cfg_attr(feature = "serde", serde(alias = "silence"))]
    HoldTime,
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
    /// [`CloseReason::Limit`], with the limit.
    Limit(PeerLimit),
    /// [`CloseReason::Banned`].
    #[cfg_attr(feature = "serde", serde(alias = "kept_out"))]
    Banned,
    /// [`CloseReason::NotPermitted`].
    #[cfg_attr(feature = "serde", serde(alias = "not_allowed"))]
    NotPermitted,
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
    /// Returns the kind as one word, for metrics and logs: `dial_failed`, and for a limit the name of its setting, like `routes_per_peer`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DialFailed => "dial_failed",
            Self::Transport => "transport",
            Self::HoldTime => "hold_time",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::Decode => "decode",
            Self::Misbehaved => "misbehaved",
            Self::TooSlow => "too_slow",
            Self::NotReading => "not_reading",
            Self::Limit(limit) => limit.name(),
            Self::Banned => "banned",
            Self::NotPermitted => "not_permitted",
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
