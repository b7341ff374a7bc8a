//! This node as a subscriber: the changes of the routes that it wants itself, destination by destination.

use alloc::collections::VecDeque;

use super::{Node, RouteChange};
use crate::rib::{Change, Leave, Order, Sink, Viewer};

/// Destinations fetched by one walk.
const BATCH: usize = 64;
/// Journal entries passed by one walk.
const STEPS: usize = 65_536;

/// Changes on their way to the embedder.
#[derive(Debug, Default)]
pub(super) struct LocalChanges {
    queue: VecDeque<RouteChange>,
    /// The next change is of a new destination.
    fresh: bool,
    /// VNIs that are not wanted any more: what was told of them is taken back.
    pub(super) leaving: VecDeque<Leave>,
    /// The last walk ended before it found something; the next may.
    pub(super) is_unfinished: bool,
}

impl Sink for LocalChanges {
    fn begin(&mut self) -> bool {
        self.fresh = true;
        self.queue.len() < BATCH
    }

    fn has_room(&self) -> bool {
        true
    }

    fn tell(&mut self, change: Change<'_>) {
        if core::mem::take(&mut self.fresh) {
            let (vni, prefix) = (change.vni, *change.prefix);
            self.queue.push_back(RouteChange { vni, prefix, added: Default::default(), removed: Default::default() });
        }
        if let Some(last) = self.queue.back_mut() {
            let list = if change.there { &mut last.added } else { &mut last.removed };
            list.push(*change.next_hop);
        }
    }
}

impl Node {
    /// The next change of the routes that this node subscribed to. Changes of one destination come together, and only
    /// what is still true when they are fetched: whoever is slow is told less, not late. When a VNI is unsubscribed from,
    /// its routes are told as removed.
    ///
    /// A node whose changes nobody fetches keeps what is gone until somebody does: a route that came and went costs its
    /// memory. An embedder that doesn't want changes should fetch and drop them.
    pub fn poll_change(&mut self) -> Option<RouteChange> {
        if self.changes.queue.is_empty() {
            self.changes.is_unfinished = false;
            self.wake();
            let mut steps = STEPS;
            while let Some(mut leave) = self.changes.leaving.pop_front() {
                if !self.rib.take_back(&mut leave, Viewer::Local, &mut steps, &mut self.changes) {
                    self.changes.leaving.push_front(leave);
                    self.changes.is_unfinished = self.changes.queue.is_empty();
                    return self.changes.queue.pop_front();
                }
            }
            while self.changes.queue.is_empty() && steps > 0 {
                let pending = self.rib.next_pending(self.local)?;
                let (position, viewer) = (self.rib.position(pending), self.rib.viewer(self.local));
                let order = Order::AdditionsFirst;
                let walked = self.rib.walk(pending.table, position, viewer, order, &mut steps, &mut self.changes);
                self.rib.advance(self.local, pending, walked);
            }
            self.changes.is_unfinished = self.changes.queue.is_empty();
        }
        self.changes.queue.pop_front()
    }
}
