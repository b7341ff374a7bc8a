//! Errors, sorted by who is at fault: the bytes ([`DecodeError`]), the peer ([`PeerMisbehaved`]), the caller
//! ([`ApiMisuse`]).

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

/// The types of message, with their numbers on the wire.
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

/// A command that asks for what can't be.
///
/// A caller that only wants something to be so takes 'it is so already' as success:
///
/// ```
/// use metalbond::ApiMisuse;
///
/// # fn answer() -> Result<(), ApiMisuse> { Err(ApiMisuse::AlreadyAnnounced) }
/// assert_eq!(answer().or_else(ApiMisuse::ok_if_no_change), Ok(()));
/// assert_eq!(Err(ApiMisuse::Closed).or_else(ApiMisuse::ok_if_no_change), Err(ApiMisuse::Closed));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ApiMisuse {
    /// The VNI is subscribed to.
    AlreadySubscribed,
    /// The VNI is not subscribed to.
    NotSubscribed,
    /// The route is announced.
    AlreadyAnnounced,
    /// The route is not announced.
    NoSuchRoute,
    /// There is a peer with this endpoint.
    PeerExists,
    /// There is no peer with this id.
    NoSuchPeer,
    /// There are as many as there may be.
    Limit(Limit),
    /// A driver's node can replace this, but neither add it nor take it away: whether it is there was said at the start.
    FixedAtStart,
    /// The node is shut down, or about to be.
    Closed,
    /// The route's next hop is an address to which no packet can be sent.
    MartianNextHop(Martian),
}

/// How much one node's embedder may want. The numbers are settings.
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

impl ApiMisuse {
    /// Whether it says that what was asked for is so already, or is not there to be ended: the node is as the caller
    /// wants it, but somebody else made it so.
    pub const fn is_no_change(self) -> bool {
        match self {
            Self::AlreadySubscribed
            | Self::NotSubscribed
            | Self::AlreadyAnnounced
            | Self::NoSuchRoute
            | Self::PeerExists
            | Self::NoSuchPeer => true,
            Self::Limit(_) | Self::FixedAtStart | Self::Closed | Self::MartianNextHop(_) => false,
        }
    }

    /// Takes [`is_no_change`](Self::is_no_change) for a success; for `Result::or_else`.
    ///
    /// # Errors
    /// Any other misuse.
    pub const fn ok_if_no_change(self) -> Result<(), Self> {
        if self.is_no_change() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for ApiMisuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Limit(limit) => return write!(f, "there can be no more {limit}"),
            Self::MartianNextHop(why) => return write!(f, "no packet can be sent to the next hop: it is {why}"),
            Self::AlreadySubscribed => "already subscribed",
            Self::NotSubscribed => "not subscribed",
            Self::AlreadyAnnounced => "already announced",
            Self::NoSuchRoute => "no such route",
            Self::PeerExists => "there is a peer with this endpoint",
            Self::NoSuchPeer => "no such peer",
            Self::FixedAtStart => "it can be replaced, but neither added nor taken away: it belongs to the start",
            Self::Closed => "the node is shut down",
        })
    }
}

impl core::error::Error for ApiMisuse {}

/// The states of a session, by the reference's names.
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
