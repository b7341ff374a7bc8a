//! Who is told of routes (Adj-RIB-Out): a cursor for each VNI, and which of them have something left to walk.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};

use smallvec::SmallVec;

use super::Rib;
use super::cursor::Position;
use super::table::{NIL, TableId, TableVersion};
use super::visibility::Viewer;
use super::walk::Walked;
use crate::Vni;

/// How many tombstones a subscriber may hold back beyond the number of its VNIs' routes, now or when it was up to date last:
/// that all of them go at once doesn't make it slow.
pub(super) const HELD_BACK: usize = 65_536;

/// Units of a budget for a cursor that is removed: it touches more memory than a route.
const CURSOR: usize = 16;
/// The units that are spent at once when a subscriber is removed.
const REMOVED_AT_ONCE: usize = if cfg!(test) { CURSOR } else { 64 * CURSOR };

/// A subscriber's number, while it is there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct SubscriberId(u32);

impl SubscriberId {
    /// Returns the number as an index. Numbers are small: one that is free is used again.
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Debug)]
pub(super) struct Subscriber {
    viewer: Viewer,
    cursors: BTreeMap<Vni, (TableId, u32)>,
    /// VNIs with something to walk. May name one that is not subscribed to any more.
    pending: VecDeque<Vni>,
    /// The subscriptions whose first sync is not complete, by their numbers.
    unsynced: BTreeSet<u64>,
    subscriptions: u64,
    /// It was removed, and its cursors are being removed.
    is_leaving: bool,
}

/// A subscriber's place in one table.
#[derive(Debug)]
pub(super) struct Cursor {
    /// `NIL`: a free place.
    subscriber: u32,
    pub(super) position: Position,
    /// Where it stands in the table's list of sleepers; `NIL`: it is awake, and in its subscriber's `pending`.
    bed: u32,
    /// The subscription's number.
    number: u64,
    /// The table's routes when it last stood at the tail, or began.
    live: usize,
    /// The stamp of the `wake` that woke it; `None`: it subscribed.
    woken: Option<u64>,
}

impl Cursor {
    pub(super) fn is_used(&self) -> bool {
        self.subscriber != NIL
    }
}

/// A walk that is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pending {
    pub(crate) table: TableId,
    cursor: u32,
    vni: Vni,
}

impl Rib {
    pub(crate) fn add_subscriber(&mut self, viewer: Viewer) -> SubscriberId {
        let id = SubscriberId(self.subscribers.insert(Subscriber {
            viewer,
            cursors: BTreeMap::new(),
            pending: VecDeque::new(),
            unsynced: BTreeSet::new(),
            subscriptions: 0,
            is_leaving: false,
        }));
        if let Viewer::Client(key) = viewer {
            self.by_key.insert(key, id);
        }
        id
    }

    /// Removes a subscriber. It is not woken any more, and its subscriptions do not count any more. Its cursors are removed in slices, the
    /// first of them now, and its number is used again after the last one.
    pub(crate) fn remove_subscriber(&mut self, id: SubscriberId) {
        let subscriber = &mut self.subscribers[id.0];
        subscriber.is_leaving = true;
        self.subscriptions -= subscriber.cursors.len();
        if let Viewer::Client(key) = subscriber.viewer {
            self.by_key.remove(&key);
        }
        if !self.remove_cursors(id, &mut REMOVED_AT_ONCE.clone()) {
            self.leaving.push_back(id);
        }
    }

    /// Removes cursors of subscribers that leave, as many as `budget` allows.
    fn remove_leaving(&mut self, budget: &mut usize) {
        while *budget > 0
            && let Some(&id) = self.leaving.front()
            && self.remove_cursors(id, budget)
        {
            self.leaving.pop_front();
        }
    }

    /// Removes cursors of a subscriber that leaves, as many as `budget` allows. Returns whether none is left.
    fn remove_cursors(&mut self, id: SubscriberId, budget: &mut usize) -> bool {
        while let Some((&vni, _)) = self.subscribers[id.0].cursors.first_key_value() {
            if *budget < CURSOR {
                *budget = 0;
                return false;
            }
            *budget -= CURSOR;
            self.remove_cursor(id, vni);
        }
        self.subscribers[id.0].pending = VecDeque::new();
        self.subscribers.release(id.0);
        true
    }

