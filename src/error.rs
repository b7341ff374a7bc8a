//! Errors, sorted by their cause: the bytes ([`DecodeError`]), the peer ([`PeerMisbehaved`]), the caller ([`ApiMisuse`]), and the
//! conditions of the run ([`Closed`], [`Limit`]).

use core::fmt;

use crate::Martian;

/// Received bytes that cannot be decoded. The connection is closed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum DecodeError {
    /// The frame's version is not 1.
    Version(u8),
    /// The frame's payload is over 1,188 bytes.
    PayloadTooLong(u16),
    /// The payload of a message of this type is not valid protobuf.
    Protobuf(MessageType),
    /// An UPDATE without a destination.
    NoDestination,
    /// An UPDATE without a next hop.
    NoNextHop,
    /// A HELLO with a keepalive interval of 0.
    ZeroKeepalive,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The first byte of a TLS record: handshake, or alert (RFC 8446, section 5.1).
            Self::Version(0x16) => f.write_str("TLS, where plain MetalBond is spoken"),
            Self::Version(0x15) => {
                f.write_str("a TLS alert: the far end speaks TLS, and plain MetalBond was spoken to it")
            }
            Self::Version(v) => write!(f, "frame of protocol version {v}, not 1"),
            Self::PayloadTooLong(n) => write!(f, "frame with a payload of {n} bytes, over 1188"),
            Self::Protobuf(t) => write!(f, "{t} that is not valid protobuf"),
            Self::NoDestination => f.write_str("UPDATE without a destination"),
            Self::NoNextHop => f.write_str("UPDATE without a next hop"),
            Self::ZeroKeepalive => f.write_str("HELLO with a keepalive interval of 0"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// The types of messages, with their numbers on the wire. The enum is exhaustive: a new type is a new version of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "SCREAMING_SNAKE_CASE"))]
#[repr(u8)]
pub enum MessageType {
    /// Opens a session, in both directions.
    Hello = 1,
    /// Shows that the sender is alive. It has no payload.
    Keepalive = 2,
    /// Requests the routes of a VNI.
    Subscribe = 3,
    /// Ends a subscription.
    Unsubscribe = 4,
    /// Adds or removes a route.
    Update = 5,
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hello => "HELLO",
            Self::Keepalive => "KEEPALIVE",
            Self::Subscribe => "SUBSCRIBE",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Update => "UPDATE",
        })
    }
}

/// A valid message that the session's state does not permit. The connection is closed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum PeerMisbehaved {
    /// The first message was not HELLO. Has the number of its type.
    NotHelloFirst(u8),
    /// The peer sent a second HELLO.
    SecondHello,
    /// A message of this type came before the first KEEPALIVE.
    BeforeKeepalive(MessageType),
}

impl fmt::Display for PeerMisbehaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHelloFirst(t) => write!(f, "first message of type {t}, not HELLO"),
            Self::SecondHello => f.write_str("second HELLO"),
            Self::BeforeKeepalive(t) => write!(f, "{t} before the first KEEPALIVE"),
        }
    }
}

impl core::error::Error for PeerMisbehaved {}

/// The node is shut down, or about to be. Every later call fails with this error, too.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the node is shut down")
    }
}

impl core::error::Error for Closed {}

/// Why a [`Command`](crate::Command) failed. A command that fails has changed nothing.
///
/// `Closed` and `Limit` can happen to a correct application, too; `Misuse` is a mistake of the caller.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum CommandError {
    /// The node is shut down, or about to be.
    Closed,
    /// The node has as many peers, subscriptions or announcements as its [`Config`](crate::Config) permits.
    Limit(Limit),
    /// The command is a mistake of the caller.
    Misuse(ApiMisuse),
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => Closed.fmt(f),
            Self::Limit(limit) => write!(f, "there can be no more {limit}"),
            Self::Misuse(misuse) => misuse.fmt(f),
        }
    }
}

impl core::error::Error for CommandError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Closed | Self::Limit(_) => None,
            Self::Misuse(misuse) => Some(misuse),
        }
    }
}

impl From<Closed> for CommandError {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl From<ApiMisuse> for CommandError {
    fn from(misuse: ApiMisuse) -> Self {
        Self::Misuse(misuse)
    }
}

/// A command that is a mistake of the caller.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ApiMisuse {
    /// The node is not subscribed to the VNI of a [`Command::Resync`](crate::Command::Resync).
    NotSubscribed,
    /// A peer with this endpoint is configured already.
    PeerExists,
    /// No peer with this id is configured.
    NoSuchPeer,
    /// No packet can be sent to the next hop of the route.
    MartianNextHop(Martian),
}

/// A limit on what the application may configure at its own node: a setting of the [`Config`](crate::Config).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Limit {
    /// [`Config::peers_max`](crate::Config::peers_max).
    Peers,
    /// [`Config::subscriptions_max`](crate::Config::subscriptions_max).
    Subscriptions,
    /// [`Config::announcements_max`](crate::Config::announcements_max).
    Announcements,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Peers => "configured peers",
            Self::Subscriptions => "subscriptions",
            Self::Announcements => "announcements",
        })
    }
}

impl fmt::Display for ApiMisuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MartianNextHop(why) => return write!(f, "no packet can be sent to the next hop: it is {why}"),
            Self::NotSubscribed => "not subscribed",
            Self::PeerExists => "there is a peer with this endpoint",
            Self::NoSuchPeer => "no such peer",
        })
    }
}

impl core::error::Error for ApiMisuse {}

/// The states of a session, with the names that the reference uses. The enum is exhaustive: the states are those of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "SCREAMING_SNAKE_CASE"))]
pub enum SessionState {
    /// The connection is being dialled; or it was accepted, and the peer's HELLO has not come.
    Connecting,
    /// This node, which dialled, has sent HELLO, and waits for the peer's HELLO.
    HelloSent,
    /// The peer's HELLO has come, and the node waits for its first KEEPALIVE.
    HelloReceived,
    /// The session is open: the two ends exchange routes.
    Established,
    /// A configured server has no connection. The node will dial it again.
    Retry,
    /// The session has ended, and this node does not dial again.
    Closed,
}

impl SessionState {
    /// All states, in the order of a session's life.
    pub const ALL: [Self; 6] =
        [Self::Connecting, Self::HelloSent, Self::HelloReceived, Self::Established, Self::Retry, Self::Closed];

    /// Returns the state's name as the reference writes it, for example `HELLO_SENT`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connecting => "CONNECTING",
            Self::HelloSent => "HELLO_SENT",
            Self::HelloReceived => "HELLO_RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::Retry => "RETRY",
            Self::Closed => "CLOSED",
        }
    }
}

impl fmt::Display for SessionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
