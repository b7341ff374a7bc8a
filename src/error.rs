//! Errors, sorted by their cause: the bytes ([`DecodeError`]), the peer ([`PeerMisbehaved`]), the caller ([`ApiMisuse`]), and the
//! conditions of the run ([`Closed`], [`Limit`]).

use core::fmt;

use crate::Martian;

/// Bytes that are not the protocol. The connection they came on is closed.
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

/// The types of message, with their numbers on the wire. Exhaustive: a new type is a new version of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "SCREAMING_SNAKE_CASE"))]
#[repr(u8)]
pub enum MessageType {
    /// Opens a session, in both directions.
    Hello = 1,
    /// A sign of life; empty.
    Keepalive = 2,
    /// Asks for the routes of a VNI.
    Subscribe = 3,
    /// Ends that.
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

/// Well-formed messages at the wrong time. The connection they came on is closed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum PeerMisbehaved {
    /// The first message was not HELLO, but of this type number.
    NotHelloFirst(u8),
    /// A second HELLO.
    SecondHello,
    /// This message came before the first KEEPALIVE.
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

/// Why a [`Command`](crate::Command) is not carried out. A command that fails has changed nothing.
///
/// `Closed` and `Limit` are conditions of the run, which a correct application meets as well; `Misuse` is a mistake of the caller.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum CommandError {
    /// The node is shut down, or about to be.
    Closed,
    /// The node has as many as its [`Config`](crate::Config) allows.
    Limit(Limit),
    /// The command cannot be carried out at any time, or not for this peer or VNI.
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
    /// The node is not subscribed to the VNI whose routes are to be reported again.
    NotSubscribed,
    /// A peer with this endpoint is configured already.
    PeerExists,
    /// No peer with this id is configured.
    NoSuchPeer,
    /// No packet can be sent to the next hop of the route.
    MartianNextHop(Martian),
}

/// A limit on what the application may configure at its own node. The numbers are settings.
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

/// The states of a session, by the reference's names. Exhaustive: they are those of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "SCREAMING_SNAKE_CASE"))]
pub enum SessionState {
    /// Being dialled; or accepted, and nothing received.
    Connecting,
    /// Our HELLO is sent, the peer's awaited.
    HelloSent,
    /// The peer's HELLO is here, its first KEEPALIVE awaited.
    HelloReceived,
    /// Open: routes flow.
    Established,
    /// Lost; will be dialled again.
    Retry,
    /// Over.
    Closed,
}

impl SessionState {
    /// All states, in the order of a session's life.
    pub const ALL: [Self; 6] =
        [Self::Connecting, Self::HelloSent, Self::HelloReceived, Self::Established, Self::Retry, Self::Closed];

    /// The reference's name: `HELLO_SENT` and the like.
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
