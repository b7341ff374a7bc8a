//! This node as a reader of its own tables: which VNIs its embedder wants, and what it has been told of them.
//!
//! An embedder is told sets, so it needs no place in the journal: one bit says of each next hop whether the embedder has
//! it. What came and went unseen leaves no trace; so an embedder that does not read costs what it was told at most.

use alloc::collections::VecDeque;

use smallvec::SmallVec;

use super::bits::Bits;
use super::table::{Table, TableId};
use super::visibility::Viewer;
use super::{NextHops, Rib};
use crate::{RouteChange, Vni};

type Ids = SmallVec<[u32; 4]>;

/// What the embedder wants of a table, and has been told of it.
#[derive(Debug, Default)]
pub(super) struct Local {
    is_wanted: bool,
    /// Hops that it has been told are there.
    told: Bits,
    /// Those of them that are gone, and kept for this only.
    kept: Bits,
    /// Places of destinations to look at, each once.
    queue: VecDeque<u32>,
    queued: Bits,
    /// All places before this one are to be looked at, too. Downwards, as compaction moves destinations: none escapes.
    rest: Option<u32>,
    /// In doing so, what was told is told again.
    again: bool,
    /// Whose turn it is: neither of the two waits for the end of the other.
    is_rests_turn: bool,
    /// The table is among those with something to look at.
    is_listed: bool,
}

impl Local {
    pub(super) fn is_used(&self) -> bool {
        self.is_wanted || self.is_listed
    }

    /// A hop that nobody announces is freed; false if it has to stay, because the embedder does not know that it is gone.
    pub(super) fn let_go(&mut self, hop: u32) -> bool {
        let is_told = self.told.contains(hop);
        if is_told {
            self.kept.insert(hop);
        }
        !is_told
    }

    /// A hop is announced again. Whether it was there only because of the embedder.
    pub(super) fn take_up(&mut self, hop: u32) -> bool {
        self.kept.remove(hop)
    }

    pub(super) fn is_kept(&self, hop: u32) -> bool {
        self.kept.contains(hop)
    }

    /// Something about a destination has changed.
    pub(super) fn touch(&mut self, dest: u32) {
        if self.is_wanted && self.queued.insert(dest) {
            self.queue.push_back(dest);
        }
    }

    fn look_at_all(&mut self, again: bool) {
        self.rest = Some(u32::MAX);
        // What was promised and has not been told yet stays promised.
        self.again |= again;
    }

    /// The next destination to look at, and whether what was told of it is told again.
    fn next(&mut self, places: u32) -> Option<(u32, bool)> {
        self.is_rests_turn = !self.is_rests_turn;
        if self.is_rests_turn
            && let Some(found) = self.next_of_rest(places)
        {
            return Some(found);
        }
        if let Some(dest) = self.queue.pop_front() {
            self.queued.remove(dest);
            return Some((dest, false));
        }
        self.next_of_rest(places)
    }

    fn next_of_rest(&mut self, places: u32) -> Option<(u32, bool)> {
        let Some(dest) = self.rest.take()?.min(places).checked_sub(1) else {
            self.again = false;
            return None;
        };
        self.rest = Some(dest);
        Some((dest, self.again))
    }

    /// A hop has another number.
    pub(super) fn rename_hop(&mut self, from: u32, to: u32) {
        for bits in [&mut self.told, &mut self.kept] {
            if bits.remove(from) {
                bits.insert(to);
            }
        }
    }

    /// A destination has another number.
    pub(super) fn rename_dest(&mut self, from: u32, to: u32) {
        if self.queued.remove(from) && self.queued.insert(to) {
            self.queue.push_back(to);
        }
    }

    /// There are so many hops and destinations now, after some were renamed.
    pub(super) fn cut(&mut self, hops: u32, dests: u32) {
        self.told.truncate(hops);
        self.kept.truncate(hops);
        self.queued.truncate(dests);
        let Self { queue, queued, .. } = self;
        queue.retain(|&dest| queued.contains(dest));
        queue.shrink_to(queue.len() * 2);
    }
}

