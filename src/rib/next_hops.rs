//! Next hops, each kept once and known by a number: thousands of routes share one.

use foldhash::fast::FixedState;

use super::digest;
use crate::NextHop;
use crate::intern::Interner;

/// A next hop's number, while something refers to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct NextHopId(u32);

/// The next hops of all tables, each with its part in the digest of a table.
#[derive(Debug)]
pub(super) struct NextHops(Interner<NextHop, u64>);

impl NextHops {
    pub(super) fn new(seed: FixedState) -> Self {
        Self(Interner::new(seed))
    }

    pub(super) fn find(&self, next_hop: &NextHop) -> Option<NextHopId> {
        self.0.find(next_hop).map(NextHopId)
    }

    /// Adds a reference to a next hop.
    pub(super) fn acquire(&mut self, next_hop: &NextHop) -> NextHopId {
        NextHopId(self.0.acquire(*next_hop, digest::of_next_hop))
    }

    /// Removes a reference.
    pub(super) fn release(&mut self, id: NextHopId) {
        self.0.release(id.0);
    }

    /// Expects that this next hop is asked for next.
    pub(super) fn expect(&mut self, id: NextHopId) {
        self.0.expect(id.0);
    }

    pub(super) fn get(&self, id: NextHopId) -> &NextHop {
        self.0.get(id.0)
    }

    pub(super) fn digest(&self, id: NextHopId) -> u64 {
        *self.0.derived(id.0)
    }
}
