//! Receivers of walks in the tests.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::rib::{Change, Sink};
use crate::{Prefix, Route, Vni};

pub(super) struct Subscriber<'a> {
    pub(super) routes: &'a mut BTreeSet<Route>,
    pub(super) room: usize,
    pub(super) prompt: bool,
    /// View, for the destinations that must not be left without a next hop.
    pub(super) gapless: Option<BTreeMap<(Vni, Prefix), bool>>,
}

impl Sink for Subscriber<'_> {
    fn has_room(&self) -> bool {
        self.room > 0
    }

    fn len(&self) -> usize {
        0
    }

    fn send(&mut self, change: Change<'_>) {
        self.room -= 1;
        let route = Route { vni: change.vni, prefix: *change.prefix, next_hop: *change.next_hop };
        let is_new = if change.there { self.routes.insert(route) } else { self.routes.remove(&route) };
        assert!(is_new || !self.prompt, "sent twice: {route} {}", change.there);
        if let Some(gapless) = &self.gapless
            && gapless.get(&(route.vni, route.prefix)) == Some(&true)
        {
            let left = self.routes.iter().any(|r| (r.vni, r.prefix) == (route.vni, route.prefix));
            assert!(left, "a gap at {route}");
        }
    }
}

/// Keeps the changes that it is sent, in order.
#[derive(Default)]
pub(super) struct Heard(pub(super) Vec<(Route, bool)>);

impl Sink for Heard {
    fn has_room(&self) -> bool {
        true
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn send(&mut self, change: Change<'_>) {
        let route = Route { vni: change.vni, prefix: *change.prefix, next_hop: *change.next_hop };
        self.0.push((route, change.there));
    }
}
