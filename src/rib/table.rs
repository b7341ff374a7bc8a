//! One VNI's routes: destinations, their next hops with who announced them, and the journal of their changes.

use alloc::vec::Vec;
use core::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};
use smallvec::SmallVec;

use super::announcers::{self, Announced, Announcers, Lists};
use super::intern::NextHopId;
use super::journal::{Entry, Journal};
use super::local::Local;
use super::origin::OriginId;
use super::pool::Pool;
use super::subscriber::Cursor;
use super::tombstones::Tombstones;
use super::visibility::{Viewer, Visibility};
use crate::{Prefix, Vni};

/// A table's number, while it is in use.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct TableId(pub(super) u32);

/// The state of a table's contents. It is never the same for two tables, even if the second one has the first one's number or
/// VNI, nor for one table before and after a change that a walk would tell. Equal versions and equal positions therefore mean
/// equal walks.
///
/// It is a pair because no single counter would do: a counter of the table alone would start anew with the next table, and a
/// range for each table would run out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct TableVersion {
    layout: u64,
    changes: u64,
}

/// No hop.
pub(super) const NIL: u32 = u32::MAX;
/// Destinations with more next hops than this have them in the table's hash index; a list is quicker below.
const WIDE: u32 = if cfg!(test) { 2 } else { 8 };

/// The largest age that is told from a larger one.
#[cfg(not(test))]
const fn age_max() -> u32 {
    u32::MAX
}
#[cfg(test)]
use super::tests::age_max;

/// A destination: its next hops as a list in the order of their last change, latest last.
#[derive(Debug)]
pub(super) struct Dest {
    pub(super) prefix: Prefix,
    pub(super) first: u32,
    hops: u32,
}

impl Dest {
    /// How many next hops it has, tombstones among them.
    pub(super) fn hops(&self) -> u32 {
        self.hops
    }

    /// Whether they are in the table's hash index.
    pub(super) fn is_wide(&self) -> bool {
        self.hops > WIDE
    }
}

/// A next hop of a destination: a route. Without announcers: a tombstone, or a free place (if `seq` is 0).
#[derive(Debug)]
pub(super) struct Hop {
    pub(super) dest: u32,
    pub(super) next_hop: NextHopId,
    pub(super) next: u32,
    /// The first one's is the last.
    pub(super) before: u32,
    pub(super) announcers: Announcers,
    /// The number of its last visible change.
    pub(super) seq: u64,
    /// To whom it is visible.
    pub(super) now: Visibility,
    /// To whom it was visible before that.
    pub(super) prev: Visibility,
    /// How long before the last change was the one before it: 0, there was none.
    prev_age: u32,
    /// How long before the last change was the first.
    first_age: u32,
}

impl Hop {
    /// The number of the change before the last, or a later one if that was ages ago; 0: there was none.
    pub(super) fn prev_seq(&self) -> u64 {
        if self.prev_age == 0 { 0 } else { self.seq - u64::from(self.prev_age) }
    }

    /// The number of its first change: whoever has not come so far was never told of it. `None`: that was ages ago.
    pub(super) fn first_seq(&self) -> Option<u64> {
        (self.first_age < age_max()).then(|| self.seq - u64::from(self.first_age))
    }

    /// It has changed once more, visibly.
    fn renumber(&mut self, seq: u64, was: Visibility) {
        if self.seq != 0 {
            let age = (seq - self.seq).min(u64::from(age_max())) as u32;
            self.first_age = self.first_age.saturating_add(age).min(age_max());
            (self.prev, self.prev_age) = (was, age);
        }
        self.seq = seq;
    }
}

#[derive(Debug)]
pub(super) struct Table {
    pub(super) vni: Vni,
    pub(super) seed: FixedState,
    pub(super) by_prefix: HashTable<u32>,
    pub(super) dests: Pool<Dest>,
    pub(super) hops: Pool<Hop>,
    pub(super) lists: Lists,
    pub(super) wide: HashMap<(u32, NextHopId), u32, FixedState>,
    pub(super) journal: Journal,
    /// The furthest that anybody ever walked: a change behind it can still be taken back unseen.
    pub(super) frontier: u64,
    /// Withdrawn hops that somebody may still have to be told of.
    pub(super) tombstones: Tombstones,
    /// The number of tombstones at which another look at the cursors may be worth its while.
    pub(super) purge_at: usize,
    pub(super) cursors: Pool<Cursor>,
    /// This node's own embedder.
    pub(super) local: Local,
    /// Cursors at the tail, to be woken by the next change.
    pub(super) asleep: Vec<u32>,
    pub(super) is_dirty: bool,
    /// Names the arrangement of its places: another number when they are moved.
    pub(super) layout: u64,
    /// Of the routes that somebody announces.
    pub(super) digest: u64,
    /// How often what a walk would tell has changed; the places of hops are a matter of `layout`.
    changes: u64,
    /// Hops that somebody announces.
    pub(super) live: usize,
    /// Hops that are tombstones.
    pub(super) dead: usize,
}

