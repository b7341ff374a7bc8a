//! The order in which a table's next hops last changed visibly.
//!
//! Invariants: sequence numbers rise from entry to entry. An entry whose hop changed again, or was freed, is dead. At most half of a
//! chunk's entries and a few more are dead: a chunk in which more are is compacted by itself, so no call visits more than two chunks.
//! Each chunk knows how many of its entries are tombstones.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use smallvec::SmallVec;

use crate::pieces;

/// A change: the hop, and the change's sequence number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) seq: u64,
    pub(super) hop: u32,
}

/// An entry in half the memory: its sequence number minus its chunk's base.
#[derive(Clone, Copy, Debug)]
struct Packed {
    over: u32,
    hop: u32,
}

/// Entries that are looked at together for tombstones.
const TOGETHER: usize = 32;

/// Entries in a chunk, at most.
fn chunk_max() -> usize {
    pieces::either(1024, 4)
}

/// The largest difference between a sequence number and its chunk's base.
fn over_max() -> u64 {
    pieces::either(u64::from(u32::MAX), 12)
}

/// Dead entries that the last chunk may have beyond half of its entries, while it is not full.
fn spare() -> usize {
    pieces::either(16, 0)
}

#[derive(Debug)]
struct Chunk {
    /// The sequence number of the first entry that it ever had.
    base: u64,
    entries: Vec<Packed>,
    dead: u32,
    tombstones: u32,
}

impl Chunk {
    fn entry(&self, packed: Packed) -> Entry {
        Entry { seq: self.base + u64::from(packed.over), hop: packed.hop }
    }

