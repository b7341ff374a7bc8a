//! What belongs to this program: the routes and objects of its settings, and the [remains](Remains) of earlier settings.
//!
//! Invariant: a route or an object that is found as this program's own may be changed and removed, and no other one is.

use std::collections::BTreeSet;

use metalbond::Prefix;
use metalbond::fib::{Found, FoundObject, RouteTarget};

use crate::Settings;
use crate::mark::Mark;
use crate::message::Message;
use crate::nexthop;
use crate::remains::Remains;
use crate::route::{self, Route};
use crate::strays::Strays;

#[derive(Debug)]
pub(crate) struct Ours {
    settings: Settings,
    remains: Remains,
}

impl Ours {
    /// `settings`: with its tables in order.
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, remains: Remains::default() }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn remains(&self) -> &Remains {
        &self.remains
    }

    /// Replaces what is taken over. Returns what was until now.
    pub(crate) fn set_remains(&mut self, remains: Remains) -> Remains {
        std::mem::replace(&mut self.remains, remains)
    }

    /// Returns the tables in which this program has routes.
    pub(crate) fn tables(&self) -> Vec<u32> {
        self.settings.tables.iter().copied().chain(self.remains.tables()).collect()
    }

    pub(crate) fn has_table(&self, table: u32) -> bool {
        self.settings.tables.binary_search(&table).is_ok() || self.remains.has_table(table)
    }

    /// Returns whether a route in a table of this program has a protocol number of this program.
    pub(crate) fn has_protocol(&self, route: &Route<'_>) -> bool {
        route.protocol == self.settings.protocol || self.is_former(route)
    }

    /// Returns whether a route has another protocol number than the settings, which this program had earlier.
    fn is_former(&self, route: &Route<'_>) -> bool {
        self.remains.has_protocol(route.table, route.protocol)
    }

    fn has_id(&self, id: u32) -> bool {
        self.settings.ids.contains(&id) || self.remains.has_id(id)
    }

    /// Returns whether a route is one that this program makes, with any metric.
    fn is_made_by_us(&self, route: &Route<'_>, target: Option<&RouteTarget>) -> bool {
        self.has_protocol(route)
            && route.is_for_all()
            && match target {
                Some(RouteTarget::Object(id)) => self.has_id(*id),
                Some(RouteTarget::Nexthops(_)) => true,
                None => false,
            }
    }

    /// Returns whether a route is this program's own: in the place of its routes, or as it makes them.
    pub(crate) fn has_route(&self, device: Option<u32>, route: &Route<'_>) -> bool {
        self.has_table(route.table)
            && self.has_protocol(route)
            && Mark::parse(route).is_none()
            && (route.protocol == self.settings.protocol && route.is_in_place(self.settings.metric)
                || self.is_made_by_us(route, route.target(device).as_ref()))
    }

    /// Returns whether a route is this program's own, but not by its settings.
    pub(crate) fn has_as_remains(&self, device: Option<u32>, route: &Route<'_>) -> bool {
        self.has_route(device, route) && (self.is_former(route) || self.remains.has_table(route.table))
    }

    /// Reads the body of a message about an object, if its id is one that concerns this program.
    pub(crate) fn object(&self, device: Option<u32>, body: &[u8]) -> Option<(u32, FoundObject)> {
        let protocol = nexthop::protocol(body)?;
        let (id, what) = nexthop::parse(body, device, self.settings.protocol)?;
        let is_of_settings = self.settings.ids.contains(&id);
        if is_of_settings && protocol == self.settings.protocol {
            return Some((id, what));
        }
        if self.remains.has_object(protocol, id) {
            let (id, what) = nexthop::parse(body, device, protocol)?;
            // No route of the settings is to use it, so that it goes when those of the earlier ones are gone.
            let is_group = matches!(what, FoundObject::Group(_));
            return Some((id, if is_group { what } else { FoundObject::Unknown }));
        }
        is_of_settings.then_some((id, FoundObject::Foreign))
    }

    /// Returns whether an object is this program's own, but not by its settings.
    pub(crate) fn has_object_as_remains(&self, body: &[u8]) -> bool {
        let id = nexthop::parse(body, None, self.settings.protocol).map(|(id, _)| id);
        let is_remains = |protocol, id| self.remains.has_object(protocol, id);
        let is_of_settings = |protocol, id: u32| protocol == self.settings.protocol && self.settings.ids.contains(&id);
        matches!((nexthop::protocol(body), id), (Some(protocol), Some(id)) if is_remains(protocol, id) && !is_of_settings(protocol, id))
    }

    /// Reports a route of a dump, if it concerns this program. `last`: the last route in this program's place.
    pub(crate) fn report(
        &self,
        device: Option<u32>,
        route: &Route<'_>,
        last: &mut Option<(Prefix, Option<RouteTarget>)>,
        strays: &mut Strays,
        found: &mut impl FnMut(Found),
    ) {
        let (table, prefix, metric) = (route.table, route.prefix, self.settings.metric);
        let is_in_place = route.is_in_place(metric);
        let is_of_settings = route.protocol == self.settings.protocol;
        let is_former = !is_of_settings && self.is_former(route);
        let target = if is_of_settings || is_former { route.target(device) } else { None };
        let is_ours = is_of_settings || is_former && self.is_made_by_us(route, target.as_ref());
        if !is_ours {
            if let Some(rival) = route.rival(metric) {
                found(Found::Foreign { table, prefix, rival });
            }
            return;
        }
        if is_in_place {
            // One of the former protocol number is written again. Its object is one of the remains, which no other route is to use, and which
            // stays until then.
            let is_by_object = matches!(target, Some(RouteTarget::Object(_)));
            let target = target.filter(|_| is_by_object || !is_former);
            match last {
                Some((other, at)) if *other == prefix => {
                    // A change of the table may have the kernel return a route twice.
                    if target.is_none() || *at != target {
                        let route = route.as_surplus();
                        found(Found::Surplus { table, prefix, target, is_in_place, route });
                    }
                }
                _ => {
                    *last = Some((prefix, target.clone()));
                    found(Found::Route { table, prefix, target });
                }
            }
        } else if self.is_made_by_us(route, target.as_ref()) {
            found(Found::Surplus { table, prefix, target, is_in_place, route: route.as_surplus() });
        } else {
            strays.add(route.removal());
            if let Some(rival) = route.rival(metric) {
                found(Found::Foreign { table, prefix, rival });
            }
        }
    }

    /// Returns whether this is a group that is not this program's.
    pub(crate) fn is_group_of_others(&self, body: &[u8]) -> bool {
        nexthop::members(body).next().is_some()
            && self.object(None, body).is_none_or(|(_, what)| what == FoundObject::Foreign)
    }

    /// Returns those ids of a group's members that are this program's.
    pub(crate) fn members<'a>(&'a self, body: &'a [u8]) -> impl Iterator<Item = u32> + use<'a> {
        nexthop::members(body).filter(|id| self.has_id(*id))
    }

    /// Returns the object of this program that a route uses, if the route is not this program's own.
    pub(crate) fn used_by_others(&self, device: Option<u32>, route: &Route<'_>) -> Option<u32> {
        let id = route.object().filter(|id| self.has_id(*id))?;
        (!self.has_route(device, route)).then_some(id)
    }

    /// Follows which objects others use. To know it for certain takes a dump, which is made only before an object is removed.
    pub(crate) fn note_use(&self, device: Option<u32>, message: &Message<'_>, in_use: &mut Option<BTreeSet<u32>>) {
        match message.kind {
            route::RTM_NEWROUTE | route::RTM_DELROUTE => {
                let Some(known) = in_use else { return };
                let Some(id) = Route::parse(message.body).and_then(|route| self.used_by_others(device, &route)) else {
                    return;
                };
                if message.kind == route::RTM_NEWROUTE {
                    known.insert(id);
                } else if known.contains(&id) {
                    *in_use = None;
                }
            }
            nexthop::RTM_NEWNEXTHOP | nexthop::RTM_DELNEXTHOP if self.is_group_of_others(message.body) => {
                *in_use = None
            }
            _ => {}
        }
    }
}
