//! The order in which a table's next hops last changed visibly.
//!
//! Invariants: sequence numbers rise from entry to entry. An entry whose hop changed again, or was freed, is dead. When two fifths of the
//! entries are dead, a pass begins that drops them, chunk by chunk, as others die; so no call visits more entries than a chunk has, and
//! there are never more than twice as many entries as hops, and some. Each chunk knows how many of its entries are tombstones.

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
/// Entries that a pass visits for each one that dies meanwhile.
const PACE: usize = 8;
/// Dead entries that begin no pass.
const SPARE: usize = 64;

/// Entries in a chunk, at most.
#[inline(always)]
fn chunk_max() -> usize {
    pieces::either(1024, 4)
}

/// The largest difference between a sequence number and its chunk's base.
#[inline(always)]
fn over_max() -> u64 {
    pieces::either(u64::from(u32::MAX), 12)
}

#[derive(Debug, Default)]
struct Chunk {
    /// The sequence number of the first entry that it ever had, or a lower one.
    base: u64,
    entries: Vec<Packed>,
    tombstones: u32,
}

impl Chunk {
    #[inline]
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

/// A pass that drops dead entries.
#[derive(Debug)]
struct Pass {
    /// Chunks whose base is lower are done.
    next: u64,
    /// Entries that are yet to die before the next chunk is visited.
    wait: usize,
}

#[derive(Debug, Default)]
pub(super) struct Journal {
    older: VecDeque<Chunk>,
    /// The chunk that entries are appended to. Small tables have no other.
    last: Chunk,
    tail: u64,
    entries: usize,
    dead: usize,
    pass: Option<Pass>,
}

impl Journal {
    /// The last change's sequence number; 0 if there was none.
    #[inline]
    pub(super) fn tail(&self) -> u64 {
        self.tail
    }

    /// Whether the journal is quickly dropped.
    pub(super) fn is_small(&self) -> bool {
        self.older.len() <= 64
    }

    /// Appends a change of a hop, and returns its sequence number.
    #[inline]
    pub(super) fn append(&mut self, hop: u32) -> u64 {
        self.tail += 1;
        self.entries += 1;
        let over = self.tail - self.last.base;
        if self.last.entries.len() >= chunk_max() || over > over_max() {
            return self.append_to_new(hop);
        }
        self.last.entries.push(Packed { over: over as u32, hop });
        self.tail
    }

    /// Appends a change as the first one of a new chunk.
    #[cold]
    fn append_to_new(&mut self, hop: u32) -> u64 {
        let mut entries = Vec::with_capacity(chunk_max());
        entries.push(Packed { over: 0, hop });
        let full = core::mem::replace(&mut self.last, Chunk { base: self.tail, entries, tombstones: 0 });
        if !full.entries.is_empty() {
            self.older.push_back(full);
        }
        self.tail
    }

    /// The chunks from a place on.
    #[inline]
    fn chunks(&self, from: usize) -> impl Iterator<Item = &Chunk> {
        let from = from.min(self.older.len());
        self.older.range(from..).chain(core::iter::once(&self.last))
    }

    /// Returns the place of the last chunk that begins before or at `seq`.
    #[inline]
    fn place_of(&self, seq: u64) -> Option<usize> {
        if self.last.base <= seq {
            return Some(self.older.len());
        }
        self.older.partition_point(|chunk| chunk.base <= seq).checked_sub(1)
    }

    fn chunk_mut(&mut self, seq: u64) -> &mut Chunk {
        let at = self.place_of(seq).unwrap_or(0);
        if at < self.older.len() { &mut self.older[at] } else { &mut self.last }
    }

    /// Returns the entries after change `seq`, dead ones included.
    #[inline]
    pub(super) fn after(&self, seq: u64) -> impl Iterator<Item = Entry> + '_ {
        let first = self.place_of(seq).unwrap_or(0);
        self.chunks(first).enumerate().flat_map(move |(n, chunk)| {
            let passed = if n == 0 { chunk.passed(seq) } else { 0 };
            chunk.entries[passed..].iter().map(|packed| chunk.entry(*packed))
        })
    }

    /// Gives the hop of change `seq` its new number.
    pub(super) fn rename(&mut self, seq: u64, hop: u32) {
        let chunk = self.chunk_mut(seq);
        if let Some(over) = seq.checked_sub(chunk.base)
            && let Ok(at) = chunk.entries.binary_search_by_key(&over, |entry| u64::from(entry.over))
        {
            chunk.entries[at].hop = hop;
        }
    }

    /// Notes that the hop of the live change `seq` is a tombstone now.
    pub(super) fn add_tombstone(&mut self, seq: u64) {
        self.chunk_mut(seq).tombstones += 1;
    }

    /// Notes that the hop of the live change `seq` is no tombstone any more.
    pub(super) fn remove_tombstone(&mut self, seq: u64) {
        self.chunk_mut(seq).tombstones -= 1;
    }

    /// The same of several entries that [`next_tombstones`](Self::next_tombstones) returned together.
    pub(super) fn remove_tombstones(&mut self, all: &[Entry]) {
        if let Some(first) = all.first() {
            self.chunk_mut(first.seq).tombstones -= all.len() as u32;
        }
    }

    /// Notes that an entry is dead. `is_live` says which ones are not.
    #[inline]
    pub(super) fn kill(&mut self, is_live: impl Fn(&Entry) -> bool) {
        self.dead += 1;
        match &mut self.pass {
            Some(Pass { wait, .. }) if *wait > 0 => *wait -= 1,
            Some(Pass { next, .. }) => {
                let next = *next;
                self.go_on(next, is_live);
            }
            None if 5 * self.dead > 2 * self.entries + 5 * SPARE => self.go_on(0, is_live),
            None => {}
        }
    }

