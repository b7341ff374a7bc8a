//! A hash index: numbers of values that lie elsewhere, found by the hashes of the values.
//!
//! Invariants: each number lies in the shard to which the directory leads from its value's hash. A full shard is split in two, and two
//! shards that are nearly empty become one; so no operation hashes more values than one shard has. How many numbers a shard has before it is
//! split differs from shard to shard: hashes spread numbers evenly, and otherwise all shards would be split within a few operations.

use alloc::vec;
use alloc::vec::Vec;

use hashbrown::HashTable;

use crate::pieces;

/// Where in a hash the bits lie that choose a shard: a shard itself uses the lowest ones and the seven highest ones.
const SHARD_BITS_AT: u32 = 24;
/// A directory has 2^24 entries at most.
const DEPTH_MAX: u32 = 24;

/// Whether memory can be given back is looked at once for so many numbers that are removed.
const SHRUNK_AT: usize = 16;

/// Numbers by hash. The owner's closures compare and hash the values that the numbers stand for.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// The only shard, or the first of several.
    first: Shard,
    others: Vec<Shard>,
    /// The shard for each value of the `depth` lowest shard bits: 0 is the first one, 1 the first of the others. Empty while there is one
    /// shard only. It has four bytes for some 1,000 values.
    directory: Vec<u32>,
    /// Shards whose numbers agree in as many bits as the directory uses.
    deepest: u32,
    len: usize,
}

#[derive(Debug, Default)]
struct Shard {
    numbers: HashTable<u32>,
    /// How many numbers it has when it grows or is split: as many as the table has room for, or fewer.
    room: u32,
    /// How many of the lowest shard bits its numbers agree in, and these bits.
    depth: u32,
    prefix: u32,
}

/// Numbers in a shard, at most, unless their hashes agree: what a table of 2,048 buckets has room for. To split one reads as many values,
/// which may lie far apart in memory.
#[inline(always)]
fn shard_max() -> usize {
    pieces::either(1792, 3)
}

/// Values that are hashed before the first of them is inserted anywhere: they lie apart in memory, and the processor reads several at once.
const HASHED: usize = 32;

impl Shard {
    fn new(numbers: HashTable<u32>, depth: u32, prefix: u32) -> Self {
        let room = numbers.capacity();
        let room = if room < shard_max() || depth == DEPTH_MAX { room } else { room.min(split_at(depth, prefix)) };
        Self { numbers, room: room as u32, depth, prefix }
    }

    /// Returns whether it has to grow, or to be split, before a number is inserted.
    #[inline(always)]
    fn is_full(&self) -> bool {
        // Removed numbers take room, too, until the table is built anew.
        self.numbers.len() >= self.room as usize || self.numbers.len() == self.numbers.capacity()
    }
}

/// Returns how many numbers a shard has when it is split: from 9/16 of the most, up to the most.
fn split_at(depth: u32, prefix: u32) -> usize {
    let sixteenths = if depth == 0 { 16 } else { 16 - spread(prefix, depth) };
    shard_max() * sixteenths / 16
}

/// Returns 0 to 7, differently for shards of different prefixes.
fn spread(prefix: u32, depth: u32) -> usize {
    ((prefix ^ depth << 26).wrapping_mul(0x9e37_79b1) >> 29) as usize
}

impl Index {
    #[inline(always)]
    fn shard_of(&self, hash: u64) -> usize {
        self.directory[(hash >> SHARD_BITS_AT) as usize & (self.directory.len() - 1)] as usize
    }

    #[inline(always)]
    fn shard(&self, hash: u64) -> &Shard {
        if self.directory.is_empty() { &self.first } else { self.shard_at(self.shard_of(hash)) }
    }

    #[inline(always)]
    fn shard_mut(&mut self, hash: u64) -> &mut Shard {
        if self.directory.is_empty() { &mut self.first } else { self.shard_at_mut(self.shard_of(hash)) }
    }

    fn shard_at(&self, at: usize) -> &Shard {
        if at == 0 { &self.first } else { &self.others[at - 1] }
    }

    fn shard_at_mut(&mut self, at: usize) -> &mut Shard {
        if at == 0 { &mut self.first } else { &mut self.others[at - 1] }
    }

    /// The count of numbers.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the index is quickly dropped.
    pub(crate) fn is_small(&self) -> bool {
        self.directory.is_empty()
    }