impl Table {
    pub(super) fn new(vni: Vni, seed: FixedState) -> Self {
        Self {
            vni,
            by_prefix: HashTable::new(),
            dests: Pool::default(),
            hops: Pool::default(),
            lists: Lists::default(),
            wide: HashMap::with_hasher(seed.clone()),
            seed,
            journal: Journal::default(),
            frontier: 0,
            tombstones: Tombstones::default(),
            purge_at: 64,
            cursors: Pool::default(),
            local: Local::default(),
            asleep: Vec::new(),
            is_dirty: false,
            layout: 0,
            digest: 0,
            changes: 0,
            live: 0,
            dead: 0,
        }
    }

    pub(super) fn version(&self) -> TableVersion {
        TableVersion { layout: self.layout, changes: self.changes }
    }

    pub(super) fn is_unused(&self) -> bool {
        self.hops.len() == 0 && self.cursors.len() == 0 && !self.is_dirty && !self.local.is_used()
    }

    pub(super) fn dest(&self, id: u32) -> &Dest {
        &self.dests[id]
    }

    pub(super) fn dest_places(&self) -> u32 {
        self.dests.places()
    }

    /// The hops of the destination in a place, tombstones among them; none if the place is free.
    pub(super) fn hops_of(&self, dest: u32) -> impl Iterator<Item = (u32, &Hop)> {
        let first = self.dests.get(dest).map_or(NIL, |dest| dest.first);
        let there = |id: u32| (id != NIL).then_some(id);
        core::iter::successors(there(first), move |&id| there(self.hops[id].next)).map(|id| (id, &self.hops[id]))
    }

    fn hash(&self, prefix: &Prefix) -> u64 {
        hash(&self.seed, prefix)
    }

    pub(super) fn find(&self, prefix: &Prefix, next_hop: NextHopId) -> Option<u32> {
        self.find_hop(self.find_dest(prefix)?, next_hop)
    }

    pub(super) fn find_dest(&self, prefix: &Prefix) -> Option<u32> {
        self.by_prefix.find(self.hash(prefix), |&id| self.dests[id].prefix == *prefix).copied()
    }

    fn find_hop(&self, dest: u32, next_hop: NextHopId) -> Option<u32> {
        if self.dests[dest].is_wide() {
            return self.wide.get(&(dest, next_hop)).copied();
        }
        let mut id = self.dests[dest].first;
        while id != NIL {
            let hop = &self.hops[id];
            if hop.next_hop == next_hop {
                return Some(id);
            }
            id = hop.next;
        }
        None
    }

    /// The hop of `prefix` by that number, if it is there (perhaps as a tombstone), or else a new one without
    /// announcers, and whether it is new.
    pub(super) fn find_or_insert(&mut self, prefix: &Prefix, next_hop: NextHopId) -> (u32, bool) {
        let hash = self.hash(prefix);
        let dest = match self.by_prefix.find(hash, |&id| self.dests[id].prefix == *prefix) {
            Some(&dest) => dest,
            None => {
                if self.by_prefix.len() == self.by_prefix.capacity() {
                    self.grow_index();
                }
                let dest = self.dests.insert(Dest { prefix: *prefix, first: NIL, hops: 0 });
                let (dests, seed) = (&self.dests, &self.seed);
                self.by_prefix.insert_unique(hash, dest, |&id| self::hash(seed, &dests[id].prefix));
                dest
            }
        };
        if let Some(id) = self.find_hop(dest, next_hop) {
            return (id, false);
        }
        let id = self.hops.insert(Hop {
            dest,
            next_hop,
            next: NIL,
            before: NIL,
            announcers: Announcers::default(),
            seq: 0,
            now: Visibility::NONE,
            prev: Visibility::NONE,
            prev_age: 0,
            first_age: 0,
        });
        self.link(id);
        let dest_hops = &mut self.dests[dest].hops;
        *dest_hops += 1;
        if *dest_hops == WIDE + 1 {
            let mut each = self.dests[dest].first;
            while each != NIL {
                self.wide.insert((dest, self.hops[each].next_hop), each);
                each = self.hops[each].next;
            }
        } else if *dest_hops > WIDE {
            self.wide.insert((dest, next_hop), id);
        }
        (id, true)
    }

