//! The order in which a table's next hops last changed visibly. An entry whose hop changed again is dead, and skipped;
//! the journal is compacted when the dead outweigh the living.

use alloc::vec::Vec;

/// A change: the hop, and the change's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) seq: u64,
    pub(super) hop: u32,
}

/// An entry in half the room: its number is so much over its segment's.
#[derive(Clone, Copy, Debug)]
struct Packed {
    over: u32,
    hop: u32,
}

/// How much that can be. Few in this crate's own tests, so that there are several segments.
const OVER_MAX: u64 = if cfg!(test) { 4 } else { u32::MAX as u64 };

/// Entries from the `start`th on, up to the next segment. Mostly there is just one.
#[derive(Clone, Copy, Debug)]
struct Segment {
    base: u64,
    start: usize,
}

#[derive(Debug, Default)]
pub(super) struct Journal {
    entries: Vec<Packed>,
    segments: Vec<Segment>,
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
        let over = self.segments.last().map(|segment| self.tail - segment.base).filter(|over| *over <= OVER_MAX);
        if over.is_none() {
            self.segments.push(Segment { base: self.tail, start: self.entries.len() });
        }
        self.entries.push(Packed { over: over.unwrap_or(0) as u32, hop });
        self.tail
    }

    /// The entries behind change `seq`, dead ones included.
    pub(super) fn after(&self, seq: u64) -> impl Iterator<Item = Entry> + '_ {
        let first = self.segments.partition_point(|segment| segment.base <= seq).saturating_sub(1);
        let segments = if seq >= self.tail { &[] } else { &self.segments[first..] };
        segments.iter().enumerate().flat_map(move |(n, &Segment { base, start })| {
            let end = segments.get(n + 1).map_or(self.entries.len(), |next| next.start);
            let entries = &self.entries[start..end];
            let passed = if n == 0 { entries.partition_point(|entry| base + u64::from(entry.over) <= seq) } else { 0 };
            entries[passed..].iter().map(move |entry| Entry { seq: base + u64::from(entry.over), hop: entry.hop })
        })
    }

    /// The hop of change `seq`, which is its last, has another number.
    pub(super) fn rename(&mut self, seq: u64, hop: u32) {
        let Some(segment) = self.segments.partition_point(|segment| segment.base <= seq).checked_sub(1) else { return };
        let Segment { base, start } = self.segments[segment];
        let end = self.segments.get(segment + 1).map_or(self.entries.len(), |next| next.start);
        let entries = &mut self.entries[start..end];
        if let Ok(at) = entries.binary_search_by_key(&seq, |entry| base + u64::from(entry.over)) {
            entries[at].hop = hop;
        }
    }

    /// An entry's hop changed again, or is gone. `is_alive` tells which entries still stand.
    pub(super) fn bury(&mut self, mut is_alive: impl FnMut(&Entry) -> bool) {
        self.dead += 1;
        if self.dead <= self.entries.len() / 2 + 64 {
            return;
        }
        let old = core::mem::take(&mut self.segments);
        let mut kept = 0;
        for (n, &Segment { base, start }) in old.iter().enumerate() {
            let end = old.get(n + 1).map_or(self.entries.len(), |next| next.start);
            let begin = kept;
            for at in start..end {
                let packed = self.entries[at];
                if is_alive(&Entry { seq: base + u64::from(packed.over), hop: packed.hop }) {
                    self.entries[kept] = packed;
                    kept += 1;
                }
            }
            if kept > begin {
                self.segments.push(Segment { base, start: begin });
            }
        }
        self.entries.truncate(kept);
        self.entries.shrink_to(self.entries.len() * 2);
        self.dead = 0;
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against a list of numbers.
        #[test]
        fn what_is_behind_a_change_is_what_stands_behind_it(
            hops in prop::collection::vec(0u32..40, 1..400), from in 0u64..400, renamed in 0u32..40
        ) {
            let (mut journal, mut last) = (Journal::default(), [0; 41]);
            for hop in hops {
                let seq = journal.append(hop);
                let old = core::mem::replace(&mut last[hop as usize], seq);
                if old != 0 {
                    journal.bury(|entry| last[entry.hop as usize] == entry.seq);
                }
            }
            if last[renamed as usize] != 0 {
                journal.rename(last[renamed as usize], 40);
                last[40] = core::mem::take(&mut last[renamed as usize]);
            }
            let live = journal.after(from).filter(|entry| last[entry.hop as usize] == entry.seq);
            let live: Vec<(u64, u32)> = live.map(|entry| (entry.seq, entry.hop)).collect();
            let mut model: Vec<(u64, u32)> = last.iter().zip(0..).map(|(&seq, hop)| (seq, hop)).collect();
            model.retain(|&(seq, _)| seq > from);
            model.sort_unstable();
            prop_assert_eq!(live, model);
            let all: Vec<u64> = journal.after(0).map(|entry| entry.seq).collect();
            prop_assert!(all.is_sorted() && all.len() == journal.len());
        }
    }
}
