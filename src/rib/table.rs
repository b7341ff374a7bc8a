//! One VNI's routes (Loc-RIB): destinations, their next hops with the origins that announce them, and the journal of their changes.
//!
//! Invariants: a hop that an origin announces, or that is a tombstone, or that was reported to the application has a place; no other has.
//! A tombstone's last change lies after `purged` in the journal; every cursor has passed, or began after, the changes up to there.
//! Each method costs O(log n) and at most a piece of one of the collections, or is a slice within a budget.

use core::fmt;
use core::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use smallvec::SmallVec;

use super::announcers::{self, Announced, Announcers, Lists};
use super::cursors::Cursors;
use super::journal::{Entry, Journal};
use super::local::Local;
use super::next_hops::NextHopId;
use super::origins::OriginId;
use super::short::{Place, Short};
use super::visibility::{Viewer, Visibility};
use crate::index::Index;
use crate::pieces;
use crate::pool::{Compaction, Pool};
use crate::{Prefix, Vni};

/// Units of a budget for a tombstone that is freed: it touches more memory than other units.
pub(super) const HEAVY: usize = 8;

/// Tombstones that are added before others are freed for it.
const PAID_TOGETHER: usize = 32;
/// And for the place in the journal from which on they are looked for.
const LOOKED_UP: usize = 4;

/// Returns the number of tombstones at which a search through the cursors is worth its while, if there are few cursors.
fn purge_min() -> usize {
    pieces::either(64, 2)
}

/// A table's number, while it is in use.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct TableId(pub(super) u32);

/// The state of a table's contents. It is never the same for two tables, even if the second one has the first one's number or
/// VNI, nor for one table before and after a change that a walk would send. Equal versions and equal positions therefore mean
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

/// The largest age that is distinguished from a larger one.
#[cfg(not(test))]
const fn age_max() -> u32 {
    u32::MAX >> 1
}
#[cfg(test)]
use super::tests::age_max;

/// A destination: its next hops as a list in the order of their last change, latest last. A free place has none.
#[derive(Debug)]
pub(super) struct Dest {
    prefix: Prefix,
    first: u32,
    hops: u32,
}

impl Dest {
    pub(super) fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// The number of its next hops, with tombstones.
    pub(super) fn hops(&self) -> u32 {
        self.hops
    }

    /// Whether its hops are in the table's hash index.
    fn is_wide(&self) -> bool {
        self.hops > WIDE
    }
}

/// A next hop of a destination: a route. Without announcers: a tombstone, or a hop that only the application still knows, or a free
/// place (if `seq` is 0).
#[derive(Debug)]
pub(super) struct Hop {
    dest: u32,
    next_hop: NextHopId,
    next: u32,
    /// The first one's is the last.
    before: u32,
    announcers: Announcers,
    /// The sequence number of its last visible change.
    seq: u64,
    /// The viewers that may see it.
    now: Visibility,
    /// The viewers that could see it before that change.
    prev: Visibility,
    previous: Previous,
    /// How many changes of the table before the last change the first one was.
    first_age: u32,
}

/// The change of a hop before its last one, in one word, because there are millions of them.
#[derive(Clone, Copy, Default)]
struct Previous(u32);

impl Previous {
    const IS_BACK: u32 = 1 << 31;

    /// How many changes of the table before the hop's last change it was. 0: there was none.
    fn age(self) -> u32 {
        self.0 & !Self::IS_BACK
    }

    /// Whether the hop was gone after it, by a change that no subscriber has seen, and is there again.
    fn is_back(self) -> bool {
        self.0 & Self::IS_BACK != 0
    }
}

impl fmt::Debug for Previous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} changes before{}", self.age(), if self.is_back() { ", gone and back" } else { "" })
    }
}

impl Hop {
    /// Returns a hop that has not changed yet, in no list.
    #[inline]
    fn new(dest: u32, next_hop: NextHopId) -> Self {
        Self {
            dest,
            next_hop,
            next: NIL,
            before: NIL,
            announcers: Announcers::default(),
            seq: 0,
            now: Visibility::NONE,
            prev: Visibility::NONE,
            previous: Previous::default(),
            first_age: 0,
        }
    }

