//! Limits on what peers may make a node store and do. Pure: settings and their names; `node::server` enforces them.

use core::fmt;
use core::time::Duration;

/// Limits on what peers may make a node store and do. Part of its [`Config`](crate::Config), and like it plain fields, to be written with
/// `..Limits::default()`: a minor version may add some.
///
/// A client over a per-client limit is disconnected. A connection over a limit on connections is refused. When all clients together
/// are over a limit that they share, the node finds the source address that has the largest part of it, closes that address's largest
/// session, and repeats this until a sixty-fourth of the limit is free: one address cannot take the room of the others.
/// Retained routes count too, and are removed before a session of the same address is closed.
///
/// The node checks the limits once for each [`Input::Received`](crate::Input::Received), after all of its bytes are handled: for a
/// moment the table may have more. Next hops are checked when no tombstones are being freed.
///
/// Each number is at least 1; [`Node::new`](crate::Node::new) fails otherwise. To forbid something altogether, use a
/// [`Policy`](crate::Policy).
///
/// The limits are for peers that a node accepts. From a server that it dials, a node takes at most [`routes`](Self::routes) in a
/// session, and keeps at most twice as many with stale ones.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Limits {
    /// Maximum number of accepted connections that are open. Default 65,536.
    pub connections: usize,
    /// Maximum number of accepted connections that are open, from one source address. Default 4,096.
    pub connections_per_address: usize,
    /// Maximum number of new connections per second; as many may come at once. Default 10,000.
    pub connections_per_second: u32,
    /// Maximum number of routes that all accepted peers announce together; a route of two peers counts twice. Also the routes of one server that the
    /// node dials. Default 16,777,216.
    pub routes: usize,
    /// Maximum number of routes of one accepted peer. Default 2,097,152.
    pub routes_per_peer: usize,
    /// Maximum number of next hops of one destination, of all peers together. Default 16,384. The node advertises the next hops of a destination together, so
    /// the time of one call grows with their number.
    pub next_hops: usize,
    /// Maximum number of subscriptions of all accepted peers together; a VNI with two subscribers counts twice. Default 4,194,304.
    pub subscriptions: usize,
    /// Maximum number of VNIs with routes of accepted peers; a VNI with routes of two peers counts twice. Default 4,194,304. A VNI with a single
    /// route takes 1 kB.
    pub vnis: usize,
    /// Maximum number of VNIs with routes of one accepted peer. The same number limits the VNIs that it is subscribed to. Default 16,384.
    pub vnis_per_peer: usize,
    /// The longest ban. An address whose client was closed for too many routes, VNIs, next hops or subscriptions is refused for 1 s, then for
    /// twice as long each time, up to this; ten minutes without a ban reset it to 1 s. A server that announced too many routes is not
    /// dialled for as long. Default 60 s; zero: no bans.
    #[cfg_attr(feature = "serde", serde(alias = "keep_out", with = "crate::serde::seconds"))]
    pub ban_time_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1 << 16,
            connections_per_address: 1 << 12,
            connections_per_second: 10_000,
            routes: 1 << 24,
            routes_per_peer: 1 << 21,
            next_hops: 1 << 14,
            subscriptions: 1 << 22,
            vnis: 1 << 22,
            vnis_per_peer: 1 << 14,
            ban_time_max: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// Returns the value of one limit.
    pub const fn get(&self, limit: PeerLimit) -> u64 {
        match limit {
            PeerLimit::Connections => self.connections as u64,
            PeerLimit::ConnectionsPerAddress => self.connections_per_address as u64,
            PeerLimit::ConnectionsPerSecond => self.connections_per_second as u64,
            PeerLimit::Routes => self.routes as u64,
            PeerLimit::RoutesPerPeer => self.routes_per_peer as u64,
            PeerLimit::NextHops => self.next_hops as u64,
            PeerLimit::Subscriptions => self.subscriptions as u64,
            PeerLimit::Vnis => self.vnis as u64,
            PeerLimit::VnisPerPeer => self.vnis_per_peer as u64,
        }
    }
}

/// A limit on peers: one of the [`Limits`], as the reason why a session was closed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum PeerLimit {
    /// [`Limits::connections`].
    Connections,
    /// [`Limits::connections_per_address`].
    ConnectionsPerAddress,
    /// [`Limits::connections_per_second`].
    ConnectionsPerSecond,
    /// [`Limits::routes`].
    Routes,
    /// [`Limits::routes_per_peer`].
    RoutesPerPeer,
    /// [`Limits::next_hops`].
    NextHops,
    /// [`Limits::subscriptions`].
    Subscriptions,
    /// [`Limits::vnis`].
    Vnis,
    /// [`Limits::vnis_per_peer`].
    VnisPerPeer,
}

impl PeerLimit {
    /// All limits, in the order of the settings.
    pub(crate) const ALL: [Self; 9] = [
        Self::Connections,
        Self::ConnectionsPerAddress,
        Self::ConnectionsPerSecond,
        Self::Routes,
        Self::RoutesPerPeer,
        Self::NextHops,
        Self::Subscriptions,
        Self::Vnis,
        Self::VnisPerPeer,
    ];

    /// Returns whether this limits what a peer announces or subscribes to, rather than connections.
    pub(crate) const fn is_on_content(self) -> bool {
        !matches!(self, Self::Connections | Self::ConnectionsPerAddress | Self::ConnectionsPerSecond)
    }

    /// Returns the name of the setting.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerAddress => "connections_per_address",
            Self::ConnectionsPerSecond => "connections_per_second",
            Self::Routes => "routes",
            Self::RoutesPerPeer => "routes_per_peer",
            Self::NextHops => "next_hops",
            Self::Subscriptions => "subscriptions",
            Self::Vnis => "vnis",
            Self::VnisPerPeer => "vnis_per_peer",
        }
    }
}

impl fmt::Display for PeerLimit {
    /// Writes what is limited, to follow a number: `routes from one peer`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connections => "connections",
            Self::ConnectionsPerAddress => "connections from one address",
            Self::ConnectionsPerSecond => "new connections in a second",
            Self::Routes => "routes in all",
            Self::RoutesPerPeer => "routes from one peer",
            Self::NextHops => "next hops for one destination",
            Self::Subscriptions => "subscriptions in all",
            Self::Vnis => "VNIs in all",
            Self::VnisPerPeer => "VNIs of one peer",
        })
    }
}
