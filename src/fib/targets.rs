//! The targets of kernel routes: each list of nexthops once, with the nexthop object or group that stands for it.
//!
//! Invariants: a list of nexthops has one target from which routes get their object, and an object in the kernel belongs to one target. An
//! object is added when a route or a group waits for it, a group after its members. An object is removed when nothing uses it.
//!
//! A list may have a second target for a while, a *duplicate*: a group that got the nexthops of another one, or that was found. Its routes are
//! moved to the other one when there is nothing else to do.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::net::Ipv6Addr;
use core::ops::RangeInclusive;
use core::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::op::{FoundObject, Nexthop, Nexthops, Op, RouteTarget};
use super::report::{FibReport, Reports};
use super::routes::{Key, Routes};
use super::steps::{Step, Steps};
use crate::{Backoff, Instant};

/// A target's number, while it is in use.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct TargetId(u32);

impl TargetId {
    /// There is no route.
    pub(super) const NONE: Self = Self(u32::MAX);
    /// The route leads to something that a FIB does not make.
    pub(super) const UNKNOWN: Self = Self(0);
}

/// Whether the kernel has the object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Absent,
    Adding,
    Present,
    Removing,
    /// The group is about to get other members.
    Replacing,
}

/// What goes on when an object is present.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Waiter {
    Route(Key),
    Group(TargetId),
    /// A group whose members are to be replaced by those of the target.
    Replacement(TargetId),
}

#[derive(Debug)]
struct Target {
    /// Empty: the object is nothing that a FIB makes.
    nexthops: Nexthops,
    /// The object's id in the kernel; 0 if it has none.
    object: u32,
    state: State,
    /// Routes that are installed with it or about to be, and groups that it is a member of.
    users: u32,
    /// The members of a group that is not absent.
    members: SmallVec<[TargetId; 2]>,
    /// The members that the group is about to get, which it uses, too.
    next_members: SmallVec<[TargetId; 2]>,
    waiters: Vec<Waiter>,
    /// Of the kernel's refusals in a row.
    backoff: Backoff,
    /// The members that a group waits for.
    awaited: SmallVec<[TargetId; 2]>,
    /// It is among the retries.
    is_retrying: bool,
    /// The kernel has refused to replace the group.
    is_fixed: bool,
    /// The present dump has found it.
    is_seen: bool,
}

impl Target {
    /// Returns whether it is a group with one member.
    fn is_lone(&self) -> bool {
        is_lone(&self.nexthops, !self.members.is_empty())
    }
}

/// Returns whether something with these nexthops is a group with one member: what is left of a larger group.
fn is_lone(nexthops: &Nexthops, is_group: bool) -> bool {
    is_group && nexthops.len() == 1
}

/// What else a target's next step depends on, and where it goes.
#[derive(Debug)]
pub(super) struct Context<'a> {
    now: Instant,
    is_device_up: bool,
    /// The shortest and the longest wait before a retry.
    retry: RangeInclusive<Duration>,
    routes: &'a mut Routes,
    steps: &'a mut Steps,
    reports: &'a mut Reports,
}

impl<'a> Context<'a> {
    /// Returns a context in which a failed operation is tried again after a wait in the range `retry`.
    pub(super) const fn new(
        now: Instant,
        is_device_up: bool,
        retry: RangeInclusive<Duration>,
        routes: &'a mut Routes,
        steps: &'a mut Steps,
        reports: &'a mut Reports,
    ) -> Self {
        Self { now, is_device_up, retry, routes, steps, reports }
    }
}

/// Returns the nexthops of the object for a member of a group.
fn single(member: &Nexthop) -> Nexthops {
    Nexthop { weight: 1, ..*member }.into()
}

/// A group that a dump has found: its id, and its members' ids and weights.
type FoundGroup = (u32, Vec<(u32, u8)>);