    /// False: it is subscribed already.
    pub(crate) fn subscribe(&mut self, id: SubscriberId, vni: Vni) -> bool {
        if self.subscribers[id.0].cursors.contains_key(&vni) {
            return false;
        }
        // Cursors are removed faster than they are added, so that peers that come and go do not pile them up.
        self.remove_leaving(&mut (2 * CURSOR));
        let table_id = self.table_of(vni);
        let (table, subscriber) = (&mut self.tables[table_id.0], &mut self.subscribers[id.0]);
        let position = Position::new(table.journal.tail());
        subscriber.subscriptions += 1;
        self.subscriptions += 1;
        let number = subscriber.subscriptions;
        // Of an empty journal there is nothing to tell.
        let is_synced = table.journal.tail() == 0;
        let cursor = table.cursors.insert(Cursor {
            subscriber: id.0,
            position,
            bed: NIL,
            number,
            live: table.live,
            woken: None,
        });
        subscriber.cursors.insert(vni, (table_id, cursor));
        if is_synced {
            table.lay_down(cursor);
        } else {
            subscriber.unsynced.insert(number);
            subscriber.pending.push_back(vni);
            if subscriber.pending.len() > 2 * subscriber.cursors.len() + 16 {
                // Left over from subscriptions that ended.
                let mut seen = BTreeSet::new();
                let Subscriber { pending, cursors, .. } = subscriber;
                pending.retain(|vni| cursors.contains_key(vni) && seen.insert(*vni));
            }
        }
        true
    }

    /// False: it is not subscribed.
    pub(crate) fn unsubscribe(&mut self, id: SubscriberId, vni: Vni) -> bool {
        let was_subscribed = self.remove_cursor(id, vni);
        self.subscriptions -= usize::from(was_subscribed);
        was_subscribed
    }

    fn remove_cursor(&mut self, id: SubscriberId, vni: Vni) -> bool {
        let subscriber = &mut self.subscribers[id.0];
        let Some((table_id, cursor)) = subscriber.cursors.remove(&vni) else { return false };
        let table = &mut self.tables[table_id.0];
        subscriber.unsynced.remove(&table.cursors[cursor].number);
        table.get_up(cursor);
        table.cursors[cursor].subscriber = NIL;
        table.cursors.release(cursor);
        self.purge(table_id);
        self.trim(table_id);
        true
    }

    pub(crate) fn viewer(&self, id: SubscriberId) -> Viewer {
        self.subscribers[id.0].viewer
    }

