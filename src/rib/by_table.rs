//! Some of an origin's routes, by table.

use alloc::collections::{BTreeMap, BTreeSet};

use super::table::TableId;

#[derive(Debug, Default)]
pub(super) struct ByTable(BTreeMap<TableId, BTreeSet<u32>>);

impl ByTable {
    pub(super) fn insert(&mut self, table: TableId, hop: u32) {
        self.0.entry(table).or_default().insert(hop);
    }

    /// False: it was not there.
    pub(super) fn remove(&mut self, table: TableId, hop: u32) -> bool {
        let Some(hops) = self.0.get_mut(&table) else { return false };
        let was = hops.remove(&hop);
        if hops.is_empty() {
            self.0.remove(&table);
        }
        was
    }

    /// A hop has another number.
    pub(super) fn rename(&mut self, table: TableId, from: u32, to: u32) {
        if self.remove(table, from) {
            self.insert(table, to);
        }
    }

    pub(super) fn first(&self) -> Option<(TableId, u32)> {
        let (&table, hops) = self.0.first_key_value()?;
        Some((table, *hops.first()?))
    }

    pub(super) fn take(&mut self, table: TableId) -> Option<BTreeSet<u32>> {
        self.0.remove(&table)
    }
}
