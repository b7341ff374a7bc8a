//! Values that are kept once and known by a number, with a count of the references to each.
//!
//! Invariant: a number stands for the same value while it has references; two equal values have the same number.

use core::hash::{BuildHasher, Hash};

use foldhash::fast::FixedState;

use crate::index::Index;
use crate::pool::Pool;

#[derive(Debug)]
struct Entry<T, D> {
    value: T,
    /// Derived from the value, once.
    derived: D,
    /// 0: the number is free.
    references: u32,
}

/// Values `T`, each with something that is derived from it.
#[derive(Debug)]
pub(crate) struct Interner<T, D = ()> {
    seed: FixedState,
    index: Index,
    entries: Pool<Entry<T, D>>,
    /// The number that was used last: mostly it is the next one, too.
    recent: u32,
}

impl<T: Hash + Eq, D> Interner<T, D> {
    pub(crate) fn new(seed: FixedState) -> Self {
        Self { seed, index: Index::default(), entries: Pool::default(), recent: 0 }
    }

    pub(crate) fn find(&self, value: &T) -> Option<u32> {
        if let Some(recent) = self.entries.get(self.recent)
            && recent.references > 0
            && recent.value == *value
        {
            return Some(self.recent);
        }
        self.index.find(self.seed.hash_one(value), |id| self.entries[id].value == *value)
    }

    /// Adds a reference to a value.
    pub(crate) fn acquire(&mut self, value: T, derive: impl FnOnce(&T) -> D) -> u32 {
        if let Some(id) = self.find(&value) {
            self.recent = id;
            self.entries[id].references += 1;
            return id;
        }
        let hash = self.seed.hash_one(&value);
        let derived = derive(&value);
        let id = self.entries.insert(Entry { value, derived, references: 1 });
        self.recent = id;
        let Self { entries, seed, .. } = self;
        self.index.insert(hash, id, |id| seed.hash_one(&entries[id].value));
        id
    }

    /// Expects that this number is asked for next.
    pub(crate) fn expect(&mut self, id: u32) {
        self.recent = id;
    }

    /// Removes a reference. Returns whether it was the last one.
    pub(crate) fn release(&mut self, id: u32) -> bool {
        let entry = &mut self.entries[id];
        entry.references -= 1;
        if entry.references > 0 {
            return false;
        }
        let Self { entries, seed, .. } = self;
        let hash_of = |id| seed.hash_one(&entries[id].value);
        self.index.remove(hash_of(id), id, hash_of);
        self.entries.release(id);
        true
    }

    pub(crate) fn get(&self, id: u32) -> &T {
        &self.entries[id].value
    }

    pub(crate) fn derived(&self, id: u32) -> &D {
        &self.entries[id].derived
    }
}
