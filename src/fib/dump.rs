//! What is in the kernel: at the start, and whenever it may be different from what we know.

use alloc::vec::Vec;
use core::time::Duration;

use super::op::{Found, FoundObject, Leg, Legs, Via};
use super::report::FibReport;
use super::route::Key;
use super::vias::{ViaId, ViaState};
use super::{Dump, Fib};
use crate::Instant;

/// The shortest time from the end of a dump to the next; if the dump took longer than that, as long as it took. Whatever
/// others do to the kernel, reading it must not be all that is done.
const PAUSE_MIN: Duration = Duration::from_millis(100);

impl Fib {
    /// Whether the kernel's state is to be read now. Not while operations are under way.
    pub fn needs_dump(&self, now: Instant) -> bool {
        matches!(self.dump, Dump::Due(at) if at <= now.max(self.now))
            && self.under_way.is_empty()
            && self.ready.is_empty()
    }

    /// What is in the kernel is about to be told by [`found`](Self::found).
    pub fn dump_begins(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.dump = Dump::Running { since: self.now };
        self.dump_again = false;
        self.groups = Some(Vec::new());
        self.vias.forget_taken();
        for id in self.vias.ids() {
            self.vias.get_mut(id).into_iter().for_each(|via| via.is_seen = false);
        }
        #[expect(clippy::disallowed_methods, reason = "in which order is of no consequence")]
        self.routes.values_mut().for_each(|entry| entry.is_seen = false);
    }

    /// Something is in the kernel. All objects come before the first route.
    pub fn found(&mut self, found: Found) {
        match found {
            Found::Object { id, what: FoundObject::Group(members) } => {
                // Their members may come later.
                self.groups.get_or_insert_default().push((id, members));
            }
            Found::Object { id, what: FoundObject::Foreign } => {
                self.found_object(id, None);
                self.vias.take_id(id);
            }
            Found::Object { id, what: FoundObject::Leg(addr) } => {
                self.found_object(id, Some(Legs::from_buf([Leg { addr, weight: 1 }])));
            }
            Found::Object { id, what: FoundObject::Strange } => self.found_object(id, Some(Legs::new())),
            Found::Route { table, prefix, via } => {
                self.end_objects();
                self.found_route(Key { table, prefix: prefix.network() }, via);
            }
        }
    }

    /// An object with these legs. `None`: it is not ours, and just its id counts.
    fn found_object(&mut self, object: u32, legs: Option<Legs>) {
        // Where no objects are wanted, all are left over from another time; and so are their routes, until they are replaced.
        let legs = legs.map(|legs| if self.settings.nexthop_objects { legs } else { Legs::new() });
        if let Some(id) = self.vias.of_object(object)
            && let Some(via) = self.vias.get_mut(id)
        {
            if legs.as_ref() == Some(&via.legs) {
                (via.state, via.is_seen) = (ViaState::Present, true);
                return;
            }
            // Somebody has put another one in its place.
            self.object_is_absent(id);
        }
        if let Some(legs) = legs {
            self.vias.adopt(object, legs);
        }
    }

    /// All objects are known: so are the groups, and what is not there any more.
    fn end_objects(&mut self) {
        let Some(groups) = self.groups.take() else { return };
        for (object, members) in groups {
            let vias: Option<Vec<(ViaId, Leg)>> =
                members.iter().map(|(id, weight)| self.member(*id, *weight)).collect();
            let mut vias = vias.unwrap_or_default();
            vias.sort_by_key(|(_, leg)| *leg);
            // One member is left of a larger group: not what we would make, and no member for another group.
            let is_set = vias.len() > 1 && vias.windows(2).all(|pair| pair[0].1.addr != pair[1].1.addr);
            let legs: Legs = if is_set { vias.iter().map(|(_, leg)| *leg).collect() } else { Legs::new() };
            self.found_object(object, Some(legs));
            // Its members are in use as long as it is there, whatever it is.
            let members = members.iter().filter_map(|(member, _)| self.vias.of_object(*member)).collect();
            if let Some(id) = self.vias.of_object(object) {
                self.set_members(id, members);
            }
        }
        for id in self.vias.ids() {
            if self.vias.get(id).is_some_and(|via| !via.is_seen && via.state != ViaState::Absent && via.object != 0) {
                self.object_is_absent(id);
            }
        }
    }

    fn member(&self, object: u32, weight: u8) -> Option<(ViaId, Leg)> {
        let id = self.vias.of_object(object)?;
        let via = self.vias.get(id)?;
        match via.legs[..] {
            [leg] if via.is_seen => Some((id, Leg { weight, ..leg })),
            _ => None,
        }
    }

    fn found_route(&mut self, key: Key, via: Option<Via>) {
        let via = match via {
            Some(Via::Object(object)) => self.vias.of_object(object),
            Some(Via::Legs(legs)) if !self.settings.nexthop_objects => {
                Some(self.vias.of_legs(&legs, ViaState::Present))
            }
            _ => None,
        };
        let via = via.unwrap_or(ViaId::UNKNOWN);
        let entry = self.routes.entry(key).or_default();
        entry.is_seen = true;
        if entry.installed == ViaId::NONE {
            entry.is_adopted = self.is_adopting;
        }
        if entry.installed != via {
            self.vias.hold(via);
            self.set_installed(key, via);
        }
    }

    /// That was all; or, if not `complete`, not all.
    pub fn dump_ends(&mut self, now: Instant, complete: bool) {
        self.now = self.now.max(now);
        let Dump::Running { since } = self.dump else { return };
        let took = self.now.saturating_since(since);
        self.next_dump = self.now + took.max(PAUSE_MIN);
        self.stats.dumps += 1;
        self.dump_failures = if complete { 0 } else { self.dump_failures.saturating_add(1) };
        if !complete {
            self.groups = None;
            self.next_dump = self.now + self.retry_in(self.dump_failures, took.max(PAUSE_MIN));
            self.dump = Dump::Due(self.next_dump);
            return;
        }
        self.end_objects();
        self.dump = Dump::NotNeeded;
        self.is_device_lost |= !self.is_device_up;
        if self.dump_again {
            self.request_dump();
        }
        #[expect(clippy::disallowed_methods, reason = "in which order is of no consequence")]
        let all: Vec<Key> = self.routes.keys().copied().collect();
        for key in all {
            let Some(entry) = self.routes.get(&key) else { continue };
            if !entry.is_seen && entry.installed != ViaId::NONE {
                self.set_installed(key, ViaId::NONE);
                if !self.is_device_lost {
                    self.stats.removed += 1;
                    self.report(FibReport::Removed { table: key.table, prefix: key.prefix });
                }
            }
            if !self.is_as_wanted(key) {
                self.enqueue(key);
            }
        }
        self.is_device_lost = false;
        for id in self.vias.ids() {
            let Some(via) = self.vias.get_mut(id) else { continue };
            match via.state {
                // At once, whatever it waited for.
                ViaState::Absent => {
                    via.is_retrying = false;
                    self.ensure(id);
                }
                ViaState::Present if !via.waiters.is_empty() => self.wake(id),
                ViaState::Present if via.users == 0 => self.vias.idle.push(id),
                _ => {}
            }
        }
    }

    fn is_as_wanted(&self, key: Key) -> bool {
        let Some(entry) = self.routes.get(&key) else { return true };
        let legs = self.wanted.legs(&key, entry.wanted, &self.settings);
        !legs.is_empty() && self.vias.get(entry.installed).is_some_and(|via| via.legs == legs)
    }
}