#[derive(Debug)]
pub(super) struct Targets {
    /// Whether the kernel has nexthop objects. Otherwise a target is no more than a list, and always present.
    has_objects: bool,
    items: Vec<Option<Target>>,
    free: Vec<u32>,
    by_nexthops: HashMap<Nexthops, TargetId, FixedState>,
    by_object: HashMap<u32, TargetId, FixedState>,
    /// The ids that objects may have.
    ids: RangeInclusive<u32>,
    /// The id from which a free one is looked for.
    next_id: u32,
    /// Ids of objects of other protocols.
    foreign: BTreeSet<u32>,
    /// Targets that lost their last user. Some may have a user again, or be gone.
    idle: Vec<TargetId>,
    retries: BTreeSet<(Instant, TargetId)>,
    /// Duplicates whose routes may have to be moved.
    duplicates: BTreeSet<TargetId>,
    /// Duplicates of targets to whose objects something is being done.
    early_duplicates: BTreeSet<TargetId>,
    /// Groups that are to be replaced by a target whose members have become present.
    prepared: Vec<TargetId>,
    /// The groups that the present dump has found, as long as not all objects are known.
    found_groups: Option<Vec<FoundGroup>>,
}

impl Targets {
    pub(super) fn new(seed: FixedState, ids: RangeInclusive<u32>, has_objects: bool) -> Self {
        let mut targets = Self {
            has_objects,
            items: Vec::new(),
            free: Vec::new(),
            by_nexthops: HashMap::with_hasher(seed.clone()),
            by_object: HashMap::with_hasher(seed),
            next_id: *ids.start(),
            ids,
            foreign: BTreeSet::new(),
            idle: Vec::new(),
            retries: BTreeSet::new(),
            duplicates: BTreeSet::new(),
            early_duplicates: BTreeSet::new(),
            prepared: Vec::new(),
            found_groups: None,
        };
        let unknown = targets.insert(Nexthops::default(), 0, State::Present);
        debug_assert_eq!(unknown, TargetId::UNKNOWN);
        targets
    }

    /// Returns the target with these nexthops. It is made if there is none.
    pub(super) fn with_nexthops(&mut self, nexthops: &Nexthops) -> TargetId {
        match self.by_nexthops.get(nexthops) {
            Some(&id) => id,
            None => self.insert(nexthops.clone(), 0, if self.has_objects { State::Absent } else { State::Present }),
        }
    }

    /// Returns the target that a route in the kernel leads to.
    pub(super) fn of_route(&mut self, target: Option<RouteTarget>) -> TargetId {
        let known = match target {
            Some(RouteTarget::Object(object)) => self.by_object.get(&object).copied(),
            Some(RouteTarget::Nexthops(nexthops)) if !self.has_objects => Some(self.with_nexthops(&nexthops)),
            _ => None,
        };
        known.unwrap_or(TargetId::UNKNOWN)
    }

    /// Returns a target's nexthops: none if there is no route, or an unknown one.
    pub(super) fn nexthops(&self, id: TargetId) -> &[Nexthop] {
        self.get(id).map_or(&[], |target| target.nexthops.as_slice())
    }

    /// Returns whether a route can be installed with a target.
    pub(super) fn is_present(&self, id: TargetId) -> bool {
        self.get(id).is_some_and(|target| target.state == State::Present)
    }

    /// Returns how many objects and groups the kernel has.
    pub(super) fn object_count(&self) -> usize {
        self.by_object.len()
    }

    /// Returns whether no target waits for a retry, or to be removed or merged. `is_adopting`: that is not done yet.
    pub(super) fn is_settled(&self, is_adopting: bool) -> bool {
        self.retries.is_empty() && (is_adopting || self.idle.is_empty() && self.duplicates.is_empty())
    }

    /// Returns how many objects wait for a retry.
    pub(super) fn failing_count(&self) -> usize {
        self.retries.len()
    }

