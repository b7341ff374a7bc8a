//! The origins of routes (Adj-RIB-In), and how they announce and withdraw them.
//!
//! Invariants: an origin knows its own routes, so that losing it costs no more than these; a route's place in the origin's list is what
//! the table's hop has noted for that origin. The stale routes are the first ones of the list. The totals that limits are compared with
//! are sums over the accepted peers that are not leaving.

use alloc::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;

use super::announcers::{self, Announced, has_local};
use super::by_table::ByTable;
use super::table::{Table, TableId};
use super::visibility::{self, Visibility};
use super::{Rib, digest};
use crate::chunked::Chunked;
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

/// How an origin's routes count towards the totals of the accepted peers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// Not at all: this node, or a server that it dials.
    Apart,
    /// An accepted peer, connected or within its restart time.
    Peer,
    /// An accepted peer that has left: its routes are being swept.
    Leaving,
}

/// An origin that went away while its routes are retained.
#[derive(Clone, Copy, Debug)]
struct Departure {
    /// Which client it was.
    client: ClientKey,
    /// The key of the next origin at that time: earlier sessions are older than the departure.
    at: u64,
}

/// A route, by its place in the tables.
#[derive(Clone, Copy, Debug)]
struct RouteRef {
    table: TableId,
    hop: u32,
}

#[derive(Debug)]
pub(super) struct Origin {
    /// Names the origin for ever, unlike its number.
    key: u64,
    /// Whether it listens itself.
    is_server: bool,
    /// Whether it is a server that this node dials, over all its sessions.
    is_dialled: bool,
    standing: Standing,
    /// The departed clients that it may be: it takes a retained route of theirs over when it announces it.
    successor_of: SmallVec<[ClientKey; 2]>,
    /// The first `stale` of them are left from a session that is over.
    routes: Chunked<RouteRef>,
    stale: usize,
    /// Of an accepted peer, the number of its routes in each table.
    vnis: BTreeMap<TableId, u32>,
    /// For a peer whose UNSUBSCRIBE withdraws all that it announces in a VNI.
    by_table: Option<ByTable>,
    /// Set when it went away while its routes are retained.
    departed: Option<Departure>,
}

impl Origin {
    fn new(key: u64, is_server: bool, standing: Standing) -> Self {
        Self {
            key,
            is_server,
            is_dialled: false,
            standing,
            successor_of: SmallVec::new(),
            routes: Chunked::default(),
            stale: 0,
            vnis: BTreeMap::new(),
            by_table: None,
            departed: None,
        }
    }

    /// Whether it is an accepted peer that is not leaving.
    pub(super) fn is_peer(&self) -> bool {
        self.standing == Standing::Peer
    }

    /// Gives the hop of its `place`th route its new number.
    pub(super) fn rename(&mut self, table: TableId, place: u32, from: u32, to: u32) {
        self.routes[place as usize].hop = to;
        if let Some(by_table) = &mut self.by_table {
            by_table.rename(table, from, to);
        }
    }
}

impl Rib {
    /// Adds an accepted peer. `is_server`: it listens itself. `successor_of`: the departed clients that it may be.
    pub(crate) fn add_origin(&mut self, is_server: bool, successor_of: SmallVec<[ClientKey; 2]>) -> OriginId {
        let id = self.insert_origin(is_server, Standing::Peer);
        self.origins[id.0].successor_of = successor_of;
        id
    }

    /// Prepares an origin that has announced nothing for [`take_table`](Self::take_table).
    pub(crate) fn keep_by_table(&mut self, id: OriginId) {
        self.origins[id.0].by_table = Some(ByTable::default());
    }

    /// Adds a server that this node dials.
    pub(crate) fn add_dialled_origin(&mut self) -> OriginId {
        let id = self.insert_origin(true, Standing::Apart);
        self.origins[id.0].is_dialled = true;
        self.dialled.insert(id);
        id
    }

    pub(super) fn insert_origin(&mut self, is_server: bool, standing: Standing) -> OriginId {
        let key = self.next_key;
        self.next_key += 1;
        OriginId(self.origins.insert(Origin::new(key, is_server, standing)))
    }