    /// Makes room for as many destinations again. In their own order, so that memory is read as it lies: the map's own way of
    /// growing takes each from wherever it is.
    fn grow_index(&mut self) {
        // Enough for all: none has to be hashed again.
        let mut index = HashTable::with_capacity(self.by_prefix.len() * 2);
        for (id, dest) in (0..).zip(self.dests.iter()).filter(|(_, dest)| dest.first != NIL) {
            index.insert_unique(hash(&self.seed, &dest.prefix), id, |_| 0);
        }
        self.by_prefix = index;
    }

    /// Puts a hop at the end of its destination's list.
    fn link(&mut self, id: u32) {
        let first = &mut self.dests[self.hops[id].dest].first;
        let before = if *first == NIL {
            *first = id;
            id
        } else {
            let last = core::mem::replace(&mut self.hops[*first].before, id);
            self.hops[last].next = id;
            last
        };
        (self.hops[id].before, self.hops[id].next) = (before, NIL);
    }

    fn unlink(&mut self, id: u32) {
        let Hop { dest, before, next, .. } = self.hops[id];
        let first = &mut self.dests[dest].first;
        if *first == id {
            *first = next;
        } else {
            self.hops[before].next = next;
        }
        let behind = if next == NIL { *first } else { next };
        if behind != NIL {
            self.hops[behind].before = before;
        }
    }

    /// A hop that is in a destination's list has another number: so it is called there.
    pub(super) fn relink(&mut self, from: u32, to: u32) {
        let Hop { dest, before, next, .. } = self.hops[to];
        let first = &mut self.dests[dest].first;
        if *first == from {
            *first = to;
        } else {
            self.hops[before].next = to;
        }
        let behind = if next == NIL { *first } else { next };
        self.hops[behind].before = to;
    }

    /// Who announces a hop, in the order of their numbers.
    pub(super) fn announcers(&self, id: u32) -> &[Announced] {
        self.lists.of(&self.hops[id].announcers)
    }

    /// Where a hop stands in the origin's own list, if the origin announces it.
    pub(super) fn place(&self, id: u32, origin: OriginId) -> Option<u32> {
        announcers::place(self.announcers(id), origin)
    }

    /// The origin announces a hop now, or it has another place in its list.
    pub(super) fn set_announcer(&mut self, id: u32, origin: OriginId, place: u32) {
        self.lists.set(&mut self.hops[id].announcers, id, origin, place);
    }

    pub(super) fn remove_announcer(&mut self, id: u32, origin: OriginId) {
        self.lists.remove(&mut self.hops[id].announcers, origin);
    }

    /// The announcers of a hop changed: notes what that means to whom. Returns the next hop's number if the hop is
    /// gone for good. A caller marks the table dirty.
    pub(super) fn set_visibility(&mut self, id: u32, now: Visibility) -> Option<NextHopId> {
        let hop = &mut self.hops[id];
        let was = core::mem::replace(&mut hop.now, now);
        if was == now {
            return None;
        }
        self.changes += 1;
        self.live += usize::from(was == Visibility::NONE);
        self.live -= usize::from(now == Visibility::NONE);
        if was.is_visible_to(Viewer::Local) != now.is_visible_to(Viewer::Local) {
            self.local.touch(hop.dest);
        }
        self.dead -= usize::from(was == Visibility::NONE && hop.seq != 0 && !self.local.take_up(id));
        let is_unseen = hop.seq > self.frontier;
        if now == Visibility::NONE && (self.cursors.len() == 0 || (is_unseen && hop.prev_age == 0)) {
            // No subscriber has to be told of what came and went since anybody last looked.
            return self.local.let_go(id).then(|| self.free(id));
        }
        // A change that nobody has seen is part of the next.
        if !is_unseen {
            self.renumber(id, was);
        }
        if now == Visibility::NONE {
            self.dead += 1;
            self.tombstones.push(Entry { seq: self.hops[id].seq, hop: id });
            if self.tombstones.len() > self.dead * 2 + 64 {
                self.tidy();
            }
        }
        None
    }