    pub(super) fn dest(&self) -> u32 {
        self.dest
    }

    pub(super) fn next_hop(&self) -> NextHopId {
        self.next_hop
    }

    /// The hop after this one in its destination's list.
    #[inline]
    pub(super) fn next(&self) -> Option<u32> {
        Some(self.next).filter(|next| *next != NIL)
    }

    /// The sequence number of its last visible change.
    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// The viewers that may see it.
    pub(super) fn now(&self) -> Visibility {
        self.now
    }

    /// The viewers that could see it before its last visible change.
    pub(super) fn prev(&self) -> Visibility {
        self.prev
    }

    /// The sequence number of the change before the last, or a later one if that was ages ago. 0: there was none.
    pub(super) fn prev_seq(&self) -> u64 {
        match self.previous.age() {
            0 => 0,
            age => self.seq - u64::from(age),
        }
    }

    /// Whether the hop, since the change before the last, was gone for a while that no subscriber has seen.
    pub(super) fn is_back(&self) -> bool {
        self.previous.is_back()
    }

    /// The sequence number of its first change: a cursor that has not come so far was never sent it. `None`: that was ages ago.
    pub(super) fn first_seq(&self) -> Option<u64> {
        (self.first_age < age_max()).then(|| self.seq - u64::from(self.first_age))
    }

    /// Notes one more visible change.
    fn renumber(&mut self, seq: u64, was: Visibility) {
        if self.seq != 0 {
            let age = (seq - self.seq).min(u64::from(age_max())) as u32;
            self.first_age = self.first_age.saturating_add(age).min(age_max());
            (self.prev, self.previous) = (was, Previous(age));
        }
        self.seq = seq;
    }
}

/// What of a table's own work is under way.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Upkeep {
    /// In the queue of tables with such work.
    is_queued: bool,
    /// The cursors are being searched for the change that all have passed.
    is_searching: bool,
    /// Hops and destinations are being moved to lower places.
    is_compacting: bool,
}

#[derive(Debug)]
pub(super) struct Table {
    vni: Vni,
    seed: FixedState,
    /// Destinations by prefix.
    by_prefix: Index,
    dests: Pool<Dest>,
    short: Short,
    hops: Pool<Hop>,
    lists: Lists,
    /// Hops of wide destinations, by prefix and next hop.
    wide: Index,
    journal: Journal,
    /// The furthest change that was ever walked: one after it can be taken back unseen.
    frontier: u64,
    /// The change up to which no tombstone is left, and the one up to which none is needed.
    purged: u64,
    purge_end: u64,
    /// Tombstones that have been added since others were freed for it.
    unpaid: usize,
    /// Tombstones at which another search through the cursors may be worth its while.
    purge_at: usize,
    cursors: Cursors,
    /// The application as a reader of the table.
    local: Local,
    /// Whether the table changed since its cursors were woken, and whether it is among those whose cursors are to be woken.
    is_dirty: bool,
    is_to_be_woken: bool,
    upkeep: Upkeep,
    /// Names the arrangement of the destinations' places: another number when they are moved.
    layout: u64,
    /// Of the announced routes.
    digest: u64,
    /// How often what a walk would send has changed.
    changes: u64,
    /// Hops that an origin announces.
    live: usize,
    /// Hops that are tombstones.
    tombstones: usize,
}

impl Table {
    pub(super) fn new(vni: Vni, seed: FixedState, layout: u64) -> Self {
        Self {
            vni,
            seed,
            by_prefix: Index::default(),
            dests: Pool::default(),
            short: Short::default(),
            hops: Pool::default(),
            lists: Lists::default(),
            wide: Index::default(),
            journal: Journal::default(),
            frontier: 0,
            purged: 0,
            purge_end: 0,
            unpaid: 0,
            purge_at: purge_min(),
            cursors: Cursors::default(),
            local: Local::default(),
            is_dirty: false,
            is_to_be_woken: false,
            upkeep: Upkeep::default(),
            layout,
            digest: 0,
            changes: 0,
            live: 0,
            tombstones: 0,
        }
    }

    #[inline]
    pub(super) fn vni(&self) -> Vni {
        self.vni
    }