impl Rib {
    /// The embedder wants a VNI's routes. False: it does already.
    pub(crate) fn want(&mut self, vni: Vni) -> bool {
        if self.wanted.contains_key(&vni) {
            return false;
        }
        let id = self.table_of(vni);
        self.wanted.insert(vni, id);
        self.tables[id.0].local.is_wanted = true;
        self.look_at_all(id, false);
        true
    }

    /// It wants them no more: what it was told will be told as gone. False: it does not want them.
    pub(crate) fn unwant(&mut self, vni: Vni) -> bool {
        let Some(id) = self.wanted.remove(&vni) else { return false };
        self.tables[id.0].local.is_wanted = false;
        self.look_at_all(id, false);
        true
    }

    /// It is to be told all of a VNI again. False: it does not want it.
    pub(crate) fn tell_again(&mut self, vni: Vni) -> bool {
        let Some(&id) = self.wanted.get(&vni) else { return false };
        self.look_at_all(id, true);
        true
    }

    fn look_at_all(&mut self, id: TableId, again: bool) {
        self.tables[id.0].local.look_at_all(again);
        self.list(id);
    }

    /// The table has something to look at.
    pub(super) fn list(&mut self, id: TableId) {
        let local = &mut self.tables[id.0].local;
        if !local.is_listed && (local.rest.is_some() || !local.queue.is_empty()) {
            local.is_listed = true;
            self.listed.push_back(id);
        }
    }

    /// Whether the embedder wants a VNI's routes.
    pub(crate) fn is_wanted(&self, vni: Vni) -> bool {
        self.wanted.contains_key(&vni)
    }

    /// The VNIs that it wants, in order.
    pub(crate) fn wanted(&self) -> impl ExactSizeIterator<Item = Vni> + '_ {
        self.wanted.keys().copied()
    }

    /// Returns the first VNI from `from` on that the application wants.
    pub(crate) fn next_wanted(&self, from: Vni) -> Option<Vni> {
        self.wanted.range(from..).next().map(|(&vni, _)| vni)
    }

    /// Whether there is something to look at for the embedder.
    pub(crate) fn has_changes(&self) -> bool {
        !self.listed.is_empty()
    }

    /// What the embedder is to be told next, looking at `steps` destinations and next hops, or a few more.
    pub(crate) fn next_change(&mut self, steps: &mut usize) -> Option<RouteChange> {
        while *steps > 0 {
            let id = self.listed.pop_front()?;
            let table = &mut self.tables[id.0];
            table.local.is_listed = false;
            *steps -= 1;
            let places = table.dest_places();
            let Some((dest, again)) = table.local.next(places) else {
                self.trim(id);
                continue;
            };
            let (change, gone) = table.tell(&self.next_hops, dest, again, steps);
            for hop in gone {
                let next_hop = self.tables[id.0].free(hop);
                self.next_hops.give_back(next_hop);
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
    /// What is to be told of a destination; and the hops that nobody needs any more when it is.
    fn tell(&mut self, next_hops: &NextHops, dest: u32, again: bool, steps: &mut usize) -> (Option<RouteChange>, Ids) {
        let (mut known, mut added, mut removed) = (Ids::new(), Ids::new(), Ids::new());
        for (id, hop) in self.hops_of(dest) {
            *steps = steps.saturating_sub(1);
            let is_there = self.local.is_wanted && hop.now.is_visible_to(Viewer::Local);
            match (self.local.told.contains(id), is_there) {
                (true, true) if again => added.push(id),
                (true, true) => known.push(id),
                (false, true) => added.push(id),
                (true, false) => removed.push(id),
                (false, false) => {}
            }
        }
        if added.is_empty() && removed.is_empty() {
            return (None, Ids::new());
        }
        let prefix = self.dest(dest).prefix;
        let next_hop = |id: &u32| *next_hops.get(self.hops[*id].next_hop);
        let [known, new, gone] = [&known, &added, &removed].map(|ids| ids.iter().map(next_hop));
        let change = RouteChange::new(self.vni, prefix, known, new, gone);
        for &id in &added {
            self.local.told.insert(id);
        }
        removed.retain(|id| {
            self.local.told.remove(*id);
            self.local.kept.remove(*id)
        });
        (Some(change), removed)
    }
}
