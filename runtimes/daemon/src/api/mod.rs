//! The types of `/api/v1`: the HTTP handlers answer with them, and the commands read them. Durations are in seconds.
//! Peers are named like [`Announcer`](metalbond::Announcer): `p0` is a configured server, `a7` is an accepted
//! connection; `local` and `departed` are special names.

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

/// The default HTTP address of a daemon, which the commands also use by default.
pub(crate) const HTTP: &str = "127.0.0.1:4712";

/// A page of a list.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// The value of `after` for the next page; null at the end.
    pub(crate) next: Option<String>,
}

/// The reason why a request was refused, with a status of at least 400.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Refusal {
    pub(crate) error: String,
}
