//! A set of small numbers, one bit each.
//!
//! Invariant: a bit of a higher level is set exactly if its word of the level below has a bit set.

use alloc::vec::Vec;

#[derive(Debug, Default)]
pub(crate) struct Bits {
    words: Vec<u64>,
    /// One bit for each word that is not 0.
    summary: Vec<u64>,
    /// The same of the summary.
    top: Vec<u64>,
    len: usize,
}

impl Bits {
    #[inline]
    pub(crate) fn contains(&self, n: u32) -> bool {
        self.words.get(n as usize / 64).is_some_and(|word| word & bit(n) != 0)
    }

    /// The count of numbers.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Inserts a number. False: it was there.
    #[inline]
    pub(crate) fn insert(&mut self, n: u32) -> bool {
        let at = n as usize / 64;
        if at >= self.words.len() {
            self.grow(at);
        }
        let was = self.words[at];
        self.words[at] = was | bit(n);
        if was == 0 {
            self.summary[at / 64] |= bit(at as u32);
            self.top[at / 4096] |= bit(at as u32 / 64);
        }
        let is_new = was & bit(n) == 0;
        self.len += usize::from(is_new);
        is_new
    }

    /// Makes room for the word at `at`.
    #[cold]
    fn grow(&mut self, at: usize) {
        self.words.resize(at + 1, 0);
        self.summary.resize(at / 64 + 1, 0);
        self.top.resize(at / 4096 + 1, 0);
    }

    /// Removes a number. False: it was not there.
    #[inline]
    pub(crate) fn remove(&mut self, n: u32) -> bool {
        let at = n as usize / 64;
        let Some(word) = self.words.get_mut(at).filter(|word| **word & bit(n) != 0) else { return false };
        *word &= !bit(n);
        if *word == 0 {
            self.summary[at / 64] &= !bit(at as u32);
            if self.summary[at / 64] == 0 {
                self.top[at / 4096] &= !bit(at as u32 / 64);
            }
        }
        self.len -= 1;
        true
    }

    /// Removes the numbers below `end` down to the first one that is not there, `max` at most. Returns how many.
    pub(crate) fn remove_run_below(&mut self, end: u32, max: u32) -> u32 {
        let mut removed = 0;
        while removed < max
            && let Some(last) = (end - removed).checked_sub(1)
            && let at = last as usize / 64
            && let Some(word) = self.words.get_mut(at)
        {
            // The numbers of this word below `end`, the highest one first.
            let run = (*word << (63 - last % 64)).leading_ones().min(max - removed);
            if run == 0 {
                break;
            }
            *word &= !((u64::MAX >> (64 - run)) << (last % 64 + 1 - run));
            if *word == 0 {
                self.summary[at / 64] &= !bit(at as u32);
                if self.summary[at / 64] == 0 {
                    self.top[at / 4096] &= !bit(at as u32 / 64);
                }
            }
            removed += run;
        }
        self.len -= removed as usize;
        removed
    }

    /// Returns the lowest number. Costs one step for each 2^18 numbers below it.
    pub(crate) fn first(&self) -> Option<u32> {
        let (at, top) = self.top.iter().enumerate().find(|(_, top)| **top != 0)?;
        let at = at * 64 + top.trailing_zeros() as usize;
        let at = at * 64 + self.summary[at].trailing_zeros() as usize;
        Some(at as u32 * 64 + self.words[at].trailing_zeros())
    }

    /// Returns the lowest number from `n` on. Costs one step for each 2^18 numbers between.
    pub(crate) fn next_from(&self, n: u32) -> Option<u32> {
        let word = n as usize / 64;
        next_in(&self.words, word, n).or_else(|| {
            let at = next_in(&self.summary, (word + 1) / 64, word as u32 + 1).or_else(|| {
                let above = (word as u32 + 1) / 64 + 1;
                let first = above as usize / 64;
                let top = next_in(&self.top, first, above).or_else(|| {
                    let (at, top) = self.top.iter().enumerate().skip(first + 1).find(|(_, top)| **top != 0)?;
                    Some(at as u32 * 64 + top.trailing_zeros())
                })?;
                Some(top * 64 + self.summary[top as usize].trailing_zeros())
            })?;
            Some(at * 64 + self.words[at as usize].trailing_zeros())
        })
    }

    /// Removes all numbers from `end` on, and gives back their memory.
    pub(crate) fn truncate(&mut self, end: u32) {
        let words = (end as usize).div_ceil(64);
        while let Some(last) = self.words.last().copied()
            && self.words.len() * 64 > end as usize
        {
            let at = self.words.len() - 1;
            let gone = if self.words.len() > words { last } else { last & !(bit(end) - 1) };
            self.len -= gone.count_ones() as usize;
            self.words[at] = last & !gone;
            if self.words[at] == 0 {
                self.summary[at / 64] &= !bit(at as u32);
                if self.summary[at / 64] == 0 {
                    self.top[at / 4096] &= !bit(at as u32 / 64);
                }
            }
            if self.words.len() == words {
                break;
            }
            self.words.pop();
        }
        self.summary.truncate(words.div_ceil(64));
        self.top.truncate(words.div_ceil(4096));
        for level in [&mut self.words, &mut self.summary, &mut self.top] {
            level.shrink_to_fit();
        }
    }
}

#[inline]
fn bit(n: u32) -> u64 {
    1 << (n % 64)
}

/// Returns the lowest number from `n` on in the word at `at` of a level, which is `n`'s word.
#[inline]
fn next_in(level: &[u64], at: usize, n: u32) -> Option<u32> {
    let rest = level.get(at)? & !(bit(n) - 1);
    (rest != 0).then(|| at as u32 * 64 + rest.trailing_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    /// Numbers near each other, and numbers far apart.
    fn number() -> impl Strategy<Value = u32> {
        prop_oneof![0..200u32, 0..20_000u32, 0..1_000_000u32]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn they_are_a_set(ops in prop::collection::vec((any::<bool>(), number()), 0..100), from in number(), run in 0..150u32) {
            let (mut bits, mut model) = (Bits::default(), BTreeSet::new());
            for n in from.saturating_sub(run)..from {
                bits.insert(n);
                model.insert(n);
            }
            for (is_added, n) in ops {
                match is_added {
                    true => prop_assert_eq!(bits.insert(n), model.insert(n)),
                    false => prop_assert_eq!(bits.remove(n), model.remove(&n)),
                }
                prop_assert_eq!(bits.next_from(from), model.range(from..).next().copied());
                prop_assert_eq!(bits.first(), model.first().copied());
                prop_assert_eq!((bits.len(), bits.is_empty()), (model.len(), model.is_empty()));
            }
            let mut run_end = from;
            while run_end > 0 && from - run_end < 70 && model.remove(&(run_end - 1)) {
                run_end -= 1;
            }
            prop_assert_eq!(bits.remove_run_below(from, 70), from - run_end);
            prop_assert_eq!(bits.len(), model.len());
            let mut all: Vec<u32> = core::iter::successors(bits.first(), |n| bits.next_from(n + 1)).collect();
            prop_assert!(all.iter().eq(model.iter()));
            bits.truncate(from);
            let gone = model.split_off(&from);
            all.retain(|n| bits.contains(*n));
            prop_assert!(all.iter().eq(model.iter()) && gone.iter().all(|n| !bits.contains(*n)));
            prop_assert_eq!(bits.len(), model.len());
            prop_assert_eq!(bits.next_from(0), model.first().copied());
            // What was cut off can be inserted again.
            bits.insert(from);
            prop_assert_eq!(bits.next_from(from), Some(from));
        }
    }
}