    /// Finds the number with this hash that `is_equal` accepts.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut is_equal: impl FnMut(u32) -> bool) -> Option<u32> {
        self.shard(hash).numbers.find(hash, |&number| is_equal(number)).copied()
    }

    /// Inserts a number that is not there. `hash_of` gives the hash of any number.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u64, number: u32, hash_of: impl Fn(u32) -> u64) {
        self.len += 1;
        let shard = self.shard_mut(hash);
        if shard.is_full() {
            self.insert_beyond(hash, number, &hash_of);
        } else {
            // There is room: no number is hashed again here.
            shard.numbers.insert_unique(hash, number, |_| 0);
        }
    }

    /// Inserts a number for which its shard has no room.
    #[cold]
    #[inline(never)]
    fn insert_beyond(&mut self, hash: u64, number: u32, hash_of: &impl Fn(u32) -> u64) {
        self.make_room(hash, hash_of);
        self.shard_mut(hash).numbers.insert_unique(hash, number, |_| 0);
    }

    /// Makes room for a number with this hash.
    fn make_room(&mut self, hash: u64, hash_of: &impl Fn(u32) -> u64) {
        let at = if self.directory.is_empty() { 0 } else { self.shard_of(hash) };
        let shard = self.shard_at_mut(at);
        let (len, depth, prefix) = (shard.numbers.len(), shard.depth, shard.prefix);
        if 4 * len >= 3 * split_at(depth, prefix) && depth < DEPTH_MAX {
            self.split(at, hash_of);
            // All may have gone to one side.
            if self.shard(hash).is_full() {
                self.make_room(hash, hash_of);
            }
        } else {
            pieces::count(len);
            let max = shard_max();
            let capacity = if len < max { (2 * len).clamp(1, max) } else { 2 * len };
            *shard = Shard::new(rebuilt([&shard.numbers], capacity, hash_of), depth, prefix);
        }
    }

    /// Splits a shard by one more bit of the hashes.
    fn split(&mut self, at: usize, hash_of: &impl Fn(u32) -> u64) {
        let Shard { numbers, depth, prefix, .. } = core::mem::take(self.shard_at_mut(at));
        pieces::count(numbers.len());
        if self.directory.len() <= 1 << depth {
            // This shard was among the deepest: the directory doubles.
            let old = if self.directory.is_empty() { vec![0] } else { core::mem::take(&mut self.directory) };
            pieces::count(old.len() / pieces::COPIED);
            self.directory = [&old[..], &old[..]].concat();
            self.deepest = 0;
        }
        let bit = 1u64 << (SHARD_BITS_AT + depth);
        let mut halves = [(); 2].map(|()| HashTable::with_capacity(numbers.len()));
        for_each_hashed(&numbers, hash_of, |hash, number| {
            halves[usize::from(hash & bit != 0)].insert_unique(hash, number, |_| 0);
        });
        let [low, high] = halves;
        let added = self.others.len() + 1;
        self.others.push(Shard::new(high, depth + 1, prefix | 1 << depth));
        *self.shard_at_mut(at) = Shard::new(low, depth + 1, prefix);
        self.lead(at);
        self.lead(added);
        if self.directory.len() == 1 << (depth + 1) {
            self.deepest += 2;
        }
    }

    /// Makes the directory lead to a shard.
    fn lead(&mut self, at: usize) {
        let Shard { depth, prefix, .. } = *self.shard_at(at);
        let mut entry = prefix as usize;
        while entry < self.directory.len() {
            self.directory[entry] = at as u32;
            entry += 1 << depth;
        }
    }

    /// Removes a number. False: it was not there.
    #[inline]
    pub(crate) fn remove(&mut self, hash: u64, number: u32, hash_of: impl Fn(u32) -> u64) -> bool {
        let shard = self.shard_mut(hash);
        let Ok(entry) = shard.numbers.find_entry(hash, |&other| other == number) else { return false };
        entry.remove();
        let len = shard.numbers.len();
        let is_sparse = 4 * len < shard.numbers.capacity() && len.is_multiple_of(SHRUNK_AT);
        self.len -= 1;
        if is_sparse {
            self.shrink(hash, &hash_of);
        }
        true
    }

    /// Gives back memory of a shard that is nearly empty.
    #[cold]
    #[inline(never)]
    fn shrink(&mut self, hash: u64, hash_of: &impl Fn(u32) -> u64) {
        if self.len == 0 {
            *self = Self::default();
            return;
        }
        let at = if self.directory.is_empty() { 0 } else { self.shard_of(hash) };
        let Shard { ref numbers, depth, prefix, .. } = *self.shard_at(at);
        if depth > 0 {
            let other = self.directory[(prefix ^ 1 << (depth - 1)) as usize] as usize;
            let together = numbers.len() + self.shard_at(other).numbers.len();
            if self.shard_at(other).depth == depth && together <= merge_max(prefix & !(1 << (depth - 1))) {
                return self.merge(at, other, hash_of);
            }
        }
        let (len, capacity) = (numbers.len(), numbers.capacity());
        if capacity > 8 && len < capacity / 8 {
            pieces::count(len);
            let shard = self.shard_at_mut(at);
            *shard = Shard::new(rebuilt([&shard.numbers], 2 * len, hash_of), depth, prefix);
        }
    }

    /// Makes one shard of two that differ in their last bit only.
    fn merge(&mut self, a: usize, b: usize, hash_of: &impl Fn(u32) -> u64) {
        let Shard { depth, prefix, .. } = *self.shard_at(a);
        let (kept, gone) = (a.min(b), a.max(b));
        let both = [&self.shard_at(a).numbers, &self.shard_at(b).numbers];
        let len = both[0].len() + both[1].len();
        pieces::count(len);
        let numbers = rebuilt(both, len + len / 4, hash_of);
        let prefix = prefix & !(1 << (depth - 1));
        *self.shard_at_mut(kept) = Shard::new(numbers, depth - 1, prefix);
        if self.directory.len() == 1 << depth {
            self.deepest -= 2;
        }
        self.lead(kept);
        // The first one is never gone.
        self.others.swap_remove(gone - 1);
        if gone <= self.others.len() {
            self.lead(gone);
        }
        self.shrink_directory();
        if self.others.capacity() > 4 * self.others.len() + 4 {
            self.others.shrink_to(2 * self.others.len());
        }
    }

    fn shrink_directory(&mut self) {
        while self.deepest == 0 && self.directory.len() > 1 {
            pieces::count(self.directory.len() / pieces::COPIED);
            let half = self.directory.len() / 2;
            self.directory.truncate(half);
            self.directory.shrink_to_fit();
            if half == 1 {
                self.directory = Vec::new();
                break;
            }
            let depth = half.trailing_zeros();
            let shards = core::iter::once(&self.first).chain(&self.others);
            self.deepest = shards.filter(|shard| shard.depth == depth).count() as u32;
        }
    }

    /// A value has another number, and the same hash.
    pub(crate) fn renumber(&mut self, hash: u64, from: u32, to: u32) {
        if let Some(number) = self.shard_mut(hash).numbers.find_mut(hash, |&number| number == from) {
            *number = to;
        }
    }
}

