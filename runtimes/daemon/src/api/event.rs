//! The server-sent events of `GET /api/v1/events`: `following` when reporting starts; `route` ([`RouteEvent`]); `peer`
//! ([`PeerEvent`]); `missed`, with a number of events, when a reader is too slow and did not get them; and `incomplete`
//! when changes of some VNIs cannot be reported.

use metalbond::{NextHop, Prefix, SessionState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A peer came, went, or changed its state: the data of an event `peer`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct PeerEvent {
    pub(crate) name: String,
    /// The configured endpoint, or the far end's address.
    pub(crate) address: String,
    /// null: it is gone.
    #[schema(value_type = Option<String>)]
    pub(crate) state: Option<SessionState>,
}

/// Next hops of a destination came or went: the data of an event `route`, as a
/// [`RouteChange`](metalbond::RouteChange) is written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct RouteEvent {
    pub(crate) vni: u32,
    #[schema(value_type = String)]
    pub(crate) prefix: Prefix,
    /// All that the destination has now; none: it is gone.
    #[schema(value_type = Vec<Object>)]
    pub(crate) next_hops: Vec<NextHop>,
    #[schema(value_type = Vec<Object>)]
    pub(crate) added: Vec<NextHop>,
    #[schema(value_type = Vec<Object>)]
    pub(crate) removed: Vec<NextHop>,
}
