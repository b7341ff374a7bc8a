//! A kernel's routes and nexthop objects, with its rules: what it refuses, and what it removes without a notice.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

use metalbond::Prefix;
use metalbond::fib::{
    DeviceState, Found, FoundObject, Nexthop, Nexthops, Notice, Op, OpError, OpErrorKind, Rival, RouteTarget,
    SurplusRoute,
};

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Object {
    Nexthop(Ipv6Addr),
    Group(Vec<(u32, u8)>),
    Foreign,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Route {
    Ours(RouteTarget),
    Foreign,
}

pub(super) type Key = (u32, Prefix);

/// The metric of this node's routes.
pub(super) const METRIC: u32 = 2048;

/// Returns what a route of another program with this metric is to this node's.
pub(super) fn rival(metric: u32) -> Rival {
    Rival { is_in_place: metric == METRIC, metric, tos: 0, source_len: 0 }
}

/// A route of this node that is one too many.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Surplus {
    pub(super) number: u8,
    pub(super) target: RouteTarget,
    pub(super) is_in_place: bool,
}

#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) objects: BTreeMap<u32, Object>,
    /// The first route of each destination that has the metric of this node's routes.
    pub(super) routes: BTreeMap<Key, Route>,
    /// This node's routes after a route of another program with the same metric.
    pub(super) beside: BTreeMap<Key, RouteTarget>,
    pub(super) surplus: BTreeMap<Key, Vec<Surplus>>,
    /// The surplus routes that are the first of their place now.
    promoted: BTreeMap<Key, u8>,
    /// The metrics of routes of other programs that the kernel prefers.
    pub(super) preferred: BTreeMap<Key, Vec<u32>>,
    /// Objects that other programs use.
    pub(super) in_use: BTreeSet<u32>,
    pub(super) is_up: bool,
    /// Changes by other programs, to be reported to the FIB.
    pub(super) notices: Vec<Notice>,
    /// Number of changes that were made for the FIB.
    pub(super) changes: usize,
}

impl Kernel {
    pub(super) fn new() -> Self {
        let (objects, routes, beside, surplus, promoted) = Default::default();
        let (preferred, in_use, notices) = Default::default();
        Self { objects, routes, beside, surplus, promoted, preferred, in_use, is_up: true, notices, changes: 0 }
    }

    /// Performs an operation. `wanted` returns true if a route to a destination should be in the kernel now.
    pub(super) fn apply(&mut self, op: &Op, wanted: impl Fn(&Key) -> bool) -> Result<(), OpError> {
        let error = |kind| Err(OpError { kind, errno: 1, text: None });
        match op {
            Op::AddObject { .. } if !self.is_up => return error(OpErrorKind::NoDevice),
            Op::AddObject { id, .. } | Op::AddGroup { id, .. } if self.objects.contains_key(id) => {
                return error(OpErrorKind::Exists);
            }
            Op::AddObject { id, addr } => {
                self.objects.insert(*id, Object::Nexthop(*addr));
            }
            Op::AddGroup { id, members } => {
                if members.iter().any(|(id, _)| !matches!(self.objects.get(id), Some(Object::Nexthop(_)))) {
                    return error(OpErrorKind::Refused);
                }
                self.objects.insert(*id, Object::Group(members.to_vec()));
            }
            Op::ReplaceGroup { id, members } => {
                let there = self.objects.get(id);
                assert_ne!(there, Some(&Object::Foreign), "an object of another program is replaced");
                assert!(there != Some(&Object::Group(members.to_vec())), "{op}, but the group is the same");
                if there.is_none() {
                    return error(OpErrorKind::Missing);
                }
                let are_nexthops = |id: &u32| matches!(self.objects.get(id), Some(Object::Nexthop(_)));
                if are_nexthops(id) || !members.iter().all(|(id, _)| are_nexthops(id)) {
                    return error(OpErrorKind::Refused);
                }
                self.objects.insert(*id, Object::Group(members.to_vec()));
            }
            Op::RemoveObject { id } => {
                if !self.objects.contains_key(id) {
                    return error(OpErrorKind::Missing);
                }
                assert_ne!(self.objects[id], Object::Foreign, "an object of another program is removed");
                if self.in_use.contains(id) {
                    return error(OpErrorKind::InUse);
                }
                assert!(self.users(*id).is_empty(), "{op}, but {:?} use it", self.users(*id));
                self.objects.remove(id);
            }
            Op::AddRoute { table, prefix, target } => {
                assert_eq!(*prefix, prefix.network());
                if self.routes.contains_key(&(*table, *prefix)) {
                    return error(OpErrorKind::Exists);
                }
                self.put((*table, *prefix), target)?;
            }
            Op::ReplaceRoute { table, prefix, target } => {
                let there = self.routes.get(&(*table, *prefix));
                assert_ne!(there, Some(&Route::Foreign), "{op}, but the route has another protocol");
                assert!(there != Some(&Route::Ours(target.clone())), "{op}, but the route is the same");
                self.put((*table, *prefix), target)?;
            }
            Op::RemoveRoute { table, prefix } => {
                let key = (*table, *prefix);
                if self.beside.remove(&key).is_some() {
                    self.changes += 1;
                    return Ok(());
                }
                if !matches!(self.routes.get(&key), Some(Route::Ours(_))) {
                    return error(OpErrorKind::Missing);
                }
                assert!(!wanted(&key), "{op}, but the route is wanted");
                self.routes.remove(&key);
                self.next_in_place(key);
            }
            Op::RemoveSurplus { table, prefix, route } => {
                let key = (*table, *prefix);
                let all = self.surplus.get_mut(&key).map_or(&mut [][..], |all| all);
                let Some(at) = all.iter().position(|surplus| [surplus.number] == route.as_bytes()) else {
                    if self.promoted.get(&key).is_none_or(|number| [*number] != route.as_bytes()) {
                        return error(OpErrorKind::Missing);
                    }
                    assert!(!wanted(&key), "{op}, but it is the only one");
                    self.routes.remove(&key);
                    self.next_in_place(key);
                    return Ok(());
                };
                let is_served = self.routes.contains_key(&key) || !wanted(&key);
                assert!(is_served, "{op}, but it is the only one");
                self.take_surplus(key, at);
            }
        }
        self.changes += 1;
        Ok(())
    }

