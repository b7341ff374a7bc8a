//! The route table as the embedder sees it: a view that asks the owner, and changes nothing.

use metalbond::{Route, Vni};
use metalbond_common::Error;

use crate::MetalBond;

/// A read-only view of a node's routes. Each answer is a snapshot of one moment, in the order of the table, which is
/// the same for the same history.
///
/// ```no_run
/// # async fn example(node: metalbond_smol::MetalBond) -> Result<(), metalbond_smol::Error> {
/// let table = node.route_table();
/// for vni in table.vnis().await? {
///     for route in table.routes(vni).await? {
///         println!("{route}");
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// A view counts as a handle: the node lives as long as it does.
#[derive(Clone, Debug)]
pub struct RouteTable(MetalBond);

impl RouteTable {
    pub(crate) const fn new(handle: MetalBond) -> Self {
        Self(handle)
    }

    /// The VNIs of which the table holds a route.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn vnis(&self) -> Result<Vec<Vni>, Error> {
        self.0.inspect(|node| node.vnis().collect()).await
    }

    /// Every route of a VNI that somebody, this node included, announces.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn routes(&self, vni: Vni) -> Result<Vec<Route>, Error> {
        self.0.inspect(move |node| node.routes(vni).collect()).await
    }

    /// The routes of a VNI as [`Changes`](crate::Changes) tells them: those of others that this node does not
    /// announce itself. Empty unless it is subscribed to.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn learned(&self, vni: Vni) -> Result<Vec<Route>, Error> {
        self.0.inspect(move |node| node.learned(vni).collect()).await
    }
}
