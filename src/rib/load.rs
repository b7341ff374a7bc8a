//! What accepted peers put on the table together, and whose it is: for the limits on that.

use alloc::collections::BTreeMap;

use super::origin::Origin;
use super::table::{Hop, TableId};
use super::{OriginId, Rib};
use crate::Vni;

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

/// Something with more next hops, or announcers, than are allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Crowd {
    /// A destination: its next hops.
    Dest(TableId, u32),
    /// A route: its announcers.
    Hop(TableId, u32),
}

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CrowdLimits {
    /// Next hops of one destination.
    pub(crate) next_hops: usize,
    /// Announcers of one route.
    pub(crate) announcers: usize,
}

impl CrowdLimits {
    /// Any number.
    pub(crate) const NONE: Self = Self { next_hops: usize::MAX, announcers: usize::MAX };
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

    /// VNIs in which accepted peers that are still there announced the first route, while anybody needs them.
    pub(crate) fn opened(&self) -> usize {
        self.opened
    }

    /// Of these, those of one peer.
    pub(crate) fn opened_by(&self, id: OriginId) -> usize {
        self.origins[id.0].opened
    }

    /// A VNI's table, for the origin to announce in.
    pub(super) fn table_opened_by(&mut self, id: OriginId, vni: Vni) -> TableId {
        if let Some(&table) = self.by_vni.get(&vni) {
            return table;
        }
        let table = self.table_of(vni);
        let origin = &mut self.origins[id.0];
        if origin.standing == Standing::Peer {
            origin.opened += 1;
            self.opened += 1;
            self.tables[table.0].opener = Some((id, origin.key));
        }
        table
    }

    /// Nobody needs a table any more that this origin opened.
    pub(super) fn closed_vni(&mut self, opener: Option<(OriginId, u64)>) {
        let Some((id, key)) = opener else { return };
        // Unless it has left, or its number has been given to another since.
        let is_there = |origin: &&mut Origin| origin.key == key && origin.standing == Standing::Peer;
        if let Some(origin) = self.origins.get_mut(id.0).filter(is_there) {
            origin.opened -= 1;
            self.opened -= 1;
        }
    }

    /// The origin's session is over, and all its routes are to be swept.
    pub(crate) fn leave(&mut self, id: OriginId) {
        self.mark_stale(id);
        self.departed.remove(&id);
        let origin = &mut self.origins[id.0];
        if origin.standing == Standing::Peer {
            origin.standing = Standing::Leaving;
            self.held -= origin.routes.len();
            self.opened -= origin.opened;
        }
    }

    /// An announcer is new to a route.
    pub(super) fn check_crowd(&mut self, origin: OriginId, table: TableId, hop: u32) {
        let of = &self.tables[table.0];
        let Hop { dest, ref announcers, .. } = of.hops[hop];
        let crowd = if announcers.len() > self.crowd_limits.announcers {
            Crowd::Hop(table, hop)
        } else if of.dest(dest).hops() as usize > self.crowd_limits.next_hops {
            Crowd::Dest(table, dest)
        } else {
            return;
        };
        if self.origins[origin.0].standing == Standing::Peer {
            self.crowd = Some(crowd);
        }
    }

    /// What came to be too many since the last call. It may be less again.
    pub(crate) fn take_crowd(&mut self) -> Option<Crowd> {
        self.crowd.take()
    }

    /// How many of them each accepted peer has; `None` if they are not too many, without those that are being swept.
    pub(crate) fn crowded_by(&self, crowd: Crowd) -> Option<BTreeMap<OriginId, usize>> {
        let mut by = BTreeMap::new();
        let mut count = |hop: &Hop| {
            let mut peers = 0;
            for origin in hop.announcers.iter().map(|a| a.origin) {
                if self.origins[origin].standing == Standing::Peer {
                    *by.entry(OriginId(origin)).or_default() += 1;
                    peers += 1;
                }
            }
            peers
        };
        let is_too_many = match crowd {
            Crowd::Dest(table, dest) => {
                let hops = self.tables.get(table.0).into_iter().flat_map(|table| table.hops_of(dest));
                hops.filter(|(_, hop)| count(hop) > 0).count() > self.crowd_limits.next_hops
            }
            Crowd::Hop(table, hop) => {
                let hop = self.tables.get(table.0).and_then(|table| table.hops.get(hop));
                hop.map_or(0, count) > self.crowd_limits.announcers
            }
        };
        is_too_many.then_some(by)
    }
}
