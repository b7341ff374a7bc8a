//! A hash index: numbers of values that lie elsewhere, found by the hashes of the values.
//!
//! Invariants: each number lies in the shard to which the directory leads from its value's hash. A full shard is split in two, and two
//! shards that are nearly empty become one; so no operation hashes more values than one shard has.

use alloc::vec;
use alloc::vec::Vec;

use hashbrown::HashTable;

use crate::pieces;

/// Where in a hash the bits lie that choose a shard: a shard itself uses the lowest ones and the seven highest ones.
const SHARD_BITS_AT: u32 = 24;
/// A directory has 2^24 entries at most.
const DEPTH_MAX: u32 = 24;

/// Numbers by hash. The owner's closures compare and hash the values that the numbers stand for.
#[derive(Debug, Default)]
pub(crate) struct Index {
    shards: Vec<Shard>,
    /// The shard for each value of the `depth` lowest shard bits; empty while there is one shard at most. It has four bytes
    /// for some 300 values.
    directory: Vec<u32>,
    /// Shards whose numbers agree in as many bits as the directory uses.
    deepest: u32,
    len: usize,
}

#[derive(Debug, Default)]
struct Shard {
    numbers: HashTable<u32>,
    /// How many of the lowest shard bits its numbers agree in, and these bits.
    depth: u32,
    prefix: u32,
}

/// Numbers in a shard, at most, unless their hashes agree.
fn shard_max() -> usize {
    pieces::either(448, 3)
}

impl Index {
    #[inline(always)]
    fn shard_of(&self, hash: u64) -> usize {
        if self.directory.is_empty() {
            0
        } else {
            self.directory[(hash >> SHARD_BITS_AT) as usize & (self.directory.len() - 1)] as usize
        }
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

    /// Finds the number with this hash that `is_equal` accepts.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut is_equal: impl FnMut(u32) -> bool) -> Option<u32> {
        let shard = self.shards.get(self.shard_of(hash))?;
        shard.numbers.find(hash, |&number| is_equal(number)).copied()
    }

