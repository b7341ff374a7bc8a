//! Who announces routes (Adj-RIB-In): each origin knows its own, so that losing it costs no more than they are.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use smallvec::SmallVec;

use super::Rib;
use super::announcers::has_local;
use super::by_table::ByTable;
use super::digest;
use super::load::Standing;
use super::table::{Hop, TableId};
use super::visibility::{self, Visibility};
use crate::{Route, Vni};

/// An origin's number, while it has routes or a session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct OriginId(pub(super) u32);

impl OriginId {
    /// This node.
    pub(crate) const LOCAL: Self = Self(0);

    #[cfg(test)]
    pub(crate) const fn from_number(n: u32) -> Self {
        Self(n)
    }

    /// Returns the number as an index. Numbers are small: one that is free is used again.
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The number of a departed client's identity. Its meaning is the caller's business.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct ClientKey(pub(crate) u64);

/// An origin that went away while its routes are retained.
#[derive(Clone, Copy, Debug)]
pub(super) struct Departure {
    /// Which client it was.
    pub(super) client: ClientKey,
    /// The key of the next origin at that time: earlier sessions are older than the departure.
    pub(super) at: u64,
}

/// A route, by its place in the tables.
#[derive(Clone, Copy, Debug)]
pub(super) struct RouteRef {
    pub(super) table: TableId,
    pub(super) hop: u32,
}

#[derive(Debug)]
pub(super) struct Origin {
    /// Names the origin for ever, unlike its number.
    pub(super) key: u64,
    /// Whether it listens itself.
    is_server: bool,
    /// Whether it is a server that this node dials, over all its sessions.
    pub(super) is_dialled: bool,
    pub(super) standing: Standing,
    /// The departed clients that it may be: it takes a retained route of theirs over when it announces it.
    pub(super) successor_of: SmallVec<[ClientKey; 2]>,
    /// The first `stale` of them are left from a session that is over.
    pub(super) routes: Vec<RouteRef>,
    pub(super) stale: usize,
    /// Of an accepted peer, how many of them are in which table.
    pub(super) vnis: BTreeMap<TableId, u32>,
    /// The same by table, for a peer whose UNSUBSCRIBE withdraws all that it announces in a VNI; and what is yet to be
    /// withdrawn so.
    pub(super) by_table: Option<ByTable>,
    pub(super) taken: ByTable,
    /// Set when it went away while its routes are retained.
    pub(super) departed: Option<Departure>,
}

impl Rib {
    /// Adds an accepted peer. `is_server`: it listens itself. `successor_of`: the departed clients that it may be.
    pub(crate) fn add_origin(&mut self, is_server: bool, successor_of: SmallVec<[ClientKey; 2]>) -> OriginId {
        let id = self.insert_origin(is_server, Standing::Peer);
        self.origins[id.0].successor_of = successor_of;
        id
    }

    /// From now on, before it announces anything, `take_table` may be asked of it.
    pub(crate) fn keep_by_table(&mut self, id: OriginId) {
        self.origins[id.0].by_table = Some(ByTable::default());
    }

    /// Adds a server that this node dials.
    pub(crate) fn add_dialled_origin(&mut self) -> OriginId {
        let id = self.insert_origin(true, Standing::Apart);
        self.origins[id.0].is_dialled = true;
        id
    }

    pub(super) fn insert_origin(&mut self, is_server: bool, standing: Standing) -> OriginId {
        let key = self.new_key();
        let origin = Origin {
            key,
            is_server,
            is_dialled: false,
            standing,
            successor_of: SmallVec::new(),
            routes: Vec::new(),
            stale: 0,
            vnis: BTreeMap::new(),
            by_table: None,
            taken: ByTable::default(),
            departed: None,
        };
        OriginId(self.origins.insert(origin))
    }

    /// Forgets an origin that has no routes.
    pub(crate) fn release_origin(&mut self, id: OriginId) {
        debug_assert!(self.origins[id.0].routes.is_empty(), "an origin is in use while a route names it");
        self.origins.release(id.0);
    }

    /// The origin's name for [`Viewer::Client`](super::Viewer::Client).
    pub(crate) fn key(&self, id: OriginId) -> u64 {
        self.origins[id.0].key
    }

    pub(crate) fn route_count(&self, id: OriginId) -> usize {
        self.origins[id.0].routes.len()
    }

    pub(crate) fn stale_count(&self, id: OriginId) -> usize {
        self.origins[id.0].stale
    }

    /// The origin's session is over: all its routes are left over until it, or nobody, announces them again.
    pub(crate) fn mark_stale(&mut self, id: OriginId) {
        let origin = &mut self.origins[id.0];
        let fresh = origin.routes.len() - origin.stale;
        origin.stale += fresh;
        self.stale_dialled += if origin.is_dialled { fresh } else { 0 };
    }

    /// Like `mark_stale`, and sessions of this client from now on that announce one of the routes take it over.
    pub(crate) fn depart(&mut self, id: OriginId, client: ClientKey) {
        self.mark_stale(id);
        self.origins[id.0].departed = Some(Departure { client, at: self.next_key });
        self.departed.insert((client, id));
    }

    /// Removes stale routes of the origin, as many as `budget` allows. Whether none is left.
    pub(crate) fn sweep(&mut self, id: OriginId, budget: &mut usize) -> bool {
        while let Some(place) = self.origins[id.0].stale.checked_sub(1) {
            if *budget == 0 {
                return false;
            }
            *budget -= 1;
            self.detach(id, place);
        }
        true
    }

