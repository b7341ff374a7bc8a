//! The daemon as a whole.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use metalbond::fib::FibStats;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which of the two a daemon is.
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
    /// As `/readyz` says it.
    pub(crate) ready: bool,
    /// What it still waits for.
    pub(crate) waiting_for: Vec<String>,
    #[schema(value_type = Vec<String>)]
    pub(crate) listening: Vec<SocketAddr>,
    /// Whether it tells its clients that its table may still be incomplete.
    pub(crate) converging: bool,
    /// How many peers are in which state; states without one are left out.
    pub(crate) peers: BTreeMap<String, usize>,
    /// VNIs that have a route.
    pub(crate) vnis: usize,
    /// Routes that somebody announces: a destination counts once for each of its next hops.
    pub(crate) routes: usize,
    /// Routes that this daemon itself announces.
    pub(crate) announced: usize,
    /// VNIs that this daemon itself subscribed to.
    pub(crate) subscriptions: usize,
    /// The routes in the kernel, if they are installed.
    pub(crate) kernel: Option<Kernel>,
}

impl From<FibStats> for Kernel {
    fn from(stats: FibStats) -> Self {
        let FibStats { wanted, installed, objects, conflicts, vni_conflicts, failed, .. } = stats;
        Self { wanted, installed, objects, conflicts, vni_conflicts, failed }
    }
}

/// Routes in the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Kernel {
    /// Routes that should be there.
    pub(crate) wanted: usize,
    /// Routes of ours that are there.
    pub(crate) installed: usize,
    /// Nexthop objects and groups.
    pub(crate) objects: usize,
    /// Destinations that are not installed because a route of another protocol, or one of a lower VNI in the same table, is there.
    pub(crate) conflicts: usize,
    /// Those of them for which it is a lower VNI's.
    #[serde(default)]
    pub(crate) vni_conflicts: usize,
    /// Operations that the kernel refused, since the start. Each is tried again.
    pub(crate) failed: u64,
}
