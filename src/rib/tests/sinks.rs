//! Receivers of walks in the tests.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::rib::{Change, Sink};
use crate::{Prefix, Route, Vni};

pub(super) struct Subscriber<'a> {
    pub(super) routes: &'a mut BTreeSet<Route>,
    /// Routes that are to be removed, even if they are there again.
    pub(super) gone: &'a mut BTreeSet<Route>,
    pub(super) room: usize,
    pub(super) prompt: bool,
    /// View, for the destinations that must not be left without a next hop.
    pub(super) gapless: Option<BTreeMap<(Vni, Prefix), bool>>,
}

impl Sink for Subscriber<'_> {
    fn has_room(&self, changes: usize) -> bool {
        self.room >= changes
    }

    fn len(&self) -> usize {
        0
    }

    fn send(&mut self, change: Change<'_>) {
        self.room -= 1;
        let route = Route { vni: change.vni, prefix: *change.prefix, next_hop: *change.next_hop };
        let is_new = if change.there { self.routes.insert(route) } else { self.routes.remove(&route) };
        if !change.there {
            self.gone.remove(&route);
        }
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
pub(super) struct Heard {
    pub(super) heard: Vec<(Route, bool)>,
    pub(super) room: usize,
}

impl Default for Heard {
    fn default() -> Self {
        Self { heard: Vec::new(), room: usize::MAX }
    }
}

impl Sink for Heard {
    fn has_room(&self, changes: usize) -> bool {
        self.room - self.heard.len() >= changes
    }

    fn len(&self) -> usize {
        self.heard.len()
    }

    fn send(&mut self, change: Change<'_>) {
        let route = Route { vni: change.vni, prefix: *change.prefix, next_hop: *change.next_hop };
        self.heard.push((route, change.there));
    }
}
