//! Collections that are no longer needed. To drop one of a million entries takes tens of milliseconds: a large one is dropped in slices.
//!
//! Invariant: what is discarded is not used again; only its memory is given back.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;

use super::client::Subscriptions;
use super::server::Relief;
use crate::Vni;

/// Entries of a collection that is dropped at once.
const AT_ONCE: usize = 1024;
/// Entries that are dropped for one unit of a slice's budget.
const ENTRIES_PER_UNIT: usize = 8;
/// What a peer of a relief costs of it: it has an entry in several sets.
const PEER: usize = 4;

/// A large collection that is no longer needed.
#[derive(Debug)]
pub(super) enum Discarded {
    Relief(Box<Relief>),
    Subscriptions(Box<Subscriptions>),
    Vnis(BTreeSet<Vni>),
}

impl Discarded {
    /// Returns whether it is small enough to be dropped at once.
    pub(super) fn is_small(&self) -> bool {
        let entries = match self {
            Self::Relief(relief) => relief.len(),
            Self::Subscriptions(subscriptions) => subscriptions.len(),
            Self::Vnis(vnis) => vnis.len(),
        };
        entries <= AT_ONCE
    }

    /// Drops entries, as many as `budget` allows. Returns whether the rest is small enough to be dropped at once.
    pub(super) fn drop_some(&mut self, budget: &mut usize) -> bool {
        while !self.is_small() {
            if *budget == 0 {
                return false;
            }
            *budget = budget.saturating_sub(if matches!(self, Self::Relief(_)) { PEER } else { 1 });
            match self {
                Self::Relief(relief) => {
                    relief.pop();
                }
                Self::Subscriptions(subscriptions) => (0..ENTRIES_PER_UNIT).for_each(|_| subscriptions.drop_one()),
                Self::Vnis(vnis) => (0..ENTRIES_PER_UNIT).for_each(|_| {
                    vnis.pop_first();
                }),
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_collection_is_dropped_within_the_budget_of_each_slice() {
        let vnis = (0..AT_ONCE as u32 + 80).map(Vni).collect();
        let mut discarded = Discarded::Vnis(vnis);
        assert!(!discarded.is_small());
        let mut budget = 9;
        assert!(!discarded.drop_some(&mut budget), "nine units drop 72 of the 80 entries over the limit");
        assert_eq!(budget, 0);
        let mut budget = 9;
        assert!(discarded.drop_some(&mut budget));
        assert_eq!(budget, 8, "the last eight cost one unit");
    }
}