    fn put(&mut self, key: Key, target: &RouteTarget) -> Result<(), OpError> {
        self.promoted.remove(&key);
        let kind = match target {
            RouteTarget::Object(id) if !self.objects.contains_key(id) => OpErrorKind::Refused,
            RouteTarget::Nexthops(_) if !self.is_up => OpErrorKind::NoDevice,
            RouteTarget::Nexthops(nexthops) => {
                assert!(nexthops.len() == 1 || !key.1.is_ipv6(), "no multipath for IPv6 without objects");
                self.routes.insert(key, Route::Ours(target.clone()));
                return Ok(());
            }
            RouteTarget::Object(id) => {
                assert_ne!(self.objects[id], Object::Foreign, "a route to an object of another program");
                self.routes.insert(key, Route::Ours(target.clone()));
                return Ok(());
            }
        };
        Err(OpError { kind, errno: 1, text: None })
    }

    fn take_surplus(&mut self, key: Key, at: usize) -> Surplus {
        let all = self.surplus.get_mut(&key).unwrap();
        let taken = all.remove(at);
        if all.is_empty() {
            self.surplus.remove(&key);
        }
        taken
    }

    /// When the first route in a place is gone, the next one is the first.
    fn next_in_place(&mut self, key: Key) {
        self.promoted.remove(&key);
        let all = self.surplus.get(&key).map_or(&[][..], |all| all);
        if let Some(at) = all.iter().position(|surplus| surplus.is_in_place) {
            let Surplus { number, target, .. } = self.take_surplus(key, at);
            self.promoted.insert(key, number);
            self.routes.insert(key, Route::Ours(target));
        }
    }

    /// Removes those of this node's routes whose target is one of these.
    fn drop_routes(&mut self, is_gone: impl Fn(&RouteTarget) -> bool) {
        let is_ours = |route: &Route| matches!(route, Route::Ours(target) if is_gone(target));
        let gone: Vec<Key> = self.routes.iter().filter(|(_, route)| is_ours(route)).map(|(key, _)| *key).collect();
        self.routes.retain(|_, route| !is_ours(route));
        self.beside.retain(|_, target| !is_gone(target));
        for all in self.surplus.values_mut() {
            all.retain(|surplus| !is_gone(&surplus.target));
        }
        self.surplus.retain(|_, all| !all.is_empty());
        gone.into_iter().for_each(|key| self.next_in_place(key));
    }

    /// Returns the routes and groups that use an object.
    fn users(&self, id: u32) -> Vec<String> {
        let routes = self.routes.iter().filter(|(_, route)| **route == Route::Ours(RouteTarget::Object(id)));
        let groups = self.objects.iter().filter(
            |(_, object)| matches!(object, Object::Group(members) if members.iter().any(|(member, _)| *member == id)),
        );
        let target = RouteTarget::Object(id);
        let beside = self.beside.iter().filter(|(_, other)| **other == target).map(|(key, _)| format!("{key:?}"));
        let surplus = self.surplus.iter().filter(|(_, all)| all.iter().any(|surplus| surplus.target == target));
        let surplus = surplus.map(|(key, _)| format!("{key:?}"));
        let rest = beside.chain(surplus).chain(groups.map(|(id, _)| format!("{id}")));
        routes.map(|(key, _)| format!("{key:?}")).chain(rest).collect()
    }

