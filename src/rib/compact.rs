//! Giving back the room that a table needed once: when most places are free, the hops and destinations in the last ones get
//! other numbers. So a table is never many times as large as what is in it, whatever it has held before.

use alloc::vec::Vec;

use super::Rib;
use super::announcers::Announced;
use super::journal::Entry;
use super::pool::is_sparse;
use super::table::{Hop, NIL, Table, TableId, hash, is_tombstone};

impl Rib {
    /// Brings a table's hops and destinations close together.
    pub(super) fn compact(&mut self, id: TableId) {
        let Self { tables, origins, crowds, next_layout, .. } = self;
        let table = &mut tables[id.0];
        table.compact_hops(|announcers, from, to| {
            for &Announced { origin, place } in announcers {
                let origin = &mut origins[origin];
                origin.routes[place as usize].hop = to;
                if let Some(by_table) = &mut origin.by_table {
                    by_table.rename(id, from, to);
                    origin.taken.rename(id, from, to);
                }
            }
        });
        table.compact_dests(|from, to| {
            if crowds.remove(&(id, from)) {
                crowds.insert((id, to));
            }
        });
        table.cut();
        // With it the table's version is another one: walks that were kept to be shared know the hops by their old numbers.
        table.layout = *next_layout;
        *next_layout += 1;
    }
}

impl Table {
    /// Whether it takes several times the memory that it needs.
    pub(super) fn is_sparse(&self) -> bool {
        // The pools are empty when the last value goes, unlike the indexes.
        self.hops.is_sparse()
            || self.dests.is_sparse()
            || is_sparse(self.by_prefix.capacity(), self.dests.len())
            || is_sparse(self.wide.capacity(), self.hops.len())
            || self.lists.is_sparse()
    }

    fn compact_hops(&mut self, mut renamed: impl FnMut(&[Announced], u32, u32)) {
        let places = 0..self.cursors.places();
        let ahead: Vec<u32> = places.filter(|&id| !self.cursors[id].position.is_sharable()).collect();
        for (from, to) in self.hops.moves() {
            self.hops.swap(from, to);
            self.relink(from, to);
            let Hop { dest, next_hop, announcers, seq, .. } = self.hops[to];
            if self.dests[dest].is_wide() {
                self.wide.insert((dest, next_hop), to);
            }
            self.local.rename_hop(from, to);
            self.journal.rename(seq, to);
            let entry = Entry { seq, hop: to };
            if is_tombstone(&self.hops, &self.local, &entry) {
                self.tombstones.push(entry);
            }
            self.lists.rename_hop(announcers, to);
            for &cursor in &ahead {
                self.cursors[cursor].position.rename(from, to);
            }
            renamed(self.lists.of(&announcers), from, to);
        }
    }

    fn compact_dests(&mut self, mut renamed: impl FnMut(u32, u32)) {
        for (from, to) in self.dests.moves() {
            self.dests.swap(from, to);
            let hash = hash(&self.seed, &self.dests[to].prefix);
            if let Some(id) = self.by_prefix.find_mut(hash, |&id| id == from) {
                *id = to;
            }
            let is_wide = self.dests[to].is_wide();
            let mut each = self.dests[to].first;
            while each != NIL {
                let hop = &mut self.hops[each];
                hop.dest = to;
                if is_wide {
                    self.wide.remove(&(from, hop.next_hop));
                    self.wide.insert((to, hop.next_hop), each);
                }
                each = hop.next;
            }
            self.local.rename_dest(from, to);
            renamed(from, to);
        }
    }

    /// Gives back the room behind the hops and destinations, which are close together now.
    fn cut(&mut self) {
        let hops = &mut self.hops;
        self.lists.compact(|hop, announcers| hops[hop].announcers = announcers);
        self.hops.cut();
        self.dests.cut();
        self.local.cut(self.hops.places(), self.dests.places());
        let (dests, seed) = (&self.dests, &self.seed);
        self.by_prefix.shrink_to(dests.len() * 2, |&id| hash(seed, &dests[id].prefix));
        self.wide.shrink_to(self.wide.len() * 2);
        self.tidy();
        self.tombstones.shrink();
    }
}
