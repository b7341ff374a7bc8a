//! A destination with its next hops.

use std::net::IpAddr;

use metalbond::{NextHopKind, Prefix, Vni};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An item of `GET /api/v1/routes`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Destination {
    pub(crate) vni: u32,
    #[schema(value_type = String, example = "10.0.23.0/24")]
    pub(crate) prefix: Prefix,
    /// The next hops of the destination, at least one.
    pub(crate) next_hops: Vec<NextHop>,
}

/// A next hop of a destination, with its announcers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct NextHop {
    #[schema(value_type = String, example = "2001:db8::1")]
    pub(crate) addr: IpAddr,
    /// The VNI at the next hop; 0 for the route's own VNI.
    #[schema(value_type = u32)]
    pub(crate) target_vni: Vni,
    /// `"STD"`, `"LB"` or `{"NAT":{"from":1024,"to":2047}}`.
    #[schema(value_type = Object)]
    pub(crate) kind: NextHopKind,
    /// Names of peers; `local` for this daemon, `departed` for a client whose process has gone away and whose routes are retained.
    pub(crate) announcers: Vec<String>,
}
