//! What a node tells of its sessions and peers to whoever looks: plain snapshots.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use crate::{CloseReason, ConnId, Instant, NextHop, PeerId, PeerName, Prefix, SessionState, Vni};

/// A connection, as it is now.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SessionInfo {
    /// Its id.
    pub conn: ConnId,
    /// The configured peer, if this node dialled.
    pub peer: Option<PeerId>,
    /// The far end's address, once connected.
    pub remote: Option<SocketAddr>,
    /// The names that its certificate proves; `None` without one (no TLS).
    #[cfg_attr(feature = "serde", serde(default))]
    pub names: Option<Arc<[PeerName]>>,
    /// The name of the policy's rule that is for it; `None` without a policy, and before its HELLO.
    #[cfg_attr(feature = "serde", serde(default))]
    pub rule: Option<Arc<str>>,
    /// Where the session stands.
    pub state: SessionState,
    /// Whether the far end has the capability `ordered`.
    pub ordered: bool,
    /// Whether the far end says that it listens.
    pub is_server: bool,
    /// Whether it says that its table may still be incomplete: what it has told is true, but not all.
    #[cfg_attr(feature = "serde", serde(default))]
    pub warming: bool,
    /// How many routes it announces.
    pub routes: usize,
    /// How many VNIs it subscribed to.
    pub subscriptions: usize,
    /// Since when the session has been in its state.
    #[cfg_attr(feature = "serde", serde(default))]
    pub since: Instant,
    /// When something was received last; at first, when the connection began.
    #[cfg_attr(feature = "serde", serde(default))]
    pub heard: Instant,
    /// The agreed interval of KEEPALIVEs, in whole seconds; `None` before the peer's HELLO.
    #[cfg_attr(feature = "serde", serde(default, with = "crate::serde::optional_whole_seconds"))]
    pub keepalive: Option<Duration>,
    /// How long the server retains the routes of the client when the client's process goes away, in whole seconds: as long as the client
    /// asked for, or as long as the server grants at most. `None` before the peer's HELLO, and if the server does not say: it retains
    /// nothing, or is of version 0.1.
    #[cfg_attr(feature = "serde", serde(default, with = "crate::serde::optional_whole_seconds"))]
    pub restart_time: Option<Duration>,
    /// What came and went.
    pub counters: Counters,
}

/// A configured peer, as it is now.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct PeerInfo {
    /// Its id.
    pub id: PeerId,
    /// `host:port`.
    pub endpoint: Arc<str>,
    /// Where its session stands; RETRY between two of them.
    pub state: SessionState,
    /// Its connection, or the dial that is under way.
    pub conn: Option<ConnId>,
    /// Whether everything that is subscribed to now has been received in full since the session opened: false again from a new
    /// subscription until its End-of-RIB. Always false for a server without the capability `ordered`, which cannot say so.
    pub synced: bool,
    /// How many routes it announces, stale ones included.
    pub routes: usize,
    /// How many of them are stale: from a lost session, and not announced again since.
    pub stale: usize,
    /// How often it was dialled.
    pub dials: u64,
    /// How often a session with it was ESTABLISHED.
    #[cfg_attr(feature = "serde", serde(default))]
    pub sessions: u64,
    /// Why the last session, or the last dial, ended.
    pub last_close: Option<CloseReason>,
    /// What came and went on all connections with it. Like `dials` and `sessions`, it goes on if the peer is removed and added again
    /// within ten minutes.
    #[cfg_attr(feature = "serde", serde(default))]
    pub counters: Counters,
}

/// An announcer of a route. Exhaustive: a node has no other kinds of origins, and code that looks one up has to know each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Announcer {
    /// This node itself.
    Local,
    /// A configured server, over all its sessions: what it announced before its last session was lost is among it.
    Peer(PeerId),
    /// A client, by its connection.
    Conn(ConnId),
    /// A client that is gone, and whose routes stay for its restart time; or are about to go.
    Departed,
}

impl fmt::Display for Announcer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::Peer(id) => id.fmt(f),
            Self::Conn(id) => id.fmt(f),
            Self::Departed => f.write_str("departed"),
        }
    }
}

/// A destination and where it is: all next hops that a peer or this node announces. Nothing else belongs to it, so that no minor version adds
/// fields.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Destination {
    /// The destination.
    pub prefix: Prefix,
    /// Its next hops; at least one.
    pub next_hops: Vec<NextHop>,
}

/// Counts since the connection began.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
#[non_exhaustive]
pub struct Counters {
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Messages received.
    pub messages_in: MessageCounts,
    /// Messages written.
    pub messages_out: MessageCounts,
    /// UPDATEs received that are impossible, and dropped.
    pub impossible: u64,
    /// UPDATEs received for a VNI that was not asked for, and dropped.
    pub unasked: u64,
    /// UPDATEs received that the policy refuses, and dropped; and routes that were withdrawn because a new one does.
    pub refused_routes: u64,
    /// SUBSCRIBEs received that the policy refuses, and dropped.
    pub refused_subscriptions: u64,
}

impl Counters {
    pub(super) fn add(&mut self, other: &Self) {
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.messages_in.add(&other.messages_in);
        self.messages_out.add(&other.messages_out);
        self.impossible += other.impossible;
        self.unasked += other.unasked;
        self.refused_routes += other.refused_routes;
        self.refused_subscriptions += other.refused_subscriptions;
    }

    /// Takes counts out of a sum that they are part of.
    pub(super) fn sub(&mut self, other: &Self) {
        self.bytes_in -= other.bytes_in;
        self.bytes_out -= other.bytes_out;
        self.messages_in.sub(&other.messages_in);
        self.messages_out.sub(&other.messages_out);
        self.impossible -= other.impossible;
        self.unasked -= other.unasked;
        self.refused_routes -= other.refused_routes;
        self.refused_subscriptions -= other.refused_subscriptions;
    }
}

/// Messages by their type.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
#[non_exhaustive]
pub struct MessageCounts {
    /// HELLO.
    pub hello: u64,
    /// KEEPALIVE.
    pub keepalive: u64,
    /// SUBSCRIBE.
    pub subscribe: u64,
    /// UNSUBSCRIBE.
    pub unsubscribe: u64,
    /// UPDATE, impossible ones included.
    pub update: u64,
    /// Of a type that this node doesn't know: skipped when received, never sent.
    pub unknown: u64,
}

impl MessageCounts {
    pub(super) fn add(&mut self, other: &Self) {
        self.hello += other.hello;
        self.keepalive += other.keepalive;
        self.subscribe += other.subscribe;
        self.unsubscribe += other.unsubscribe;
        self.update += other.update;
        self.unknown += other.unknown;
    }

    fn sub(&mut self, other: &Self) {
        self.hello -= other.hello;
        self.keepalive -= other.keepalive;
        self.subscribe -= other.subscribe;
        self.unsubscribe -= other.unsubscribe;
        self.update -= other.update;
        self.unknown -= other.unknown;
    }
}

/// A VNI's table, as it is now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct TableInfo {
    /// The virtual network.
    pub vni: Vni,
    /// Routes that somebody, this node included, announces.
    pub routes: usize,
    /// Their destinations; and those that are gone of which a subscriber is still to be told.
    pub destinations: usize,
    /// Peers that are told of its routes.
    pub subscribers: usize,
    /// Stands for the set of its routes. Two nodes, of whatever version, that hold the same routes have the same; two that
    /// don't have the same by an accident of 1 in 2⁶⁴, or if somebody who may announce routes has made some up for that.
    /// Without routes: 0.
    pub digest: u64,
}