    /// Returns when the next retry is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.retries.first().map(|(at, _)| *at)
    }

    /// Counts one more user.
    pub(super) fn acquire(&mut self, id: TargetId) {
        if let Some(target) = self.get_mut(id) {
            target.users += 1;
        }
    }

    /// Counts one user less.
    pub(super) fn release(&mut self, id: TargetId) {
        let Some(target) = self.get_mut(id) else { return };
        debug_assert!(target.users > 0, "what is released was acquired");
        target.users = target.users.saturating_sub(1);
        if target.users == 0 && id != TargetId::UNKNOWN {
            self.idle.push(id);
        }
    }

    /// Has a route woken when its target is present, and begins to add the target's object. The route has noted for which target it waits.
    pub(super) fn add_waiter(&mut self, id: TargetId, key: Key, cx: &mut Context<'_>) {
        let Some(target) = self.get_mut(id) else { return };
        let is_first = target.waiters.iter().all(|waiter| !matches!(waiter, Waiter::Route(_)));
        target.waiters.push(Waiter::Route(key));
        // For the others, that has begun.
        if is_first {
            self.ensure(id, cx);
        }
    }

    /// Begins to add an absent object, if something waits for it: its missing members first. A target that nothing needs is
    /// forgotten.
    pub(super) fn ensure(&mut self, id: TargetId, cx: &mut Context<'_>) {
        let Some(target) = self.get_mut(id) else { return };
        if target.state != State::Absent || target.is_retrying || !cx.is_device_up {
            return;
        }
        target.waiters.retain(|waiter| match waiter {
            Waiter::Route(key) => cx.routes.is_waiting_for(key, id),
            Waiter::Group(_) | Waiter::Replacement(_) => true,
        });
        if target.waiters.is_empty() {
            if target.users == 0 {
                self.forget(id);
            }
            return;
        }
        if target.nexthops.len() > 1 && !self.ensure_members(id, cx) {
            return;
        }
        if self.wake_replacements(id) {
            return;
        }
        if !self.assign_object(id) {
            cx.reports.push(FibReport::NoIds);
            self.retry(id, cx);
            return;
        }
        if let Some(target) = self.get_mut(id) {
            target.state = State::Adding;
        }
        cx.steps.push(Step::AddObject(id));
    }

    /// Begins to add a group's missing members, all of which the group uses from now on. Returns whether all are present.
    fn ensure_members(&mut self, group: TargetId, cx: &mut Context<'_>) -> bool {
        let Some(target) = self.get(group) else { return false };
        let (mut members, nexthops) = (target.members.clone(), target.nexthops.clone());
        if members.is_empty() {
            members = nexthops.as_slice().iter().map(|nexthop| self.with_nexthops(&single(nexthop))).collect();
            self.set_members(group, members.clone());
        }
        let mut are_present = true;
        for id in members {
            if self.is_present(id) {
                continue;
            }
            are_present = false;
            if let Some(target) = self.get_mut(group)
                && !target.awaited.contains(&id)
            {
                target.awaited.push(id);
                if let Some(member) = self.get_mut(id) {
                    member.waiters.push(Waiter::Group(group));
                }
            }
            self.ensure(id, cx);
        }
        are_present
    }

    /// Wakes the groups that are to be replaced by a target whose members are present. Returns true if nothing else waits for it.
    fn wake_replacements(&mut self, id: TargetId) -> bool {
        let Self { items, prepared, .. } = self;
        let Some(Some(target)) = items.get(id.0 as usize) else { return false };
        let groups = target.waiters.iter().filter_map(|waiter| match waiter {
            Waiter::Replacement(group) => Some(*group),
            _ => None,
        });
        let before = prepared.len();
        prepared.extend(groups);
        prepared.len() - before == target.waiters.len()
    }

    fn set_members(&mut self, group: TargetId, members: SmallVec<[TargetId; 2]>) {
        members.iter().for_each(|id| self.acquire(*id));
        let Some(target) = self.get_mut(group) else { return };
        for old in core::mem::replace(&mut target.members, members) {
            self.release(old);
        }
    }

    /// Notes that the kernel has added an object. What waited for it goes on.
    pub(super) fn added(&mut self, id: TargetId, cx: &mut Context<'_>) {
        self.set_present(id);
        if let Some(target) = self.get_mut(id) {
            target.backoff.reset();
        }
        self.wake(id, cx);
    }

    /// Notes that the kernel has not added an object. Returns the wait before the next try.
    pub(super) fn add_failed(&mut self, id: TargetId, cx: &mut Context<'_>) -> Duration {
        self.set_absent(id);
        self.retry(id, cx)
    }

    /// Notes that an object could not be added because another protocol's object has its id, and tries another id.
    pub(super) fn id_is_taken(&mut self, id: TargetId, cx: &mut Context<'_>) {
        let Some(target) = self.get(id) else { return };
        self.foreign.insert(target.object);
        self.set_absent(id);
        self.ensure(id, cx);
    }

    /// Notes that the kernel has removed an object. It is added again if something has come to wait for it.
    pub(super) fn removed(&mut self, id: TargetId, cx: &mut Context<'_>) {
        self.set_absent(id);
        match self.get(id) {
            Some(target) if target.waiters.is_empty() && target.users == 0 => self.forget(id),
            _ => self.ensure(id, cx),
        }
    }

    /// Notes that the kernel has not removed an object. Returns the wait before the next try.
    pub(super) fn remove_failed(&mut self, id: TargetId, cx: &mut Context<'_>) -> Duration {
        self.set_present(id);
        let retry_in = self.retry(id, cx);
        self.wake(id, cx);
        retry_in
    }

    /// Returns whether the last operation on an object has failed.
    pub(super) fn has_failed(&self, id: TargetId) -> bool {
        self.get(id).is_some_and(|target| target.backoff.has_failed())
    }

    /// Notes that the kernel has an object, whatever was to be done with it.
    pub(super) fn set_present(&mut self, id: TargetId) {
        self.duplicates.append(&mut self.early_duplicates);
        if let Some(target) = self.get_mut(id) {
            target.state = State::Present;
        }
    }

    /// Notes that the kernel does not have an object, which uses no members then.
    pub(super) fn set_absent(&mut self, id: TargetId) {
        self.duplicates.append(&mut self.early_duplicates);
        let Some(target) = self.get_mut(id) else { return };
        target.state = State::Absent;
        let (object, members) = (core::mem::take(&mut target.object), core::mem::take(&mut target.members));
        if self.by_object.get(&object) == Some(&id) {
            self.by_object.remove(&object);
        }
        members.into_iter().for_each(|member| self.release(member));
    }

    /// Wakes what waited for a target.
    fn wake(&mut self, id: TargetId, cx: &mut Context<'_>) {
        let Some(target) = self.get_mut(id) else { return };
        let waiters = core::mem::take(&mut target.waiters);
        if target.users == 0 {
            // Perhaps nothing wants it any more.
            self.idle.push(id);
        }
        for waiter in waiters {
            match waiter {
                Waiter::Route(key) => cx.routes.target_is_present(&key, id),
                Waiter::Group(group) => {
                    if let Some(target) = self.get_mut(group) {
                        target.awaited.retain(|member| *member != id);
                        self.ensure(group, cx);
                    }
                }
                Waiter::Replacement(group) => self.prepared.push(group),
            }
        }
    }

    /// Counts a failure and plans a retry, if none is planned. Returns the wait before a retry.
    fn retry(&mut self, id: TargetId, cx: &Context<'_>) -> Duration {
        let Some(target) = self.get_mut(id) else { return *cx.retry.start() };
        let wait = target.backoff.fail(cx.retry.clone());
        if !core::mem::replace(&mut target.is_retrying, true) {
            self.retries.insert((cx.now + wait, id));
        }
        wait
    }

    /// Tries again what is due.
    pub(super) fn run_retries(&mut self, cx: &mut Context<'_>) {
        while let Some(&(at, id)) = self.retries.first()
            && at <= cx.now
        {
            self.retries.pop_first();
            let Some(target) = self.get_mut(id) else { continue };
            target.is_retrying = false;
            match target.state {
                State::Present => self.idle.push(id),
                _ => self.ensure(id, cx),
            }
        }
    }

    /// Returns an object to be removed because nothing uses it.
    pub(super) fn poll_unused(&mut self) -> Option<TargetId> {
        while let Some(id) = self.idle.pop() {
            let Some(target) = self.get_mut(id) else { continue };
            if target.users > 0 || !target.waiters.is_empty() || target.is_retrying || id == TargetId::UNKNOWN {
                continue;
            }
            match target.state {
                State::Present if target.object != 0 => {
                    target.state = State::Removing;
                    return Some(id);
                }
                State::Present | State::Absent => self.forget(id),
                State::Adding | State::Removing | State::Replacing => {}
            }
        }
        None
    }

    /// Returns how many routes use a target or are about to, and how many groups.
    pub(super) fn users(&self, id: TargetId) -> usize {
        self.get(id).map_or(0, |target| target.users as usize)
    }

    /// Returns whether a target is a group that can be replaced.
    pub(super) fn is_replaceable(&self, id: TargetId) -> bool {
        self.get(id).is_some_and(|target| {
            let is_known = !target.nexthops.is_empty() && !target.members.is_empty();
            target.state == State::Present && is_known && !target.is_fixed
        })
    }

    /// Returns whether a group can be replaced by a target as soon as the target's members are present.
    pub(super) fn is_replacement(&self, id: TargetId) -> bool {
        self.nexthops(id).len() > 1 || self.is_present(id)
    }

    /// Returns whether the kernel has a target's object, or is about to have it.
    pub(super) fn has_object(&self, id: TargetId) -> bool {
        self.get(id).is_some_and(|target| target.object != 0)
    }

    /// Notes that a group is to be replaced by a target, which is acquired for it, and begins to add the members that are missing.
    pub(super) fn prepare(&mut self, to: TargetId, group: TargetId, cx: &mut Context<'_>) {
        self.acquire(to);
        if let Some(target) = self.get_mut(to) {
            target.waiters.push(Waiter::Replacement(group));
        }
        self.ensure(to, cx);
    }

    /// Notes that a group is not to be replaced by a target any more, or is about to be.
    pub(super) fn end_preparation(&mut self, to: TargetId, group: TargetId) {
        if let Some(target) = self.get_mut(to) {
            target.waiters.retain(|waiter| *waiter != Waiter::Replacement(group));
        }
        self.release(to);
    }

    /// Returns a group whose replacement has become possible.
    pub(super) fn poll_prepared(&mut self) -> Option<TargetId> {
        self.prepared.pop()
    }

    /// Begins to replace a group's members by those of a target. Returns false if these are not present.
    pub(super) fn begin_replacement(&mut self, group: TargetId, to: TargetId) -> bool {
        let members = self.members(to);
        let are_present = !members.is_empty() && members.iter().all(|member| self.is_present(*member));
        let Some(target) = self.get_mut(to) else { return false };
        if !are_present || !matches!(target.state, State::Absent | State::Present) {
            return false;
        }
        // The group becomes the object of the target, so none is to be added.
        if target.state == State::Absent {
            target.state = State::Adding;
        }
        members.iter().for_each(|member| self.acquire(*member));
        if let Some(group) = self.get_mut(group) {
            (group.state, group.next_members) = (State::Replacing, members);
        }
        true
    }

    /// Returns the members of a group with a target's nexthops, in their order. None if some have no target.
    fn members(&self, id: TargetId) -> SmallVec<[TargetId; 2]> {
        match self.nexthops(id) {
            [_] => [id].into_iter().collect(),
            nexthops => nexthops
                .iter()
                .map(|nexthop| self.by_nexthops.get(&single(nexthop)).copied())
                .collect::<Option<_>>()
                .unwrap_or_default(),
        }
    }

    /// Returns the operation that replaces a group's members by those of a target.
    pub(super) fn replace_op(&self, group: TargetId, to: TargetId) -> Op {
        let weights = self.nexthops(to).iter().map(|nexthop| nexthop.weight);
        let members = self.get(group).map(|group| &group.next_members[..]).unwrap_or_default();
        let members = members.iter().map(|member| self.object(*member)).zip(weights).collect();
        Op::ReplaceGroup { id: self.object(group), members }
    }

    /// Notes that the kernel has replaced a group's members by those of a target, so that the group has the target's nexthops. If the target
    /// has no object, it gets the group's former nexthops. Returns which groups were to be replaced by one of the two.
    pub(super) fn replaced(
        &mut self,
        group: TargetId,
        to: TargetId,
        cx: &mut Context<'_>,
    ) -> Vec<(TargetId, TargetId)> {
        let nexthops = Nexthops::from_iter(self.nexthops(to).iter().copied());
        let takes_over = self.end_reservation(to);
        let members = self.take_next_members(group);
        self.set_members(group, members.clone());
        members.into_iter().for_each(|member| self.release(member));
        self.set_present(group);
        let Some(target) = self.get_mut(group) else { return Vec::new() };
        target.backoff.reset();
        let former = core::mem::replace(&mut target.nexthops, nexthops.clone());
        let had_list = self.by_nexthops.get(&former) == Some(&group);
        if had_list {
            self.by_nexthops.remove(&former);
        }
        if takes_over {
            self.set_members(to, SmallVec::new());
            // Meanwhile, a dump may have found a group with these nexthops.
            if self.by_nexthops.get(&nexthops) == Some(&to) {
                self.by_nexthops.insert(nexthops, group);
                self.duplicates.remove(&group);
            } else {
                self.duplicates.insert(group);
            }
            if had_list {
                self.by_nexthops.insert(former.clone(), to);
            }
            if let Some(target) = self.get_mut(to) {
                target.nexthops = former;
            }
        } else {
            self.duplicates.insert(group);
        }
        let mut dissolved = self.wake_all(group, cx);
        if takes_over {
            dissolved.append(&mut self.wake_all(to, cx));
        }
        dissolved
    }

    /// Notes that the kernel has not replaced a group. `is_refused`: it is not to be tried again.
    pub(super) fn replace_failed(&mut self, group: TargetId, to: TargetId, is_refused: bool, cx: &mut Context<'_>) {
        self.set_present(group);
        self.take_next_members(group).into_iter().for_each(|member| self.release(member));
        if let Some(target) = self.get_mut(group) {
            target.is_fixed |= is_refused;
        }
        self.wake(group, cx);
        if self.end_reservation(to) {
            self.ensure(to, cx);
        }
    }

    /// Returns the members that a group was about to get, which it does not use any more.
    fn take_next_members(&mut self, group: TargetId) -> SmallVec<[TargetId; 2]> {
        self.get_mut(group).map(|group| core::mem::take(&mut group.next_members)).unwrap_or_default()
    }

    /// Ends the state of a target without an object that [`begin_replacement`](Self::begin_replacement) has noted. Returns whether it had it.
    fn end_reservation(&mut self, id: TargetId) -> bool {
        let Some(target) = self.get_mut(id) else { return false };
        let is_reserved = target.state == State::Adding && target.object == 0;
        if is_reserved {
            target.state = State::Absent;
        }
        is_reserved
    }

    /// Has everything that waited for a target look again, because the target has other nexthops. Returns which groups were to be replaced by it.
    fn wake_all(&mut self, id: TargetId, cx: &mut Context<'_>) -> Vec<(TargetId, TargetId)> {
        let Some(target) = self.get_mut(id) else { return Vec::new() };
        let waiters = core::mem::take(&mut target.waiters);
        if target.users == 0 {
            self.idle.push(id);
        }
        let mut groups = Vec::new();
        for waiter in waiters {
            match waiter {
                Waiter::Route(key) => cx.routes.look_again(&key),
                Waiter::Replacement(group) => groups.push((group, id)),
                // A group is no member of a group.
                Waiter::Group(_) => {}
            }
        }
        groups
    }

    /// Returns the targets whose routes are to be moved to the other target with the same nexthops: of two the one with fewer routes, but never
    /// to a group with one member.
    pub(super) fn take_duplicates(&mut self) -> BTreeSet<TargetId> {
        let mut from = BTreeSet::new();
        for id in core::mem::take(&mut self.duplicates) {
            let Some(target) = self.get(id).filter(|_| self.is_duplicate(id)) else { continue };
            let (nexthops, users) = (target.nexthops.clone(), target.users);
            let member = target.members.first().copied().filter(|_| target.is_lone());
            let original = self.by_nexthops.get(&nexthops).copied();
            match original.and_then(|original| self.get(original)).map(|original| (original.state, original.users)) {
                Some((State::Present, others)) if member.is_some() || users <= others => drop(from.insert(id)),
                Some((State::Present, _)) => {
                    from.extend(original);
                    self.by_nexthops.insert(nexthops, id);
                }
                Some((State::Absent, _)) | None => {
                    from.extend(member.map(|_| id));
                    self.by_nexthops.insert(nexthops, member.unwrap_or(id));
                }
                Some(_) => drop(self.early_duplicates.insert(id)),
            }
        }
        from
    }

    /// Notes that a route leads to a target, which may have become a duplicate meanwhile.
    pub(super) fn has_route(&mut self, id: TargetId) {
        if self.is_duplicate(id) {
            self.duplicates.insert(id);
        }
    }

    /// Returns whether routes to a group's nexthops get their object from another target, or would if it were there.
    fn is_duplicate(&self, id: TargetId) -> bool {
        self.get(id).is_some_and(|target| {
            let is_group = !target.members.is_empty() && !target.nexthops.is_empty();
            is_group && target.state == State::Present && self.by_nexthops.get(&target.nexthops) != Some(&id)
        })
    }

    /// Returns the target from which routes get their object instead of a duplicate, if it is present.
    pub(super) fn original(&self, duplicate: TargetId) -> Option<TargetId> {
        let original = self.by_nexthops.get(&self.get(duplicate)?.nexthops).copied();
        original.filter(|original| *original != duplicate && self.is_present(*original))
    }

    /// Returns the operation that adds a target's object.
    pub(super) fn add_op(&self, id: TargetId) -> Op {
        let Some(target) = self.get(id) else { return Op::AddObject { id: 0, addr: Ipv6Addr::UNSPECIFIED } };
        match target.nexthops.as_slice() {
            [] => Op::AddObject { id: target.object, addr: Ipv6Addr::UNSPECIFIED },
            [nexthop] => Op::AddObject { id: target.object, addr: nexthop.addr },
            nexthops => {
                let weights = nexthops.iter().map(|nexthop| nexthop.weight);
                let members = target.members.iter().map(|member| self.object(*member)).zip(weights).collect();
                Op::AddGroup { id: target.object, members }
            }
        }
    }

    /// Returns the operation that removes a target's object.
    pub(super) fn remove_op(&self, id: TargetId) -> Op {
        Op::RemoveObject { id: self.object(id) }
    }

    /// Returns what a route to a target is installed with.
    pub(super) fn route_target(&self, id: TargetId) -> RouteTarget {
        match self.get(id) {
            Some(target) if target.object == 0 => RouteTarget::Nexthops(target.nexthops.clone()),
            _ => RouteTarget::Object(self.object(id)),
        }
    }

    fn object(&self, id: TargetId) -> u32 {
        self.get(id).map_or(0, |target| target.object)
    }

    /// Begins a dump: all objects are to be found again.
    pub(super) fn begin_dump(&mut self) {
        self.found_groups = Some(Vec::new());
        self.foreign.clear();
        self.items.iter_mut().flatten().for_each(|target| target.is_seen = false);
    }

    /// Notes an object that a dump has found.
    pub(super) fn found(&mut self, object: u32, what: FoundObject) {
        match what {
            // Its members may be found later.
            FoundObject::Group(members) => self.found_groups.get_or_insert_default().push((object, members)),
            FoundObject::Foreign => {
                self.found_object(object, None, false);
                self.foreign.insert(object);
            }
            FoundObject::Nexthop(addr) => self.found_object(object, Some(Nexthop { addr, weight: 1 }.into()), false),
            FoundObject::Unknown => self.found_object(object, Some(Nexthops::default()), false),
        }
    }

    /// Notes that an object has these nexthops. `None`: it is another protocol's, and only its id counts.
    fn found_object(&mut self, object: u32, nexthops: Option<Nexthops>, is_group: bool) {
        // Without objects, all that are found are remains of an earlier process, and so are their routes until they are replaced.
        let nexthops = nexthops.map(|nexthops| if self.has_objects { nexthops } else { Nexthops::default() });
        if let Some(&id) = self.by_object.get(&object)
            && let Some(target) = self.get_mut(id)
        {
            if nexthops.as_ref() == Some(&target.nexthops) && target.is_lone() == is_lone(&target.nexthops, is_group) {
                (target.state, target.is_seen) = (State::Present, true);
                return;
            }
            // Another program has put another object in its place.
            self.set_absent(id);
        }
        if let Some(nexthops) = nexthops {
            self.adopt(object, nexthops, is_group);
        }
    }

    /// Takes over an object that belongs to no target.
    fn adopt(&mut self, object: u32, nexthops: Nexthops, is_group: bool) {
        self.foreign.remove(&object);
        // It could not be a member of a group.
        if is_lone(&nexthops, is_group) {
            self.insert_duplicate(nexthops, object, State::Present);
            return;
        }
        // What waits for these nexthops has them now.
        if !nexthops.is_empty()
            && let Some(&id) = self.by_nexthops.get(&nexthops)
            && let Some(target) = self.get_mut(id)
            && target.state == State::Absent
        {
            (target.object, target.state, target.is_seen) = (object, State::Present, true);
            self.by_object.insert(object, id);
            return;
        }
        self.insert(nexthops, object, State::Present);
    }

    /// Ends the part of a dump that finds objects: now groups can be distinguished, and objects that were not found are absent.
    pub(super) fn end_objects(&mut self) {
        let Some(groups) = self.found_groups.take() else { return };
        for (object, members) in groups {
            let nexthops: Option<Vec<Nexthop>> =
                members.iter().map(|&(member, weight)| self.found_member(member, weight)).collect();
            let mut nexthops = nexthops.unwrap_or_default();
            nexthops.sort();
            // The last member of a larger group gets all packets, whatever its weight.
            if let [nexthop] = &mut nexthops[..] {
                nexthop.weight = 1;
            }
            let is_known = nexthops.windows(2).all(|pair| pair[0].addr != pair[1].addr);
            let nexthops = if is_known { nexthops.into_iter().collect() } else { Nexthops::default() };
            self.found_object(object, Some(nexthops), true);
            // The members are in use as long as the group is present, whatever it is.
            let members = members.iter().filter_map(|(member, _)| self.by_object.get(member).copied()).collect();
            if let Some(&id) = self.by_object.get(&object) {
                self.set_members(id, members);
            }
        }
        for id in self.all() {
            let is_gone = |target: &Target| !target.is_seen && target.state != State::Absent && target.object != 0;
            if self.get(id).is_some_and(is_gone) {
                self.set_absent(id);
            }
        }
    }

    /// Returns the nexthop that a found object stands for, with its weight in a group.
    fn found_member(&self, object: u32, weight: u8) -> Option<Nexthop> {
        let target = self.get(*self.by_object.get(&object)?)?;
        match target.nexthops.as_slice() {
            [nexthop] if target.is_seen => Some(Nexthop { weight, ..*nexthop }),
            _ => None,
        }
    }

    /// Ends a dump that was cut off.
    pub(super) fn abort_dump(&mut self) {
        self.found_groups = None;
    }

    /// Ends a dump, of which [`end_objects`](Self::end_objects) has been called. Adds what is missing at once, whatever it
    /// waited for, and lists what is unused.
    pub(super) fn end_dump(&mut self, cx: &mut Context<'_>) {
        for id in self.all() {
            let Some(target) = self.get_mut(id) else { continue };
            match target.state {
                State::Absent => {
                    target.is_retrying = false;
                    self.ensure(id, cx);
                }
                State::Present if !target.waiters.is_empty() => self.wake(id, cx),
                State::Present if target.users == 0 => self.idle.push(id),
                _ => {}
            }
        }
        // As long as nothing is removed, each dump lists the same ones.
        self.idle.sort_unstable();
        self.idle.dedup();
        self.early_duplicates.clear();
        self.duplicates = self.all().filter(|id| self.is_duplicate(*id)).collect();
    }

    fn get(&self, id: TargetId) -> Option<&Target> {
        self.items.get(id.0 as usize)?.as_ref()
    }

    fn get_mut(&mut self, id: TargetId) -> Option<&mut Target> {
        self.items.get_mut(id.0 as usize)?.as_mut()
    }

    /// Returns the numbers of all targets but the unknown one, and of some that are gone.
    fn all(&self) -> impl Iterator<Item = TargetId> + use<> {
        (1..self.items.len() as u32).map(TargetId)
    }

    /// Adds a target. Routes to these nexthops get their object from it, unless there is another one.
    fn insert(&mut self, nexthops: Nexthops, object: u32, state: State) -> TargetId {
        let id = self.insert_duplicate(nexthops.clone(), object, state);
        if !nexthops.is_empty() {
            self.by_nexthops.entry(nexthops).or_insert(id);
        }
        id
    }

    /// Adds a target from which no route gets its object.
    fn insert_duplicate(&mut self, nexthops: Nexthops, object: u32, state: State) -> TargetId {
        let target = Target {
            nexthops,
            object,
            state,
            users: 0,
            members: SmallVec::new(),
            next_members: SmallVec::new(),
            waiters: Vec::new(),
            backoff: Backoff::default(),
            awaited: SmallVec::new(),
            is_retrying: false,
            is_fixed: false,
            is_seen: true,
        };
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                self.items.push(None);
                // More targets than that do not fit a machine's memory.
                u32::try_from(self.items.len() - 1).expect("fewer than 2^32 targets")
            }
        };
        if object != 0 {
            self.by_object.insert(object, TargetId(id));
        }
        self.items[id as usize] = Some(target);
        TargetId(id)
    }

    /// Forgets a target that nothing uses and whose object the kernel does not have.
    fn forget(&mut self, id: TargetId) {
        self.set_absent(id);
        let Some(target) = self.items.get_mut(id.0 as usize).and_then(Option::take) else { return };
        if self.by_nexthops.get(&target.nexthops) == Some(&id) {
            self.by_nexthops.remove(&target.nexthops);
        }
        self.free.push(id.0);
    }

    /// Gives an absent target an id for its object. Returns false if all ids are in use.
    fn assign_object(&mut self, id: TargetId) -> bool {
        let (start, end) = (*self.ids.start(), *self.ids.end());
        for _ in 0..=self.by_object.len() + self.foreign.len() {
            let object = self.next_id;
            self.next_id = if object >= end { start } else { object + 1 };
            if !self.by_object.contains_key(&object) && !self.foreign.contains(&object) {
                if let Some(target) = self.get_mut(id) {
                    target.object = object;
                    self.by_object.insert(object, id);
                }
                return true;
            }
        }
        false
    }
}
