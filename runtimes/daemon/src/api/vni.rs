//! Summary of a VNI's table.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An item of `GET /api/v1/vnis`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Vni {
    pub(crate) vni: u32,
    pub(crate) destinations: usize,
    /// A destination counts once for each of its next hops.
    pub(crate) routes: usize,
    /// Peers that are told of its routes.
    pub(crate) subscribers: usize,
    /// 16 hexadecimal digits: equal on two servers if, and but for an accident of 1 in 2⁶⁴ only if, they hold the same
    /// routes.
    pub(crate) digest: String,
}
