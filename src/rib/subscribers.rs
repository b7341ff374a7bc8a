//! The peers that receive routes (Adj-RIB-Out): each has a cursor for each of its VNIs.
//!
//! Invariants: a cursor is parked in its table, or in its subscriber's list of cursors that have something to walk, or its subscriber
//! was removed. A subscriber that was removed is not woken any more, and its number is given out again when its last cursor is gone.

use alloc::collections::{BTreeMap, BTreeSet};

use foldhash::fast::FixedState;

use super::cursor::Position;
use super::cursors::CursorId;
use super::table::{TableId, TableVersion};
use super::upkeep::{TABLE, UNSUBSCRIBE, WAKE, inline};
use super::visibility::Viewer;
use super::walk::Walked;
use super::{Rib, hash_of};
use crate::{Vni, pieces};

/// VNIs with something to walk whose lag is summed up; that of others is estimated.
const LAG_SAMPLE: usize = 256;

/// A subscriber's number, while it is there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct SubscriberId(pub(super) u32);

impl SubscriberId {
    /// Returns the number as an index. Numbers are small: one that is free is used again.
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Debug)]
pub(super) struct Subscriber {
    viewer: Viewer,
    cursors: BTreeMap<Vni, CursorId>,
    /// The first and the last of the cursors with something to walk, and how many these are.
    first: Option<CursorId>,
    last: Option<CursorId>,
    pending: usize,
    /// The subscriptions whose initial sync is not complete, by their numbers.
    unsynced: BTreeSet<u64>,
    /// The subscriptions so far.
    subscriptions: u64,
    /// It was removed, and its cursors are being removed.
    is_leaving: bool,
}

impl Subscriber {
    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving
    }

    /// Its cursors after that of `vni`, in the order of their VNIs.
    pub(super) fn cursors_after(&self, vni: Option<Vni>) -> impl Iterator<Item = (Vni, CursorId)> + '_ {
        use core::ops::Bound::{Excluded, Unbounded};
        let from = vni.map_or(Unbounded, Excluded);
        self.cursors.range((from, Unbounded)).map(|(&vni, &cursor)| (vni, cursor))
    }
}

/// A walk that is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pending {
    pub(crate) table: TableId,
    cursor: u32,
}

impl Rib {
    /// Adds a subscriber without subscriptions.
    pub(crate) fn add_subscriber(&mut self, viewer: Viewer) -> SubscriberId {
        let id = SubscriberId(self.subscribers.insert(Subscriber {
            viewer,
            cursors: BTreeMap::new(),
            first: None,
            last: None,
            pending: 0,
            unsynced: BTreeSet::new(),
            subscriptions: 0,
            is_leaving: false,
        }));
        if let Viewer::Client(key) = viewer {
            let Self { by_key, subscribers, seed, .. } = self;
            by_key.insert(hash_of(seed, key), id.0, |id| hash_of_key(seed, &subscribers[id]));
        }
        id
    }

    /// Removes a subscriber. Its subscriptions do not count any more; its cursors are removed by [`maintain`](Self::maintain).
    pub(crate) fn remove_subscriber(&mut self, id: SubscriberId) {
        if let Viewer::Client(key) = self.subscribers[id.0].viewer {
            let Self { by_key, subscribers, seed, .. } = self;
            by_key.remove(hash_of(seed, key), id.0, |id| hash_of_key(seed, &subscribers[id]));
        }
        let subscriber = &mut self.subscribers[id.0];
        subscriber.is_leaving = true;
        self.subscriptions -= subscriber.cursors.len();
        // Mostly there are few.
        if !self.remove_cursors(id, &mut inline()) {
            self.leaving.push_back(id);
        }
    }

    /// Removes cursors of a subscriber that was removed, within `budget`. Returns whether none is left, and with it the
    /// subscriber.
    fn remove_cursors(&mut self, id: SubscriberId, budget: &mut usize) -> bool {
        while let Some((&vni, &cursor)) = self.subscribers[id.0].cursors.first_key_value() {
            if *budget == 0 {
                return false;
            }
            *budget = budget.saturating_sub(UNSUBSCRIBE);
            self.subscribers[id.0].cursors.remove(&vni);
            self.remove_cursor(id, cursor, budget);
        }
        self.subscribers[id.0].unsynced = BTreeSet::new();
        self.forget_in_search(id);
        self.subscribers.release(id.0);
        true
    }

    /// Removes cursors of subscribers that were removed, within `budget`.
    pub(super) fn remove_leaving(&mut self, budget: &mut usize) {
        while *budget > 0
            && let Some(&id) = self.leaving.front()
            && self.remove_cursors(id, budget)
        {
            self.leaving.pop_front();
        }
    }

