//! A peer: a configured server, or a client that connected.

use std::net::SocketAddr;

use metalbond::SessionState;
use metalbond_tokio::Direction;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An item of `GET /api/v1/peers`. Figures are of the current connection.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Peer {
    /// The name of the peer among the announcers of routes: `p0` for a configured server, `a7` for a client.
    pub(crate) name: String,
    #[schema(value_type = String, example = "accepted")]
    pub(crate) direction: Direction,
    #[schema(value_type = String, example = "ESTABLISHED")]
    pub(crate) state: SessionState,
    /// How long the session has been in this state; null between two dials.
    pub(crate) state_seconds: Option<f64>,
    /// `host:port` of a configured server; null for a client.
    pub(crate) endpoint: Option<String>,
    #[schema(value_type = Option<String>)]
    pub(crate) remote: Option<SocketAddr>,
    /// The names in the peer's certificate; null without one.
    pub(crate) names: Option<Vec<String>>,
    /// The rule of the policy that applies to the peer.
    pub(crate) rule: Option<String>,
    /// Whether the peer has the capability `ordered`.
    pub(crate) ordered: bool,
    /// Whether the peer says that it is a server.
    pub(crate) is_server: bool,
    /// Whether the peer says that its table may be incomplete.
    pub(crate) converging: bool,
    /// For a configured server: whether all routes of all subscribed VNIs have been received.
    pub(crate) synced: Option<bool>,
    /// Number of routes that the peer announces.
    pub(crate) routes: usize,
    /// Number of these routes that are stale: of a lost session.
    pub(crate) stale: usize,
    /// Number of VNIs that the peer subscribed to.
    pub(crate) subscriptions: usize,
    /// Upper bound of the changes that are still to be sent to the peer.
    pub(crate) lag: u64,
    /// The negotiated interval of keepalives.
    pub(crate) keepalive_seconds: Option<u64>,
    /// How long the server retains the client's routes after the client's process has gone away: the time that the client
    /// asked for, but at most the server's maximum. Null before HELLO, and if a server does not say.
    pub(crate) restart_time_seconds: Option<u64>,
    /// Time since the last received byte.
    pub(crate) last_received_seconds: Option<f64>,
    /// Number of dials of a configured server.
    pub(crate) dials: Option<u64>,
    /// Why the last connection to a configured server was closed, or why the last dial failed.
    pub(crate) last_close: Option<String>,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) messages_in: Messages,
    pub(crate) messages_out: Messages,
    /// Received messages that were dropped.
    pub(crate) dropped: Dropped,
}

/// Messages by their type.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Messages {
    pub(crate) hello: u64,
    pub(crate) keepalive: u64,
    pub(crate) subscribe: u64,
    pub(crate) unsubscribe: u64,
    pub(crate) update: u64,
    /// Messages of an unknown type, which are skipped.
    pub(crate) unknown: u64,
}

/// Dropped messages, by reason.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Dropped {
    /// Invalid UPDATEs: a prefix of a wrong length, a port over 65535.
    pub(crate) impossible: u64,
    /// UPDATEs for a VNI without a subscription.
    pub(crate) unasked: u64,
    /// UPDATEs that the policy denies.
    pub(crate) policy: u64,
    /// SUBSCRIBEs that the policy denies.
    pub(crate) subscriptions: u64,
}
