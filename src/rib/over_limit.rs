//! Destinations with more next hops than the limit allows.
//!
//! Invariant: each destination whose next hops of accepted peers are over the limit is in the set; others may be.

use alloc::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;

use super::announcers::Announced;
use super::{OriginId, Rib};

/// Announcers of a route that are looked at when a destination is over the limit: any of them will do, and there may be thousands.
const SAMPLE: usize = 4;
/// Next hops looked at in one call, or one destination's more.
const STEPS: usize = 4096;

impl Rib {
    /// Whether a destination may have too many next hops.
    pub(crate) fn has_over_limit(&self) -> bool {
        !self.over_limit.is_empty()
    }

    /// Returns, of a destination that has too many next hops and of the group that announces the most of them, some peers: as many as a
    /// bounded look finds. `group` says to which group an accepted peer belongs. To be called while no routes are being swept, until
    /// there is no such destination.
    pub(crate) fn peers_over_limit<G: Ord>(&mut self, group: impl Fn(OriginId) -> G) -> BTreeSet<OriginId> {
        let mut steps = 0;
        while let Some(&(table, dest)) = self.over_limit.first()
            && steps < STEPS
        {
            let hops = || {
                let table = self.tables.get(table.0).into_iter();
                table.flat_map(|table| table.hops_of(dest).map(|(hop, _)| table.announcers(hop)))
            };
            let peers = |announcers: &[Announced]| {
                let all = announcers.iter().map(|a| OriginId(a.origin));
                let peers = all.filter(|id| self.origins[id.0].is_peer());
                peers.take(SAMPLE).collect::<SmallVec<[OriginId; SAMPLE]>>()
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
            self.over_limit.pop_first();
        }
        BTreeSet::new()
    }
}
