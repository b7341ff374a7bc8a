//! The route table: what each origin announced (Adj-RIB-In: `origins`), what exists (Loc-RIB: `table`), and what each subscriber
//! was sent (Adj-RIB-Out: a cursor in the table's journal; the application: `local`). Knows no bytes, no sessions, no time.
//!
//! Invariant: a call does O(log n) work, or no more than its budget, or one destination's or one piece's more; the rest is left to
//! [`Rib::maintain`] (`upkeep`).

mod announcers;
mod bookmark;
mod by_table;
mod cursor;
mod cursors;
mod digest;
mod journal;
mod local;
mod next_hops;
mod origins;
mod over_limit;
mod short;
mod subscribers;
mod table;
mod upkeep;
mod view;
mod visibility;
mod walk;

#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use core::hash::{BuildHasher as _, Hash};

use foldhash::fast::FixedState;

pub use bookmark::{Bookmark, Moved, ParseBookmarkError};
pub(crate) use cursor::Position;
pub(crate) use origins::{ClientKey, OriginId};
pub(crate) use subscribers::{Pending, SubscriberId};
pub(crate) use table::{TableId, TableVersion};
pub(crate) use view::Entry;
pub use view::{Destination, TableInfo};
pub(crate) use visibility::Viewer;
pub(crate) use walk::{Change, Dialect, Sink, Walked};

use crate::Vni;
use crate::index::Index;
use crate::pool::Pool;
use next_hops::NextHops;
use origins::{Origin, Standing};
use subscribers::Subscriber;
use table::Table;
use upkeep::SlowSearch;

/// The tables of all VNIs.
#[derive(Debug)]
pub(crate) struct Rib {
    seed: FixedState,
    tables: Pool<Table>,
    /// Tables by VNI.
    by_vni: Index,
    /// The table of the last change: mostly the next is there, too.
    recent: Option<TableId>,
    origins: Pool<Origin>,
    /// The origins that are servers which this node dials.
    dialled: BTreeSet<OriginId>,
    /// The origins that went away while their routes are retained, by the client that they were.
    departed: BTreeSet<(ClientKey, OriginId)>,
    subscribers: Pool<Subscriber>,
    /// The subscribers that are clients, by the key that they have as origins.
    by_key: Index,
    next_hops: NextHops,
    /// The VNIs that the application is subscribed to, and the tables with something to report to it, perhaps.
    wanted: BTreeMap<Vni, TableId>,
    listed: VecDeque<TableId>,
    /// Tables with cursors that are to be woken.
    dirty: VecDeque<TableId>,
    /// The key of the next origin: never the same again.
    next_key: u64,
    /// The number of the next arrangement of a table's places: no two tables ever have the same. One is used for each new table
    /// and for each slice of a compaction, so 64 bits last for ever: 58,000 years at 10 million a second.
    next_layout: u64,
    /// Announced routes in all tables, and tables with such a route.
    routes: usize,
    live_tables: usize,
    /// Stale routes of dialled servers.
    stale_dialled: usize,
    /// All together: routes of accepted peers, VNIs in which these are, and VNIs that peers are subscribed to.
    held: usize,
    held_vnis: usize,
    subscriptions: usize,
    /// The most next hops of a destination, and the destinations that came to have more.
    next_hops_max: usize,
    over_limit: BTreeSet<(TableId, u32)>,
    /// Subscribers that were removed, with cursors that are not.
    leaving: VecDeque<SubscriberId>,
    /// Tables with work of their own.
    upkeep: VecDeque<TableId>,
    /// Tombstones in all tables, the number of them at which slow subscribers are looked for, and the present search.
    tombstones: usize,
    next_search: usize,
    search: Option<SlowSearch>,
}

impl Rib {
    /// Creates tables without routes. `next_hops_max`: the most next hops of a destination.
    pub(crate) fn new(seed: u64, next_hops_max: usize) -> Self {
        let seed = FixedState::with_seed(seed);
        let mut rib = Self {
            tables: Pool::default(),
            by_vni: Index::default(),
            recent: None,
            origins: Pool::default(),
            dialled: BTreeSet::new(),
            departed: BTreeSet::new(),
            subscribers: Pool::default(),
            by_key: Index::default(),
            next_hops: NextHops::new(seed.clone()),
            seed,
            wanted: BTreeMap::new(),
            listed: VecDeque::new(),
            dirty: VecDeque::new(),
            next_key: 0,
            next_layout: 0,
            routes: 0,
            live_tables: 0,
            stale_dialled: 0,
            held: 0,
            held_vnis: 0,
            subscriptions: 0,
            next_hops_max,
            over_limit: BTreeSet::new(),
            leaving: VecDeque::new(),
            upkeep: VecDeque::new(),
            tombstones: 0,
            next_search: upkeep::HELD_BACK,
            search: None,
        };
        let local = rib.insert_origin(false, Standing::Apart);
        debug_assert_eq!(local, OriginId::LOCAL);
        rib
    }

    /// The table of a VNI, if there is one.
    #[inline(always)]
    fn find_table(&self, vni: Vni) -> Option<TableId> {
        match self.recent {
            Some(id) if self.tables[id.0].vni() == vni => Some(id),
            _ => self.look_up_table(vni),
        }
    }

    fn look_up_table(&self, vni: Vni) -> Option<TableId> {
        self.by_vni.find(hash_of(&self.seed, vni), |id| self.tables[id].vni() == vni).map(TableId)
    }

    /// The table of a VNI.
    #[inline]
    fn table_of(&mut self, vni: Vni) -> TableId {
        match self.find_table(vni) {
            Some(id) => id,
            None => self.add_table(vni),
        }
    }

    #[cold]
    fn add_table(&mut self, vni: Vni) -> TableId {
        let id = self.tables.insert(Table::new(vni, self.seed.clone(), self.next_layout));
        self.next_layout += 1;
        let Self { by_vni, tables, seed, .. } = self;
        by_vni.insert(hash_of(seed, vni), id, |id| hash_of(seed, tables[id].vni()));
        TableId(id)
    }

    /// Drops a table that is not used.
    fn drop_table(&mut self, id: TableId) {
        let Self { by_vni, tables, seed, .. } = self;
        let hash_of = |id| hash_of(seed, tables[id].vni());
        by_vni.remove(hash_of(id.0), id.0, hash_of);
        self.recent = self.recent.filter(|recent| *recent != id);
        let table = &mut self.tables[id.0];
        *table = Table::new(table.vni(), self.seed.clone(), 0);
        self.tables.release(id.0);
    }
}

fn hash_of(seed: &FixedState, key: impl Hash) -> u64 {
    seed.hash_one(key)
}