    /// Inserts a number that is not there. `hash_of` gives the hash of any number.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u64, number: u32, hash_of: impl Fn(u32) -> u64) {
        if self.shards.is_empty() {
            self.shards.reserve_exact(1);
            self.shards.push(Shard::default());
        }
        self.len += 1;
        let mut shard = self.shard_of(hash);
        if self.shards[shard].numbers.len() == self.shards[shard].numbers.capacity() {
            self.make_room(shard, &hash_of);
            shard = self.shard_of(hash);
        }
        self.shards[shard].numbers.insert_unique(hash, number, |&number| hash_of(number));
    }

    #[cold]
    fn make_room(&mut self, shard: usize, hash_of: &impl Fn(u32) -> u64) {
        let len = self.shards[shard].numbers.len();
        // Removed numbers take room, too, until a shard is built anew.
        if 4 * len >= 3 * shard_max() && self.shards[shard].depth < DEPTH_MAX {
            self.split(shard, hash_of);
        } else {
            pieces::count(len);
            self.shards[shard].numbers = rebuilt(self.shards[shard].numbers.iter(), len + len / 3 + 1, hash_of);
        }
    }

    /// Splits a shard by one more bit of the hashes.
    fn split(&mut self, at: usize, hash_of: &impl Fn(u32) -> u64) {
        let Shard { numbers, depth, prefix } = core::mem::take(&mut self.shards[at]);
        pieces::count(numbers.len());
        if self.directory.len() <= 1 << depth {
            // This shard was among the deepest: the directory doubles.
            let old = if self.directory.is_empty() { vec![0] } else { core::mem::take(&mut self.directory) };
            pieces::count(old.len() / pieces::COPIED);
            self.directory = [&old[..], &old[..]].concat();
            self.deepest = 0;
        }
        let bit = 1u64 << (SHARD_BITS_AT + depth);
        let (low, high): (Vec<_>, Vec<_>) =
            numbers.iter().map(|&number| (hash_of(number), number)).partition(|&(hash, _)| hash & bit == 0);
        let added = self.shards.len();
        for (place, prefix, hashed) in [(at, prefix, low), (added, prefix | 1 << depth, high)] {
            let mut numbers = HashTable::with_capacity(hashed.len() + 1);
            for (hash, number) in hashed {
                numbers.insert_unique(hash, number, |_| 0);
            }
            let shard = Shard { numbers, depth: depth + 1, prefix };
            if place == added {
                self.shards.push(shard)
            } else {
                self.shards[place] = shard
            }
            self.lead(place);
        }
        if self.directory.len() == 1 << (depth + 1) {
            self.deepest += 2;
        }
    }

    /// Makes the directory lead to a shard.
    fn lead(&mut self, shard: usize) {
        let Shard { depth, prefix, .. } = self.shards[shard];
        let mut entry = prefix as usize;
        while entry < self.directory.len() {
            self.directory[entry] = shard as u32;
            entry += 1 << depth;
        }
    }

    /// Removes a number. False: it was not there.
    #[inline]
    pub(crate) fn remove(&mut self, hash: u64, number: u32, hash_of: impl Fn(u32) -> u64) -> bool {
        let at = self.shard_of(hash);
        let Some(shard) = self.shards.get_mut(at) else { return false };
        let Ok(entry) = shard.numbers.find_entry(hash, |&other| other == number) else { return false };
        entry.remove();
        self.len -= 1;
        if 4 * shard.numbers.len() < shard.numbers.capacity() || self.len == 0 {
            self.shrink(at, &hash_of);
        }
        true
    }

    /// Gives back memory of a shard that is nearly empty.
    #[cold]
    fn shrink(&mut self, at: usize, hash_of: &impl Fn(u32) -> u64) {
        if self.len == 0 {
            *self = Self::default();
            return;
        }
        let Shard { ref numbers, depth, prefix } = self.shards[at];
        if depth > 0 {
            let other = self.directory[(prefix ^ 1 << (depth - 1)) as usize] as usize;
            let together = numbers.len() + self.shards[other].numbers.len();
            if self.shards[other].depth == depth && together <= merge_max(prefix & !(1 << (depth - 1))) {
                return self.merge(at, other, hash_of);
            }
        }
        let capacity = numbers.capacity();
        if capacity > 8 && numbers.len() < capacity / 8 {
            pieces::count(numbers.len());
            self.shards[at].numbers = rebuilt(numbers.iter(), 2 * numbers.len(), hash_of);
        }
    }

    /// Makes one shard of two that differ in their last bit only.
    fn merge(&mut self, a: usize, b: usize, hash_of: &impl Fn(u32) -> u64) {
        let depth = self.shards[a].depth;
        let (kept, gone) = (a.min(b), a.max(b));
        let all = self.shards[a].numbers.iter().chain(self.shards[b].numbers.iter());
        let len = self.shards[a].numbers.len() + self.shards[b].numbers.len();
        pieces::count(len);
        let numbers = rebuilt(all, len + len / 4, hash_of);
        let prefix = self.shards[a].prefix & !(1 << (depth - 1));
        self.shards[kept] = Shard { numbers, depth: depth - 1, prefix };
        if self.directory.len() == 1 << depth {
            self.deepest -= 2;
        }
        self.lead(kept);
        self.shards.swap_remove(gone);
        if gone < self.shards.len() {
            self.lead(gone);
        }
        self.shrink_directory();
        if self.shards.capacity() > 4 * self.shards.len() + 4 {
            self.shards.shrink_to(2 * self.shards.len());
        }
    }

    fn shrink_directory(&mut self) {
        while self.deepest == 0 && self.directory.len() > 1 {
            pieces::count(self.directory.len() / pieces::COPIED);
            let half = self.directory.len() / 2;
            self.directory.truncate(half);
            self.directory.shrink_to_fit();
            let depth = half.trailing_zeros();
            self.deepest = self.shards.iter().filter(|shard| shard.depth == depth).count() as u32;
            if half == 1 {
                self.directory = Vec::new();
                break;
            }
        }
    }

    /// A value has another number, and the same hash.
    pub(crate) fn renumber(&mut self, hash: u64, from: u32, to: u32) {
        let at = self.shard_of(hash);
        if let Some(number) =
            self.shards.get_mut(at).and_then(|shard| shard.numbers.find_mut(hash, |&number| number == from))
        {
            *number = to;
        }
    }
}

/// Returns how many numbers two shards may have together to become one: not the same for all, so that shards which empty at the same
/// pace are not all merged at the same time. `prefix`: what their prefixes have in common.
fn merge_max(prefix: u32) -> usize {
    let eighths = (prefix.wrapping_mul(0x9e37_79b1) >> 29) as usize;
    shard_max() / 4 + eighths * shard_max() / 32
}

/// A shard's numbers in a table of another size. The hashes are computed first: the values lie anywhere in memory, which is read for
/// several of them at once so.
fn rebuilt<'a>(
    numbers: impl Iterator<Item = &'a u32>,
    capacity: usize,
    hash_of: &impl Fn(u32) -> u64,
) -> HashTable<u32> {
    let hashed: Vec<(u64, u32)> = numbers.map(|&number| (hash_of(number), number)).collect();
    let mut table = HashTable::with_capacity(capacity);
    for (hash, number) in hashed {
        table.insert_unique(hash, number, |_| 0);
    }
    table
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
                let deepest = index.shards.iter().filter(|shard| shard.depth == depth).count();
                prop_assert!(index.directory.is_empty() || (deepest == index.deepest as usize && deepest > 0));
            }
            while let Some(number) = model.pop_first() {
                index.renumber(hash_of(number), number, number + 1000);
                prop_assert!(!index.remove(hash_of(number), number, hash_of));
                let hash = |number| hash_of(number % 1000);
                prop_assert!(index.remove(hash_of(number), number + 1000, hash));
            }
            prop_assert!(index.shards.is_empty());
        }
    }
}
