//! A set of small numbers, one bit each.

use alloc::vec::Vec;

#[derive(Debug, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    pub(super) fn contains(&self, n: u32) -> bool {
        self.0.get(n as usize / 64).is_some_and(|word| word & bit(n) != 0)
    }

    /// False: it was there.
    pub(super) fn insert(&mut self, n: u32) -> bool {
        let at = n as usize / 64;
        if at >= self.0.len() {
            self.0.resize(at + 1, 0);
        }
        let was = self.0[at];
        self.0[at] |= bit(n);
        was & bit(n) == 0
    }

    /// False: it was not there.
    pub(super) fn remove(&mut self, n: u32) -> bool {
        let was = self.contains(n);
        if was {
            self.0[n as usize / 64] &= !bit(n);
        }
        was
    }

    /// Removes all from `end` on, and gives back their room.
    pub(super) fn truncate(&mut self, end: u32) {
        let words = (end as usize).div_ceil(64);
        if words < self.0.len() {
            self.0.truncate(words);
            self.0.shrink_to_fit();
        }
        if let Some(last) = self.0.get_mut(end as usize / 64) {
            *last &= bit(end) - 1;
        }
    }
}

fn bit(n: u32) -> u64 {
    1 << (n % 64)
}