    /// Removes an object on behalf of another program, and everything that needs it.
    pub(super) fn drop_object(&mut self, id: u32) {
        self.objects.remove(&id);
        self.in_use.remove(&id);
        self.drop_routes(|target| *target == RouteTarget::Object(id));
        let mut empty = BTreeSet::new();
        for (group, object) in &mut self.objects {
            if let Object::Group(members) = object {
                members.retain(|(member, _)| *member != id);
                if members.is_empty() {
                    empty.insert(*group);
                }
            }
        }
        empty.into_iter().for_each(|group| self.drop_object(group));
    }

    pub(super) fn device(&self) -> DeviceState {
        if self.is_up { DeviceState::Up } else { DeviceState::Down }
    }

    pub(super) fn set_device(&mut self, is_up: bool) {
        self.is_up = is_up;
        self.notices.push(Notice::Device(self.device()));
        if !is_up {
            let nexthops = self.objects.iter().filter(|(_, object)| matches!(object, Object::Nexthop(_)));
            let nexthops: Vec<u32> = nexthops.map(|(id, _)| *id).collect();
            nexthops.into_iter().for_each(|id| self.drop_object(id));
            self.drop_routes(|_| true);
        }
    }

    pub(super) fn found(&self) -> Vec<Found> {
        let objects = self.objects.iter().map(|(&id, object)| {
            let what = match object {
                Object::Nexthop(addr) => FoundObject::Nexthop(*addr),
                Object::Group(members) => FoundObject::Group(members.to_vec()),
                Object::Foreign => FoundObject::Foreign,
            };
            Found::Object { id, what }
        });
        let routes = self.routes.iter().map(|(&(table, prefix), route)| match route {
            Route::Ours(target) => Found::Route { table, prefix, target: Some(target.clone()) },
            Route::Foreign => Found::Foreign { table, prefix, rival: rival(METRIC) },
        });
        let beside = self.beside.iter().map(|(&(table, prefix), target)| Found::Route {
            table,
            prefix,
            target: Some(target.clone()),
        });
        let surplus = self.surplus.iter().flat_map(|(key, all)| all.iter().map(move |surplus| (*key, surplus)));
        let surplus = surplus.map(|((table, prefix), surplus)| Found::Surplus {
            table,
            prefix,
            target: Some(surplus.target.clone()),
            is_in_place: surplus.is_in_place,
            route: SurplusRoute::new([surplus.number]),
        });
        let preferred = self.preferred.iter().flat_map(|(key, all)| all.iter().map(move |metric| (*key, *metric)));
        let preferred =
            preferred.map(|((table, prefix), metric)| Found::Foreign { table, prefix, rival: rival(metric) });
        objects.chain(preferred).chain(routes).chain(beside).chain(surplus).collect()
    }

    /// Returns the nexthops of a route of this node, with all objects resolved.
    pub(super) fn nexthops(&self, key: &Key) -> Option<Nexthops> {
        let nexthop = |id: &u32, weight| match self.objects.get(id) {
            Some(Object::Nexthop(addr)) => Nexthop { addr: *addr, weight },
            other => panic!("{id} is {other:?}"),
        };
        match self.routes.get(key)? {
            Route::Foreign => None,
            Route::Ours(RouteTarget::Nexthops(nexthops)) => Some(nexthops.clone()),
            Route::Ours(RouteTarget::Object(id)) => Some(match &self.objects[id] {
                // Whatever its weight.
                Object::Group(members) if members.len() == 1 => std::iter::once(nexthop(&members[0].0, 1)).collect(),
                Object::Group(members) => {
                    let mut nexthops: Vec<Nexthop> = members.iter().map(|(id, weight)| nexthop(id, *weight)).collect();
                    nexthops.sort();
                    nexthops.into_iter().collect()
                }
                _ => std::iter::once(nexthop(id, 1)).collect(),
            }),
        }
    }

    /// Returns the groups with one member that this node's routes use, and those that have the members of another one.
    pub(super) fn duplicates(&self) -> Vec<u32> {
        let used = self.routes.values().filter_map(|route| match route {
            Route::Ours(RouteTarget::Object(id)) => Some(*id),
            _ => None,
        });
        let used: BTreeSet<u32> = used.collect();
        let is_duplicate = |id: &u32| match &self.objects[id] {
            Object::Group(members) if members.len() == 1 => true,
            Object::Group(_) => used.range(..id).any(|other| self.objects[other] == self.objects[id]),
            _ => false,
        };
        used.iter().copied().filter(is_duplicate).collect()
    }

    /// Returns the objects that nothing uses.
    pub(super) fn left_over(&self) -> Vec<u32> {
        let ours = self.objects.iter().filter(|(_, object)| **object != Object::Foreign);
        let unused = ours.map(|(id, _)| *id).filter(|id| self.users(*id).is_empty());
        unused.filter(|id| !self.in_use.contains(id)).collect()
    }
}
