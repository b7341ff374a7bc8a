//! Announcing and withdrawing routes.

use smallvec::SmallVec;

use super::announcers::{self, Announced};
use super::origin::{Origin, OriginId, RouteRef};
use super::{Rib, TableId};
use crate::{Route, Vni};

impl Rib {
    /// `origin` announces `route`. False: it does already (and the route is stale no more).
    pub(crate) fn announce(&mut self, origin: OriginId, route: &Route) -> bool {
        let table = self.table_of(route.vni);
        self.recent = Some(table);
        let next_hop = self.next_hops.take(&route.next_hop);
        let (hop, is_new) = self.tables[table.0].find_or_insert(&route.prefix, next_hop);
        if !is_new {
            // It has its reference already.
            self.next_hops.give_back(next_hop);
        }
        let announcers = self.tables[table.0].announcers(hop);
        if let Some(place) = announcers::place(announcers, origin) {
            self.freshen(origin, place as usize);
            self.note_by_table(origin, table, hop);
            return false;
        }
        let departed = self.departed_with(announcers, origin);
        let routes = &mut self.origins[origin.0].routes;
        // 2^32 routes of one origin do not fit a machine's memory.
        let place = u32::try_from(routes.len()).expect("fewer than 2^32 routes");
        routes.push(RouteRef { table, hop });
        self.hold(origin, table);
        self.note_by_table(origin, table, hop);
        self.tables[table.0].set_announcer(hop, origin, place);
        self.check_crowd(origin, table, hop);
        // One change, not several: nobody but the new announcer sees a difference.
        for (origin, place) in departed {
            self.detach_quietly(origin, place as usize);
        }
        self.refresh_visibility(table, hop);
        true
    }

    /// The departed among a route's announcers from whom `origin` takes it over, with its places in their lists.
    fn departed_with(&self, announcers: &[Announced], origin: OriginId) -> SmallVec<[(OriginId, u32); 2]> {
        let Origin { key, ref successor_of, .. } = self.origins[origin.0];
        if successor_of.is_empty() || self.departed.is_empty() {
            return SmallVec::new();
        }
        // Only the same client: another's routes are not a stranger's to withdraw.
        let is_older = |id: OriginId| {
            self.origins[id.0]
                .departed
                .is_some_and(|departed| departed.at <= key && successor_of.contains(&departed.client))
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

    fn note_by_table(&mut self, origin: OriginId, table: TableId, hop: u32) {
        let Origin { by_table, taken, .. } = &mut self.origins[origin.0];
        if let Some(by_table) = by_table {
            by_table.insert(table, hop);
            taken.remove(table, hop);
        }
    }

    /// `origin` withdraws `route`. False: it doesn't announce it.
    pub(crate) fn withdraw(&mut self, origin: OriginId, route: &Route) -> bool {
        let Some((table, hop)) = self.find(route) else { return false };
        self.recent = Some(table);
        self.next_hops.expect(self.tables[table.0].hops[hop].next_hop);
        let Some(place) = self.tables[table.0].place(hop, origin) else { return false };
        self.detach(origin, place as usize);
        true
    }

    /// `origin`, which is kept by table, withdraws all that it announces in a VNI: that is for `withdraw_taken` to do. False:
    /// there is nothing to do.
    pub(crate) fn take_table(&mut self, origin: OriginId, vni: Vni) -> bool {
        let Some(table) = self.find_table(vni) else { return false };
        let Origin { by_table, taken, .. } = &mut self.origins[origin.0];
        let hops = by_table.as_mut().and_then(|by_table| by_table.take(table)).unwrap_or_default();
        let is_something = !hops.is_empty();
        for hop in hops {
            taken.insert(table, hop);
        }
        is_something
    }

    /// Withdraws what was taken from `origin`, but for what it has announced again since, as many routes as `budget`
    /// allows. Whether none is left.
    pub(crate) fn withdraw_taken(&mut self, origin: OriginId, budget: &mut usize) -> bool {
        while let Some((table, hop)) = self.origins[origin.0].taken.first() {
            if *budget == 0 {
                return false;
            }
            *budget -= 1;
            let place = self.tables[table.0].place(hop, origin);
            debug_assert!(place.is_some(), "what an origin lost is not among what was taken from it");
            let Some(place) = place else { return true };
            self.detach(origin, place as usize);
        }
        true
    }

    /// A live server says that `route` is gone: so are the stale copies that others have of it.
    pub(crate) fn withdraw_stale(&mut self, route: &Route) {
        while self.stale_dialled > 0
            && let Some((table, hop)) = self.find(route)
        {
            let stale = self.tables[table.0].announcers(hop).iter().find(|a| {
                let origin = &self.origins[a.origin];
                origin.is_dialled && (a.place as usize) < origin.stale
            });
            let Some(&Announced { origin, place }) = stale else { return };
            self.detach(OriginId(origin), place as usize);
        }
    }

    /// Removes what dialled servers, but for those in `kept`, announce in a VNI, as many routes as `budget` allows, from
    /// the hop before place `from` downwards. Whether none is left.
    pub(crate) fn drop_dialled(&mut self, vni: Vni, kept: &[OriginId], from: &mut u32, budget: &mut usize) -> bool {
        let Some(id) = self.find_table(vni) else { return true };
        loop {
            *from = (*from).min(self.tables[id.0].hops.places());
            let Some(last) = from.checked_sub(1) else { return true };
            if *budget == 0 {
                return false;
            }
            *budget -= 1;
            let is_dropped = |a: &Announced| self.origins[a.origin].is_dialled && !kept.contains(&OriginId(a.origin));
            let dialled = self.tables[id.0].announcers(last).iter().copied().find(is_dropped);
            match dialled {
                Some(Announced { origin, place }) => self.detach(OriginId(origin), place as usize),
                None => *from = last,
            }
        }
    }

    pub(super) fn find(&self, route: &Route) -> Option<(TableId, u32)> {
        let table = self.find_table(route.vni)?;
        let next_hop = self.next_hops.find(&route.next_hop)?;
        let hop = self.tables[table.0].find(&route.prefix, next_hop)?;
        Some((table, hop))
    }
}