    pub(crate) fn subscribed(&self, id: SubscriberId) -> impl Iterator<Item = Vni> + '_ {
        self.subscribers[id.0].cursors.keys().copied()
    }

    pub(crate) fn subscription_count(&self, id: SubscriberId) -> usize {
        self.subscribers[id.0].cursors.len()
    }

    /// The same of somebody who may not be there yet.
    pub(crate) fn subscription_count_of(&self, id: Option<SubscriberId>) -> usize {
        id.map_or(0, |id| self.subscription_count(id))
    }

    pub(crate) fn is_subscribed(&self, id: SubscriberId, vni: Vni) -> bool {
        self.subscribers[id.0].cursors.contains_key(&vni)
    }

    /// The number of the latest subscription whose first sync is not complete.
    pub(crate) fn last_unsynced(&self, id: SubscriberId) -> Option<u64> {
        self.subscribers[id.0].unsynced.last().copied()
    }

    /// The number of the earliest one.
    pub(crate) fn first_unsynced(&self, id: SubscriberId) -> Option<u64> {
        self.subscribers[id.0].unsynced.first().copied()
    }

    /// Whether tables changed since the last `wake`.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Unparks all cursors in the tables that changed, which is counted in `budget` but not limited by it yet, and passes each subscriber that has something to walk now to
    /// `ready`. [`is_dirty`](Self::is_dirty) says whether there is more to do.
    /// [`advance`](Self::advance) returns the `stamp`, whose meaning is the caller's business, when such a subscriber has caught up.
    pub(crate) fn wake(&mut self, stamp: u64, budget: &mut usize, mut ready: impl FnMut(SubscriberId)) {
        for id in core::mem::take(&mut self.dirty) {
            let table = &mut self.tables[id.0];
            table.is_dirty = false;
            for cursor in core::mem::take(&mut table.asleep) {
                let Cursor { subscriber, ref mut bed, ref mut woken, .. } = table.cursors[cursor];
                *budget = budget.saturating_sub(1);
                (*bed, *woken) = (NIL, Some(stamp));
                if !self.subscribers[subscriber].is_leaving {
                    self.subscribers[subscriber].pending.push_back(table.vni);
                    ready(SubscriberId(subscriber));
                }
            }
            self.trim(id);
        }
    }

    /// The subscriber's next walk.
    pub(crate) fn next_pending(&mut self, id: SubscriberId) -> Option<Pending> {
        let subscriber = &mut self.subscribers[id.0];
        while let Some(vni) = subscriber.pending.front() {
            if let Some(&(table, cursor)) = subscriber.cursors.get(vni)
                && self.tables[table.0].cursors[cursor].bed == NIL
            {
                return Some(Pending { table, cursor, vni: *vni });
            }
            subscriber.pending.pop_front();
        }
        None
    }

    pub(crate) fn position(&self, pending: Pending) -> &Position {
        &self.tables[pending.table.0].cursors[pending.cursor].position
    }

    /// Whether nobody else subscribes to the table.
    pub(crate) fn is_alone(&self, table: TableId) -> bool {
        self.tables[table.0].cursors.len() == 1
    }

    /// The version of what the table's walks tell.
    pub(crate) fn version(&self, table: TableId) -> TableVersion {
        self.tables[table.0].version()
    }

    /// Notes that a walk is done, as far as `walked`. Other VNIs of the subscriber come first now. Returns the stamp of the
    /// [`wake`](Self::wake) that unparked the cursor, if the cursor has caught up now.
    pub(crate) fn advance(&mut self, id: SubscriberId, pending: Pending, walked: &Walked) -> Option<u64> {
        let (table, subscriber) = (&mut self.tables[pending.table.0], &mut self.subscribers[id.0]);
        subscriber.pending.pop_front();
        table.frontier = table.frontier.max(walked.furthest);
        let cursor = &mut table.cursors[pending.cursor];
        cursor.position.clone_from(&walked.to);
        if !walked.at_tail {
            subscriber.pending.push_back(pending.vni);
            return None;
        }
        cursor.live = table.live;
        let since = cursor.woken;
        subscriber.unsynced.remove(&cursor.number);
        table.lay_down(pending.cursor);
        self.purge(pending.table);
        self.trim(pending.table);
        since
    }

    /// Changes that a subscriber has yet to pass, at most.
    pub(crate) fn lag(&self, id: SubscriberId) -> u64 {
        let Subscriber { pending, cursors, .. } = &self.subscribers[id.0];
        let behind = pending.iter().filter_map(|vni| cursors.get(vni)).map(|&(table, cursor)| {
            let table = &self.tables[table.0];
            table.journal.tail() - table.cursors[cursor].position.at()
        });
        behind.sum()
    }

    fn purge(&mut self, id: TableId) {
        let table = &mut self.tables[id.0];
        let dead = table.dead;
        for next_hop in table.purge() {
            self.next_hops.give_back(next_hop);
        }
        self.tombstones = self.tombstones + table.dead - dead;
        self.next_census = self.next_census.min(self.tombstones + self.tombstones / 8).max(HELD_BACK);
    }

    /// Whether there is work for [`maintain`](Self::maintain).
    pub(crate) fn needs_maintenance(&self) -> bool {
        !self.leaving.is_empty() || self.tombstones >= self.next_census
    }

    /// Does a slice of the table's own work, within `budget`. Returns subscribers that are too slow: they hold back more
    /// tombstones than they may, and the caller is to remove them.
    pub(crate) fn maintain(&mut self, budget: &mut usize) -> SmallVec<[SubscriberId; 2]> {
        self.remove_leaving(budget);
        let mut slow = SmallVec::new();
        if self.tombstones < self.next_census {
            return slow;
        }
        *budget = budget.saturating_sub(1);
        for table in self.tables.iter_mut() {
            table.tidy();
        }
        for (id, subscriber) in (0..).zip(self.subscribers.iter()) {
            let (mut held_back, mut live) = (0, 0);
            for &(table, cursor) in subscriber.cursors.values() {
                let table = &self.tables[table.0];
                let cursor = &table.cursors[cursor];
                live += table.live.max(cursor.live);
                let passed = cursor.position.needs_no_tombstone_before();
                held_back += table.dead_after(passed);
            }
            if held_back > live + HELD_BACK && !subscriber.is_leaving {
                slow.push(SubscriberId(id));
            }
        }
        // Closing them frees what they hold back.
        self.next_census = if slow.is_empty() { self.tombstones + self.tombstones / 8 } else { HELD_BACK };
        slow
    }

    /// Whether the client of this name subscribes to a VNI.
    pub(super) fn is_key_subscribed(&self, key: u64, vni: Vni) -> bool {
        self.by_key.get(&key).is_some_and(|&id| self.is_subscribed(id, vni))
    }
}

impl super::table::Table {
    fn lay_down(&mut self, cursor: u32) {
        self.cursors[cursor].bed = self.asleep.len() as u32;
        self.asleep.push(cursor);
    }

    fn get_up(&mut self, cursor: u32) {
        let bed = core::mem::replace(&mut self.cursors[cursor].bed, NIL);
        if bed != NIL {
            self.asleep.swap_remove(bed as usize);
            if let Some(&moved) = self.asleep.get(bed as usize) {
                self.cursors[moved].bed = bed;
            }
        }
    }
}
