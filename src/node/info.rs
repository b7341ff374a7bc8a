//! Snapshots of sessions and configured peers, as plain values for monitoring.

use alloc::sync::Arc;
use core::net::SocketAddr;
use core::time::Duration;

use super::conn::Conn;
use crate::{CloseReason, Config, ConnId, Instant, PeerId, PeerName, SessionState};

/// A connection, as it is now.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SessionInfo {
    /// The connection.
    pub conn: ConnId,
    /// The configured peer, if this node dialled.
    pub peer: Option<PeerId>,
    /// The far end's address, once connected.
    pub remote: Option<SocketAddr>,
    /// The names in the far end's certificate; `None` without one (no TLS).
    #[cfg_attr(feature = "serde", serde(default))]
    pub names: Option<Arc<[PeerName]>>,
    /// The name of the policy's rule for the far end; `None` without a policy, and before the HELLO.
    #[cfg_attr(feature = "serde", serde(default))]
    pub rule: Option<Arc<str>>,
    /// The session's state.
    pub state: SessionState,
    /// Whether the far end has the capability `ordered`.
    pub ordered: bool,
    /// Whether the far end says that it listens.
    pub is_server: bool,
    /// Whether the far end is converging: its table may be incomplete.
    #[cfg_attr(feature = "serde", serde(default, alias = "warming"))]
    pub converging: bool,
    /// Routes that the far end announces.
    pub routes: usize,
    /// VNIs that the far end is subscribed to.
    pub subscriptions: usize,
    /// When the session's state changed last.
    #[cfg_attr(feature = "serde", serde(default))]
    pub since: Instant,
    /// When bytes were received last; at first, when the connection began.
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
    /// Counts since the connection began.
    pub counters: Counters,
}

impl SessionInfo {
    /// What can be said of every connection, accepted or dialled.
    pub(super) fn of(conn: &Conn, config: &Config) -> Self {
        let hello = conn.session().hello();
        Self {
            conn: conn.id(),
            peer: None,
            remote: conn.remote(),
            names: conn.names().cloned(),
            rule: None,
            state: conn.session().state(),
            ordered: conn.session().is_ordered(),
            is_server: hello.is_some_and(|hello| hello.is_server),
            converging: hello.is_some_and(|hello| hello.converging),
            routes: 0,
            subscriptions: 0,
            since: conn.since(),
            heard: conn.heard(),
            keepalive: conn.keepalive_interval(config.keepalive_secs()).map(seconds),
            restart_time: None,
            counters: *conn.counters(),
        }
    }
}

/// Returns a time that the wire has in seconds.
pub(super) fn seconds(secs: u32) -> Duration {
    Duration::from_secs(secs.into())
}

/// A configured peer, as it is now.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct PeerInfo {
    /// The server.
    pub id: PeerId,
    /// `host:port`.
    pub endpoint: Arc<str>,
    /// The session's state; RETRY between two sessions.
    pub state: SessionState,
    /// The connection, or the dial that is in progress.
    pub conn: Option<ConnId>,
    /// Whether everything that is subscribed to now has been received in full since the session opened: false again from a new
    /// subscription until its End-of-RIB. Always false for a server without the capability `ordered`, which cannot say so.
    pub synced: bool,
    /// Routes that the server announces, stale ones included.
    pub routes: usize,
    /// Of these, stale routes: from a lost session, and not announced again since.
    pub stale: usize,
    /// Dials since the server was added.
    pub dials: u64,
    /// Sessions that were ESTABLISHED since the server was added.
    #[cfg_attr(feature = "serde", serde(default))]
    pub sessions: u64,
    /// Why the last session, or the last dial, ended.
    pub last_close: Option<CloseReason>,
    /// Counts on all connections to the server. Like `dials` and `sessions`, they go on if the server is removed and added again
    /// within ten minutes.
    #[cfg_attr(feature = "serde", serde(default))]
    pub counters: Counters,
}

/// Counts of bytes and messages.
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
    /// UPDATEs received that cannot be, and were dropped.
    pub impossible: u64,
    /// UPDATEs received for a VNI that was not subscribed to, and dropped.
    pub unasked: u64,
    /// UPDATEs received that the policy refuses, and that were dropped; and routes that were withdrawn because a new policy refuses them.
    pub refused_routes: u64,
    /// SUBSCRIBEs received that the policy refuses, and that were dropped.
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
    /// UPDATE, those included that cannot be.
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
}