    fn remove_cursor(&mut self, id: SubscriberId, CursorId { table, cursor }: CursorId, budget: &mut usize) {
        pieces::count(1);
        let cursors = self.tables[table.0].cursors();
        if !cursors.get(cursor).is_parked() {
            self.unlink_pending(id, CursorId { table, cursor });
        }
        let table_id = table;
        let table = &mut self.tables[table_id.0];
        let number = table.cursors().get(cursor).number();
        table.cursors_mut().remove(cursor);
        self.subscribers[id.0].unsynced.remove(&number);
        self.passed(table_id, budget);
    }

    /// Subscribes to a VNI. False: it is subscribed already.
    pub(crate) fn subscribe(&mut self, id: SubscriberId, vni: Vni) -> bool {
        if self.subscribers[id.0].cursors.contains_key(&vni) {
            return false;
        }
        // Cursors are removed faster than they are added, so that peers that come and go do not pile them up.
        self.remove_leaving(&mut (2 * UNSUBSCRIBE));
        let table_id = self.table_of(vni);
        let (table, subscriber) = (&mut self.tables[table_id.0], &mut self.subscribers[id.0]);
        let tail = table.journal().tail();
        subscriber.subscriptions += 1;
        self.subscriptions += 1;
        let number = subscriber.subscriptions;
        let live = table.live();
        let cursor = table.cursors_mut().insert(id.0, number, Position::new(tail), live);
        let cursor = CursorId { table: table_id, cursor };
        subscriber.cursors.insert(vni, cursor);
        // Of an empty journal there is nothing to send.
        if tail == 0 {
            table.cursors_mut().park(cursor.cursor, live);
        } else {
            subscriber.unsynced.insert(number);
            self.link_pending(id, cursor);
        }
        true
    }

    /// Unsubscribes from a VNI. False: it is not subscribed.
    pub(crate) fn unsubscribe(&mut self, id: SubscriberId, vni: Vni) -> bool {
        let Some(cursor) = self.subscribers[id.0].cursors.remove(&vni) else { return false };
        self.subscriptions -= 1;
        self.remove_cursor(id, cursor, &mut inline());
        true
    }

    /// Puts a cursor at the end of its subscriber's list of those with something to walk.
    fn link_pending(&mut self, id: SubscriberId, cursor: CursorId) {
        let subscriber = &mut self.subscribers[id.0];
        subscriber.pending += 1;
        let before = subscriber.last.replace(cursor);
        match before {
            Some(before) => self.tables[before.table.0].cursors_mut().links(before.cursor).after = Some(cursor),
            None => subscriber.first = Some(cursor),
        }
        let links = self.tables[cursor.table.0].cursors_mut().links(cursor.cursor);
        (links.before, links.after) = (before, None);
    }

    fn unlink_pending(&mut self, id: SubscriberId, cursor: CursorId) {
        let links = core::mem::take(self.tables[cursor.table.0].cursors_mut().links(cursor.cursor));
        let subscriber = &mut self.subscribers[id.0];
        if links.before.is_none() && subscriber.first != Some(cursor) {
            // It was woken after its subscriber was removed.
            return;
        }
        subscriber.pending -= 1;
        match links.before {
            Some(before) => self.tables[before.table.0].cursors_mut().links(before.cursor).after = links.after,
            None => subscriber.first = links.after,
        }
        match links.after {
            Some(after) => self.tables[after.table.0].cursors_mut().links(after.cursor).before = links.before,
            None => subscriber.last = links.before,
        }
    }

    pub(crate) fn viewer(&self, id: SubscriberId) -> Viewer {
        self.subscribers[id.0].viewer
    }

