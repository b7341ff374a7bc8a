//! This node's embedder: the changes of the routes that it wants itself, destination by destination.

use super::{Node, Shutdown};
use crate::RouteChange;

/// Destinations and next hops looked at in one call, or a few more.
const STEPS: usize = 65_536;

impl Node {
    /// The next change of the routes that this node subscribed to: a destination with its complete set of next hops. When
    /// a VNI is unsubscribed from, its destinations are told as gone.
    ///
    /// Only what is true when it is fetched is told, and only what is news: whoever is slow is told less, not late. A node
    /// whose changes nobody fetches remembers what it told before, and no more: an embedder that does not read costs
    /// memory in proportion to the table that it holds itself.
    /// A node that is shut down, or about to be, tells nothing more: what an embedder has installed may outlive it.
    pub fn poll_change(&mut self) -> Option<RouteChange> {
        if self.shutdown != Shutdown::No {
            return None;
        }
        let mut steps = STEPS;
        let change = self.rib.next_change(&mut steps);
        self.is_searching = change.is_none() && steps == 0;
        change
    }

    /// Whether [`poll_change`](Self::poll_change) has something to tell, or to look for.
    pub fn has_changes(&self) -> bool {
        self.shutdown == Shutdown::No && self.rib.has_changes()
    }
}
