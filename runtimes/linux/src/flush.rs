//! The removal of all that a program of this kind has left in the kernel, by its protocol number alone.

use std::collections::{BTreeMap, BTreeSet};

use metalbond::fib::SurplusRoute;

use crate::claim;
use crate::error::OpenError;
use crate::kernel::{dump_part, probe};
use crate::mark::Mark;
use crate::message::Message;
use crate::nexthop::{self, Kind};
use crate::requests::Requests;
use crate::route::{self, Route};

/// How often the kernel's state is read while something was found to remove.
const PASSES: usize = 5;

/// What [`flush`] has removed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Flushed {
    /// Tunnel routes.
    pub routes: usize,
    /// Nexthop objects, groups included.
    pub objects: usize,
}

/// Removes the tunnel routes (IPv6 encapsulation) with a protocol number from these tables, or from all tables, also those through nexthop
/// objects; then the tunnel objects with this number that no route uses any more. Routes of other kinds stay, whatever their number.
///
/// # Errors
/// [`OpenError::Running`] if a running process uses this number in one of these tables. If the process may not change routes, or the kernel
/// cannot be asked.
pub fn flush(protocol: u8, tables: Option<&[u32]>) -> Result<Flushed, OpenError> {
    let mut requests = Requests::open().map_err(crate::Lost::Socket)?;
    let has_objects = probe(&mut requests)?;
    if let Some(taken) = claim::holder_of(protocol, tables)? {
        return Err(OpenError::Running(taken));
    }
    let mut flushed = Flushed::default();
    for _ in 0..PASSES {
        let found = Found::read(&mut requests, protocol, tables, has_objects)?;
        if found.routes.is_empty() && found.marks.is_empty() {
            break;
        }
        flushed.routes += remove(&mut requests, &found.routes, |out, sequence, route| {
            route::put_remove_surplus(out, sequence, route);
        })?;
        remove(&mut requests, &found.marks, |out, sequence, mark| mark.put_remove(out, sequence))?;
    }
    let Found { objects, .. } = Found::read(&mut requests, protocol, tables, has_objects)?;
    flushed.objects += remove(&mut requests, &objects, |out, sequence, id| nexthop::put_remove(out, sequence, *id))?;
    Ok(flushed)
}

/// What there is to remove.
#[derive(Default)]
struct Found {
    routes: Vec<SurplusRoute>,
    marks: Vec<Mark>,
    /// Those that no other route or group uses: groups first, because their members are in use until then.
    objects: Vec<u32>,
}

impl Found {
    fn read(
        requests: &mut Requests,
        protocol: u8,
        tables: Option<&[u32]>,
        has_objects: bool,
    ) -> Result<Self, OpenError> {
        let (mut groups, mut singles, mut in_use) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        if has_objects {
            let each = |message: &Message<'_>| {
                let members = nexthop::members(message.body);
                match nexthop::id_of_kind(message.body, protocol) {
                    Some((id, Kind::Group)) => drop(groups.insert(id, members.collect::<Vec<_>>())),
                    Some((id, Kind::Tunnel)) => drop(singles.insert(id)),
                    _ => in_use.extend(members),
                }
            };
            dump_part(requests, nexthop::put_dump, each).map_err(OpenError::Unread)?;
        }
        let mut found = Self::default();
        let is_object = |id: u32| groups.contains_key(&id) || singles.contains(&id);
        let mut each = |route: &Route<'_>| {
            let is_asked = route.protocol == protocol && tables.is_none_or(|tables| tables.contains(&route.table));
            if is_asked && let Some(mark) = Mark::parse(route) {
                found.marks.push(mark);
            } else if is_asked && (route.is_tunnel() || route.object().is_some_and(is_object)) {
                found.routes.push(route.as_surplus());
            } else {
                in_use.extend(route.object());
            }
        };
        for family in [route::AF_INET, route::AF_INET6] {
            let put = |out: &mut Vec<u8>, sequence| route::put_dump(out, sequence, family, None);
            let each = |message: &Message<'_>| Route::parse(message.body).iter().for_each(&mut each);
            dump_part(requests, put, each).map_err(OpenError::Unread)?;
        }
        let (stay, go): (Vec<_>, Vec<_>) = groups.into_iter().partition(|(id, _)| in_use.contains(id));
        in_use.extend(stay.into_iter().flat_map(|(_, members)| members));
        let singles = singles.into_iter().filter(|id| !in_use.contains(id));
        found.objects = go.into_iter().map(|(id, _)| id).chain(singles).collect();
        Ok(found)
    }
}

/// Removes all of these. Returns how many the kernel has removed.
fn remove<T>(requests: &mut Requests, all: &[T], put: impl Fn(&mut Vec<u8>, u32, &T)) -> Result<usize, OpenError> {
    let mut refused = 0;
    for one in all {
        requests.add(|out, sequence| put(out, sequence, one));
        if requests.is_full() {
            requests.flush(|_, _| refused += 1)?;
        }
    }
    requests.flush(|_, _| refused += 1)?;
    Ok(all.len() - refused)
}