    pub(super) fn version(&self) -> TableVersion {
        TableVersion { layout: self.layout, changes: self.changes }
    }

    pub(super) fn layout(&self) -> u64 {
        self.layout
    }

    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// The number of hops that an origin announces.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    /// The number of tombstones.
    pub(super) fn tombstones(&self) -> usize {
        self.tombstones
    }

    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(super) fn cursors(&self) -> &Cursors {
        &self.cursors
    }

    pub(super) fn cursors_mut(&mut self) -> &mut Cursors {
        &mut self.cursors
    }

    pub(super) fn local(&self) -> &Local {
        &self.local
    }

    pub(super) fn local_mut(&mut self) -> &mut Local {
        &mut self.local
    }

    /// Whether the table can be dropped.
    pub(super) fn is_unused(&self) -> bool {
        self.hops.len() == 0
            && self.cursors.len() == 0
            && self.is_small()
            && !self.is_to_be_woken
            && !self.upkeep.is_queued
            && !self.local.is_used()
    }

    /// Whether the table's memory is quickly given back.
    fn is_small(&self) -> bool {
        self.hops.is_small() && self.dests.is_small() && self.by_prefix.is_small() && self.journal.is_small()
    }

    #[inline]
    pub(super) fn dest(&self, id: u32) -> &Dest {
        &self.dests[id]
    }

    #[inline]
    pub(super) fn hop(&self, id: u32) -> &Hop {
        &self.hops[id]
    }

    pub(super) fn hops(&self) -> &Pool<Hop> {
        &self.hops
    }

    pub(super) fn dests(&self) -> &Pool<Dest> {
        &self.dests
    }

    /// Returns the first destination with a short prefix that is not before `from`.
    pub(super) fn next_short(&self, from: Place) -> Option<Place> {
        self.short.next(from)
    }

    /// Returns the first destination with a short prefix after this one.
    pub(super) fn short_after(&self, place: Place) -> Option<Place> {
        self.short.after(place)
    }

    /// The hops of the destination in a place, tombstones among them; none if the place is free.
    pub(super) fn hops_of(&self, dest: u32) -> impl Iterator<Item = (u32, &Hop)> {
        let first = self.dests.get(dest).map_or(NIL, |dest| dest.first);
        let there = |id: u32| (id != NIL).then_some(id);
        core::iter::successors(there(first), move |&id| there(self.hops[id].next)).map(|id| (id, &self.hops[id]))
    }

    #[inline(always)]
    fn hash(&self, prefix: &Prefix) -> u64 {
        hash(&self.seed, prefix)
    }

    /// Finds the hop of a destination with this next hop, tombstones among them.
    pub(super) fn find(&self, prefix: &Prefix, next_hop: NextHopId) -> Option<u32> {
        let hash = self.hash(prefix);
        self.find_hop(self.find_hashed(hash, prefix)?, hash, next_hop)
    }

    pub(super) fn find_dest(&self, prefix: &Prefix) -> Option<u32> {
        self.find_hashed(self.hash(prefix), prefix)
    }

    #[inline(always)]
    fn find_hashed(&self, hash: u64, prefix: &Prefix) -> Option<u32> {
        self.by_prefix.find(hash, |id| self.dests[id].prefix == *prefix)
    }

    /// Finds a destination's hop. `hash`: the prefix's.
    #[inline(always)]
    fn find_hop(&self, dest: u32, hash: u64, next_hop: NextHopId) -> Option<u32> {
        let Dest { first, hops, .. } = self.dests[dest];
        if hops > WIDE {
            let is_equal = |id: u32| self.hops[id].next_hop == next_hop && self.hops[id].dest == dest;
            return self.wide.find(wide_hash(&self.seed, hash, next_hop), is_equal);
        }
        let mut id = first;
        while id != NIL {
            let hop = &self.hops[id];
            if hop.next_hop == next_hop {
                return Some(id);
            }
            id = hop.next;
        }
        None
    }

