//! The route table as an application sees it: a view that queries the actor, and changes nothing.

use metalbond::{Announcer, Closed, Destination, NextHop, Node, Prefix, Route, Vni};

use crate::MetalBond;
use crate::budget::PIECE;

/// A read-only view of a node's routes: VNIs, destinations, next hops, and their announcers.
///
/// Each result is in no particular order, and a snapshot of one moment; only [`vnis`](Self::vnis) is collected in several calls. The node does
/// nothing else while it makes a snapshot: a VNI with 1,000,000 routes takes some tens of milliseconds. [`MetalBond::inspect`] with [`Node::walk`] visits a large VNI
/// in several calls.
///
/// ```no_run
/// # async fn example(node: metalbond_driver::MetalBond) -> Result<(), metalbond_driver::Closed> {
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
/// A view is a handle: the node lives as long as the view does.
#[derive(Clone, Debug)]
pub struct RouteTable(MetalBond);

impl RouteTable {
    pub(crate) const fn new(handle: MetalBond) -> Self {
        Self(handle)
    }

    /// Returns the VNIs that have a route, in order. The node looks at 256 tables at a time, and does other work in between: not all are of
    /// the same moment.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn vnis(&self) -> Result<Vec<Vni>, Closed> {
        let (mut vnis, mut from) = (Vec::new(), 0);
        loop {
            let look = move |node: &Node| {
                let (mut some, mut next) = (Vec::new(), None);
                for (place, table) in node.tables(from).take(PIECE) {
                    next = Some(place + 1);
                    some.extend((table.routes > 0).then_some(table.vni));
                }
                (some, next)
            };
            let (mut some, next) = self.0.inspect(look).await?;
            vnis.append(&mut some);
            let Some(next) = next else { break };
            from = next;
        }
        vnis.sort_unstable();
        // A table that is removed and added again between two requests may be in both answers.
        vnis.dedup();
        Ok(vnis)
    }

    /// Returns the destinations of a VNI, each with all next hops that a peer or this node announces.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn destinations(&self, vni: Vni) -> Result<Vec<Destination>, Closed> {
        self.0.inspect(move |node| node.destinations(vni).collect()).await
    }

    /// Returns the next hops of one destination. There are none if it is not announced.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn next_hops(&self, vni: Vni, prefix: Prefix) -> Result<Vec<NextHop>, Closed> {
        self.0.inspect(move |node| node.next_hops(vni, &prefix).collect()).await
    }

    /// Returns every route of a VNI that a peer or this node announces.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn routes(&self, vni: Vni) -> Result<Vec<Route>, Closed> {
        self.0.inspect(move |node| node.routes(vni).collect()).await
    }

    /// Returns the routes of a VNI as [`Changes`](crate::Changes) reports them: routes of peers that this node does not
    /// announce itself. There are none if the node is not subscribed to the VNI.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn learned(&self, vni: Vni) -> Result<Vec<Route>, Closed> {
        self.0.inspect(move |node| node.learned(vni).collect()).await
    }

    /// Returns the routes that one peer announces ([`PeerSnapshot::announcer`](crate::PeerSnapshot::announcer)), or this node itself
    /// ([`Announcer::Local`]).
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn announced_by(&self, announcer: Announcer) -> Result<Vec<Route>, Closed> {
        self.0.inspect(move |node| node.announced_by(announcer).collect()).await
    }

    /// Returns the announcers of a route.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn announcers(&self, route: Route) -> Result<Vec<Announcer>, Closed> {
        self.0.inspect(move |node| node.announcers(&route).collect()).await
    }
}
