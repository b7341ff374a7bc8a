//! Withdrawn next hops, each kept until everybody who was told of it knows that it is gone.

use alloc::collections::VecDeque;

use super::journal::Entry;
use super::pool::is_sparse;

/// Hops with the number of the change that made them tombstones. Some may be announced again, or have another number; and
/// after a `push`, stand here twice, or out of order.
#[derive(Debug, Default)]
pub(super) struct Tombstones {
    entries: VecDeque<Entry>,
    is_tidy: bool,
}

impl Tombstones {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many have a number over `seq`. To be called when they are tidy.
    pub(super) fn count_after(&self, seq: u64) -> usize {
        self.entries.len() - self.entries.partition_point(|entry| entry.seq <= seq)
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.is_tidy = false;
        self.entries.push_back(entry);
    }

    /// Puts all in the order of their numbers, each once, without those that are no tombstones any more.
    pub(super) fn tidy(&mut self, is_tombstone: impl Fn(&Entry) -> bool) {
        self.entries.retain(is_tombstone);
        if self.is_tidy {
            return;
        }
        // Nearly in order already, which this sort is quick with.
        self.entries.make_contiguous().sort_by_key(|entry| entry.seq);
        let mut last = 0;
        self.entries.retain(|entry| core::mem::replace(&mut last, entry.seq) != entry.seq);
        self.is_tidy = true;
    }

    /// Gives back room that is not needed any more.
    pub(super) fn shrink(&mut self) {
        if is_sparse(self.entries.capacity(), self.entries.len()) {
            self.entries.shrink_to(self.entries.len() * 2);
        }
    }

    /// Takes the first, if its number is at most `seq`. To be called when they are tidy.
    pub(super) fn pop_to(&mut self, seq: u64) -> Option<Entry> {
        let passed = self.entries.front().is_some_and(|entry| entry.seq <= seq);
        if passed { self.entries.pop_front() } else { None }
    }
}