    /// Returns the hop of `prefix` with that next hop, if it is there (perhaps as a tombstone), or else a new one without
    /// announcers, and whether it is new.
    pub(super) fn find_or_insert(&mut self, prefix: &Prefix, next_hop: NextHopId) -> (u32, bool) {
        let hash = self.hash(prefix);
        let Some(dest) = self.find_hashed(hash, prefix) else {
            return (self.insert_dest(hash, prefix, next_hop), true);
        };
        if let Some(id) = self.find_hop(dest, hash, next_hop) {
            return (id, false);
        }
        let id = self.hops.insert(Hop::new(dest, next_hop));
        self.link(id);
        let dest = &mut self.dests[dest];
        dest.hops += 1;
        if dest.hops == WIDE + 1 {
            let mut each = dest.first;
            while each != NIL {
                self.insert_wide(hash, each);
                each = self.hops[each].next;
            }
        } else if dest.hops > WIDE {
            self.insert_wide(hash, id);
        }
        (id, true)
    }

    /// Inserts a destination with one hop, and returns the hop.
    fn insert_dest(&mut self, hash: u64, prefix: &Prefix, next_hop: NextHopId) -> u32 {
        let first = self.hops.next();
        let dest = self.dests.insert(Dest { prefix: *prefix, first, hops: 1 });
        let id = self.hops.insert(Hop { before: first, ..Hop::new(dest, next_hop) });
        debug_assert_eq!(id, first);
        self.short.insert(prefix, dest);
        let Self { dests, seed, by_prefix, .. } = self;
        by_prefix.insert(hash, dest, |id| self::hash(seed, &dests[id].prefix));
        id
    }

    /// `hash`: the prefix's.
    fn insert_wide(&mut self, hash: u64, id: u32) {
        let Self { hops, dests, seed, wide, .. } = self;
        wide.insert(wide_hash(seed, hash, hops[id].next_hop), id, |id| wide_hash_of(seed, dests, hops, id));
    }

    fn remove_wide(&mut self, id: u32) {
        let Self { hops, dests, seed, wide, .. } = self;
        let hash_of = |id| wide_hash_of(seed, dests, hops, id);
        wide.remove(hash_of(id), id, hash_of);
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

    /// Returns the origins that announce a hop, in the order of their numbers.
    #[inline]
    pub(super) fn announcers(&self, id: u32) -> &[Announced] {
        self.lists.of(&self.hops[id].announcers)
    }

    #[inline]
    pub(super) fn announcers_of<'a>(&'a self, hop: &'a Hop) -> &'a [Announced] {
        self.lists.of(&hop.announcers)
    }

    /// Returns where a hop stands in the origin's own list, if the origin announces it.
    #[inline]
    pub(super) fn place(&self, id: u32, origin: OriginId) -> Option<u32> {
        announcers::place(self.announcers(id), origin)
    }

    /// Notes that the origin announces a hop, or has it in another place of its own list.
    pub(super) fn set_announcer(&mut self, id: u32, origin: OriginId, place: u32) {
        self.lists.set(&mut self.hops[id].announcers, id, origin, place);
    }

    pub(super) fn remove_announcer(&mut self, id: u32, origin: OriginId) {
        self.lists.remove(&mut self.hops[id].announcers, origin);
    }

    /// Notes that an announced hop is added to the table (or removed), with its part in the digest.
    pub(super) fn add_to_digest(&mut self, is_added: bool, number: u64) {
        let sum = if is_added { u64::wrapping_add } else { u64::wrapping_sub };
        self.digest = sum(self.digest, number);
    }

    /// Notes that a hop is visible to others now, because its announcers changed. Returns the next hop's number if the hop was freed.
    /// The caller marks the table dirty.
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
        if was == Visibility::NONE && hop.seq != 0 && !self.local.reclaim(id) {
            self.tombstones -= 1;
            self.journal.remove_tombstone(hop.seq);
        }
        let is_unseen = hop.seq > self.frontier;
        if now == Visibility::NONE {
            // No subscriber has to be sent what came and went since the last walk. Nor what came earlier, changed unseen, and is gone, if
            // every cursor began after that.
            let is_unneeded =
                self.cursors.len() == 0 || (is_unseen && (hop.previous.age() == 0 || hop.seq <= self.purged));
            if is_unneeded {
                return self.local.give_up(id).then(|| self.free(id));
            }
        }
        // A change that no subscriber has seen is part of the next.
        if is_unseen {
            if was == Visibility::NONE && hop.previous.age() != 0 {
                hop.previous.0 |= Previous::IS_BACK;
            }
        } else {
            let old = hop.seq;
            hop.renumber(self.journal.append(id), was);
            if hop.next != NIL {
                self.unlink(id);
                self.link(id);
            }
            if old != 0 {
                self.kill();
            }
        }
        if now == Visibility::NONE {
            self.tombstones += 1;
            self.journal.add_tombstone(self.hops[id].seq);
        }
        None
    }

