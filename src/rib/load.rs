//! What accepted peers put on the table together, and whose it is: for the limits on that.

use alloc::collections::{BTreeMap, BTreeSet};

use super::announcers::Announced;
use super::table::TableId;
use super::{OriginId, Rib};

/// Announcers of a route that are looked at when a destination has too many: any of them will do, and there may be thousands.
const SAMPLE: usize = 4;
/// Next hops looked at in one call, or one destination's more.
const STEPS: usize = 4096;

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

impl Rib {
    /// Routes that accepted peers hold, without those that are being swept.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// VNIs in which these routes are, each as often as there are such peers.
    pub(crate) fn held_vnis(&self) -> usize {
        self.held_vnis
    }

    /// VNIs that peers are subscribed to, each as often as there are such peers.
    pub(crate) fn subscriptions(&self) -> usize {
        self.subscriptions
    }

    /// VNIs in which an accepted peer announces something.
    pub(crate) fn vni_count(&self, id: OriginId) -> usize {
        self.origins[id.0].vnis.len()
    }

    /// An accepted peer announces one route more in a table.
    pub(super) fn hold(&mut self, id: OriginId, table: TableId) {
        let origin = &mut self.origins[id.0];
        if origin.standing == Standing::Peer {
            self.held += 1;
            let routes = origin.vnis.entry(table).or_default();
            self.held_vnis += usize::from(*routes == 0);
            *routes += 1;
        }
    }

    /// One less.
    pub(super) fn let_go(&mut self, id: OriginId, table: TableId) {
        let origin = &mut self.origins[id.0];
        if origin.standing == Standing::Peer {
            self.held -= 1;
            if let Some(routes) = origin.vnis.get_mut(&table) {
                *routes -= 1;
                if *routes == 0 {
                    origin.vnis.remove(&table);
                    self.held_vnis -= 1;
                }
            }
        }
    }

    /// The origin's session is over, and all its routes are to be swept.
    pub(crate) fn leave(&mut self, id: OriginId) {
        self.mark_stale(id);
        if let Some(departure) = self.origins[id.0].departed {
            self.departed.remove(&(departure.client, id));
        }
        let origin = &mut self.origins[id.0];
        if origin.standing == Standing::Peer {
            origin.standing = Standing::Leaving;
            self.held -= origin.routes.len();
            self.held_vnis -= core::mem::take(&mut origin.vnis).len();
        }
    }

    /// A next hop has an announcer more.
    pub(super) fn check_crowd(&mut self, origin: OriginId, table: TableId, hop: u32) {
        let dest = self.tables[table.0].hops[hop].dest;
        let hops = self.tables[table.0].dest(dest).hops() as usize;
        if hops > self.next_hops_max && self.origins[origin.0].standing == Standing::Peer {
            self.crowds.insert((table, dest));
        }
    }

    /// Whether a destination may have too many next hops.
    pub(crate) fn has_crowd(&self) -> bool {
        !self.crowds.is_empty()
    }

    /// Of a destination that has too many, and of the group that announces the most of them, some peers: as many as a bounded
    /// look finds. `group` says to which group an accepted peer belongs. To be called while nothing is being swept, until there is
    /// no such destination.
    pub(crate) fn crowders<G: Ord>(&mut self, group: impl Fn(OriginId) -> G) -> BTreeSet<OriginId> {
        let mut steps = 0;
        while let Some(&(table, dest)) = self.crowds.first()
            && steps < STEPS
        {
            let hops = || {
                let table = self.tables.get(table.0).into_iter();
                table.flat_map(|table| table.hops_of(dest).map(|(hop, _)| table.announcers(hop)))
            };
            let peers = |announcers: &[Announced]| {
                let all = announcers.iter().map(|a| OriginId(a.origin));
                let peers = all.filter(|id| self.origins[id.0].standing == Standing::Peer);
                peers.take(SAMPLE).collect::<smallvec::SmallVec<[OriginId; SAMPLE]>>()
            };
            let mut by_group = BTreeMap::<G, usize>::new();
            let mut held = 0;
            for announcers in hops() {
                steps += 1;
                let peers = peers(announcers);
                held += usize::from(!peers.is_empty());
                for peer in peers {
                    *by_group.entry(group(peer)).or_default() += 1;
                }
            }
            let heaviest = by_group.into_iter().max_by_key(|&(_, hops)| hops);
            if held > self.next_hops_max
                && let Some((heaviest, _)) = heaviest
            {
                return hops().flat_map(peers).filter(|id| group(*id) == heaviest).collect();
            }
            // It has lost them again.
            steps += 1;
            self.crowds.pop_first();
        }
        BTreeSet::new()
    }
}