    /// Removes the stale routes of `id` in `vnis` that `by` doesn't announce, as many as `budget` allows, from the `from`th
    /// downwards. Whether none is left.
    pub(crate) fn contradict(
        &mut self,
        id: OriginId,
        by: OriginId,
        vnis: &BTreeSet<Vni>,
        from: &mut usize,
        budget: &mut usize,
    ) -> bool {
        loop {
            *from = (*from).min(self.origins[id.0].stale);
            let Some(place) = from.checked_sub(1) else { return true };
            if *budget == 0 {
                return false;
            }
            (*budget, *from) = (*budget - 1, place);
            let RouteRef { table, hop } = self.origins[id.0].routes[place];
            let table = &self.tables[table.0];
            if vnis.contains(&table.vni) && table.place(hop, by).is_none() {
                self.detach(id, place);
            }
        }
    }

    /// Removes those routes of an accepted peer that `is_out` names, from the `from`th downwards, as many looked at as `budget`
    /// allows. Whether all have been. What is announced meanwhile is not looked at.
    pub(crate) fn filter(
        &mut self,
        id: OriginId,
        from: &mut usize,
        budget: &mut usize,
        mut is_out: impl FnMut(&Route) -> bool,
    ) -> bool {
        loop {
            *from = (*from).min(self.origins[id.0].routes.len());
            let Some(place) = from.checked_sub(1) else { return true };
            if *budget == 0 {
                return false;
            }
            (*budget, *from) = (*budget - 1, place);
            let RouteRef { table, hop } = self.origins[id.0].routes[place];
            if is_out(&self.route(&self.tables[table.0], hop)) {
                self.detach(id, place);
            }
        }
    }

    /// Removes the origin's `place`th route.
    pub(super) fn detach(&mut self, id: OriginId, place: usize) {
        let RouteRef { table, hop } = self.origins[id.0].routes[place];
        self.detach_quietly(id, place);
        self.refresh_visibility(table, hop);
    }

    /// The same, as a part of a change: what it means to whom is to be asked at its end.
    pub(super) fn detach_quietly(&mut self, id: OriginId, place: usize) {
        let place = self.freshen(id, place);
        let last = self.origins[id.0].routes.len() - 1;
        self.swap(id, place, last);
        if let Some(RouteRef { table, hop }) = self.origins[id.0].routes.pop() {
            self.let_go(id, table);
            let Origin { routes, by_table, taken, .. } = &mut self.origins[id.0];
            if routes.capacity() > 1024 && routes.len() < routes.capacity() / 4 {
                routes.shrink_to(routes.len() * 2);
            }
            self.tables[table.0].remove_announcer(hop, id);
            if let Some(by_table) = by_table {
                by_table.remove(table, hop);
                taken.remove(table, hop);
            }
        }
    }

    /// The origin's `place`th route is stale no more. Its place from now on.
    pub(super) fn freshen(&mut self, id: OriginId, place: usize) -> usize {
        let origin = &mut self.origins[id.0];
        if place >= origin.stale {
            return place;
        }
        origin.stale -= 1;
        self.stale_dialled -= usize::from(origin.is_dialled);
        let edge = origin.stale;
        self.swap(id, place, edge);
        edge
    }

    fn swap(&mut self, id: OriginId, a: usize, b: usize) {
        if a == b {
            return;
        }
        let routes = &mut self.origins[id.0].routes;
        routes.swap(a, b);
        for place in [a, b] {
            let RouteRef { table, hop } = routes[place];
            self.tables[table.0].set_announcer(hop, id, place as u32);
        }
    }

    /// A hop's announcers changed.
    pub(super) fn refresh_visibility(&mut self, id: TableId, hop: u32) {
        let table = &mut self.tables[id.0];
        let announcers = table.announcers(hop);
        let is_local = has_local(announcers);
        let announcers = announcers.iter().map(|announced| {
            let origin = &self.origins[announced.origin];
            visibility::Announcer { key: origin.key, is_server: origin.is_server }
        });
        let visibility = Visibility::of(announcers, is_local);
        let was = table.hops[hop].now;
        if visibility == was {
            return;
        }
        if visibility.differs_by_exceptions(was) {
            let vni = table.vni;
            let mut noticed = [was.exception(), visibility.exception()].into_iter().flatten();
            if !noticed.any(|key| self.is_key_subscribed(key, vni)) {
                self.tables[id.0].set_unnoticed(hop, visibility);
                return;
            }
        }
        let table = &mut self.tables[id.0];
        if (was == Visibility::NONE) != (visibility == Visibility::NONE) {
            let Hop { dest, next_hop, .. } = table.hops[hop];
            let number = digest::of_route(&table.dest(dest).prefix, self.next_hops.digest(next_hop));
            if was == Visibility::NONE {
                self.routes += 1;
                self.live_tables += usize::from(table.live == 0);
                table.digest = table.digest.wrapping_add(number);
            } else {
                self.routes -= 1;
                self.live_tables -= usize::from(table.live == 1);
                table.digest = table.digest.wrapping_sub(number);
            }
        }
        let dead = table.dead;
        let gone = table.set_visibility(hop, visibility);
        self.tombstones = self.tombstones + table.dead - dead;
        if !table.is_dirty {
            table.is_dirty = true;
            self.dirty.push(id);
        }
        self.list(id);
        if let Some(next_hop) = gone {
            self.next_hops.give_back(next_hop);
        }
    }
}
