//! From what is wanted to what is to be done.

use smallvec::SmallVec;

use super::op::{Leg, Legs, Op, Via};
use super::report::FibReport;
use super::route::Key;
use super::sets::SetId;
use super::vias::{ViaId, ViaState, Waiter};
use super::wanted::Claims;
use super::{Dump, Fib, Retry, Step};
use crate::{Instant, Vni};

impl Fib {
    /// The next operation. Each is to be followed by [`done`](Self::done), in this order; several may be under way.
    pub fn poll_op(&mut self, now: Instant) -> Option<Op> {
        self.now = self.now.max(now);
        self.fire_retries();
        loop {
            if let Some(step) = self.ready.pop_front() {
                let op = self.op(step);
                self.under_way.push_back(step);
                return Some(op);
            }
            // First it is seen how things are: what is done on a guess could hit a route of another protocol.
            if self.dump != Dump::NotNeeded {
                return None;
            }
            if let Some(key) = self.queue.pop_front() {
                self.look_at(key);
            } else if !self.retire() {
                return None;
            }
        }
    }

    fn fire_retries(&mut self) {
        while let Some(&(at, what)) = self.retries.first()
            && at <= self.now
        {
            self.retries.pop_first();
            match what {
                Retry::Route(key) => {
                    if let Some(entry) = self.routes.get_mut(&key) {
                        entry.is_retrying = false;
                        self.enqueue(key);
                    }
                }
                Retry::Via(id) => {
                    let Some(via) = self.vias.get_mut(id) else { continue };
                    via.is_retrying = false;
                    match via.state {
                        ViaState::Present => self.vias.idle.push(id),
                        _ => self.ensure(id),
                    }
                }
            }
        }
    }

    /// Compares a route with what it should be.
    fn look_at(&mut self, key: Key) {
        let Some(entry) = self.routes.get_mut(&key) else { return };
        entry.is_queued = false;
        if entry.is_busy {
            entry.is_dirty = true;
            return;
        }
        if self.wanted.is_shared(key.table) {
            self.find_vni_conflicts(key);
        }
        let Some(entry) = self.routes.get_mut(&key) else { return };
        let legs = if self.is_clearing { Legs::new() } else { self.wanted.legs(&key, entry.wanted, &self.settings) };
        if !legs.is_empty() {
            if self.is_device_up {
                self.lead(key, &legs);
            }
            // Else it is looked at when the device is back.
            return;
        }
        entry.waits_for = ViaId::NONE;
        self.vias.let_go(core::mem::replace(&mut entry.tried, ViaId::NONE));
        self.stats.conflicts -= usize::from(core::mem::take(&mut entry.is_conflict));
        if entry.installed != ViaId::NONE {
            if !entry.is_adopted {
                entry.is_busy = true;
                self.ready.push_back(Step::Route { key, to: ViaId::NONE });
            }
        } else if entry.wanted == SetId::EMPTY || self.is_clearing {
            self.forget(key);
        }
    }

    /// Notes for which VNIs a kernel route of a shared table is not installed, and reports what has changed in that.
    fn find_vni_conflicts(&mut self, key: Key) {
        let claims = if self.is_clearing { Claims::new() } else { self.wanted.claims(&key, &self.settings) };
        let mut vnis = claims.iter().map(|(vni, _)| *vni);
        let installed = vnis.next();
        let now: SmallVec<[Vni; 1]> = vnis.collect();
        let before =
            if now.is_empty() { self.vni_conflicts.remove(&key) } else { self.vni_conflicts.insert(key, now.clone()) };
        let before = before.unwrap_or_default();
        for count in [&mut self.stats.conflicts, &mut self.stats.vni_conflicts] {
            *count = *count + now.len() - before.len();
        }
        let Some(installed) = installed else { return };
        let Key { table, prefix } = key;
        if before.contains(&installed) {
            self.report(FibReport::VniConflictOver { table, prefix, vni: installed });
        }
        for vni in now.into_iter().filter(|vni| !before.contains(vni)) {
            self.report(FibReport::VniConflict { table, prefix, vni, installed });
        }
    }

    /// A route is neither wanted nor installed.
    pub(super) fn forget(&mut self, key: Key) {
        if let Some(entry) = self.routes.get(&key)
            && entry.wanted == SetId::EMPTY
        {
            self.routes.remove(&key);
            if self.routes.capacity() > 8 * self.routes.len() + 1024 {
                self.routes.shrink_to(self.routes.len() * 2);
            }
        }
    }

    /// Has a route lead to these legs.
    fn lead(&mut self, key: Key, legs: &Legs) {
        let Some(entry) = self.routes.get_mut(&key) else { return };
        let there = self.vias.get(entry.installed).map_or(&[][..], |via| &via.legs);
        if there == &legs[..] {
            (entry.waits_for, entry.is_adopted) = (ViaId::NONE, false);
            let tried = core::mem::replace(&mut entry.tried, ViaId::NONE);
            return self.vias.let_go(tried);
        }
        // A part: the rest of its next hops may be yet to come. Without objects, an IPv6 route has the best of them only.
        let is_part = legs.iter().all(|leg| there.iter().any(|other| other.addr == leg.addr));
        if entry.is_adopted && (is_part || !self.settings.nexthop_objects && key.prefix.is_ipv6()) {
            return;
        }
        entry.is_adopted = false;
        let fresh = if self.settings.nexthop_objects { ViaState::Absent } else { ViaState::Present };
        let id = self.vias.of_legs(legs, fresh);
        let Some(via) = self.vias.get_mut(id) else { return };
        if via.state == ViaState::Present {
            (entry.waits_for, entry.is_busy) = (ViaId::NONE, true);
            self.vias.hold(id);
            self.ready.push_back(Step::Route { key, to: id });
        } else {
            if core::mem::replace(&mut entry.waits_for, id) != id {
                via.waiters.push(Waiter::Route(key));
            }
            self.ensure(id);
        }
    }

