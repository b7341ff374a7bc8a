//! A kernel's routes and nexthop objects, with its rules: what it refuses, and what it removes without a notice.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

use metalbond::Prefix;
use metalbond::fib::{Found, FoundObject, Nexthop, Nexthops, Notice, Op, OpError, OpErrorKind, RouteTarget};

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

#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) objects: BTreeMap<u32, Object>,
    pub(super) routes: BTreeMap<Key, Route>,
    pub(super) is_up: bool,
    /// Changes by other programs, to be reported to the FIB.
    pub(super) notices: Vec<Notice>,
    /// Number of changes that were made for the FIB.
    pub(super) changes: usize,
}

impl Kernel {
    pub(super) fn new() -> Self {
        let (objects, routes, notices) = Default::default();
        Self { objects, routes, is_up: true, notices, changes: 0 }
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
            Op::RemoveObject { id } => {
                if !self.objects.contains_key(id) {
                    return error(OpErrorKind::Missing);
                }
                assert_ne!(self.objects[id], Object::Foreign, "an object of another program is removed");
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
                if !matches!(self.routes.get(&key), Some(Route::Ours(_))) {
                    return error(OpErrorKind::Missing);
                }
                assert!(!wanted(&key), "{op}, but the route is wanted");
                self.routes.remove(&key);
            }
        }
        self.changes += 1;
        Ok(())
    }

    fn put(&mut self, key: Key, target: &RouteTarget) -> Result<(), OpError> {
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

    /// Returns the routes and groups that use an object.
    fn users(&self, id: u32) -> Vec<String> {
        let routes = self.routes.iter().filter(|(_, route)| **route == Route::Ours(RouteTarget::Object(id)));
        let groups = self.objects.iter().filter(
            |(_, object)| matches!(object, Object::Group(members) if members.iter().any(|(member, _)| *member == id)),
        );
        routes.map(|(key, _)| format!("{key:?}")).chain(groups.map(|(id, _)| format!("{id}"))).collect()
    }

    /// Removes an object on behalf of another program, and everything that needs it.
    pub(super) fn drop_object(&mut self, id: u32) {
        self.objects.remove(&id);
        self.routes.retain(|_, route| *route != Route::Ours(RouteTarget::Object(id)));
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

    pub(super) fn set_device(&mut self, is_up: bool) {
        self.is_up = is_up;
        self.notices.push(if is_up { Notice::DeviceUp } else { Notice::DeviceDown });
        if !is_up {
            let nexthops = self.objects.iter().filter(|(_, object)| matches!(object, Object::Nexthop(_)));
            let nexthops: Vec<u32> = nexthops.map(|(id, _)| *id).collect();
            nexthops.into_iter().for_each(|id| self.drop_object(id));
            self.routes.retain(|_, route| !matches!(route, Route::Ours(_)));
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
        let routes = self.routes.iter().filter_map(|(&(table, prefix), route)| match route {
            Route::Ours(target) => Some(Found::Route { table, prefix, target: Some(target.clone()) }),
            Route::Foreign => None,
        });
        objects.chain(routes).collect()
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
                Object::Group(members) => {
                    let mut nexthops: Vec<Nexthop> = members.iter().map(|(id, weight)| nexthop(id, *weight)).collect();
                    nexthops.sort();
                    nexthops.into_iter().collect()
                }
                _ => std::iter::once(nexthop(id, 1)).collect(),
            }),
        }
    }

    /// Returns the objects that nothing uses.
    pub(super) fn left_over(&self) -> Vec<u32> {
        let ours = self.objects.iter().filter(|(_, object)| **object != Object::Foreign);
        ours.map(|(id, _)| *id).filter(|id| self.users(*id).is_empty()).collect()
    }
}
