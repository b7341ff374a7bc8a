//! The work that is as long as a table or as many as the subscribers, in slices: cursors of subscribers that were removed, tombstones,
//! memory that a table needs no more, and the search for subscribers that are too slow.
//!
//! Invariant: whenever there is such work, [`Rib::needs_maintenance`] says so; a slice does no more than its budget, or one destination
//! more.

use smallvec::SmallVec;

use super::Rib;
use super::announcers::Announced;
use super::subscribers::SubscriberId;
use super::table::TableId;
use crate::pool::Compaction;
use crate::{Vni, pieces};

/// How many tombstones a subscriber may hold back beyond the number of its VNIs' routes, now or when it was caught up last:
/// that all of them go at once doesn't make it slow.
pub(super) const HELD_BACK: usize = 65_536;
/// Units of a budget, of some 50 ns each, for a cursor that is removed (and with it, perhaps, its table), for one that is woken, and for
/// a hop or a destination that is moved.
pub(super) const UNSUBSCRIBE: usize = 80;
pub(super) const WAKE: usize = 8;
const MOVE: usize = 16;
/// Units of a budget for a table that is dropped, or whose cursors were woken.
pub(super) const TABLE: usize = 16;

/// Returns the units that are done at once, by the call that makes the work.
pub(super) fn inline() -> usize {
    pieces::either(512, 24)
}

/// A search, in slices, for subscribers that are too slow.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct SlowSearch {
    /// The subscriber that is looked at, and its last VNI that was.
    subscriber: u32,
    vni: Option<Vni>,
    /// Whether its tombstones are counted one by one: the numbers of all in its tables were too many.
    is_exact: bool,
    held_back: usize,
    live: usize,
    has_found: bool,
}

impl Rib {
    /// Notes that a cursor of the table was parked or removed, or that the table has no more cursors to wake: frees some tombstones, within
    /// `budget`, and leaves the others to [`maintain`](Self::maintain).
    pub(super) fn passed(&mut self, id: TableId, budget: &mut usize) {
        self.tables[id.0].passed();
        if self.tables[id.0].needs_purge() {
            self.purge(id, budget);
        }
        self.trim(id);
    }

    /// Notes that a tombstone was added to a table, which may have to free others for it.
    #[inline(never)]
    pub(super) fn pay_for_tombstone(&mut self, id: TableId) {
        let mut budget = self.tables[id.0].pay_for_tombstone();
        if budget > 0 {
            self.purge(id, &mut budget);
        }
    }

    /// Drops a table that is not used, or leaves its upkeep to [`maintain`](Self::maintain).
    pub(super) fn trim(&mut self, id: TableId) {
        let table = &mut self.tables[id.0];
        if table.is_unused() {
            self.drop_table(id);
        } else if table.enter_upkeep() {
            self.upkeep.push_back(id);
        }
    }

    fn purge(&mut self, id: TableId, budget: &mut usize) {
        let table = &mut self.tables[id.0];
        let tombstones = table.tombstones();
        for next_hop in table.purge(budget) {
            self.next_hops.release(next_hop);
        }
        self.tombstones = self.tombstones + table.tombstones() - tombstones;
        self.next_search = self.next_search.min(self.tombstones + self.tombstones / 8).max(HELD_BACK);
    }

    /// Whether there is work for [`maintain`](Self::maintain).
    pub(crate) fn needs_maintenance(&self) -> bool {
        !self.leaving.is_empty()
            || !self.upkeep.is_empty()
            || self.search.is_some()
            || self.tombstones >= self.next_search
    }

    /// Does a slice of the tables' own work, within `budget`. Returns subscribers that are too slow: they hold back more
    /// tombstones than they may, and the caller is to remove them.
    pub(crate) fn maintain(&mut self, budget: &mut usize) -> SmallVec<[SubscriberId; 2]> {
        let (half, mut left) = (*budget / 2, *budget - *budget / 2);
        let slow = self.search_for_slow(&mut left);
        *budget = half + left;
        self.remove_leaving(budget);
        while *budget > 0
            && let Some(id) = self.upkeep.pop_front()
        {
            *budget -= 1;
            self.tables[id.0].leave_upkeep();
            self.purge(id, budget);
            self.compact(id, budget);
            self.trim(id);
            *budget = budget.saturating_sub(TABLE);
        }
        slow
    }