    /// Removes an origin that has no routes.
    pub(crate) fn release_origin(&mut self, id: OriginId) {
        debug_assert!(self.origins[id.0].routes.is_empty(), "an origin is in use while a route names it");
        self.dialled.remove(&id);
        self.forget_departure(id);
        self.origins.release(id.0);
    }

    /// Returns the origin's name for [`Viewer::Client`](super::Viewer::Client).
    pub(crate) fn key(&self, id: OriginId) -> u64 {
        self.origins[id.0].key
    }

    /// Returns the number of an origin's routes.
    pub(crate) fn route_count(&self, id: OriginId) -> usize {
        self.origins[id.0].routes.len()
    }

    /// Returns how many of them are stale.
    pub(crate) fn stale_count(&self, id: OriginId) -> usize {
        self.origins[id.0].stale
    }

    /// Returns the number of routes of accepted peers, without those that are being swept.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Returns the number of VNIs in which these routes are, each as often as there are such peers.
    pub(crate) fn held_vnis(&self) -> usize {
        self.held_vnis
    }

    /// Returns the number of VNIs that peers are subscribed to, each as often as there are such peers.
    pub(crate) fn subscriptions(&self) -> usize {
        self.subscriptions
    }

    /// Returns the number of VNIs in which an accepted peer announces a route.
    pub(crate) fn vni_count(&self, id: OriginId) -> usize {
        self.origins[id.0].vnis.len()
    }