/// Returns how many numbers two shards may have together to become one of this prefix: not the same for all, so that shards which
/// empty at the same pace are not all merged at the same time.
fn merge_max(prefix: u32) -> usize {
    let max = shard_max();
    max / 4 + spread(prefix, 0) * max / 32
}

/// Returns a table of the numbers in `tables`, with room for `capacity`, which is at least as many.
fn rebuilt<const N: usize>(
    tables: [&HashTable<u32>; N],
    capacity: usize,
    hash_of: &impl Fn(u32) -> u64,
) -> HashTable<u32> {
    let mut rebuilt = HashTable::with_capacity(capacity);
    for numbers in tables {
        for_each_hashed(numbers, hash_of, |hash, number| {
            rebuilt.insert_unique(hash, number, |_| 0);
        });
    }
    rebuilt
}

/// Calls `each` with the numbers of a table and their hashes.
fn for_each_hashed(numbers: &HashTable<u32>, hash_of: &impl Fn(u32) -> u64, mut each: impl FnMut(u64, u32)) {
    let mut numbers = all(numbers);
    let mut hashed = [(0, 0); HASHED];
    loop {
        let mut len = 0;
        for (slot, &number) in hashed.iter_mut().zip(&mut numbers) {
            *slot = (hash_of(number), number);
            len += 1;
        }
        hashed[..len].iter().for_each(|&(hash, number)| each(hash, number));
        if len < HASHED {
            return;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "where the order is of no consequence")]
fn all(numbers: &HashTable<u32>) -> impl Iterator<Item = &u32> {
    numbers.iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    /// Some hashes agree in all bits that choose a shard.
    fn hash_of(number: u32) -> u64 {
        u64::from(number / 3).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_is_a_set(ops in prop::collection::vec((any::<bool>(), 0..200u32), 0..400)) {
            let (mut index, mut model) = (Index::default(), BTreeSet::new());
            for (is_added, number) in ops {
                if !is_added {
                    prop_assert_eq!(index.remove(hash_of(number), number, hash_of), model.remove(&number));
                } else if model.insert(number) {
                    index.insert(hash_of(number), number, hash_of);
                }
                prop_assert_eq!((index.len(), index.is_empty()), (model.len(), model.is_empty()));
                for number in 0..200 {
                    let found = index.find(hash_of(number), |other| other == number);
                    prop_assert_eq!(found.is_some(), model.contains(&number));
                }
                let depth = index.directory.len().trailing_zeros();
                let shards = core::iter::once(&index.first).chain(&index.others);
                let deepest = shards.filter(|shard| shard.depth == depth).count();
                prop_assert!(index.directory.is_empty() || (deepest == index.deepest as usize && deepest > 0));
            }
            while let Some(number) = model.pop_first() {
                index.renumber(hash_of(number), number, number + 1000);
                prop_assert!(!index.remove(hash_of(number), number, hash_of));
                let hash = |number| hash_of(number % 1000);
                prop_assert!(index.remove(hash_of(number), number + 1000, hash));
            }
            prop_assert!(index.others.is_empty() && index.first.numbers.capacity() == 0);
        }
    }
}
