//! What peers may cost a node: the settings, and which of them was met.

use core::fmt;
use core::time::Duration;

/// How much peers may ask of a node. Part of its [`Config`](crate::Config), and like it plain fields, to be written with
/// `..Limits::default()`: a minor version may add some.
///
/// Whoever goes over one that is his alone is closed; whoever comes over one on connections is refused. Over one that all
/// share, of the source address that has the most the session that has the most is closed, and so on until there is some
/// room (a sixty-fourth): what one address hoards is not taken out on the others. Routes of a departed client count until
/// its restart time is over, and are the first of its address to go.
///
/// A node checks them once for each [`Input::Received`](crate::Input::Received) (next hops: when nothing is being swept). What
/// came together with the first one too many is still in the table, for a moment, before it goes with the rest.
///
/// Each number is at least 1: a node that lets nobody in, or no route, is of no use. What a peer may not do at all is said by a
/// [`Policy`](crate::Policy).
///
/// They hold for the peers that a node accepts. Of a server that it dials it takes at most [`routes`](Self::routes) in a
/// session, and keeps at most twice as many with those from before.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Limits {
    /// Connections that were accepted and are open. Default 65,536.
    pub connections: usize,
    /// Of these, from one source address. Default 4,096.
    pub connections_per_address: usize,
    /// New connections in a second; as many may come at once. Default 10,000.
    pub connections_per_second: u32,
    /// Routes that all accepted peers announce together: one that two of them announce counts twice. And routes of each server
    /// that is dialled. Default 16,777,216.
    pub routes: usize,
    /// Routes that one accepted peer announces. Default 2,097,152.
    pub routes_per_peer: usize,
    /// Next hops of one destination, whoever announces them. Default 16,384: what is to be told of a destination is told
    /// together, so that many cost time.
    pub next_hops: usize,
    /// VNIs that all accepted peers together are subscribed to: one that two of them subscribed to counts twice. Default
    /// 4,194,304.
    pub subscriptions: usize,
    /// VNIs in which accepted peers announce something: one in which two of them do counts twice. Default 4,194,304: one with
    /// a single route takes 1 kB.
    pub vnis: usize,
    /// VNIs in which one accepted peer announces something; and VNIs that it is subscribed to. Default 16,384 each.
    pub vnis_per_peer: usize,
    /// Who was closed for too many routes, next hops or subscriptions is kept out by its address: for 1 s, doubled each
    /// time up to this, and forgotten after ten minutes without. A server that announced too much is not dialled again for
    /// as long. Default 60 s; zero: not at all.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::seconds"))]
    pub keep_out: Duration,
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
            keep_out: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// What one of them allows.
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

/// One of the [`Limits`].
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
    /// All of them, in the order of the settings.
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

    /// Whether it is on what a peer has said, rather than on its coming.
    pub(crate) const fn is_on_content(self) -> bool {
        !matches!(self, Self::Connections | Self::ConnectionsPerAddress | Self::ConnectionsPerSecond)
    }

    /// A word for it: the name of the setting.
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
    /// What is limited, after "more than 5": `routes from one peer` and the like.
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
