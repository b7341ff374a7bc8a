//! A set of small numbers, one bit each.
//!
//! Invariant: a bit of the summary is set exactly if its word has a bit set.

use alloc::vec::Vec;

#[derive(Debug, Default)]
pub(super) struct Bits {
    words: Vec<u64>,
    /// One bit for each word that is not 0.
    summary: Vec<u64>,
    len: usize,
}

impl Bits {
    pub(super) fn contains(&self, n: u32) -> bool {
        self.words.get(n as usize / 64).is_some_and(|word| word & bit(n) != 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Inserts a number. False: it was there.
    pub(super) fn insert(&mut self, n: u32) -> bool {
        let at = n as usize / 64;
        if at >= self.words.len() {
            self.words.resize(at + 1, 0);
            self.summary.resize(at / 64 + 1, 0);
        }
        let was = self.words[at];
        self.words[at] |= bit(n);
        self.summary[at / 64] |= bit(at as u32);
        let is_new = was & bit(n) == 0;
        self.len += usize::from(is_new);
        is_new
    }

    /// Removes a number. False: it was not there.
    pub(super) fn remove(&mut self, n: u32) -> bool {
        if !self.contains(n) {
            return false;
        }
        let at = n as usize / 64;
        self.words[at] &= !bit(n);
        if self.words[at] == 0 {
            self.summary[at / 64] &= !bit(at as u32);
        }
        self.len -= 1;
        true
    }

    /// Returns the lowest number from `n` on. Costs one step for each 4096 numbers between.
    pub(super) fn next_from(&self, n: u32) -> Option<u32> {
        let at = n as usize / 64;
        let rest = self.words.get(at)? & !(bit(n) - 1);
        if rest != 0 {
            return Some(at as u32 * 64 + rest.trailing_zeros());
        }
        let at = at + 1;
        let first = self.summary.get(at / 64)? & !(bit(at as u32) - 1);
        let rest = self.summary[at / 64 + 1..].iter().copied();
        let (word, bits) = core::iter::once(first).chain(rest).enumerate().find(|(_, bits)| *bits != 0)?;
        let word = (at / 64 + word) * 64 + bits.trailing_zeros() as usize;
        Some(word as u32 * 64 + self.words[word].trailing_zeros())
    }

    /// Removes all numbers from `end` on, and gives back their memory.
    pub(super) fn truncate(&mut self, end: u32) {
        let words = (end as usize).div_ceil(64);
        while self.words.len() > words {
            let word = self.words.pop().unwrap_or(0);
            let at = self.words.len();
            self.len -= word.count_ones() as usize;
            self.summary[at / 64] &= !bit(at as u32);
        }
        if let Some(last) = self.words.get_mut(end as usize / 64) {
            let gone = *last & !(bit(end) - 1);
            self.len -= gone.count_ones() as usize;
            *last &= !gone;
            if *last == 0 {
                self.summary[end as usize / 4096] &= !bit(end / 64);
            }
        }
        self.words.shrink_to_fit();
        self.summary.truncate(words.div_ceil(64));
        self.summary.shrink_to_fit();
    }
}

fn bit(n: u32) -> u64 {
    1 << (n % 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn they_are_a_set(ops in prop::collection::vec((any::<bool>(), 0..20_000u32), 0..100), from in 0..20_000u32) {
            let (mut bits, mut model) = (Bits::default(), BTreeSet::new());
            for (is_added, n) in ops {
                match is_added {
                    true => prop_assert_eq!(bits.insert(n), model.insert(n)),
                    false => prop_assert_eq!(bits.remove(n), model.remove(&n)),
                }
                prop_assert_eq!(bits.next_from(from), model.range(from..).next().copied());
                prop_assert_eq!(bits.is_empty(), model.is_empty());
            }
            bits.truncate(from);
            model.split_off(&from);
            prop_assert_eq!(bits.is_empty(), model.is_empty());
            prop_assert_eq!(bits.next_from(0), model.first().copied());
            prop_assert!((0..20_000).all(|n| bits.contains(n) == model.contains(&n)));
        }
    }
}