    /// Notes that a hop changed again, or was freed.
    fn kill(&mut self) {
        let hops = &self.hops;
        self.journal.kill(|entry| live_hop(hops, entry).is_some());
    }

    /// Notes that a hop is visible to others now, if none of those who would see a difference is subscribed.
    pub(super) fn set_unnoticed(&mut self, id: u32, now: Visibility) {
        self.hops[id].now = now;
        self.changes += 1;
    }

    /// Returns the entry's hop, if the entry is the hop's last.
    #[inline]
    pub(super) fn live_hop(&self, entry: &Entry) -> Option<&Hop> {
        live_hop(&self.hops, entry)
    }

    /// Whether the hop is still gone by that change, not announced again nor withdrawn once more, and there for subscribers.
    fn is_tombstone(&self, entry: &Entry) -> bool {
        self.live_hop(entry).is_some_and(|hop| hop.now == Visibility::NONE) && !self.local.is_kept(entry.hop)
    }

    /// Frees a hop that no origin announces and of which no reader has to learn. Returns its next hop's number.
    pub(super) fn free(&mut self, id: u32) -> NextHopId {
        let Hop { dest, next_hop, seq, .. } = self.hops[id];
        let Dest { hops, prefix, .. } = self.dests[dest];
        if hops == 1 {
            let Self { dests, seed, by_prefix, .. } = self;
            by_prefix.remove(hash(seed, &prefix), dest, |id| hash(seed, &dests[id].prefix));
            self.short.remove(&prefix, dest);
            self.dests[dest].first = NIL;
            self.dests.release(dest);
        } else {
            if hops > WIDE {
                self.remove_wide(id);
            }
            self.unlink(id);
            if hops == WIDE + 1 {
                let mut each = self.dests[dest].first;
                while each != NIL {
                    self.remove_wide(each);
                    each = self.hops[each].next;
                }
            }
            self.dests[dest].hops -= 1;
        }
        self.hops[id].seq = 0;
        self.hops.release(id);
        if seq != 0 {
            self.kill();
        }
        next_hop
    }

    /// Notes how far a walk went.
    pub(super) fn walked(&mut self, furthest: u64) {
        self.frontier = self.frontier.max(furthest);
    }

    /// Marks the table as changed. Returns whether it is to be put among those whose cursors are to be woken.
    pub(super) fn mark_dirty(&mut self) -> bool {
        self.is_dirty = true;
        !core::mem::replace(&mut self.is_to_be_woken, true)
    }

    /// Begins to wake the cursors that are parked, if the table has changed and no others are being woken.
    pub(super) fn begin_to_wake(&mut self, stamp: u64) {
        if !self.cursors.is_waking() && core::mem::take(&mut self.is_dirty) {
            self.cursors.begin_to_wake(stamp);
        }
    }

    /// Ends to wake cursors. Returns whether the table has changed meanwhile, so that more are to be woken.
    pub(super) fn end_to_wake(&mut self) -> bool {
        self.is_to_be_woken = self.is_dirty;
        self.is_dirty
    }

    /// Whether a cursor is at the journal's end.
    pub(super) fn is_caught_up(&self, cursor: u32) -> bool {
        self.cursors.get(cursor).position().at() == self.journal.tail()
    }

    /// Notes that a cursor was parked or removed: others may be the last that need some tombstones.
    pub(super) fn passed(&mut self) {
        if self.tombstones == 0 {
            return;
        }
        if !self.is_dirty && self.cursors.are_parked() {
            self.purge_end = self.journal.tail();
            self.upkeep.is_searching = false;
        } else if self.tombstones >= self.purge_at && !self.upkeep.is_searching {
            self.upkeep.is_searching = true;
            self.cursors.begin_search();
        }
    }

