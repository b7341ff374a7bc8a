//! The destinations of a table with the shortest prefixes, such as default routes: in an initial sync, peers without `ordered` are sent
//! these first.
//!
//! Invariant: each destination in it is there and has a prefix that is not a single address. It has at most [`max`] of them, and all there are
//! as long as there never were more; if there were, those with longer prefixes may be missing.

use alloc::collections::BTreeSet;

use crate::{Prefix, pieces};

/// The most destinations that are kept: they are looked up one by one, and others come in the order of their changes.
fn max() -> usize {
    pieces::either(1024, 2)
}

/// A place in the order of the prefixes' lengths: the length, and the destination's place in the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Place {
    prefix_len: u8,
    dest: u32,
}

impl Place {
    /// Before all others.
    pub(super) const FIRST: Self = Self { prefix_len: 0, dest: 0 };

    /// Returns the place of a destination. `None`: the prefix is a single address.
    fn of(prefix: &Prefix, dest: u32) -> Option<Self> {
        let prefix_len = prefix.prefix_len();
        let is_address = prefix_len == if prefix.is_ipv6() { 128 } else { 32 };
        (!is_address).then_some(Self { prefix_len, dest })
    }

    pub(super) fn dest(self) -> u32 {
        self.dest
    }
}

#[derive(Default, Debug)]
pub(super) struct Short(BTreeSet<Place>);

impl Short {
    /// Notes that a destination was added.
    #[inline]
    pub(super) fn insert(&mut self, prefix: &Prefix, dest: u32) {
        if let Some(place) = Place::of(prefix, dest) {
            self.insert_at(place);
        }
    }

    fn insert_at(&mut self, place: Place) {
        if self.0.len() < max() {
            self.0.insert(place);
        } else if self.0.last().is_some_and(|last| place.prefix_len < last.prefix_len) {
            self.0.pop_last();
            self.0.insert(place);
        }
    }

    /// Notes that a destination is gone.
    #[inline]
    pub(super) fn remove(&mut self, prefix: &Prefix, dest: u32) {
        // Mostly a table has none.
        if !self.0.is_empty()
            && let Some(place) = Place::of(prefix, dest)
        {
            self.0.remove(&place);
        }
    }

    /// Notes that a destination has another place in the table.
    pub(super) fn rename(&mut self, prefix: &Prefix, from: u32, to: u32) {
        if let (Some(from), Some(to)) = (Place::of(prefix, from), Place::of(prefix, to))
            && self.0.remove(&from)
        {
            self.0.insert(to);
        }
    }

    /// Returns the first place that is not before `from`.
    pub(super) fn next(&self, from: Place) -> Option<Place> {
        self.0.range(from..).next().copied()
    }

    /// Returns the first place after this one.
    pub(super) fn after(&self, place: Place) -> Option<Place> {
        use core::ops::Bound::{Excluded, Unbounded};
        self.0.range((Excluded(place), Unbounded)).next().copied()
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = Place> + '_ {
        self.0.iter().copied()
    }
}
