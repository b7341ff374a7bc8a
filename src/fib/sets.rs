//! Sets of hypervisors, each stored once and known by a number: thousands of destinations share one.
//!
//! Invariant: a set has a number as long as something refers to it.

use alloc::vec::Vec;
use core::hash::BuildHasher;
use core::net::Ipv6Addr;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use smallvec::SmallVec;

/// A hypervisor that routes to a destination name, and whether routes of kind STANDARD or of other kinds do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Source {
    addr: Ipv6Addr,
    is_standard: bool,
    is_other: bool,
}

impl Source {
    /// Returns a hypervisor that a route of kind STANDARD names, or of another kind.
    pub(super) const fn new(addr: Ipv6Addr, is_standard: bool) -> Self {
        Self { addr, is_standard, is_other: !is_standard }
    }

    pub(super) const fn addr(&self) -> Ipv6Addr {
        self.addr
    }

    /// Returns whether a route of another kind than STANDARD names the hypervisor.
    pub(super) const fn is_other(&self) -> bool {
        self.is_other
    }
}

/// Hypervisors in the order of their addresses, each once.
pub(super) type Sources = SmallVec<[Source; 1]>;

/// Adds a hypervisor to a set, or a kind to a hypervisor of the set.
pub(super) fn add(sources: &mut Sources, source: Source) {
    match sources.binary_search_by_key(&source.addr, |s| s.addr) {
        Ok(at) => {
            sources[at].is_standard |= source.is_standard;
            sources[at].is_other |= source.is_other;
        }
        Err(at) => sources.insert(at, source),
    }
}

/// A set's number, while something refers to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SetId(u32);

impl SetId {
    /// The empty set.
    pub(super) const EMPTY: Self = Self(u32::MAX);
}

#[derive(Debug)]
pub(super) struct Sets {
    seed: FixedState,
    ids: HashTable<u32>,
    items: Vec<(Sources, u32)>,
    free: Vec<u32>,
}

impl Sets {
    pub(super) fn new(seed: FixedState) -> Self {
        Self { seed, ids: HashTable::new(), items: Vec::new(), free: Vec::new() }
    }

    /// Adds a reference to a set, and returns the set's number.
    pub(super) fn take(&mut self, sources: Sources) -> SetId {
        if sources.is_empty() {
            return SetId::EMPTY;
        }
        let hash = self.seed.hash_one(&sources);
        if let Some(&id) = self.ids.find(hash, |&id| self.items[id as usize].0 == sources) {
            self.items[id as usize].1 += 1;
            return SetId(id);
        }
        let id = match self.free.pop() {
            Some(id) => {
                self.items[id as usize] = (sources, 1);
                id
            }
            None => {
                self.items.push((sources, 1));
                // More sets than that do not fit a machine's memory.
                u32::try_from(self.items.len() - 1).expect("fewer than 2^32 sets")
            }
        };
        let (items, seed) = (&self.items, &self.seed);
        self.ids.insert_unique(hash, id, |&id| seed.hash_one(&items[id as usize].0));
        SetId(id)
    }

    /// Removes a reference to a set. Without references it is forgotten.
    pub(super) fn give_back(&mut self, id: SetId) {
        if id == SetId::EMPTY {
            return;
        }
        let (sources, references) = &mut self.items[id.0 as usize];
        *references -= 1;
        if *references > 0 {
            return;
        }
        let hash = self.seed.hash_one(&*sources);
        *sources = Sources::new();
        if let Ok(entry) = self.ids.find_entry(hash, |&other| other == id.0) {
            entry.remove();
        }
        self.free.push(id.0);
        if self.free.len() == self.items.len() {
            *self = Self::new(self.seed.clone());
        }
    }

    pub(super) fn get(&self, id: SetId) -> &[Source] {
        if id == SetId::EMPTY { &[] } else { &self.items[id.0 as usize].0 }
    }
}