    /// The VNIs that a subscriber is subscribed to, in order.
    pub(crate) fn subscribed(&self, id: SubscriberId) -> impl Iterator<Item = Vni> + '_ {
        self.subscribers[id.0].cursors.keys().copied()
    }

    pub(crate) fn subscription_count(&self, id: SubscriberId) -> usize {
        self.subscribers[id.0].cursors.len()
    }

    /// Like [`subscription_count`](Self::subscription_count); 0 if there is no subscriber.
    pub(crate) fn subscription_count_of(&self, id: Option<SubscriberId>) -> usize {
        id.map_or(0, |id| self.subscription_count(id))
    }

    pub(crate) fn is_subscribed(&self, id: SubscriberId, vni: Vni) -> bool {
        self.subscribers[id.0].cursors.contains_key(&vni)
    }

    /// Returns the number of the latest subscription whose initial sync is not complete.
    pub(crate) fn last_unsynced(&self, id: SubscriberId) -> Option<u64> {
        self.subscribers[id.0].unsynced.last().copied()
    }

    /// Returns the number of the earliest subscription whose initial sync is not complete.
    pub(crate) fn first_unsynced(&self, id: SubscriberId) -> Option<u64> {
        self.subscribers[id.0].unsynced.first().copied()
    }

    /// Whether [`wake`](Self::wake) has something to do.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Unparks the cursors in the tables that changed, within `budget`, and passes each subscriber that has something to walk now to
    /// `ready`. [`is_dirty`](Self::is_dirty) says whether there is more to do.
    /// [`advance`](Self::advance) returns the `stamp`, whose meaning is the caller's business, when such a subscriber has caught up.
    pub(crate) fn wake(&mut self, stamp: u64, budget: &mut usize, mut ready: impl FnMut(SubscriberId)) {
        while *budget > 0
            && let Some(id) = self.dirty.pop_front()
        {
            *budget -= 1;
            pieces::count(1);
            self.tables[id.0].begin_to_wake(stamp);
            while *budget > 0
                && let Some(cursor) = self.tables[id.0].cursors_mut().wake_next()
            {
                *budget = budget.saturating_sub(WAKE);
                pieces::count(1);
                let subscriber = SubscriberId(self.tables[id.0].cursors().get(cursor).subscriber());
                if !self.subscribers[subscriber.0].is_leaving {
                    self.link_pending(subscriber, CursorId { table: id, cursor });
                    ready(subscriber);
                }
            }
            if self.tables[id.0].cursors().is_waking() {
                self.dirty.push_front(id);
            } else if self.tables[id.0].end_to_wake() {
                self.dirty.push_back(id);
            } else {
                self.passed(id, budget);
                *budget = budget.saturating_sub(TABLE);
            }
        }
    }

    /// Returns the subscriber's next walk.
    pub(crate) fn next_pending(&self, id: SubscriberId) -> Option<Pending> {
        self.subscribers[id.0].first.map(|CursorId { table, cursor }| Pending { table, cursor })
    }

    pub(crate) fn position(&self, pending: Pending) -> &Position {
        self.tables[pending.table.0].cursors().get(pending.cursor).position()
    }

    /// Whether no other peer subscribes to the table.
    pub(crate) fn is_alone(&self, table: TableId) -> bool {
        self.tables[table.0].cursors().len() == 1
    }

    /// Returns the version of what the table's walks send.
    pub(crate) fn version(&self, table: TableId) -> TableVersion {
        self.tables[table.0].version()
    }

    /// Notes that a walk is done, as far as `walked`. Other VNIs of the subscriber come first now. Returns the stamp of the
    /// [`wake`](Self::wake) that unparked the cursor, if the cursor has caught up now.
    pub(crate) fn advance(&mut self, id: SubscriberId, pending: Pending, walked: &Walked) -> Option<u64> {
        let Pending { table: table_id, cursor } = pending;
        let cursor_id = CursorId { table: table_id, cursor };
        if !walked.at_tail && self.subscribers[id.0].pending == 1 {
            // It stays the only one.
        } else {
            self.unlink_pending(id, cursor_id);
            if !walked.at_tail {
                self.link_pending(id, cursor_id);
            }
        }
        let (table, subscriber) = (&mut self.tables[table_id.0], &mut self.subscribers[id.0]);
        table.walked(walked.furthest());
        let live = table.live();
        let cursors = table.cursors_mut();
        cursors.advance(cursor, &walked.to);
        if !walked.at_tail {
            return None;
        }
        cursors.park(cursor, live);
        let (since, number) = (cursors.get(cursor).woken(), cursors.get(cursor).number());
        subscriber.unsynced.remove(&number);
        self.passed(table_id, &mut inline());
        since
    }

    /// Returns how many changes a subscriber has yet to pass, at most. Adds up 256 VNIs; of a subscriber with more of them that have
    /// something to walk, the others are taken to be like these.
    pub(crate) fn lag(&self, id: SubscriberId) -> u64 {
        let Subscriber { first, pending, .. } = self.subscribers[id.0];
        let after = |id: &CursorId| self.tables[id.table.0].cursors().after(id.cursor);
        let lags = core::iter::successors(first, after).take(LAG_SAMPLE).map(|CursorId { table, cursor }| {
            let table = &self.tables[table.0];
            table.journal().tail() - table.cursors().get(cursor).position().at()
        });
        let sum: u64 = lags.sum();
        if pending <= LAG_SAMPLE { sum } else { sum * pending as u64 / LAG_SAMPLE as u64 }
    }

    /// Whether the client of this name subscribes to a VNI.
    pub(super) fn is_key_subscribed(&self, key: u64, vni: Vni) -> bool {
        let is_key = |id: u32| self.subscribers[id].viewer == Viewer::Client(key);
        let found = self.by_key.find(hash_of(&self.seed, key), is_key);
        found.is_some_and(|id| self.is_subscribed(SubscriberId(id), vni))
    }
}

/// Returns the hash of a subscriber's key. Only clients are found by theirs.
fn hash_of_key(seed: &FixedState, subscriber: &Subscriber) -> u64 {
    match subscriber.viewer {
        Viewer::Client(key) => hash_of(seed, key),
        Viewer::Server | Viewer::Local => 0,
    }
}
