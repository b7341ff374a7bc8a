//! What accepted peers put on the table together, and whose it is: for the limits on that.

use alloc::collections::BTreeMap;

use super::table::{Hop, TableId};
use super::{OriginId, Rib};

/// How an origin's routes count towards what accepted peers hold together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// Not at all: this node, or a server that it dials.
    Apart,
    /// An accepted peer, connected or within its restart time.
    Peer,
    /// One that has left: its routes are being swept.
    Leaving,
}

/// A destination with more next hops than are allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd {
    table: TableId,
    dest: u32,
}

impl Rib {
    /// Routes that accepted peers hold, without those that are being swept.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// VNIs that peers are subscribed to, each as often as there are such peers.
    pub(crate) fn subscriptions(&self) -> usize {
        self.subscriptions
    }

    /// The origin's session is over, and all its routes are to be swept.
    pub(crate) fn leave(&mut self, id: OriginId) {
        self.mark_stale(id);
        let origin = &mut self.origins[id.0];
        if origin.standing == Standing::Peer {
            origin.standing = Standing::Leaving;
            self.held -= origin.routes.len();
        }
    }

    /// An accepted peer's hop is new to its destination.
    pub(super) fn check_crowd(&mut self, origin: OriginId, table: TableId, hop: u32) {
        let dest = self.tables[table.0].hops[hop].dest;
        let hops = self.tables[table.0].dest(dest).hops();
        if hops as usize > self.next_hops_max && self.origins[origin.0].standing == Standing::Peer {
            self.crowd = Some(Crowd { table, dest });
        }
    }

    /// A destination that came to have too many next hops since the last call. May have lost them again.
    pub(crate) fn take_crowd(&mut self) -> Option<Crowd> {
        self.crowd.take()
    }

    /// How many of a destination's next hops each accepted peer announces; `None` if they are not too many, without those
    /// that are being swept.
    pub(crate) fn announced_to(&self, crowd: Crowd) -> Option<BTreeMap<OriginId, usize>> {
        let peers = |hop: &Hop| {
            let there = |id: &u32| self.origins[*id].standing == Standing::Peer;
            hop.announcers.iter().map(|a| a.origin).filter(there).map(OriginId).collect::<smallvec::SmallVec<[_; 4]>>()
        };
        let (mut hops, mut by) = (0, BTreeMap::new());
        for (_, hop) in self.tables[crowd.table.0].hops_of(crowd.dest) {
            let peers = peers(hop);
            hops += usize::from(!peers.is_empty());
            for peer in peers {
                *by.entry(peer).or_default() += 1;
            }
        }
        (hops > self.next_hops_max).then_some(by)
    }
}