    /// Moves hops, lists and destinations of a table to lower places, within `budget`, so that memory can be given back.
    fn compact(&mut self, id: TableId, budget: &mut usize) {
        let Self { tables, origins, over_limit, next_layout, .. } = self;
        let table = &mut tables[id.0];
        if *budget == 0 || !table.begin_compaction() {
            return;
        }
        let mut has_moved = false;
        let mut is_done = false;
        while *budget > 0 && !is_done {
            *budget = budget.saturating_sub(MOVE);
            match table.compact_hops() {
                Compaction::Moved { from, to } => {
                    let announcers = table.announcers(to);
                    *budget = budget.saturating_sub(announcers.len());
                    pieces::count(announcers.len());
                    for &Announced { origin, place } in announcers {
                        origins[origin].rename(id, place, from, to);
                    }
                    continue;
                }
                Compaction::Trimmed => continue,
                Compaction::Done => {}
            }
            match table.compact_dests() {
                (Compaction::Moved { from, to }, hops) => {
                    has_moved = true;
                    *budget = budget.saturating_sub(hops);
                    pieces::count(hops);
                    if over_limit.remove(&(id, from)) {
                        over_limit.insert((id, to));
                    }
                }
                (Compaction::Trimmed, _) => {}
                (Compaction::Done, _) => is_done = table.compact_lists() == Compaction::Done,
            }
        }
        if is_done {
            table.end_compaction();
        }
        if has_moved {
            // With it the table's version is another one, too.
            table.set_layout(*next_layout);
            *next_layout += 1;
        }
    }

    /// Looks for subscribers that are too slow, within `budget`.
    fn search_for_slow(&mut self, budget: &mut usize) -> SmallVec<[SubscriberId; 2]> {
        let mut slow = SmallVec::new();
        let mut search = match self.search.take() {
            Some(search) => search,
            None if self.tombstones >= self.next_search => SlowSearch::default(),
            None => return slow,
        };
        'all: while let Some((id, subscriber)) = self.subscribers.iter_from(search.subscriber).next() {
            if *budget == 0 {
                self.search = Some(search);
                break;
            }
            *budget -= 1;
            if id != search.subscriber {
                search = SlowSearch { subscriber: id, has_found: search.has_found, ..SlowSearch::default() };
            }
            if !subscriber.is_leaving() {
                for (vni, cursor) in subscriber.cursors_after(search.vni) {
                    if *budget == 0 {
                        self.search = Some(search);
                        break 'all;
                    }
                    *budget -= 1;
                    pieces::count(1);
                    search.vni = Some(vni);
                    let table = &self.tables[cursor.table.0];
                    let live = table.cursors().get(cursor.cursor).live();
                    search.live += table.live().max(live);
                    search.held_back += match () {
                        () if table.tombstones() == 0 || table.is_caught_up(cursor.cursor) => 0,
                        () if !search.is_exact => table.tombstones(),
                        () => {
                            let cost = table.journal().count_cost();
                            *budget = budget.saturating_sub(cost);
                            pieces::count(cost);
                            table.tombstones_after(cursor.cursor)
                        }
                    };
                }
                if search.held_back > search.live + HELD_BACK {
                    if !search.is_exact {
                        (search.is_exact, search.vni, search.held_back, search.live) = (true, None, 0, 0);
                        continue;
                    }
                    search.has_found = true;
                    slow.push(SubscriberId(id));
                }
            }
            search = SlowSearch { subscriber: id + 1, has_found: search.has_found, ..SlowSearch::default() };
        }
        if self.search.is_none() {
            // Removing them frees what they hold back.
            self.next_search =
                if search.has_found { HELD_BACK } else { (self.tombstones + self.tombstones / 8).max(HELD_BACK) };
        }
        slow
    }

    /// Begins anew with a subscriber whose number was given to another one.
    pub(super) fn forget_in_search(&mut self, id: SubscriberId) {
        if let Some(search) = &mut self.search
            && search.subscriber == id.0
        {
            *search = SlowSearch { subscriber: id.0, has_found: search.has_found, ..SlowSearch::default() };
        }
    }
}