    /// Notes that a tombstone was added. Returns a budget for the freeing of others, which is twice as many: so there are never many more
    /// than are needed, however fast they come. Mostly it is 0, as some are freed together.
    #[inline]
    pub(super) fn pay_for_tombstone(&mut self) -> usize {
        self.unpaid += 1;
        if self.unpaid < PAID_TOGETHER || !self.needs_purge() {
            return 0;
        }
        self.unpaid = 0;
        2 * PAID_TOGETHER * HEAVY
    }

    /// Whether there are tombstones to free, or cursors to search for the last one that needs some.
    #[inline]
    pub(super) fn needs_purge(&self) -> bool {
        self.tombstones > 0 && (self.upkeep.is_searching || self.purged < self.purge_end)
    }

    /// Frees tombstones that every cursor has passed, within `budget`. Returns the next hops' numbers.
    pub(super) fn purge(&mut self, budget: &mut usize) -> SmallVec<[NextHopId; 32]> {
        let mut freed = SmallVec::new();
        loop {
            while self.purged < self.purge_end && *budget > 0 {
                if self.tombstones == 0 {
                    self.purged = self.purge_end;
                    break;
                }
                let room = (*budget / HEAVY).max(1);
                let (mut entries, end) = self.journal.next_tombstones(self.purged, self.purge_end, 2 * room);
                *budget = budget.saturating_sub(LOOKED_UP + entries.len() / 4);
                self.purged = end;
                entries.retain(|entry| self.is_tombstone(entry));
                if entries.len() > room {
                    self.purged = entries[room].seq - 1;
                    entries.truncate(room);
                }
                *budget = budget.saturating_sub(entries.len() * HEAVY);
                pieces::count(entries.len() + 1);
                self.tombstones -= entries.len();
                self.journal.remove_tombstones(&entries);
                for entry in entries {
                    if self.local.give_up(entry.hop) {
                        freed.push(self.free(entry.hop));
                    }
                }
            }
            if self.purged < self.purge_end {
                return freed;
            }
            if !self.upkeep.is_searching {
                // The next search may be longer than there are tombstones now, which is paid for by those that come until then.
                self.purge_at = self.tombstones * 2 + self.cursors.len() + purge_min();
                return freed;
            }
            if *budget == 0 {
                return freed;
            }
            let before = *budget;
            let floor = self.cursors.find_floor(self.journal.tail(), budget);
            pieces::count(before - *budget);
            let Some(floor) = floor else { return freed };
            self.upkeep.is_searching = false;
            self.purge_end = self.purge_end.max(floor);
        }
    }

    /// Whether there is work for [`purge`](Self::purge) or compaction.
    pub(super) fn needs_upkeep(&self) -> bool {
        self.needs_purge() || self.upkeep.is_compacting || self.is_sparse()
    }

    /// Returns whether the table is to be put in the queue of those with upkeep, where it is from now on.
    pub(super) fn enter_upkeep(&mut self) -> bool {
        self.needs_upkeep() && !core::mem::replace(&mut self.upkeep.is_queued, true)
    }

    /// The table has left that queue.
    pub(super) fn leave_upkeep(&mut self) {
        self.upkeep.is_queued = false;
    }

    /// Counts the tombstones that a cursor has yet to pass.
    pub(super) fn tombstones_after(&self, cursor: u32) -> usize {
        let passed = self.cursors.get(cursor).position().needs_tombstones_after();
        self.journal.tombstones_after(passed, |entry| self.is_tombstone(entry))
    }

    /// Whether the table takes several times the memory that it needs.
    fn is_sparse(&self) -> bool {
        self.hops.is_sparse() || self.dests.is_sparse() || self.lists.is_sparse()
    }

    /// Whether compaction has been begun, or is to be.
    pub(super) fn begin_compaction(&mut self) -> bool {
        self.upkeep.is_compacting |= self.is_sparse();
        self.upkeep.is_compacting
    }

