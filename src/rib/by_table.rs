//! An origin's routes by table, for a peer whose UNSUBSCRIBE withdraws all that it announces in a VNI.
//!
//! Invariants: each hop that the origin announces is in the set of its table, with the epoch in which it was announced last. Hops of an
//! epoch before the table's are taken: they are to be withdrawn. So all hops of a table are taken at once by a higher epoch.

use alloc::collections::{BTreeMap, BTreeSet};

use super::table::TableId;

/// Hops that are passed for one unit of a budget, when taken ones are looked for.
const PASSED: u32 = 16;

#[derive(Debug, Default)]
pub(super) struct ByTable {
    tables: BTreeMap<TableId, Hops>,
    /// The tables with hops that are taken.
    taken: BTreeSet<TableId>,
}

#[derive(Debug, Default)]
struct Hops {
    /// Each hop's epoch.
    epochs: BTreeMap<u32, u32>,
    epoch: u32,
    /// Hops of earlier epochs.
    taken: usize,
    /// Hops of earlier epochs are before this one.
    end: u32,
}

impl ByTable {
    /// Notes that the origin announces a hop, now or once more.
    pub(super) fn insert(&mut self, table: TableId, hop: u32) {
        let hops = self.tables.entry(table).or_default();
        let old = hops.epochs.insert(hop, hops.epoch);
        if old.is_some_and(|old| old != hops.epoch) {
            hops.taken -= 1;
            self.check(table);
        }
    }

    /// Notes that the origin does not announce a hop any more.
    pub(super) fn remove(&mut self, table: TableId, hop: u32) {
        let Some(hops) = self.tables.get_mut(&table) else { return };
        if hops.epochs.remove(&hop).is_some_and(|old| old != hops.epoch) {
            hops.taken -= 1;
        }
        self.check(table);
    }

    /// Drops what is empty.
    fn check(&mut self, table: TableId) {
        let Some(hops) = self.tables.get(&table) else { return };
        if hops.taken == 0 {
            self.taken.remove(&table);
        }
        if hops.epochs.is_empty() {
            self.tables.remove(&table);
        }
    }

    /// Gives a hop its new number, which is lower.
    pub(super) fn rename(&mut self, table: TableId, from: u32, to: u32) {
        if let Some(hops) = self.tables.get_mut(&table)
            && let Some(epoch) = hops.epochs.remove(&from)
        {
            hops.epochs.insert(to, epoch);
        }
    }

    /// Takes all hops of a table. False: there is none that was not taken before.
    pub(super) fn take(&mut self, table: TableId) -> bool {
        let Some(hops) = self.tables.get_mut(&table) else { return false };
        if hops.taken == hops.epochs.len() {
            return false;
        }
        // One UNSUBSCRIBE each: 2^32 take a connection years, and all are withdrawn long before.
        hops.epoch = hops.epoch.wrapping_add(1);
        (hops.taken, hops.end) = (hops.epochs.len(), u32::MAX);
        self.taken.insert(table);
        true
    }

    /// Whether no hop is taken.
    pub(super) fn has_none_taken(&self) -> bool {
        self.taken.is_empty()
    }

    /// Returns a hop that is taken. Passes others, from the highest downwards, within `budget`. `Err`: whether none is taken.
    pub(super) fn next_taken(&mut self, budget: &mut usize) -> Result<(TableId, u32), bool> {
        let Some(&table) = self.taken.first() else { return Err(true) };
        let Some(hops) = self.tables.get_mut(&table) else { return Err(true) };
        let mut passed = 0;
        for (&hop, &epoch) in hops.epochs.range(..hops.end).rev() {
            if epoch != hops.epoch {
                return Ok((table, hop));
            }
            hops.end = hop;
            passed += 1;
            if passed % PASSED == 0 {
                *budget = budget.saturating_sub(1);
                if *budget == 0 {
                    break;
                }
            }
        }
        Err(false)
    }
}
