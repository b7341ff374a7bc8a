//! The subscribers' cursors in one table.
//!
//! Invariants: a cursor that is parked was at the journal's end when it parked, and is woken once for the changes since. It is in one
//! of two lists: those that wait for a change, and those that are being woken for one. What parks meanwhile waits for the next change.

use alloc::vec::Vec;

use super::cursor::Position;
use super::table::{NIL, TableId};
use crate::pool::Pool;

/// A cursor, by its table and its number there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct CursorId {
    pub(super) table: TableId,
    pub(super) cursor: u32,
}

/// A cursor's neighbours in its subscriber's list of cursors that have something to walk.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Links {
    pub(super) before: Option<CursorId>,
    pub(super) after: Option<CursorId>,
}

/// A subscriber's place in one table.
#[derive(Debug)]
pub(super) struct Cursor {
    subscriber: u32,
    /// The subscription's number, among those of its subscriber.
    number: u64,
    position: Position,
    /// Which list it is parked in (the lowest bit), and where there; `NIL`: it is in its subscriber's list of pending ones.
    parked: u32,
    /// While it is pending.
    links: Links,
    /// Routes of the table when it was at the journal's end last, or subscribed.
    live: usize,
    /// The stamp of the `wake` that woke it; `None`: it subscribed.
    woken: Option<u64>,
}

impl Cursor {
    pub(super) fn subscriber(&self) -> u32 {
        self.subscriber
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn position(&self) -> &Position {
        &self.position
    }

    pub(super) fn is_parked(&self) -> bool {
        self.parked != NIL
    }

    pub(super) fn live(&self) -> usize {
        self.live
    }

    pub(super) fn woken(&self) -> Option<u64> {
        self.woken
    }
}

#[derive(Debug, Default)]
pub(super) struct Cursors {
    all: Pool<Cursor>,
    /// Parked cursors.
    lists: [Vec<u32>; 2],
    /// Which list waits for the next change; the other one is being woken.
    waiting: usize,
    /// How many of the other list are woken already.
    woken: usize,
    /// The stamp for the others of it.
    stamp: u64,
    scan: Option<Scan>,
}

/// A search, in slices, for the change up to which no cursor needs a tombstone.
#[derive(Debug)]
struct Scan {
    /// The next cursor to look at.
    next: u32,
    floor: u64,
}

impl Cursors {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn get(&self, id: u32) -> &Cursor {
        &self.all[id]
    }

    pub(super) fn links(&mut self, id: u32) -> &mut Links {
        &mut self.all[id].links
    }

    /// Returns the cursor after this one in its subscriber's list of pending ones.
    pub(super) fn after(&self, id: u32) -> Option<CursorId> {
        self.all[id].links.after
    }

    /// Adds a cursor that is not parked.
    pub(super) fn insert(&mut self, subscriber: u32, number: u64, position: Position, live: usize) -> u32 {
        let links = Links::default();
        self.all.insert(Cursor { subscriber, number, position, parked: NIL, links, live, woken: None })
    }

    pub(super) fn remove(&mut self, id: u32) {
        let parked = core::mem::replace(&mut self.all[id].parked, NIL);
        if parked != NIL {
            let (list, at) = (&mut self.lists[parked as usize & 1], parked as usize >> 1);
            list.swap_remove(at);
            if let Some(&moved) = list.get(at) {
                self.all[moved].parked = parked;
            }
        }
        self.all.release(id);
    }

    /// Moves a cursor to where a walk ended.
    pub(super) fn advance(&mut self, id: u32, to: &Position) {
        self.all[id].position.clone_from(to);
    }

    /// Parks a cursor at the journal's end, until the next change. `live`: the routes of the table.
    pub(super) fn park(&mut self, id: u32, live: usize) {
        let list = &mut self.lists[self.waiting];
        let cursor = &mut self.all[id];
        // There are fewer than 2^31 cursors.
        cursor.parked = (list.len() << 1 | self.waiting) as u32;
        cursor.live = live;
        list.push(id);
    }

    /// Whether all cursors are parked, and none of them is being woken.
    pub(super) fn are_parked(&self) -> bool {
        self.lists[self.waiting].len() == self.all.len()
    }

    /// Begins to wake all cursors that are parked now, with this stamp. Only when no other are being woken.
    pub(super) fn begin_to_wake(&mut self, stamp: u64) {
        debug_assert!(!self.is_waking(), "those that are being woken come first");
        self.lists[1 - self.waiting].clear();
        self.waiting = 1 - self.waiting;
        (self.woken, self.stamp) = (0, stamp);
    }

    /// Whether a cursor is yet to be woken for a change that has been.
    pub(super) fn is_waking(&self) -> bool {
        self.woken < self.lists[1 - self.waiting].len()
    }

    /// Unparks the next cursor that is being woken, if there is one.
    pub(super) fn wake_next(&mut self) -> Option<u32> {
        let list = &mut self.lists[1 - self.waiting];
        let Some(&id) = list.get(self.woken) else {
            if list.capacity() > 4 * self.all.len() + 4 {
                *list = Vec::new();
            } else {
                list.clear();
            }
            self.woken = 0;
            return None;
        };
        self.woken += 1;
        let cursor = &mut self.all[id];
        (cursor.parked, cursor.woken) = (NIL, Some(self.stamp));
        Some(id)
    }

    /// Begins a new search for the change up to which no cursor needs a tombstone.
    pub(super) fn begin_search(&mut self) {
        self.scan = None;
    }

    /// Looks, within `budget`, for the change up to which no cursor needs a tombstone. `tail`: the journal's. Returns `None` when the
    /// budget is used up; the next call goes on.
    pub(super) fn find_floor(&mut self, tail: u64, budget: &mut usize) -> Option<u64> {
        // A cursor that comes later needs none of those that are there now.
        let mut scan = self.scan.take().unwrap_or(Scan { next: 0, floor: tail });
        for (id, cursor) in self.all.iter_from(scan.next) {
            if *budget == 0 {
                scan.next = id;
                self.scan = Some(scan);
                return None;
            }
            *budget -= 1;
            scan.floor = scan.floor.min(cursor.position.needs_tombstones_after());
        }
        Some(scan.floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tombstones_are_needed_after_the_change_of_the_cursor_that_is_farthest_behind_however_small_the_slices() {
        let mut cursors = Cursors::default();
        assert_eq!(cursors.find_floor(20, &mut 9), Some(20));
        let first = cursors.insert(0, 0, Position::new(4), 0);
        cursors.insert(1, 0, Position::new(10), 0);
        cursors.insert(2, 0, Position::new(7), 0);
        assert_eq!(cursors.find_floor(20, &mut 9), Some(4));
        cursors.begin_search();
        assert_eq!((cursors.find_floor(20, &mut 2), cursors.find_floor(20, &mut 2)), (None, Some(4)));
        cursors.remove(first);
        cursors.begin_search();
        assert_eq!(cursors.find_floor(20, &mut 9), Some(7));
    }
}
