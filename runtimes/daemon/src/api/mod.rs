//! What `/api/v1` says: the types that the HTTP side answers with, and that the commands read. Durations are seconds,
//! names of peers those of [`Announcer`](metalbond::Announcer): `p0` for a configured server, `a7` for a connection that was
//! accepted, `local` and `departed`.

mod event;
mod peer;
mod route;
mod status;
mod vni;

pub(crate) use event::{PeerEvent, RouteEvent};
pub(crate) use peer::{Dropped, Messages, Peer};
pub(crate) use route::{Destination, NextHop};
pub(crate) use status::{Kernel, Role, Status};
pub(crate) use vni::Vni;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a daemon's HTTP side listens by convention, and the commands look for it.
pub(crate) const HTTP: &str = "127.0.0.1:4712";

/// Some of a list's items, and how to go on.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// Given as `after`, the next page; null at the end.
    pub(crate) next: Option<String>,
}

/// Why a request was refused, with a status from 400 on.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Refusal {
    pub(crate) error: String,
}
