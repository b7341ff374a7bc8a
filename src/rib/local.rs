//! The application as a reader of the node's own tables: which VNIs it subscribed to, and what was reported to it of them.
//!
//! The application gets sets, so it needs no cursor in the journal: one bit says of each next hop whether it was reported as added.
//!
//! Invariant: what came and went between two reports leaves no trace, so an application that takes no reports costs the next hops
//! that were reported to it, at most.

use smallvec::SmallVec;

use super::Rib;
use super::next_hops::{NextHopId, NextHops};
use super::table::{Table, TableId};
use super::visibility::Viewer;
use crate::bits::Bits;
use crate::{RouteChange, Vni};

type Ids = SmallVec<[u32; 4]>;

/// The application as a reader of one table.
#[derive(Debug, Default)]
pub(super) struct Local {
    is_subscribed: bool,
    /// Hops that were reported as added.
    reported: Bits,
    /// Those of them that are gone, and have a place only because their removal is yet to be reported.
    kept: Bits,
    /// Places of destinations to look at. They are looked at in the order of their places, from `next_changed` on and around.
    changed: Bits,
    next_changed: u32,
    /// All places before this one are to be looked at, too. Downwards, as compaction moves destinations: none is missed.
    rest: Option<u32>,
    /// While all are looked at, those that were reported are reported once more.
    is_again: bool,
    /// Which of the two is next, so that neither the changed ones nor the rest wait for the end of the other.
    is_turn_of_rest: bool,
    /// The table is among those with something to look at.
    is_listed: bool,
}

impl Local {
    pub(super) fn is_used(&self) -> bool {
        self.is_subscribed || self.is_listed
    }

    /// Decides whether a hop that no origin announces can be freed. False: it is kept, because its removal is yet to be reported.
    pub(super) fn give_up(&mut self, hop: u32) -> bool {
        let is_reported = self.reported.contains(hop);
        if is_reported {
            self.kept.insert(hop);
        }
        !is_reported
    }

    /// Notes that a hop is announced again. Returns whether it was only kept for the application.
    pub(super) fn reclaim(&mut self, hop: u32) -> bool {
        self.kept.remove(hop)
    }

    pub(super) fn is_kept(&self, hop: u32) -> bool {
        self.kept.contains(hop)
    }

    /// Notes that a destination has changed.
    pub(super) fn touch(&mut self, dest: u32) {
        if self.is_subscribed {
            self.changed.insert(dest);
        }
    }

    fn look_at_all(&mut self, is_again: bool) {
        self.rest = Some(u32::MAX);
        // What was promised and has not been reported yet stays promised.
        self.is_again |= is_again;
    }

    fn has_something(&self) -> bool {
        self.rest.is_some() || !self.changed.is_empty()
    }

    /// Returns the next destination to look at, and whether what was reported of it is reported once more.
    fn next(&mut self, places: u32) -> Option<(u32, bool)> {
        self.is_turn_of_rest = !self.is_turn_of_rest;
        if self.is_turn_of_rest
            && let Some(found) = self.next_of_rest(places)
        {
            return Some(found);
        }
        let changed = self.changed.next_from(self.next_changed).or_else(|| self.changed.next_from(0));
        if let Some(dest) = changed {
            self.changed.remove(dest);
            self.next_changed = dest + 1;
            return Some((dest, false));
        }
        self.next_of_rest(places)
    }

    fn next_of_rest(&mut self, places: u32) -> Option<(u32, bool)> {
        let Some(dest) = self.rest.take()?.min(places).checked_sub(1) else {
            self.is_again = false;
            return None;
        };
        self.rest = Some(dest);
        Some((dest, self.is_again))
    }

    /// Gives a hop its new number.
    pub(super) fn rename_hop(&mut self, from: u32, to: u32) {
        for bits in [&mut self.reported, &mut self.kept] {
            if bits.remove(from) {
                bits.insert(to);
            }
        }
    }

    /// Gives a destination its new number.
    pub(super) fn rename_dest(&mut self, from: u32, to: u32) {
        if self.changed.remove(from) {
            self.changed.insert(to);
        }
    }

    /// Gives back memory: there are so many places for hops and destinations.
    pub(super) fn cut(&mut self, hops: u32, dests: u32) {
        self.reported.truncate(hops);
        self.kept.truncate(hops);
        self.changed.truncate(dests);
    }
}

