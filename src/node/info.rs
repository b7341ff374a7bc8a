//! Snapshots of sessions and configured peers, as plain values for monitoring.

use alloc::sync::Arc;
use core::net::SocketAddr;
use core::time::Duration;

use super::conn::Conn;
use crate::{CloseReason, Config, ConnId, Instant, PeerId, PeerName, SessionState};

/// The state and the counters of a connection and its session.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SessionInfo {
    /// The connection.
    pub conn: ConnId,
    /// The configured peer, if this node dialled.
    pub peer: Option<PeerId>,
    /// The far end's address. `None` while the connection is being dialled.
    pub remote: Option<SocketAddr>,
    /// The names in the far end's certificate. `None` without a certificate, for example without TLS.
    #[cfg_attr(feature = "serde", serde(default))]
    pub names: Option<Arc<[PeerName]>>,
    /// The name of the policy's rule for a client. `None` without a policy, before the HELLO, and for a server that this node dials.
    #[cfg_attr(feature = "serde", serde(default))]
    pub rule: Option<Arc<str>>,
    /// The session's state.
    pub state: SessionState,
    /// Whether the far end has the capability [`ordered`](crate::wire::Hello::ordered). False before its HELLO.
    pub ordered: bool,
    /// Whether the far end listens, by its HELLO. False before its HELLO.
    pub is_server: bool,
    /// Whether the far end was converging when it sent its HELLO: its table might be incomplete.
    #[cfg_attr(feature = "serde", serde(default, alias = "warming"))]
    pub converging: bool,
    /// Number of routes that the far end announces; for a server that this node dials, with its stale routes. 0 before ESTABLISHED.
    pub routes: usize,
    /// Number of VNIs that the far end is subscribed to. 0 for a server that this node dials.
    pub subscriptions: usize,
    /// When the session's state changed last.
    #[cfg_attr(feature = "serde", serde(default))]
    pub since: Instant,
    /// When bytes were received last. Before the first ones: when the connection began.
    #[cfg_attr(feature = "serde", serde(default))]
    pub last_received: Instant,
    /// The agreed KEEPALIVE interval, in whole seconds. `None` before the peer's HELLO.
    #[cfg_attr(feature = "serde", serde(default, with = "crate::serde::optional_whole_seconds"))]
    pub keepalive: Option<Duration>,
    /// The restart time that the server grants the client, in whole seconds. `None` before the peer's HELLO, and if the server's HELLO has no
    /// restart time: see [`ShortRestartTime::granted`](crate::ShortRestartTime::granted).
    #[cfg_attr(feature = "serde", serde(default, with = "crate::serde::optional_whole_seconds"))]
    pub restart_time: Option<Duration>,
    /// Counters since the connection began.
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
            last_received: conn.last_received(),
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
    /// The server's id.
    pub id: PeerId,
    /// `host:port`.
    pub endpoint: Arc<str>,
    /// The session's state. RETRY between two sessions; CLOSED if the node does not dial any more, because it is shutting down.
    pub state: SessionState,
    /// The connection, or the dial that is in progress.
    pub conn: Option<ConnId>,
    /// Whether the initial sync of each subscription has ended since the session opened. A new subscription makes it false until its
    /// End-of-RIB. Always false for a server without the capability `ordered`.
    pub synced: bool,
    /// Number of routes that the server announces, stale ones included.
    pub routes: usize,
    /// The stale ones among [`routes`](Self::routes): from a lost session, and not announced again since.
    pub stale: usize,
    /// Number of dials since the server was added. See [`counters`](Self::counters).
    pub dials: u64,
    /// Number of sessions that became ESTABLISHED since the server was added. See [`counters`](Self::counters).
    #[cfg_attr(feature = "serde", serde(default))]
    pub sessions: u64,
    /// Why the last session or the last dial ended. `None`: none has ended.
    pub last_close: Option<CloseReason>,
    /// Counters of all connections to the server. They, `dials` and `sessions` continue from their last values if the server is removed and
    /// added again within ten minutes.
    #[cfg_attr(feature = "serde", serde(default))]
    pub counters: Counters,
}

/// Counters of bytes and messages.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
#[non_exhaustive]
pub struct Counters {
    /// Number of bytes received.
    pub bytes_in: u64,
    /// Number of bytes handed out to be written ([`Transmit`](crate::Transmit)).
    pub bytes_out: u64,
    /// Messages received.
    pub messages_in: MessageCounts,
    /// Messages handed out to be written.
    pub messages_out: MessageCounts,
    /// Number of UPDATEs received that were dropped because their route is not valid: see [`wire::InvalidUpdate`](crate::wire::InvalidUpdate).
    pub invalid_updates: u64,
    /// Number of UPDATEs received from a server that were dropped because this node is not subscribed to their VNI.
    pub unsubscribed_updates: u64,
    /// Number of UPDATEs received that were dropped because the policy denies them, and routes that were withdrawn because a new policy denies them.
    pub denied_routes: u64,
    /// Number of SUBSCRIBEs received that were dropped because the policy denies them.
    pub denied_subscriptions: u64,
}

impl Counters {
    pub(super) fn add(&mut self, other: &Self) {
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.messages_in.add(&other.messages_in);
        self.messages_out.add(&other.messages_out);
        self.invalid_updates += other.invalid_updates;
        self.unsubscribed_updates += other.unsubscribed_updates;
        self.denied_routes += other.denied_routes;
        self.denied_subscriptions += other.denied_subscriptions;
    }
}

/// Numbers of messages by their type.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
#[non_exhaustive]
pub struct MessageCounts {
    /// Number of HELLOs.
    pub hello: u64,
    /// Number of KEEPALIVEs.
    pub keepalive: u64,
    /// Number of SUBSCRIBEs.
    pub subscribe: u64,
    /// Number of UNSUBSCRIBEs.
    pub unsubscribe: u64,
    /// Number of UPDATEs, including those with a route that is not valid.
    pub update: u64,
    /// Number of messages of an unknown type. They are skipped when received, and never sent.
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
