//! Tables and routes as monitoring and the application see them. Read-only.

use alloc::vec::Vec;

use super::Rib;
use super::bookmark::{Bookmark, Moved};
use super::origins::OriginId;
use super::table::Table;
use super::visibility::{Viewer, Visibility};
use crate::{NextHop, Prefix, Route, Vni};

/// A destination with all next hops that a peer or this node announces.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Destination {
    /// The destination.
    pub prefix: Prefix,
    /// Its next hops; at least one.
    pub next_hops: Vec<NextHop>,
}

/// A VNI's table, as it is now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct TableInfo {
    /// The virtual network.
    pub vni: Vni,
    /// Number of routes that a peer or this node announces. A route of two announcers counts once.
    pub routes: usize,
    /// Number of destinations of these routes, and destinations whose removal some subscriber has yet to be sent.
    pub destinations: usize,
    /// Number of peers that are subscribed to the VNI.
    pub subscribers: usize,
    /// The digest: an order-independent checksum of the routes, 0 without routes. Nodes with the same routes have the same digest, whatever
    /// their versions. Nodes with different routes have the same digest with a probability of 1 in 2⁶⁴, or if a peer has chosen routes to
    /// reach that.
    pub digest: u64,
}

/// A destination as it is looked at, by [`Rib::entries`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    rib: &'a Rib,
    table: &'a Table,
    dest: u32,
}

impl<'a> Entry<'a> {
    /// The destination.
    pub(crate) fn prefix(&self) -> &'a Prefix {
        self.table.dest(self.dest).prefix()
    }

    /// Its next hops that are announced, at least one, each with the origins that do.
    pub(crate) fn next_hops(&self) -> impl Iterator<Item = (&'a NextHop, impl Iterator<Item = OriginId> + 'a)> + 'a {
        let Self { rib, table, dest } = *self;
        rib.announced(table, dest).map(move |(id, next_hop)| {
            let announcers = table.announcers(id).iter();
            (next_hop, announcers.map(move |announced| OriginId(announced.origin)))
        })
    }
}

impl Rib {
    /// Whether `origin` announces `route`.
    pub(crate) fn is_announced(&self, origin: OriginId, route: &Route) -> bool {
        self.find(route).is_some_and(|(table, hop)| self.tables[table.0].place(hop, origin).is_some())
    }

    /// Whether a peer or this node announces a route in a VNI.
    pub(crate) fn has_routes(&self, vni: Vni) -> bool {
        self.find_table(vni).is_some_and(|id| self.tables[id.0].live() > 0)
    }

    /// The VNIs that have a route.
    pub(crate) fn vnis(&self) -> impl Iterator<Item = Vni> + '_ {
        self.tables.iter().filter(|(_, table)| table.live() > 0).map(|(_, table)| table.vni())
    }

    /// The routes of a VNI that are announced; with `viewer`, those that it may see.
    pub(crate) fn routes(&self, vni: Vni, viewer: Option<Viewer>) -> impl Iterator<Item = Route> + '_ {
        let table = self.find_table(vni).map(|id| &self.tables[id.0]);
        table.into_iter().flat_map(move |table| {
            let is_seen = move |now: Visibility| match viewer {
                Some(viewer) => now.is_visible_to(viewer),
                None => now != Visibility::NONE,
            };
            let hops = table.hops().iter().filter(move |(_, hop)| is_seen(hop.now()));
            hops.map(|(id, _)| self.route(table, id))
        })
    }

    /// The destinations of a VNI, each with the next hops that are announced.
    pub(crate) fn destinations(&self, vni: Vni) -> impl Iterator<Item = Destination> + '_ {
        let table = self.find_table(vni).map(|id| &self.tables[id.0]);
        table.into_iter().flat_map(move |table| {
            table.dests().iter().filter_map(move |(id, dest)| {
                let next_hops: Vec<_> = self.next_hops_of(table, id).collect();
                (!next_hops.is_empty()).then(|| Destination { prefix: *dest.prefix(), next_hops })
            })
        })
    }

    /// The next hops of one destination that are announced.
    pub(crate) fn next_hops(&self, vni: Vni, prefix: &Prefix) -> impl Iterator<Item = NextHop> + '_ {
        let table = self.find_table(vni).map(|id| &self.tables[id.0]);
        let found = table.and_then(|table| Some((table, table.find_dest(prefix)?)));
        found.into_iter().flat_map(|(table, dest)| self.next_hops_of(table, dest))
    }

    fn next_hops_of<'a>(&'a self, table: &'a Table, dest: u32) -> impl Iterator<Item = NextHop> + 'a {
        self.announced(table, dest).map(|(_, next_hop)| *next_hop)
    }

    /// The same by their numbers.
    fn announced<'a>(&'a self, table: &'a Table, dest: u32) -> impl Iterator<Item = (u32, &'a NextHop)> + 'a {
        let announced = table.hops_of(dest).filter(|(_, hop)| hop.now() != Visibility::NONE);
        announced.map(|(id, hop)| (id, self.next_hops.get(hop.next_hop())))
    }

    /// The destinations of a VNI from a bookmark on.
    pub(crate) fn entries(
        &self,
        vni: Vni,
        from: Bookmark,
    ) -> Result<impl Iterator<Item = (Bookmark, Entry<'_>)>, Moved> {
        let table = self.find_table(vni).map(|id| &self.tables[id.0]);
        if table.is_some_and(|table| from.place > 0 && table.layout() != from.layout) {
            return Err(Moved);
        }
        Ok(table.into_iter().flat_map(move |table| {
            table.dests().iter_from(from.place).filter_map(move |(dest, _)| {
                let entry = Entry { rib: self, table, dest };
                let behind = Bookmark { layout: table.layout(), place: dest + 1 };
                self.announced(table, dest).next().is_some().then_some((behind, entry))
            })
        }))
    }

    /// The tables from a place on.
    pub(crate) fn infos(&self, from: u32) -> impl Iterator<Item = (u32, TableInfo)> + '_ {
        self.tables.iter_from(from).filter(|(_, table)| !table.is_unused()).map(|(place, table)| (place, table.info()))
    }

    /// A VNI's table.
    pub(crate) fn info(&self, vni: Vni) -> Option<TableInfo> {
        self.find_table(vni).map(|id| self.tables[id.0].info())
    }

    /// Who announces a route.
    pub(crate) fn announcers(&self, route: &Route) -> impl Iterator<Item = OriginId> + '_ {
        let found = self.find(route).into_iter();
        found.flat_map(|(table, hop)| self.tables[table.0].announcers(hop).iter().map(|a| OriginId(a.origin)))
    }

    pub(super) fn route(&self, table: &Table, id: u32) -> Route {
        let hop = table.hop(id);
        let next_hop = *self.next_hops.get(hop.next_hop());
        Route { vni: table.vni(), prefix: *table.dest(hop.dest()).prefix(), next_hop }
    }

    /// Returns the number of VNIs that have a route.
    pub(crate) fn vni_total(&self) -> usize {
        self.live_tables
    }

    /// The number of routes that are announced.
    pub(crate) fn len(&self) -> usize {
        self.routes
    }
}

impl Table {
    fn info(&self) -> TableInfo {
        TableInfo {
            vni: self.vni(),
            routes: self.live(),
            destinations: self.dests().len(),
            subscribers: self.cursors().len(),
            digest: self.digest(),
        }
    }
}