impl Rib {
    /// Subscribes the application to a VNI's routes. False: it is subscribed already.
    pub(crate) fn want(&mut self, vni: Vni) -> bool {
        if self.wanted.contains_key(&vni) {
            return false;
        }
        let id = self.table_of(vni);
        self.wanted.insert(vni, id);
        self.tables[id.0].local_mut().is_subscribed = true;
        self.look_at_all(id, false);
        true
    }

    /// Unsubscribes the application from a VNI. Its routes are reported as removed. False: it is not subscribed.
    pub(crate) fn unwant(&mut self, vni: Vni) -> bool {
        let Some(id) = self.wanted.remove(&vni) else { return false };
        self.tables[id.0].local_mut().is_subscribed = false;
        self.look_at_all(id, false);
        true
    }

    /// Has all routes of a VNI reported to the application once more. False: it is not subscribed.
    pub(crate) fn report_again(&mut self, vni: Vni) -> bool {
        let Some(&id) = self.wanted.get(&vni) else { return false };
        self.look_at_all(id, true);
        true
    }

    fn look_at_all(&mut self, id: TableId, is_again: bool) {
        self.tables[id.0].local_mut().look_at_all(is_again);
        self.list(id);
    }

    /// Puts a table among those with something to look at, if it has something.
    #[inline]
    pub(super) fn list(&mut self, id: TableId) {
        let local = self.tables[id.0].local_mut();
        if !local.is_listed && local.has_something() {
            local.is_listed = true;
            self.listed.push_back(id);
        }
    }

    /// Whether the application is subscribed to a VNI.
    pub(crate) fn is_wanted(&self, vni: Vni) -> bool {
        self.wanted.contains_key(&vni)
    }

    /// The VNIs to which the application is subscribed, in order.
    pub(crate) fn wanted(&self) -> impl ExactSizeIterator<Item = Vni> + '_ {
        self.wanted.keys().copied()
    }

    /// Returns the first VNI from `from` on that the application wants.
    pub(crate) fn next_wanted(&self, from: Vni) -> Option<Vni> {
        self.wanted.range(from..).next().map(|(&vni, _)| vni)
    }

    /// Whether there is something to look at for the application.
    pub(crate) fn has_changes(&self) -> bool {
        !self.listed.is_empty()
    }

    /// Returns the next change to report to the application. Looks at `steps` destinations and next hops, or one destination's
    /// more.
    pub(crate) fn next_change(&mut self, steps: &mut usize) -> Option<RouteChange> {
        while *steps > 0 {
            let id = self.listed.pop_front()?;
            let table = &mut self.tables[id.0];
            *steps -= 1;
            let places = table.dests().places();
            let local = table.local_mut();
            local.is_listed = false;
            let Some((dest, is_again)) = local.next(places) else {
                self.trim(id);
                continue;
            };
            let (change, gone) = table.report(&self.next_hops, dest, is_again, steps);
            for next_hop in gone {
                self.next_hops.release(next_hop);
            }
            self.list(id);
            self.trim(id);
            if change.is_some() {
                return change;
            }
        }
        None
    }
}

impl Table {
    /// Returns what is to be reported of a destination, and the next hops of the hops that are freed thereby.
    fn report(
        &mut self,
        next_hops: &NextHops,
        dest: u32,
        is_again: bool,
        steps: &mut usize,
    ) -> (Option<RouteChange>, SmallVec<[NextHopId; 4]>) {
        let (mut known, mut added, mut removed) = (Ids::new(), Ids::new(), Ids::new());
        let local = self.local();
        for (id, hop) in self.hops_of(dest) {
            *steps = steps.saturating_sub(1);
            let is_there = local.is_subscribed && hop.now().is_visible_to(Viewer::Local);
            match (local.reported.contains(id), is_there) {
                (true, true) if is_again => added.push(id),
                (true, true) => known.push(id),
                (false, true) => added.push(id),
                (true, false) => removed.push(id),
                (false, false) => {}
            }
        }
        if added.is_empty() && removed.is_empty() {
            return (None, SmallVec::new());
        }
        let prefix = *self.dest(dest).prefix();
        let next_hop = |id: &u32| *next_hops.get(self.hop(*id).next_hop());
        let [known, new, gone] = [&known, &added, &removed].map(|ids| ids.iter().map(next_hop));
        let change = RouteChange::new(self.vni(), prefix, known, new, gone);
        let local = self.local_mut();
        for &id in &added {
            local.reported.insert(id);
        }
        removed.retain(|id| {
            local.reported.remove(*id);
            local.kept.remove(*id)
        });
        (Some(change), removed.into_iter().map(|id| self.free(id)).collect())
    }
}
