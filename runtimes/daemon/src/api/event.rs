//! The server-sent events of `GET /api/v1/events`: `following` when reporting starts; `route` ([`RouteEvent`]); `peer`
//! ([`PeerEvent`]); `missed`, with a number of events, when a reader is too slow and did not get them; and `incomplete`
//! when changes of some VNIs cannot be reported.

use metalbond::{NextHop, Prefix, SessionState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A peer was added or removed, or changed its state: the data of an event `peer`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct PeerEvent {
    pub(crate) name: String,
    /// The configured endpoint, or the far end's address.
    pub(crate) address: String,
    /// null: the peer was removed.
    #[schema(value_type = Option<String>)]
    pub(crate) state: Option<SessionState>,
}

/// Next hops of a destination were added or removed: the data of an event `route`, as a
/// [`RouteChange`](metalbond::RouteChange) is written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct RouteEvent {
    pub(crate) vni: u32,
    #[schema(value_type = String)]
    pub(crate) prefix: Prefix,
    /// All next hops of the destination; none: it has no route any more.
    #[schema(value_type = Vec<Object>)]
    pub(crate) next_hops: Vec<NextHop>,
    #[schema(value_type = Vec<Object>)]
    pub(crate) added: Vec<NextHop>,
    #[schema(value_type = Vec<Object>)]
    pub(crate) removed: Vec<NextHop>,
}
