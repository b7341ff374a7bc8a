//! The daemon as a whole.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use metalbond::fib::FibStats;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The role of a daemon.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    Server,
    Client,
}

/// `GET /api/v1/status`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Status {
    pub(crate) version: String,
    pub(crate) role: Role,
    /// When the process started, RFC 3339.
    pub(crate) started: String,
    pub(crate) uptime_seconds: f64,
    /// Whether the daemon is ready, as in `/readyz`.
    pub(crate) ready: bool,
    /// What the daemon waits for before it is ready.
    pub(crate) waiting_for: Vec<String>,
    #[schema(value_type = Vec<String>)]
    pub(crate) listening: Vec<SocketAddr>,
    /// Whether the daemon says in its HELLO that its table may be incomplete.
    pub(crate) converging: bool,
    /// Number of peers by state; states without a peer are omitted.
    pub(crate) peers: BTreeMap<String, usize>,
    /// Number of VNIs that have a route.
    pub(crate) vnis: usize,
    /// Number of announced routes: a destination counts once for each of its next hops.
    pub(crate) routes: usize,
    /// Number of routes that this daemon announces.
    pub(crate) announced: usize,
    /// Number of VNIs that this daemon subscribed to.
    pub(crate) subscriptions: usize,
    /// The routes in the kernel, if they are installed.
    pub(crate) kernel: Option<Kernel>,
}

impl From<FibStats> for Kernel {
    fn from(stats: FibStats) -> Self {
        let FibStats { wanted, installed, objects, conflicts, vni_conflicts, failed, .. } = stats;
        let FibStats { failing, too_many_next_hops, trouble, .. } = stats;
        Self { wanted, installed, objects, conflicts, vni_conflicts, failed, failing, too_many_next_hops, trouble }
    }
}

/// Routes in the kernel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Kernel {
    /// Number of destinations that should have a route in the kernel.
    pub(crate) wanted: usize,
    /// Number of routes of this daemon in the kernel that are in effect.
    pub(crate) installed: usize,
    /// Number of nexthop objects, including groups.
    pub(crate) objects: usize,
    /// Number of destinations that are not installed, or without effect, because of a route of another protocol, or of a lower VNI in the
    /// same table.
    pub(crate) conflicts: usize,
    /// Number of these destinations where the other route is of a lower VNI.
    #[serde(default)]
    pub(crate) vni_conflicts: usize,
    /// Number of operations that the kernel refused since the start. Each is tried again.
    pub(crate) failed: u64,
    /// Number of routes and nexthop objects whose last operation the kernel refused. Each is tried again.
    #[serde(default)]
    pub(crate) failing: usize,
    /// Number of destinations that have more next hops than the 256 that are installed.
    #[serde(default)]
    pub(crate) too_many_next_hops: usize,
    /// Why no route can be installed, or why the last operation was refused that is still to be done. Null if there is no such trouble.
    #[serde(default)]
    pub(crate) trouble: Option<String>,
}