    /// Does a step of the compaction of hops. If a hop was moved, the caller renames it elsewhere.
    pub(super) fn compact_hops(&mut self) -> Compaction {
        let step = self.hops.compact();
        let Compaction::Moved { from, to } = step else { return step };
        let Hop { dest, next_hop, before, next, announcers, seq, .. } = self.hops[to];
        let first = &mut self.dests[dest].first;
        if *first == from {
            *first = to;
        } else {
            self.hops[before].next = to;
        }
        let behind = if next == NIL { self.dests[dest].first } else { next };
        self.hops[behind].before = to;
        if self.dests[dest].is_wide() {
            let hash = self.hash(&self.dests[dest].prefix);
            self.wide.renumber(wide_hash(&self.seed, hash, next_hop), from, to);
        }
        self.local.rename_hop(from, to);
        self.journal.rename(seq, to);
        self.lists.rename_hop(announcers, to);
        step
    }

    /// Does a step of the compaction of destinations, when hops are done. Returns it with how many hops a moved destination has.
    pub(super) fn compact_dests(&mut self) -> (Compaction, usize) {
        let step = self.dests.compact();
        let Compaction::Moved { from, to } = step else { return (step, 0) };
        let Dest { prefix, first, hops } = self.dests[to];
        let hash = self.hash(&prefix);
        self.by_prefix.renumber(hash, from, to);
        self.short.rename(&prefix, from, to);
        let mut each = first;
        while each != NIL {
            let hop = &mut self.hops[each];
            hop.dest = to;
            each = hop.next;
        }
        self.local.rename_dest(from, to);
        (step, hops as usize)
    }

    /// Does a step of the compaction of lists of announcers.
    pub(super) fn compact_lists(&mut self) -> Compaction {
        let hops = &mut self.hops;
        self.lists.compact(|hop, announcers| hops[hop].announcers = announcers)
    }

    /// Ends compaction: all places are in use.
    pub(super) fn end_compaction(&mut self) {
        self.upkeep.is_compacting = false;
        self.local.cut(self.hops.places(), self.dests.places());
    }

    /// Names the arrangement of the destinations' places anew.
    pub(super) fn set_layout(&mut self, layout: u64) {
        self.layout = layout;
    }

    #[cfg(test)]
    pub(super) fn check_density(&self) {
        let hops = &self.hops;
        assert!(self.journal.len() <= hops.len() * 2 + 130, "the journal is compacted");
        assert_eq!(hops.places() as usize, hops.len(), "the table is compacted");
        assert_eq!(self.dests.places() as usize, self.dests.len());
        assert!(self.lists.places() <= hops.places(), "lists are for hops that are there");
        let of_wide = hops.iter().filter(|(_, hop)| self.dest(hop.dest).is_wide()).count();
        assert_eq!(self.wide.len(), of_wide, "the index has what it needs, and no more");
        assert_eq!(self.by_prefix.len(), self.dests.len());
        for place in self.short.iter() {
            assert!(self.dests.get(place.dest()).is_some_and(|dest| dest.first != NIL), "{place:?} is not there");
        }
    }
}

fn live_hop<'a>(hops: &'a Pool<Hop>, entry: &Entry) -> Option<&'a Hop> {
    hops.get(entry.hop).filter(|hop| hop.seq == entry.seq)
}

/// Hashes a prefix as three words: bytewise is slower.
fn hash(seed: &FixedState, prefix: &Prefix) -> u64 {
    let mut hasher = seed.build_hasher();
    let (low, high, rest) = prefix.words();
    hasher.write_u64(low);
    hasher.write_u64(high);
    hasher.write_u16(rest);
    hasher.finish()
}

/// Hashes a hop for the index of wide destinations. `prefix`: the hash of its destination's prefix.
fn wide_hash(seed: &FixedState, prefix: u64, next_hop: NextHopId) -> u64 {
    seed.hash_one((prefix, next_hop))
}

fn wide_hash_of(seed: &FixedState, dests: &Pool<Dest>, hops: &Pool<Hop>, id: u32) -> u64 {
    let Hop { dest, next_hop, .. } = hops[id];
    wide_hash(seed, hash(seed, &dests[dest].prefix), next_hop)
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
