//! The order in which a table's next hops last changed visibly. An entry whose hop changed again is dead, and skipped;
//! the journal is compacted when the dead outweigh the living.

use alloc::vec::Vec;

/// A change: the hop, and the change's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) seq: u64,
    pub(super) hop: u32,
}

#[derive(Debug, Default)]
pub(super) struct Journal {
    entries: Vec<Entry>,
    dead: usize,
    tail: u64,
}

impl Journal {
    /// The last change's number; 0 if there was none.
    pub(super) fn tail(&self) -> u64 {
        self.tail
    }

    /// Numbers a change.
    pub(super) fn append(&mut self, hop: u32) -> u64 {
        self.tail += 1;
        self.entries.push(Entry { seq: self.tail, hop });
        self.tail
    }

    /// The entries behind change `seq`, dead ones included.
    pub(super) fn after(&self, seq: u64) -> &[Entry] {
        if seq >= self.tail {
            return &[];
        }
        let start = self.entries.partition_point(|entry| entry.seq <= seq);
        &self.entries[start..]
    }

    /// The hop of change `seq`, which is its last, has another number.
    pub(super) fn rename(&mut self, seq: u64, hop: u32) {
        if let Ok(at) = self.entries.binary_search_by_key(&seq, |entry| entry.seq) {
            self.entries[at].hop = hop;
        }
    }

    /// An entry's hop changed again, or is gone. `is_alive` tells which entries still stand.
    pub(super) fn bury(&mut self, is_alive: impl FnMut(&Entry) -> bool) {
        self.dead += 1;
        if self.dead > self.entries.len() / 2 + 64 {
            self.entries.retain(is_alive);
            self.entries.shrink_to(self.entries.len() * 2);
            self.dead = 0;
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}
