//! The route table: who announced what (Adj-RIB-In: `origin`), what exists (Loc-RIB: `table`), and what each subscriber
//! has been told (Adj-RIB-Out: a cursor into the table's journal; this node's own embedder: `local`). Knows no bytes, no
//! sessions, no time.

mod announcers;
mod bits;
mod bookmark;
mod by_table;
mod compact;
mod cursor;
mod digest;
mod intern;
mod journal;
mod load;
mod local;
mod origin;
mod pool;
mod routes;
mod subscriber;
mod table;
mod tombstones;
mod view;
mod visibility;
mod walk;

#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

pub use bookmark::{Bookmark, Moved, ParseBookmarkError};
pub(crate) use cursor::Position;
pub(crate) use origin::{ClientKey, OriginId};
pub(crate) use subscriber::SubscriberId;
pub(crate) use table::{TableId, TableVersion};
pub(crate) use view::Entry;
pub use view::{Destination, TableInfo};
pub(crate) use visibility::Viewer;
pub(crate) use walk::{Change, Order, Sink, Walked};

use crate::Vni;
use intern::NextHops;
use load::Standing;
use origin::Origin;
use pool::Pool;
use subscriber::Subscriber;
use table::Table;

/// The tables of all VNIs.
#[derive(Debug)]
pub(crate) struct Rib {
    seed: FixedState,
    by_vni: HashMap<Vni, TableId, FixedState>,
    /// The table of the last change: mostly the next is there, too.
    recent: Option<TableId>,
    tables: Pool<Table>,
    origins: Pool<Origin>,
    subscribers: Pool<Subscriber>,
    /// The subscribers that are clients, by the key that they have as origins.
    by_key: HashMap<u64, SubscriberId, FixedState>,
    next_hops: NextHops,
    /// The VNIs that the embedder wants, and the tables with something that it may have to be told.
    wanted: BTreeMap<Vni, TableId>,
    listed: VecDeque<TableId>,
    /// Tables that changed since the last `wake`.
    dirty: Vec<TableId>,
    /// Names the next origin; never the same again.
    next_key: u64,
    /// The number of the next arrangement of a table's places: no two tables ever have the same. One is used for each new table
    /// and for each compaction, so 64 bits last for ever: 58,000 years at 10 million a second.
    next_layout: u64,
    /// Routes that somebody announces, in all tables; and tables with such a route.
    routes: usize,
    live_tables: usize,
    /// Stale routes of dialled servers.
    stale_dialled: usize,
    /// Origins that went away while their routes are retained, by the client that they were.
    departed: BTreeSet<(ClientKey, OriginId)>,
    /// All together: routes that accepted peers hold, VNIs in which these are, and VNIs that peers are subscribed to.
    held: usize,
    held_vnis: usize,
    subscriptions: usize,
    /// The most next hops of a destination; and those that came to have more.
    next_hops_max: usize,
    crowds: BTreeSet<(TableId, u32)>,
    /// Subscribers that were removed, with cursors that are not.
    leaving: VecDeque<SubscriberId>,
    /// Tombstones in all tables, and the number at which the slow are looked for.
    tombstones: usize,
    next_census: usize,
}

impl Rib {
    pub(crate) fn new(seed: u64, next_hops_max: usize) -> Self {
        let seed = FixedState::with_seed(seed);
        let mut rib = Self {
            by_vni: HashMap::with_hasher(seed.clone()),
            recent: None,
            tables: Pool::default(),
            origins: Pool::default(),
            subscribers: Pool::default(),
            by_key: HashMap::with_hasher(seed.clone()),
            next_hops: NextHops::new(seed.clone()),
            seed,
            wanted: BTreeMap::new(),
            listed: VecDeque::new(),
            dirty: Vec::new(),
            next_key: 0,
            next_layout: 0,
            routes: 0,
            live_tables: 0,
            stale_dialled: 0,
            departed: BTreeSet::new(),
            held: 0,
            subscriptions: 0,
            held_vnis: 0,
            next_hops_max,
            crowds: BTreeSet::new(),
            leaving: VecDeque::new(),
            tombstones: 0,
            next_census: subscriber::HELD_BACK,
        };
        let local = rib.insert_origin(false, Standing::Apart);
        debug_assert_eq!(local, OriginId::LOCAL);
        rib
    }

    /// A name for an origin, and for the same peer as a subscriber.
    fn new_key(&mut self) -> u64 {
        let key = self.next_key;
        self.next_key += 1;
        key
    }

    /// The table of a VNI, if there is one.
    fn find_table(&self, vni: Vni) -> Option<TableId> {
        match self.recent {
            Some(id) if self.tables[id.0].vni == vni => Some(id),
            _ => self.by_vni.get(&vni).copied(),
        }
    }

    fn table_of(&mut self, vni: Vni) -> TableId {
        if let Some(id) = self.find_table(vni) {
            return id;
        }
        let mut table = Table::new(vni, self.seed.clone());
        table.layout = self.next_layout;
        self.next_layout += 1;
        let id = TableId(self.tables.insert(table));
        self.by_vni.insert(vni, id);
        id
    }

    /// Forgets a table that nobody needs, or makes it smaller: numbers of its hops and destinations are others afterwards.
    fn trim(&mut self, id: TableId) {
        let table = &mut self.tables[id.0];
        if table.is_unused() {
            self.by_vni.remove(&table.vni);
            self.recent = self.recent.filter(|recent| *recent != id);
            *table = Table::new(table.vni, self.seed.clone());
            self.tables.release(id.0);
        } else if table.is_sparse() {
            self.compact(id);
        }
    }
}