    /// Sees to it that an object comes to be there, if somebody waits for it.
    pub(super) fn ensure(&mut self, id: ViaId) {
        let Some(via) = self.vias.get_mut(id) else { return };
        if via.state != ViaState::Absent || via.is_retrying || !self.is_device_up {
            return;
        }
        let routes = &self.routes;
        via.waiters.retain(|waiter| match waiter {
            Waiter::Route(key) => routes.get(key).is_some_and(|entry| entry.waits_for == id),
            Waiter::Group(_) => true,
        });
        if via.waiters.is_empty() {
            if via.users == 0 {
                self.drop_via(id);
            }
            return;
        }
        if via.legs.len() > 1 {
            let legs = via.legs.clone();
            if !self.ensure_members(id, &legs) {
                return;
            }
        }
        if !self.vias.assign_id(id) {
            self.report(FibReport::NoIds);
            return self.retry_via(id);
        }
        if let Some(via) = self.vias.get_mut(id) {
            via.state = ViaState::Adding;
        }
        self.ready.push_back(Step::Add(id));
    }

    /// Sees to the members of a group, which from now on are in use. Whether all are there.
    fn ensure_members(&mut self, group: ViaId, legs: &[Leg]) -> bool {
        let Some(via) = self.vias.get(group) else { return false };
        let mut members = via.members.clone();
        if members.is_empty() {
            let member = |leg: &Leg| -> Legs { Legs::from_buf([Leg { weight: 1, ..*leg }]) };
            members = legs.iter().map(|leg| self.vias.of_legs(&member(leg), ViaState::Absent)).collect();
            self.set_members(group, members.clone());
        }
        let mut are_there = true;
        for &id in &members {
            if self.vias.get(id).is_some_and(|via| via.state == ViaState::Present) {
                continue;
            }
            are_there = false;
            let is_news = self.vias.get(group).is_some_and(|group| !group.awaits.contains(&id));
            if let (true, Some(via)) = (is_news, self.vias.get_mut(group)) {
                via.awaits.push(id);
                self.vias.get_mut(id).into_iter().for_each(|via| via.waiters.push(Waiter::Group(group)));
            }
            self.ensure(id);
        }
        are_there
    }

    /// These are a group's members, and in use.
    pub(super) fn set_members(&mut self, group: ViaId, members: SmallVec<[ViaId; 2]>) {
        members.iter().for_each(|id| self.vias.hold(*id));
        let Some(via) = self.vias.get_mut(group) else { return };
        for old in core::mem::replace(&mut via.members, members) {
            self.vias.let_go(old);
        }
    }

    /// Forgets a via that the kernel does not have and nobody needs.
    pub(super) fn drop_via(&mut self, id: ViaId) {
        self.object_is_absent(id);
        self.vias.remove(id);
    }

    pub(super) fn retry_via(&mut self, id: ViaId) {
        let Some(via) = self.vias.get_mut(id) else { return };
        via.failures = via.failures.saturating_add(1);
        let failures = via.failures;
        if !core::mem::replace(&mut via.is_retrying, true) {
            let at = self.now + self.retry_in(failures, self.settings.retry_min);
            self.retries.insert((at, Retry::Via(id)));
        }
    }

    /// Has an object removed that nobody uses. False: there is none.
    fn retire(&mut self) -> bool {
        while let Some(id) = self.vias.idle.pop() {
            let Some(via) = self.vias.get_mut(id) else { continue };
            if via.users > 0 || !via.waiters.is_empty() || via.is_retrying || id == ViaId::UNKNOWN {
                continue;
            }
            match via.state {
                ViaState::Present if via.object != 0 => {
                    via.state = ViaState::Removing;
                    self.ready.push_back(Step::Remove(id));
                    return true;
                }
                ViaState::Present | ViaState::Absent => self.drop_via(id),
                ViaState::Adding | ViaState::Removing => {}
            }
        }
        false
    }

    /// A step, as the kernel is to be told.
    pub(super) fn op(&self, step: Step) -> Op {
        let object = |id| self.vias.get(id).map_or(0, |via| via.object);
        match step {
            Step::Add(id) => match self.vias.get(id) {
                Some(via) if via.legs.len() > 1 => {
                    let weights = via.legs.iter().map(|leg| leg.weight);
                    let members = via.members.iter().map(|id| object(*id)).zip(weights).collect();
                    Op::AddGroup { id: via.object, members }
                }
                via => {
                    let addr =
                        via.and_then(|via| via.legs.first()).map_or(core::net::Ipv6Addr::UNSPECIFIED, |l| l.addr);
                    Op::AddObject { id: object(id), addr }
                }
            },
            Step::Remove(id) => Op::RemoveObject { id: object(id) },
            Step::Route { key: Key { table, prefix }, to: ViaId::NONE } => Op::RemoveRoute { table, prefix },
            Step::Route { key, to } => {
                let via = match self.vias.get(to) {
                    Some(via) if via.object == 0 => Via::Legs(via.legs.clone()),
                    _ => Via::Object(object(to)),
                };
                let Key { table, prefix } = key;
                match self.routes.get(&key) {
                    Some(entry) if entry.installed != ViaId::NONE => Op::ReplaceRoute { table, prefix, via },
                    _ => Op::AddRoute { table, prefix, via },
                }
            }
        }
    }
}
