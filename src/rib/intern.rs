//! Next hops, each kept once and known by a number: thousands of routes share one.

use core::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::digest;
use super::pool::Pool;
use crate::NextHop;

/// A next hop's number, while something refers to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct NextHopId(pub(super) u32);

#[derive(Debug)]
struct Entry {
    next_hop: NextHop,
    references: u32,
    /// Its part in the digest of a table.
    digest: u64,
}

#[derive(Debug)]
pub(super) struct NextHops {
    seed: FixedState,
    ids: HashTable<u32>,
    all: Pool<Entry>,
    /// The last that was used: mostly it is the next, too.
    recent: u32,
}

impl NextHops {
    pub(super) fn new(seed: FixedState) -> Self {
        Self { seed, ids: HashTable::new(), all: Pool::default(), recent: 0 }
    }

    pub(super) fn find(&self, next_hop: &NextHop) -> Option<NextHopId> {
        if let Some(recent) = self.all.get(self.recent)
            && recent.references > 0
            && recent.next_hop == *next_hop
        {
            return Some(NextHopId(self.recent));
        }
        let hash = self.seed.hash_one(next_hop);
        self.ids.find(hash, |&id| self.all[id].next_hop == *next_hop).map(|&id| NextHopId(id))
    }

    /// One more reference to `next_hop`.
    pub(super) fn take(&mut self, next_hop: &NextHop) -> NextHopId {
        if let Some(id) = self.find(next_hop) {
            self.recent = id.0;
            self.all[id.0].references += 1;
            return id;
        }
        let id = self.all.insert(Entry { next_hop: *next_hop, references: 1, digest: digest::of_next_hop(next_hop) });
        self.recent = id;
        let (all, seed) = (&self.all, &self.seed);
        self.ids.insert_unique(seed.hash_one(next_hop), id, |&id| seed.hash_one(all[id].next_hop));
        NextHopId(id)
    }

    /// The next that is asked for is this one, most likely.
    pub(super) fn expect(&mut self, id: NextHopId) {
        self.recent = id.0;
    }

    /// One reference less.
    pub(super) fn give_back(&mut self, id: NextHopId) {
        let Entry { next_hop, references, .. } = &mut self.all[id.0];
        *references -= 1;
        if *references == 0 {
            let hash = self.seed.hash_one(*next_hop);
            if let Ok(entry) = self.ids.find_entry(hash, |&other| other == id.0) {
                entry.remove();
            }
            self.all.release(id.0);
        }
    }

    pub(super) fn get(&self, id: NextHopId) -> &NextHop {
        &self.all[id.0].next_hop
    }

    pub(super) fn digest(&self, id: NextHopId) -> u64 {
        self.all[id.0].digest
    }
}