    /// Returns how many entries lie before or at `seq`.
    fn passed(&self, seq: u64) -> usize {
        match seq.checked_sub(self.base) {
            None => 0,
            Some(over) => self.entries.partition_point(|entry| u64::from(entry.over) <= over),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Journal {
    chunks: VecDeque<Chunk>,
    tail: u64,
}

impl Journal {
    /// The last change's sequence number; 0 if there was none.
    #[inline]
    pub(super) fn tail(&self) -> u64 {
        self.tail
    }

    /// Appends a change of a hop, and returns its sequence number.
    pub(super) fn append(&mut self, hop: u32) -> u64 {
        self.tail += 1;
        let tail = self.tail;
        let chunk = match self.chunks.back_mut() {
            Some(last) if last.entries.len() < chunk_max() && tail - last.base <= over_max() => last,
            _ => self.add_chunk(),
        };
        chunk.entries.push(Packed { over: (tail - chunk.base) as u32, hop });
        tail
    }

    #[cold]
    fn add_chunk(&mut self) -> &mut Chunk {
        // The first chunk grows by doubling, so that a small journal stays small.
        let room = if self.chunks.is_empty() { 1 } else { chunk_max() };
        let chunk = Chunk { base: self.tail, entries: Vec::with_capacity(room), dead: 0, tombstones: 0 };
        self.chunks.push_back(chunk);
        let last = self.chunks.len() - 1;
        &mut self.chunks[last]
    }

    /// Returns the place of the chunk in which an entry with this sequence number lies, if there is one.
    fn chunk_of(&self, seq: u64) -> Option<usize> {
        match self.chunks.back() {
            Some(last) if last.base <= seq => Some(self.chunks.len() - 1),
            _ => self.chunks.partition_point(|chunk| chunk.base <= seq).checked_sub(1),
        }
    }

    /// Returns the entries after change `seq`, dead ones included.
    pub(super) fn after(&self, seq: u64) -> impl Iterator<Item = Entry> + '_ {
        let first = if seq >= self.tail { self.chunks.len() } else { self.chunk_of(seq).unwrap_or(0) };
        self.chunks.range(first..).enumerate().flat_map(move |(n, chunk)| {
            let passed = if n == 0 { chunk.passed(seq) } else { 0 };
            chunk.entries[passed..].iter().map(|packed| chunk.entry(*packed))
        })
    }

    /// Gives the hop of change `seq` its new number.
    pub(super) fn rename(&mut self, seq: u64, hop: u32) {
        let Some(at) = self.chunk_of(seq) else { return };
        let chunk = &mut self.chunks[at];
        let over = seq - chunk.base;
        if let Ok(at) = chunk.entries.binary_search_by_key(&over, |entry| u64::from(entry.over)) {
            chunk.entries[at].hop = hop;
        }
    }

    /// Notes that the hop of the live change `seq` is a tombstone now.
    pub(super) fn add_tombstone(&mut self, seq: u64) {
        if let Some(at) = self.chunk_of(seq) {
            self.chunks[at].tombstones += 1;
        }
    }

    /// Notes that the hop of the live change `seq` is no tombstone any more.
    pub(super) fn remove_tombstone(&mut self, seq: u64) {
        if let Some(at) = self.chunk_of(seq) {
            self.chunks[at].tombstones -= 1;
        }
    }

    /// Notes that the entry of change `seq` is dead. `is_alive` says which entries are not.
    pub(super) fn kill(&mut self, seq: u64, is_alive: impl FnMut(&Entry) -> bool) {
        let Some(at) = self.chunk_of(seq) else { return };
        let is_last = at + 1 == self.chunks.len();
        let chunk = &mut self.chunks[at];
        chunk.dead += 1;
        let spare = if is_last && chunk.entries.len() < chunk_max() { spare() } else { 0 };
        let dead = chunk.dead as usize;
        if dead == chunk.entries.len() || dead > chunk.entries.len() / 2 + spare {
            self.compact(at, is_alive);
        }
    }

    /// Drops the dead entries of a chunk, and the chunk if it is empty, or small enough for the one before it.
    #[cold]
    fn compact(&mut self, at: usize, mut is_alive: impl FnMut(&Entry) -> bool) {
        let chunk = &mut self.chunks[at];
        pieces::count(chunk.entries.len());
        if chunk.dead as usize == chunk.entries.len() {
            self.chunks.remove(at);
        } else {
            let base = chunk.base;
            chunk.entries.retain(|packed| is_alive(&Entry { seq: base + u64::from(packed.over), hop: packed.hop }));
            chunk.dead = 0;
            if at + 1 < self.chunks.len() {
                self.chunks[at].entries.shrink_to_fit();
                self.merge(at);
            }
            if at > 0 {
                self.merge(at - 1);
            }
        }
        if self.chunks.capacity() > 4 * self.chunks.len() + 4 {
            self.chunks.shrink_to(2 * self.chunks.len());
        }
    }

    /// Appends a chunk to the one at `at` before it, if both are nearly empty.
    fn merge(&mut self, at: usize) {
        let (Some(chunk), Some(next)) = (self.chunks.get(at), self.chunks.get(at + 1)) else { return };
        let Some(last) = next.entries.last() else { return };
        let apart = next.base - chunk.base;
        if chunk.entries.len() + next.entries.len() > chunk_max() / 2 || apart + u64::from(last.over) > over_max() {
            return;
        }
        let Some(next) = self.chunks.remove(at + 1) else { return };
        pieces::count(next.entries.len());
        let chunk = &mut self.chunks[at];
        // The sum was compared with the largest difference.
        chunk.entries.extend(next.entries.iter().map(|e| Packed { over: e.over + apart as u32, hop: e.hop }));
        chunk.dead += next.dead;
        chunk.tombstones += next.tombstones;
    }

    /// Returns some entries after change `seq` and up to change `end`, in order, and the sequence number up to which all
    /// tombstones are among them. Skips one chunk at most.
    pub(super) fn next_tombstones(&self, seq: u64, end: u64) -> (SmallVec<[Entry; TOGETHER]>, u64) {
        let mut at = self.chunk_of(seq).unwrap_or(0);
        if self.chunks.get(at).is_some_and(|chunk| chunk.passed(seq) == chunk.entries.len()) {
            at += 1;
        }
        let Some(chunk) = self.chunks.get(at).filter(|chunk| chunk.base <= end) else { return (SmallVec::new(), end) };
        let chunk_end = self.chunks.get(at + 1).map_or(self.tail, |next| next.base - 1).min(end);
        if chunk.tombstones == 0 {
            return (SmallVec::new(), chunk_end);
        }
        let all = &chunk.entries[chunk.passed(seq)..chunk.passed(end)];
        let together = pieces::either(TOGETHER, 2);
        let first: SmallVec<[Entry; TOGETHER]> = all.iter().take(together).map(|packed| chunk.entry(*packed)).collect();
        let end = if all.len() <= together { chunk_end } else { first.last().map_or(chunk_end, |last| last.seq) };
        (first, end)
    }

    /// Counts the tombstones after change `seq`. Visits the chunks after it, and the entries of one.
    pub(super) fn tombstones_after(&self, seq: u64, is_tombstone: impl Fn(&Entry) -> bool) -> usize {
        let Some(first) = self.chunk_of(seq) else {
            return self.chunks.iter().map(|chunk| chunk.tombstones as usize).sum();
        };
        let chunk = &self.chunks[first];
        let partly = match chunk.tombstones {
            0 => 0,
            _ => {
                let rest = &chunk.entries[chunk.passed(seq)..];
                rest.iter().filter(|packed| is_tombstone(&chunk.entry(**packed))).count()
            }
        };
        partly + self.chunks.range(first + 1..).map(|chunk| chunk.tombstones as usize).sum::<usize>()
    }

    /// How many units of work [`tombstones_after`](Self::tombstones_after) costs, at most.
    pub(super) fn census_cost(&self) -> usize {
        self.chunks.len() / 8 + 64
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.entries.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against a list of numbers.
        #[test]
        fn what_is_after_a_change_is_what_stands_after_it(
            hops in prop::collection::vec(0u32..40, 1..400), from in 0u64..400, renamed in 0u32..40
        ) {
            let (mut journal, mut last) = (Journal::default(), [0; 41]);
            for hop in hops {
                let seq = journal.append(hop);
                let old = core::mem::replace(&mut last[hop as usize], seq);
                if old != 0 {
                    if old % 2 == 0 {
                        journal.remove_tombstone(old);
                    }
                    journal.kill(old, |entry| last[entry.hop as usize] == entry.seq);
                }
                // Even ones are tombstones.
                if seq % 2 == 0 {
                    journal.add_tombstone(seq);
                }
            }
            if last[renamed as usize] != 0 {
                journal.rename(last[renamed as usize], 40);
                last[40] = core::mem::take(&mut last[renamed as usize]);
            }
            let is_live = |entry: &Entry| last[entry.hop as usize] == entry.seq;
            let live: Vec<(u64, u32)> = journal.after(from).filter(is_live).map(|entry| (entry.seq, entry.hop)).collect();
            let mut model: Vec<(u64, u32)> = last.iter().zip(0..).map(|(&seq, hop)| (seq, hop)).collect();
            model.retain(|&(seq, _)| seq > from);
            model.sort_unstable();
            prop_assert_eq!(&live, &model);
            let all: Vec<u64> = journal.after(0).map(|entry| entry.seq).collect();
            prop_assert!(all.is_sorted() && all.len() == journal.len());
            let hops = last.iter().filter(|seq| **seq != 0).count();
            prop_assert!(journal.len() <= 2 * hops + 2, "half of the entries are alive");

            let is_tombstone = |entry: &Entry| is_live(entry) && entry.seq % 2 == 0;
            model.retain(|&(seq, _)| seq % 2 == 0);
            prop_assert_eq!(journal.tombstones_after(from, is_tombstone), model.len());
            let (mut at, end) = (from, journal.tail());
            let mut found = Vec::new();
            while at < end {
                let (entries, up_to) = journal.next_tombstones(at, end);
                found.extend(entries.into_iter().filter(is_tombstone).map(|entry| (entry.seq, entry.hop)));
                prop_assert!(up_to > at);
                at = up_to;
            }
            prop_assert_eq!(found, model);
        }
    }
}
