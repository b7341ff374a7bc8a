//! Sets of hypervisors, each stored once and known by a number: thousands of destinations share one.
//!
//! Invariant: a set has a number as long as something refers to it.

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use foldhash::fast::FixedState;
use smallvec::SmallVec;

use crate::intern::Interner;

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

/// The sets that something refers to.
#[derive(Debug)]
pub(super) struct Sets {
    sets: Interner<Sources>,
    /// Whether `changed` is kept.
    is_noting: bool,
    /// The hypervisors of sets that have come (true) or gone, since the last [`take_changed`](Self::take_changed).
    changed: Vec<(Ipv6Addr, bool)>,
}

impl Sets {
    /// Returns no sets. `is_noting`: their changes are asked for.
    pub(super) fn new(seed: FixedState, is_noting: bool) -> Self {
        Self { sets: Interner::new(seed), is_noting, changed: Vec::new() }
    }

    /// Adds a reference to a set, and returns the set's number.
    pub(super) fn take(&mut self, sources: Sources) -> SetId {
        if sources.is_empty() {
            return SetId::EMPTY;
        }
        let Self { sets, is_noting, changed } = self;
        SetId(sets.acquire(sources, |sources| {
            if *is_noting {
                changed.extend(sources.iter().map(|source| (source.addr, true)));
            }
        }))
    }

    /// Removes a reference to a set. Without references it is forgotten.
    pub(super) fn give_back(&mut self, id: SetId) {
        if id == SetId::EMPTY {
            return;
        }
        let sources = if self.is_noting { self.sets.get(id.0).clone() } else { Sources::new() };
        if self.sets.release(id.0) {
            self.changed.extend(sources.iter().map(|source| (source.addr, false)));
        }
    }

    pub(super) fn get(&self, id: SetId) -> &[Source] {
        if id == SetId::EMPTY { &[] } else { self.sets.get(id.0) }
    }

    /// Returns the hypervisors of sets that have come (true) or gone since the last call, in order.
    pub(super) fn take_changed(&mut self) -> Vec<(Ipv6Addr, bool)> {
        core::mem::take(&mut self.changed)
    }
}