    /// Gives a hop the latest number, and the last place in its destination's list.
    fn renumber(&mut self, id: u32, was: Visibility) {
        let seq = self.journal.append(id);
        let hop = &mut self.hops[id];
        let is_new = hop.seq == 0;
        hop.renumber(seq, was);
        if hop.next != NIL {
            self.unlink(id);
            self.link(id);
        }
        if !is_new {
            self.bury();
        }
    }

    /// How many tombstones lie behind `seq`. To be called when they are tidy.
    pub(super) fn dead_after(&self, seq: u64) -> usize {
        self.tombstones.count_after(seq)
    }

    /// Puts the tombstones in order.
    pub(super) fn tidy(&mut self) {
        let (hops, local) = (&self.hops, &self.local);
        self.tombstones.tidy(|entry| is_tombstone(hops, local, entry));
    }

    /// The announcers of a hop changed, and those who would see a difference do not subscribe.
    pub(super) fn set_unnoticed(&mut self, id: u32, now: Visibility) {
        self.hops[id].now = now;
        self.changes += 1;
    }

    fn bury(&mut self) {
        let hops = &self.hops;
        self.journal.bury(|entry| is_live(hops, entry));
    }

    /// Whether an entry is its hop's last.
    pub(super) fn is_live(&self, entry: &Entry) -> bool {
        is_live(&self.hops, entry)
    }

    /// Forgets a hop that nobody announces and nobody has to be told of.
    pub(super) fn free(&mut self, id: u32) -> NextHopId {
        self.unlink(id);
        let Hop { dest, next_hop, .. } = self.hops[id];
        self.hops[id].seq = 0;
        let Dest { hops, prefix, .. } = self.dests[dest];
        if hops > WIDE {
            self.wide.remove(&(dest, next_hop));
            if hops == WIDE + 1 {
                let mut each = self.dests[dest].first;
                while each != NIL {
                    self.wide.remove(&(dest, self.hops[each].next_hop));
                    each = self.hops[each].next;
                }
            }
        }
        self.dests[dest].hops -= 1;
        if hops == 1 {
            if let Ok(entry) = self.by_prefix.find_entry(self.hash(&prefix), |&other| other == dest) {
                entry.remove();
            }
            self.dests.release(dest);
        }
        self.hops.release(id);
        self.bury();
        next_hop
    }

    /// Frees the tombstones that every cursor has passed, and returns the next hops' numbers.
    pub(super) fn purge(&mut self) -> SmallVec<[NextHopId; 8]> {
        let mut freed = SmallVec::new();
        // Looking at every cursor must be worth its while: when all are at the tail, or the tombstones have doubled.
        let all_asleep = self.asleep.len() == self.cursors.len();
        if self.tombstones.is_empty() || (!all_asleep && self.tombstones.len() < self.purge_at) {
            return freed;
        }
        let passed = self.each_cursor().map(|c| c.position.needs_no_tombstone_before()).min().unwrap_or(u64::MAX);
        self.tidy();
        while let Some(entry) = self.tombstones.pop_to(passed) {
            // Announced again since?
            if is_tombstone(&self.hops, &self.local, &entry) {
                self.dead -= 1;
                if self.local.let_go(entry.hop) {
                    freed.push(self.free(entry.hop));
                }
            }
        }
        self.tombstones.shrink();
        self.purge_at = self.tombstones.len() * 2 + 64;
        freed
    }

    pub(super) fn each_cursor(&self) -> impl Iterator<Item = &Cursor> {
        self.cursors.iter().filter(|cursor| cursor.is_used())
    }
}

fn is_live(hops: &Pool<Hop>, entry: &Entry) -> bool {
    hops.get(entry.hop).is_some_and(|hop| hop.seq == entry.seq)
}

/// Whether the hop is still gone by that change, not announced again nor withdrawn once more, and there for subscribers.
pub(super) fn is_tombstone(hops: &Pool<Hop>, local: &Local, entry: &Entry) -> bool {
    is_live(hops, entry) && hops[entry.hop].now == Visibility::NONE && !local.is_kept(entry.hop)
}

/// A prefix as three words: bytewise is slower.
pub(super) fn hash(seed: &FixedState, prefix: &Prefix) -> u64 {
    let mut hasher = seed.build_hasher();
    let (low, high, rest) = prefix.words();
    hasher.write_u64(low);
    hasher.write_u64(high);
    hasher.write_u16(rest);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// They come by the million.
    #[test]
    fn a_destination_and_its_next_hop_are_small() {
        assert_eq!((size_of::<Dest>(), size_of::<Hop>()), (28, 56));
    }
}
