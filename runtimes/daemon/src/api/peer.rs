//! A peer: a configured server, or a client that connected.

use std::net::SocketAddr;

use metalbond::SessionState;
use metalbond_tokio::Direction;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An item of `GET /api/v1/peers`. Figures are of the present connection.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Peer {
    /// As routes name their announcers: `p0`, `a7`.
    pub(crate) name: String,
    #[schema(value_type = String, example = "accepted")]
    pub(crate) direction: Direction,
    #[schema(value_type = String, example = "ESTABLISHED")]
    pub(crate) state: SessionState,
    /// How long it has been in this state; null between two tries to connect.
    pub(crate) state_seconds: Option<f64>,
    /// `host:port` as it was configured; null for a client that connected.
    pub(crate) endpoint: Option<String>,
    #[schema(value_type = Option<String>)]
    pub(crate) remote: Option<SocketAddr>,
    /// The names that its certificate proves; null without one.
    pub(crate) names: Option<Vec<String>>,
    /// The rule of the policy that is for it.
    pub(crate) rule: Option<String>,
    /// Whether it has the capability `ordered`.
    pub(crate) ordered: bool,
    /// Whether it says that it listens.
    pub(crate) is_server: bool,
    /// Whether it says that its table may still be incomplete.
    pub(crate) converging: bool,
    /// Of a configured server, whether all that was subscribed to has been received in full.
    pub(crate) synced: Option<bool>,
    /// Routes that it announces.
    pub(crate) routes: usize,
    /// How many of them are left from a lost session.
    pub(crate) stale: usize,
    /// VNIs that it subscribed to.
    pub(crate) subscriptions: usize,
    /// Changes that it is still to be told, at most.
    pub(crate) lag: u64,
    /// The interval of keepalives that was agreed on.
    pub(crate) keepalive_seconds: Option<u64>,
    /// How long the server retains the client's routes when the client's process goes away: as long as the client asked for, or
    /// as the server grants at most. Null before HELLO, and where a server does not say.
    pub(crate) restart_time_seconds: Option<u64>,
    /// How long ago something was received.
    pub(crate) heard_seconds: Option<f64>,
    /// How often a configured server was dialled.
    pub(crate) dials: Option<u64>,
    /// Why the last connection to a configured server, or the last dial, ended.
    pub(crate) last_close: Option<String>,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) messages_in: Messages,
    pub(crate) messages_out: Messages,
    /// What was received and dropped.
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
    /// Of an unknown type; skipped.
    pub(crate) unknown: u64,
}

/// Messages that were dropped, by why.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Dropped {
    /// UPDATEs that can't be: a prefix of a wrong length, a port over 65535.
    pub(crate) impossible: u64,
    /// UPDATEs for a VNI that was not asked for.
    pub(crate) unasked: u64,
    /// UPDATEs that the policy denies.
    pub(crate) policy: u64,
    /// SUBSCRIBEs that the policy denies.
    pub(crate) subscriptions: u64,
}
