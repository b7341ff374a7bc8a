//! Sets of next hops, each kept once and known by a number: thousands of destinations share one.

use core::net::Ipv6Addr;

use foldhash::fast::FixedState;
use smallvec::SmallVec;

use crate::intern::Interner;

/// A hypervisor that a destination is behind, as routes of which kinds say.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Source {
    pub(super) addr: Ipv6Addr,
    pub(super) is_standard: bool,
    pub(super) is_other: bool,
}

/// In the order of their addresses, each once.
pub(super) type Sources = SmallVec<[Source; 1]>;

/// Adds one, if it is news.
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
pub(super) struct Sets(Interner<Sources>);

impl Sets {
    pub(super) fn new(seed: FixedState) -> Self {
        Self(Interner::new(seed))
    }

    /// Adds a reference to a set.
    pub(super) fn take(&mut self, sources: Sources) -> SetId {
        if sources.is_empty() { SetId::EMPTY } else { SetId(self.0.acquire(sources, |_| ())) }
    }

    /// Removes a reference.
    pub(super) fn give_back(&mut self, id: SetId) {
        if id != SetId::EMPTY {
            self.0.release(id.0);
        }
    }

    pub(super) fn get(&self, id: SetId) -> &[Source] {
        if id == SetId::EMPTY { &[] } else { self.0.get(id.0) }
    }
}