    /// The routes that an origin announces.
    pub(crate) fn announced_by(&self, origin: OriginId) -> impl Iterator<Item = Route> + '_ {
        self.origins[origin.0].routes.iter().map(|r| self.route(&self.tables[r.table.0], r.hop))
    }

    /// Marks all routes of an origin as stale, because its session is over. One that it announces again is stale no more.
    pub(crate) fn mark_stale(&mut self, id: OriginId) {
        let origin = &mut self.origins[id.0];
        let fresh = origin.routes.len() - origin.stale;
        origin.stale += fresh;
        self.stale_dialled += if origin.is_dialled { fresh } else { 0 };
    }

    /// Like [`mark_stale`](Self::mark_stale), and sessions of this client from now on that announce one of the routes take it over.
    pub(crate) fn depart(&mut self, id: OriginId, client: ClientKey) {
        self.mark_stale(id);
        self.forget_departure(id);
        self.origins[id.0].departed = Some(Departure { client, at: self.next_key });
        self.departed.insert((client, id));
    }

    fn forget_departure(&mut self, id: OriginId) {
        if let Some(Departure { client, .. }) = self.origins[id.0].departed {
            self.departed.remove(&(client, id));
        }
    }

    /// Prepares to sweep all routes of an origin whose session is over.
    pub(crate) fn leave(&mut self, id: OriginId) {
        self.mark_stale(id);
        self.forget_departure(id);
        let origin = &mut self.origins[id.0];
        origin.departed = None;
        if origin.standing == Standing::Peer {
            origin.standing = Standing::Leaving;
            self.held -= origin.routes.len();
            self.held_vnis -= origin.vnis.len();
        }
    }

    /// Announces a route. False: the origin announces it already (and the route is stale no more).
    pub(crate) fn announce(&mut self, origin: OriginId, route: &Route) -> bool {
        let id = self.table_of(route.vni);
        self.recent = Some(id);
        let next_hop = self.next_hops.acquire(&route.next_hop);
        let (hop, is_new) = self.tables[id.0].find_or_insert(&route.prefix, next_hop);
        if !is_new {
            // It has its reference already.
            self.next_hops.release(next_hop);
        }
        let announcers = self.tables[id.0].announcers(hop);
        if let Some(place) = announcers::place(announcers, origin) {
            self.freshen(origin, place as usize);
            if let Some(by_table) = &mut self.origins[origin.0].by_table {
                by_table.insert(id, hop);
            }
            return false;
        }
        let departed = self.departed_with(announcers, origin);
        let (table, announcer) = (&mut self.tables[id.0], &mut self.origins[origin.0]);
        // 2^32 routes of one origin do not fit a machine's memory.
        let place = u32::try_from(announcer.routes.len()).expect("fewer than 2^32 routes");
        announcer.routes.push(RouteRef { table: id, hop });
        if let Some(by_table) = &mut announcer.by_table {
            by_table.insert(id, hop);
        }
        if announcer.standing == Standing::Peer {
            let routes = announcer.vnis.entry(id).or_default();
            self.held += 1;
            self.held_vnis += usize::from(*routes == 0);
            *routes += 1;
            let dest = table.hop(hop).dest();
            if table.dest(dest).hops() as usize > self.next_hops_max {
                self.over_limit.insert((id, dest));
            }
        }
        table.set_announcer(hop, origin, place);
        // One change, not several: no peer but the new announcer sees a difference.
        for (origin, place) in departed {
            self.detach_quietly(origin, place as usize);
        }
        self.refresh_visibility(id, hop);
        true
    }

    /// Returns the departed clients among a route's announcers whose routes `origin` takes over, with its places in their lists.
    fn departed_with(&self, announcers: &[Announced], origin: OriginId) -> SmallVec<[(OriginId, u32); 2]> {
        let Origin { key, ref successor_of, .. } = self.origins[origin.0];
        if successor_of.is_empty() || self.departed.is_empty() {
            return SmallVec::new();
        }
        // Only the same client: another's routes are not a stranger's to withdraw.
        let is_older = |id: OriginId| {
            let departed = self.origins[id.0].departed;
            departed.is_some_and(|departed| departed.at <= key && successor_of.contains(&departed.client))
        };
        // Through the shorter of the two lists: a client may have left many times, and many may announce a route.
        if announcers.len() <= self.departed.len() {
            return announcers.iter().map(|a| (OriginId(a.origin), a.place)).filter(|(id, _)| is_older(*id)).collect();
        }
        let all = |client| (client, OriginId(0))..=(client, OriginId(u32::MAX));
        let departed = successor_of.iter().flat_map(|&client| self.departed.range(all(client)).map(|&(_, id)| id));
        let older = departed.filter(|id| is_older(*id));
        older.filter_map(|id| Some((id, announcers::place(announcers, id)?))).collect()
    }

    /// Withdraws a route. False: the origin doesn't announce it.
    pub(crate) fn withdraw(&mut self, origin: OriginId, route: &Route) -> bool {
        let Some(id) = self.find_table(route.vni) else { return false };
        let Some(next_hop) = self.next_hops.find(&route.next_hop) else { return false };
        self.recent = Some(id);
        self.next_hops.expect(next_hop);
        let table = &self.tables[id.0];
        let Some(hop) = table.find(&route.prefix, next_hop) else { return false };
        let Some(place) = table.place(hop, origin) else { return false };
        self.detach(origin, place as usize);
        true
    }

    /// Takes all that `origin`, which was prepared by [`keep_by_table`](Self::keep_by_table), announces in a VNI:
    /// [`withdraw_taken`](Self::withdraw_taken) withdraws it. False: there is nothing to take.
    pub(crate) fn take_table(&mut self, origin: OriginId, vni: Vni) -> bool {
        let Some(table) = self.find_table(vni) else { return false };
        self.origins[origin.0].by_table.as_mut().is_some_and(|by_table| by_table.take(table))
    }

    /// Withdraws what was taken from `origin`, but for what it has announced again since, as many routes as `budget`
    /// allows. Whether none is left.
    pub(crate) fn withdraw_taken(&mut self, origin: OriginId, budget: &mut usize) -> bool {
        loop {
            let Some(by_table) = &mut self.origins[origin.0].by_table else { return true };
            if *budget == 0 {
                return by_table.has_none_taken();
            }
            let (table, hop) = match by_table.next_taken(budget) {
                Ok(taken) => taken,
                Err(is_done) => return is_done,
            };
            *budget = budget.saturating_sub(1);
            let place = self.tables[table.0].place(hop, origin);
            debug_assert!(place.is_some(), "what an origin lost is not among what was taken from it");
            let Some(place) = place else { return true };
            self.detach(origin, place as usize);
        }
    }

    /// Withdraws the stale copies that dialled servers have of a route, because a live one says that it is gone.
    pub(crate) fn withdraw_stale(&mut self, route: &Route) {
        while self.stale_dialled > 0
            && let Some((table, hop)) = self.find(route)
        {
            let is_stale = |origin: OriginId, place| (place as usize) < self.origins[origin.0].stale;
            let Some((origin, place)) = self.dialled_among(table, hop, is_stale) else { return };
            self.detach(origin, place as usize);
        }
    }

    /// Finds a dialled server among the announcers of a hop, with the hop's place in its list. Costs as much as there are dialled
    /// servers or, if these are fewer, announcers.
    fn dialled_among(
        &self,
        table: TableId,
        hop: u32,
        is_meant: impl Fn(OriginId, u32) -> bool,
    ) -> Option<(OriginId, u32)> {
        let announcers = self.tables[table.0].announcers(hop);
        if announcers.len() <= self.dialled.len() {
            let all = announcers.iter().map(|a| (OriginId(a.origin), a.place));
            all.filter(|(id, _)| self.origins[id.0].is_dialled).find(|&(id, place)| is_meant(id, place))
        } else {
            let all = self.dialled.iter().filter_map(|&id| Some((id, announcers::place(announcers, id)?)));
            { all }.find(|&(id, place)| is_meant(id, place))
        }
    }

    /// Removes what dialled servers, but for those in `kept`, announce in a VNI, as many routes as `budget` allows, from
    /// the hop before place `from` downwards. Whether none is left.
    pub(crate) fn drop_dialled(&mut self, vni: Vni, kept: &[OriginId], from: &mut u32, budget: &mut usize) -> bool {
        let Some(id) = self.find_table(vni) else { return true };
        loop {
            *from = (*from).min(self.tables[id.0].hops().places());
            let Some(last) = from.checked_sub(1) else { return true };
            if *budget == 0 {
                return false;
            }
            *budget -= 1;
            let is_in_use = self.tables[id.0].hops().get(last).is_some();
            let dialled = if is_in_use { self.dialled_among(id, last, |id, _| !kept.contains(&id)) } else { None };
            match dialled {
                Some((origin, place)) => self.detach(origin, place as usize),
                None => *from = last,
            }
        }
    }

    /// Finds a route, perhaps as a tombstone.
    pub(super) fn find(&self, route: &Route) -> Option<(TableId, u32)> {
        let table = self.find_table(route.vni)?;
        let next_hop = self.next_hops.find(&route.next_hop)?;
        let hop = self.tables[table.0].find(&route.prefix, next_hop)?;
        Some((table, hop))
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
        *from = (*from).min(self.origins[id.0].stale);
        self.detach_some(id, from, budget, |_, table, hop| {
            vnis.contains(&table.vni()) && table.place(hop, by).is_none()
        })
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
        *from = (*from).min(self.origins[id.0].routes.len());
        self.detach_some(id, from, budget, |rib, table, hop| is_out(&rib.route(table, hop)))
    }

    /// Removes those of the origin's first `from` routes that `is_out` names, from the last downwards, as many looked at as
    /// `budget` allows. Returns whether all have been.
    fn detach_some(
        &mut self,
        id: OriginId,
        from: &mut usize,
        budget: &mut usize,
        mut is_out: impl FnMut(&Self, &Table, u32) -> bool,
    ) -> bool {
        while let Some(place) = from.checked_sub(1) {
            if *budget == 0 {
                return false;
            }
            (*budget, *from) = (*budget - 1, place);
            let RouteRef { table, hop } = self.origins[id.0].routes[place];
            if is_out(self, &self.tables[table.0], hop) {
                self.detach(id, place);
            }
        }
        true
    }

    /// Removes the origin's `place`th route.
    #[inline(always)]
    fn detach(&mut self, id: OriginId, place: usize) {
        let RouteRef { table, hop } = self.detach_quietly(id, place);
        self.refresh_visibility(table, hop);
    }

    /// Like `detach`, as a part of a change: [`refresh_visibility`](Self::refresh_visibility) is to be called at its end. Returns the route.
    fn detach_quietly(&mut self, id: OriginId, place: usize) -> RouteRef {
        let place = self.freshen(id, place);
        let origin = &mut self.origins[id.0];
        let RouteRef { table, hop } = origin.routes.swap_remove(place);
        if let Some(routes) = origin.vnis.get_mut(&table) {
            *routes -= 1;
            let is_last = *routes == 0;
            if is_last {
                origin.vnis.remove(&table);
            }
            if origin.standing == Standing::Peer {
                self.held -= 1;
                self.held_vnis -= usize::from(is_last);
            }
        }
        if let Some(by_table) = &mut origin.by_table {
            by_table.remove(table, hop);
        }
        if let Some(moved) = origin.routes.get(place) {
            self.tables[moved.table.0].set_announcer(moved.hop, id, place as u32);
        }
        self.tables[table.0].remove_announcer(hop, id);
        RouteRef { table, hop }
    }

    /// Makes the origin's `place`th route stale no more. Returns its place from now on.
    #[inline(always)]
    fn freshen(&mut self, id: OriginId, place: usize) -> usize {
        let origin = &mut self.origins[id.0];
        if place >= origin.stale {
            return place;
        }
        origin.stale -= 1;
        self.stale_dialled -= usize::from(origin.is_dialled);
        let edge = origin.stale;
        if place != edge {
            self.swap(id, place, edge);
        }
        edge
    }

    fn swap(&mut self, id: OriginId, a: usize, b: usize) {
        let routes = &mut self.origins[id.0].routes;
        routes.swap(a, b);
        for place in [a, b] {
            let RouteRef { table, hop } = routes[place];
            self.tables[table.0].set_announcer(hop, id, place as u32);
        }
    }

    /// Notes that a hop's announcers changed.
    fn refresh_visibility(&mut self, id: TableId, hop: u32) {
        let table = &self.tables[id.0];
        let at = table.hop(hop);
        let announcers = table.announcers_of(at);
        let is_local = has_local(announcers);
        let announcers = announcers.iter().map(|announced| {
            let origin = &self.origins[announced.origin];
            visibility::Announcer { key: origin.key, is_server: origin.is_server }
        });
        let visibility = Visibility::of(announcers, is_local);
        let was = at.now();
        if visibility == was {
            return;
        }
        if visibility.differs_by_exceptions(was) {
            let vni = table.vni();
            let mut noticed = [was.exception(), visibility.exception()].into_iter().flatten();
            if !noticed.any(|key| self.is_key_subscribed(key, vni)) {
                self.tables[id.0].set_unnoticed(hop, visibility);
                return;
            }
        }
        let is_added = was == Visibility::NONE;
        let number = (is_added != (visibility == Visibility::NONE))
            .then(|| digest::of_route(table.dest(at.dest()).prefix(), self.next_hops.digest(at.next_hop())));
        let table = &mut self.tables[id.0];
        if let Some(number) = number {
            table.add_to_digest(is_added, number);
            if is_added {
                self.routes += 1;
                self.live_tables += usize::from(table.live() == 0);
            } else {
                self.routes -= 1;
                self.live_tables -= usize::from(table.live() == 1);
            }
        }
        let before = table.tombstones();
        let gone = table.set_visibility(hop, visibility);
        let tombstones = table.tombstones();
        self.tombstones = self.tombstones + tombstones - before;
        if table.mark_dirty() {
            self.dirty.push_back(id);
        }
        self.list(id);
        if let Some(next_hop) = gone {
            self.next_hops.release(next_hop);
        }
        if tombstones > before {
            self.pay_for_tombstone(id);
        }
    }
}
