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
    /// Number of peers that are subscribed to the VNI.
    pub(crate) subscribers: usize,
    /// The digest of the routes, 16 hexadecimal digits. Servers with the same routes have the same digest; servers with
    /// different routes have the same one by accident with a probability of 2⁻⁶⁴.
    pub(crate) digest: String,
}