    /// Visits the first chunk whose base is not below `next`, for a pass.
    fn go_on(&mut self, next: u64, is_live: impl Fn(&Entry) -> bool) {
        let older = self.older.len();
        let mut at = self.older.partition_point(|chunk| chunk.base < next);
        let chunk = self.older.get_mut(at).unwrap_or(&mut self.last);
        let (base, len) = (chunk.base, chunk.entries.len());
        // To visit one takes a quarter of a unit.
        pieces::count(len / 4);
        chunk.entries.retain(|packed| is_live(&Entry { seq: base + u64::from(packed.over), hop: packed.hop }));
        let dropped = len - chunk.entries.len();
        self.entries -= dropped;
        self.dead -= dropped;
        let (is_empty, is_last) = (chunk.entries.is_empty(), at == older);
        chunk.entries.shrink_to(if is_last { 2 * chunk.entries.len() } else { 0 });
        if is_last {
            self.pass = None;
            return;
        }
        if is_empty {
            self.older.remove(at);
        } else if !self.merge(at) {
            at += 1;
        }
        let wait = self.older.get(at).unwrap_or(&self.last).entries.len() / PACE;
        self.pass = Some(Pass { next: base + 1, wait });
        if self.older.capacity() > 4 * self.older.len() + 4 {
            self.older.shrink_to(2 * self.older.len());
        }
    }

    /// Appends a chunk to the one before it, if both fit one. Returns whether they did.
    fn merge(&mut self, at: usize) -> bool {
        let Some((before, chunk)) = at.checked_sub(1).map(|before| (&self.older[before], &self.older[at])) else {
            return false;
        };
        let (apart, last) = (chunk.base - before.base, chunk.entries.last().map_or(0, |last| last.over));
        if before.entries.len() + chunk.entries.len() > chunk_max() || apart + u64::from(last) > over_max() {
            return false;
        }
        let Some(chunk) = self.older.remove(at) else { return false };
        pieces::count(chunk.entries.len());
        let before = &mut self.older[at - 1];
        // The sum was compared with the largest difference.
        let apart = apart as u32;
        before.entries.extend(chunk.entries.iter().map(|e| Packed { over: e.over + apart, hop: e.hop }));
        before.tombstones += chunk.tombstones;
        true
    }

    /// Returns some entries after change `seq` and up to change `end`, `max` at most, all of one chunk, in order, and the sequence number
    /// up to which all tombstones are among them. Skips one chunk at most.
    pub(super) fn next_tombstones(&self, seq: u64, end: u64, max: usize) -> (SmallVec<[Entry; TOGETHER]>, u64) {
        let mut chunks = self.chunks(self.place_of(seq).unwrap_or(0)).peekable();
        if chunks.peek().is_some_and(|chunk| chunk.passed(seq) == chunk.entries.len()) {
            chunks.next();
        }
        let Some(chunk) = chunks.next().filter(|chunk| chunk.base <= end) else { return (SmallVec::new(), end) };
        let chunk_end = chunks.next().map_or(self.tail, |next| next.base - 1).min(end);
        if chunk.tombstones == 0 {
            return (SmallVec::new(), chunk_end);
        }
        let all = &chunk.entries[chunk.passed(seq)..chunk.passed(end)];
        let together = max.min(pieces::either(TOGETHER, 2));
        let first: SmallVec<[Entry; TOGETHER]> = all.iter().take(together).map(|packed| chunk.entry(*packed)).collect();
        let end = if all.len() <= together { chunk_end } else { first.last().map_or(chunk_end, |last| last.seq) };
        (first, end)
    }

    /// Counts the tombstones after change `seq`. Visits the chunks after it, and the entries of one.
    pub(super) fn tombstones_after(&self, seq: u64, is_tombstone: impl Fn(&Entry) -> bool) -> usize {
        let Some(first) = self.place_of(seq) else {
            return self.chunks(0).map(|chunk| chunk.tombstones as usize).sum();
        };
        let mut chunks = self.chunks(first);
        let partly = chunks.next().filter(|chunk| chunk.tombstones > 0).map_or(0, |chunk| {
            let rest = &chunk.entries[chunk.passed(seq)..];
            rest.iter().filter(|packed| is_tombstone(&chunk.entry(**packed))).count()
        });
        partly + chunks.map(|chunk| chunk.tombstones as usize).sum::<usize>()
    }

    /// How many units of work [`tombstones_after`](Self::tombstones_after) costs, at most.
    pub(super) fn count_cost(&self) -> usize {
        self.older.len() / 8 + 64
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.chunks(0).map(|chunk| chunk.entries.len()).sum()
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
                    journal.kill(|entry| last[entry.hop as usize] == entry.seq);
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
            prop_assert!(journal.len() <= 2 * hops + 130, "half of the entries are alive, or nearly");
            prop_assert_eq!((journal.len(), journal.dead), (journal.entries, journal.entries - hops));

            let is_tombstone = |entry: &Entry| is_live(entry) && entry.seq.is_multiple_of(2);
            model.retain(|&(seq, _)| seq % 2 == 0);
            prop_assert_eq!(journal.tombstones_after(from, is_tombstone), model.len());
            let (mut at, end) = (from, journal.tail());
            let mut found = Vec::new();
            while at < end {
                let (entries, up_to) = journal.next_tombstones(at, end, 32);
                found.extend(entries.into_iter().filter(is_tombstone).map(|entry| (entry.seq, entry.hop)));
                prop_assert!(up_to > at);
                at = up_to;
            }
            prop_assert_eq!(found, model);
        }
    }
}
