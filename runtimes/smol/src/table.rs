//! The route table as the embedder sees it: a view that asks the owner, and changes nothing.

use metalbond::{Announcer, ApiMisuse, Destination, NextHop, Prefix, Route, Vni};

use crate::MetalBond;

/// A read-only view of a node's routes: networks, destinations, next hops, and who announced them.
///
/// Each answer is a snapshot of one moment, in the order of the table, which is the same for the same history. Nothing
/// else goes on at the node while it is made: a VNI with 1,000,000 routes takes some tens of milliseconds.
///
/// ```no_run
/// # async fn example(node: metalbond_smol::MetalBond) -> Result<(), metalbond_smol::ApiMisuse> {
/// let table = node.route_table();
/// for vni in table.vnis().await? {
///     for destination in table.destinations(vni).await? {
///         println!("{vni} {}: {} next hops", destination.prefix, destination.next_hops.len());
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
    /// [`ApiMisuse::Closed`].
    pub async fn vnis(&self) -> Result<Vec<Vni>, ApiMisuse> {
        self.0.inspect(|node| node.vnis().collect()).await
    }

    /// The destinations of a VNI, each with all next hops that somebody, this node included, announces.
    ///
    /// # Errors
    /// [`ApiMisuse::Closed`].
    pub async fn destinations(&self, vni: Vni) -> Result<Vec<Destination>, ApiMisuse> {
        self.0.inspect(move |node| node.destinations(vni).collect()).await
    }

    /// The next hops of one destination. None: nobody announces it.
    ///
    /// # Errors
    /// [`ApiMisuse::Closed`].
    pub async fn next_hops(&self, vni: Vni, prefix: Prefix) -> Result<Vec<NextHop>, ApiMisuse> {
        self.0.inspect(move |node| node.next_hops(vni, &prefix).collect()).await
    }

    /// Every route of a VNI that somebody, this node included, announces.
    ///
    /// # Errors
    /// [`ApiMisuse::Closed`].
    pub async fn routes(&self, vni: Vni) -> Result<Vec<Route>, ApiMisuse> {
        self.0.inspect(move |node| node.routes(vni).collect()).await
    }

    /// The routes of a VNI as [`Changes`](crate::Changes) tells them: those of others that this node does not
    /// announce itself. Empty unless it is subscribed to.
    ///
    /// # Errors
    /// [`ApiMisuse::Closed`].
    pub async fn learned(&self, vni: Vni) -> Result<Vec<Route>, ApiMisuse> {
        self.0.inspect(move |node| node.learned(vni).collect()).await
    }

    /// What one peer announces, or this node itself: its peers are named by
    /// [`PeerSnapshot::announcer`](crate::PeerSnapshot::announcer).
    ///
    /// # Errors
    /// [`ApiMisuse::Closed`].
    pub async fn announced_by(&self, announcer: Announcer) -> Result<Vec<Route>, ApiMisuse> {
        self.0.inspect(move |node| node.announced_by(announcer).collect()).await
    }

    /// Who announces a route.
    ///
    /// # Errors
    /// [`ApiMisuse::Closed`].
    pub async fn announcers(&self, route: Route) -> Result<Vec<Announcer>, ApiMisuse> {
        self.0.inspect(move |node| node.announcers(&route).collect()).await
    }
}
