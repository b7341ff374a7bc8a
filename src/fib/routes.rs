//! The kernel routes that are wanted or installed: where each leads, and what it waits for.
//!
//! Invariant: a route that may be other than it is wanted is in the queue, or has an operation under way, or waits for its
//! target, for the other routes of its group, for a retry, or for the device.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use core::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::op::SurplusRoute;
use super::sets::SetId;
use super::targets::TargetId;
use crate::{Backoff, Instant, Prefix};

/// A kernel route's destination: a routing table and a prefix without host bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Key {
    table: u32,
    prefix: Prefix,
}

impl Key {
    /// Returns the destination that a prefix belongs to. Its host bits do not count.
    pub(super) fn new(table: u32, prefix: Prefix) -> Self {
        Self { table, prefix: prefix.network() }
    }

    pub(super) const fn table(&self) -> u32 {
        self.table
    }

    pub(super) const fn prefix(&self) -> Prefix {
        self.prefix
    }
}

#[derive(Debug)]
struct Entry {
    wanted: SetId,
    /// Where the route leads, as far as is known.
    installed: TargetId,
    /// The absent target that the route is to be installed with.
    waits_for: TargetId,
    /// The target of the last failed operation. The route uses it, so that its object is not removed and added at each try.
    tried: TargetId,
    is_queued: bool,
    /// An operation is under way.
    is_busy: bool,
    /// The route was to be looked at while it was busy.
    is_dirty: bool,
    /// A route of another protocol takes packets away from this one, or is in its place.
    has_conflict: bool,
    /// What is wanted for it is not to be installed here.
    is_left_out: bool,
    /// It is among the retries.
    is_retrying: bool,
    /// It was found in the kernel at the start, and has not been wanted as it is so far.
    is_adopted: bool,
    /// It waits for the other routes of its group, which may be to lead to `waits_for`, too.
    waits_for_group: bool,
    /// The present dump has found it.
    is_seen: bool,
    /// Of failed operations in a row.
    backoff: Backoff,
}

impl Default for Entry {
    fn default() -> Self {
        Self {
            wanted: SetId::EMPTY,
            installed: TargetId::NONE,
            waits_for: TargetId::NONE,
            tried: TargetId::NONE,
            is_queued: false,
            is_busy: false,
            is_dirty: false,
            has_conflict: false,
            is_left_out: false,
            is_retrying: false,
            is_adopted: false,
            waits_for_group: false,
            is_seen: false,
            backoff: Backoff::default(),
        }
    }
}

impl Entry {
    /// Returns whether the kernel forwards by the route.
    fn is_in_effect(&self) -> bool {
        self.installed != TargetId::NONE && !self.has_conflict
    }
}

/// What decides about the next step of a route.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    pub(super) wanted: SetId,
    pub(super) installed: TargetId,
    pub(super) is_adopted: bool,
}

/// A route that is one too many for its destination.
#[derive(Debug)]
pub(super) struct Surplus {
    /// Where it leads; acquired for it.
    pub(super) target: TargetId,
    pub(super) is_in_place: bool,
    pub(super) route: SurplusRoute,
}

#[derive(Debug)]
pub(super) struct Routes {
    by_key: HashMap<Key, Entry, FixedState>,
    /// The routes to be compared with what is wanted.
    queue: VecDeque<Key>,
    retries: BTreeSet<(Instant, Key)>,
    /// Of destinations that have some. Each of them has an entry, too.
    surplus: BTreeMap<Key, Vec<Surplus>>,
    /// The destinations that have more next hops than are installed.
    too_many: BTreeSet<Key>,
    /// The routes that are in effect.
    installed: usize,
    conflicts: usize,
    left_out: usize,
}

impl Routes {
    pub(super) fn new(seed: FixedState) -> Self {
        let by_key = HashMap::with_hasher(seed);
        let (queue, retries, surplus, too_many) = Default::default();
        Self { by_key, queue, retries, surplus, too_many, installed: 0, conflicts: 0, left_out: 0 }
    }

    /// Returns for how many destinations a route is installed and in effect.
    pub(super) fn installed_count(&self) -> usize {
        self.installed + self.surplus.keys().filter(|key| self.installed(key) == TargetId::NONE).count()
    }

    /// Returns how many routes are not in effect because another protocol has a route to the destination.
    pub(super) const fn conflict_count(&self) -> usize {
        self.conflicts
    }

    /// Returns how many of the wanted routes are not to be installed here.
    pub(super) const fn left_out_count(&self) -> usize {
        self.left_out
    }

    /// Notes whether something is wanted for a destination that is not to be installed here.
    pub(super) fn set_left_out(&mut self, key: &Key, is_left_out: bool) {
        if self.left_out == 0 && !is_left_out {
            return;
        }
        if let Some(entry) = self.by_key.get_mut(key) {
            self.left_out -= usize::from(entry.is_left_out);
            self.left_out += usize::from(is_left_out);
            entry.is_left_out = is_left_out;
        }
    }

    /// Returns whether no route is queued, and none waits for a retry.
    pub(super) fn are_settled(&self) -> bool {
        self.queue.is_empty() && self.retries.is_empty()
    }

    /// Returns when the next retry is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.retries.first().map(|(at, _)| *at)
    }

    /// Returns the set of what is wanted for a destination.
    pub(super) fn wanted(&self, key: &Key) -> SetId {
        self.by_key.get(key).map_or(SetId::EMPTY, |entry| entry.wanted)
    }

    /// Replaces the set of what is wanted for a destination, and queues its route.
    pub(super) fn set_wanted(&mut self, key: Key, wanted: SetId) {
        let entry = self.by_key.entry(key).or_default();
        entry.wanted = wanted;
        if !core::mem::replace(&mut entry.is_queued, true) {
            self.queue.push_back(key);
        }
    }

    /// Returns what decides about the next step of a route.
    pub(super) fn situation(&self, key: &Key) -> Situation {
        let nothing = Situation { wanted: SetId::EMPTY, installed: TargetId::NONE, is_adopted: false };
        self.by_key.get(key).map_or(nothing, |entry| Situation {
            wanted: entry.wanted,
            installed: entry.installed,
            is_adopted: entry.is_adopted,
        })
    }

    /// Notes that a route waits for the other routes of its group, which may be to lead to this target, too.
    pub(super) fn wait_for_group(&mut self, key: &Key, to: TargetId) {
        if let Some(entry) = self.by_key.get_mut(key) {
            (entry.waits_for, entry.waits_for_group) = (to, true);
        }
    }

    /// Notes that a route does not wait for the other routes of its group. Returns the group and the target if it did.
    pub(super) fn leave_group(&mut self, key: &Key) -> Option<(TargetId, TargetId)> {
        let entry = self.by_key.get_mut(key).filter(|entry| entry.waits_for_group)?;
        entry.waits_for_group = false;
        Some((entry.installed, core::mem::replace(&mut entry.waits_for, TargetId::NONE)))
    }

    /// Returns whether a route of this group waits for the other ones, which may be to lead to this target, too.
    pub(super) fn is_in_change(&self, key: &Key, group: TargetId, to: TargetId) -> bool {
        self.by_key
            .get(key)
            .is_some_and(|entry| entry.waits_for_group && entry.installed == group && entry.waits_for == to)
    }

    /// Has a route compared with what is wanted. Of a destination without a route nothing is noted.
    pub(super) fn enqueue(&mut self, key: Key) {
        if let Some(entry) = self.by_key.get_mut(&key)
            && !core::mem::replace(&mut entry.is_queued, true)
        {
            self.queue.push_back(key);
        }
    }

    /// Returns the next queued route. One with an operation under way is queued again when that ends.
    pub(super) fn pop(&mut self) -> Option<Key> {
        while let Some(key) = self.queue.pop_front() {
            let Some(entry) = self.by_key.get_mut(&key) else { continue };
            entry.is_queued = false;
            if !entry.is_busy {
                return Some(key);
            }
            entry.is_dirty = true;
        }
        None
    }

    /// Queues every route.
    pub(super) fn enqueue_all(&mut self) {
        self.keys().into_iter().for_each(|key| self.enqueue(key));
    }

    /// Returns all destinations.
    pub(super) fn keys(&self) -> Vec<Key> {
        #[expect(clippy::disallowed_methods, reason = "the order is of no consequence")]
        self.by_key.keys().copied().collect()
    }

    /// Returns where a route leads.
    pub(super) fn installed(&self, key: &Key) -> TargetId {
        self.by_key.get(key).map_or(TargetId::NONE, |entry| entry.installed)
    }

    /// Notes where a route leads from now on. Returns where it led before.
    pub(super) fn replace_installed(&mut self, key: &Key, to: TargetId) -> TargetId {
        let Some(entry) = self.by_key.get_mut(key) else { return TargetId::NONE };
        self.installed -= usize::from(entry.is_in_effect());
        let from = core::mem::replace(&mut entry.installed, to);
        self.installed += usize::from(entry.is_in_effect());
        from
    }

    /// Notes the target that an operation failed with, [`TargetId::NONE`] after a success. Returns the one noted before.
    pub(super) fn replace_tried(&mut self, key: &Key, tried: TargetId) -> TargetId {
        self.by_key.get_mut(key).map_or(TargetId::NONE, |entry| core::mem::replace(&mut entry.tried, tried))
    }

    /// Notes that a route waits for a target. Returns false if it waited for that target already.
    pub(super) fn wait_for(&mut self, key: &Key, target: TargetId) -> bool {
        self.by_key.get_mut(key).is_some_and(|entry| core::mem::replace(&mut entry.waits_for, target) != target)
    }

    pub(super) fn is_waiting_for(&self, key: &Key, target: TargetId) -> bool {
        self.by_key.get(key).is_some_and(|entry| entry.waits_for == target)
    }

    /// Notes that a route waits for no target.
    pub(super) fn stop_waiting(&mut self, key: &Key) {
        // What it waits for together with the other routes of its group is not changed here.
        if let Some(entry) = self.by_key.get_mut(key).filter(|entry| !entry.waits_for_group) {
            entry.waits_for = TargetId::NONE;
        }
    }

    /// Queues a route that may have waited for a target, which is present now.
    pub(super) fn target_is_present(&mut self, key: &Key, target: TargetId) {
        if self.is_waiting_for(key, target) {
            self.stop_waiting(key);
        }
        self.enqueue(*key);
    }

    /// Queues a route, which waits for no target from now on.
    pub(super) fn look_again(&mut self, key: &Key) {
        self.stop_waiting(key);
        self.enqueue(*key);
    }

    /// Returns the target that a route waits for.
    pub(super) fn awaited(&self, key: &Key) -> TargetId {
        self.by_key.get(key).map_or(TargetId::NONE, |entry| entry.waits_for)
    }

    /// Returns the destinations whose route leads to one of these targets.
    pub(super) fn leading_to(&self, targets: &BTreeSet<TargetId>) -> Vec<Key> {
        #[expect(clippy::disallowed_methods, reason = "the order is of no consequence")]
        let all = self.by_key.iter().filter(|(_, entry)| targets.contains(&entry.installed));
        all.map(|(key, _)| *key).collect()
    }

    /// Notes that a route is as it is wanted: it waits for nothing, and is not adopted. Returns the target that the last failed operation on it
    /// was for.
    pub(super) fn settle(&mut self, key: &Key) -> TargetId {
        let Some(entry) = self.by_key.get_mut(key) else { return TargetId::NONE };
        (entry.waits_for, entry.is_adopted) = (TargetId::NONE, false);
        core::mem::replace(&mut entry.tried, TargetId::NONE)
    }

    /// Notes that an operation is under way.
    pub(super) fn begin(&mut self, key: &Key) {
        if let Some(entry) = self.by_key.get_mut(key) {
            (entry.waits_for, entry.is_busy) = (TargetId::NONE, true);
        }
    }

    /// Notes that the operation has ended. Returns whether the route was to be looked at meanwhile.
    pub(super) fn end(&mut self, key: &Key) -> bool {
        let Some(entry) = self.by_key.get_mut(key) else { return false };
        entry.is_busy = false;
        core::mem::take(&mut entry.is_dirty)
    }

    /// Returns whether an operation on a route is under way.
    pub(super) fn is_busy(&self, key: &Key) -> bool {
        self.by_key.get(key).is_some_and(|entry| entry.is_busy)
    }

    /// Returns whether a route is installed, or about to be.
    pub(super) fn is_in_kernel(&self, key: &Key) -> bool {
        self.by_key.get(key).is_some_and(|entry| entry.is_busy || entry.installed != TargetId::NONE)
    }

    /// Notes that a route of another protocol has the destination. Returns whether that was not known.
    pub(super) fn begin_conflict(&mut self, key: &Key) -> bool {
        self.set_conflict(key, true)
    }

    /// Notes that no route of another protocol has the destination. Returns whether one had.
    pub(super) fn end_conflict(&mut self, key: &Key) -> bool {
        self.set_conflict(key, false)
    }

    /// Returns whether this is a change.
    fn set_conflict(&mut self, key: &Key, has_conflict: bool) -> bool {
        if self.conflicts == 0 && !has_conflict {
            return false;
        }
        let Some(entry) = self.by_key.get_mut(key) else { return false };
        if entry.has_conflict == has_conflict {
            return false;
        }
        self.installed -= usize::from(entry.is_in_effect());
        entry.has_conflict = has_conflict;
        self.installed += usize::from(entry.is_in_effect());
        if has_conflict {
            self.conflicts += 1;
        } else {
            self.conflicts -= 1;
        }
        true
    }

    pub(super) fn has_conflict(&self, key: &Key) -> bool {
        self.conflicts > 0 && self.by_key.get(key).is_some_and(|entry| entry.has_conflict)
    }

    /// Counts a failed operation and plans a retry, if none is planned. Returns the wait, which is at least `min`.
    pub(super) fn retry(&mut self, key: &Key, now: Instant, wait: RangeInclusive<Duration>, min: Duration) -> Duration {
        let Some(entry) = self.by_key.get_mut(key) else { return min };
        let max = *wait.end();
        let retry_in = entry.backoff.fail(wait).max(min).min(max);
        if !core::mem::replace(&mut entry.is_retrying, true) {
            self.retries.insert((now + retry_in, *key));
        }
        retry_in
    }

    /// Returns whether the last operation on a route has failed.
    pub(super) fn has_failed(&self, key: &Key) -> bool {
        self.by_key.get(key).is_some_and(|entry| entry.backoff.has_failed())
    }

    /// Returns how many routes wait for a retry, other than those in conflict.
    pub(super) fn failing_count(&self) -> usize {
        self.retries.iter().filter(|(_, key)| self.has_failed(key) && !self.has_conflict(key)).count()
    }

    /// Notes whether a destination has more next hops than are installed.
    pub(super) fn set_too_many(&mut self, key: &Key, has_too_many: bool) {
        if has_too_many {
            self.too_many.insert(*key);
        } else if !self.too_many.is_empty() {
            self.too_many.remove(key);
        }
    }

    pub(super) fn too_many_count(&self) -> usize {
        self.too_many.len()
    }

    /// Queues the routes whose retry is due.
    pub(super) fn run_retries(&mut self, now: Instant) {
        while let Some(&(at, key)) = self.retries.first()
            && at <= now
        {
            self.retries.pop_first();
            if let Some(entry) = self.by_key.get_mut(&key) {
                entry.is_retrying = false;
                self.enqueue(key);
            }
        }
    }

    /// Forgets the failures of a route, after a success.
    pub(super) fn succeeded(&mut self, key: &Key) {
        if let Some(entry) = self.by_key.get_mut(key) {
            entry.backoff.reset();
        }
    }

    /// Returns whether a route is one of an earlier process that has not been wanted as it is so far.
    pub(super) fn is_adopted(&self, key: &Key) -> bool {
        self.by_key.get(key).is_some_and(|entry| entry.is_adopted)
    }

    /// Ends the special treatment of an adopted route.
    pub(super) fn release_adopted(&mut self, key: &Key) {
        if let Some(entry) = self.by_key.get_mut(key) {
            entry.is_adopted = false;
        }
    }

    /// Ends the special treatment of all adopted routes, and queues them.
    pub(super) fn release_all_adopted(&mut self) {
        #[expect(clippy::disallowed_methods, reason = "the order is of no consequence")]
        let adopted = self.by_key.iter_mut().filter(|(_, entry)| entry.is_adopted);
        let adopted: Vec<Key> = adopted.map(|(key, entry)| (*key, entry.is_adopted = false).0).collect();
        adopted.into_iter().for_each(|key| self.enqueue(key));
    }

    /// Begins a dump: all routes are to be found again. Returns the surplus routes that were known.
    pub(super) fn begin_dump(&mut self) -> impl Iterator<Item = Surplus> + use<> {
        #[expect(clippy::disallowed_methods, reason = "the order is of no consequence")]
        self.by_key.values_mut().for_each(|entry| entry.is_seen = false);
        core::mem::take(&mut self.surplus).into_values().flatten()
    }

    /// Notes that a dump has found a route. One that was not known is adopted, if `is_adopting`. Returns where the route led
    /// so far.
    pub(super) fn found(&mut self, key: Key, is_adopting: bool) -> TargetId {
        let entry = self.by_key.entry(key).or_default();
        entry.is_seen = true;
        if entry.installed == TargetId::NONE {
            entry.is_adopted = is_adopting;
        }
        entry.installed
    }

    /// Notes that a dump has found a surplus route. The destination is adopted if it was not known and `is_adopting`. Returns false if the
    /// dump has found the same route before.
    pub(super) fn found_surplus(&mut self, key: Key, surplus: Surplus, is_adopting: bool) -> bool {
        let entry = self.by_key.entry(key).or_default();
        if entry.installed == TargetId::NONE && entry.wanted == SetId::EMPTY {
            entry.is_adopted = is_adopting;
        }
        let all = self.surplus.entry(key).or_default();
        let is_new = all.iter().all(|other| other.route != surplus.route);
        if is_new {
            all.push(surplus);
        }
        is_new
    }

    /// Returns the surplus routes of a destination.
    pub(super) fn surplus(&self, key: &Key) -> &[Surplus] {
        if self.surplus.is_empty() { &[] } else { self.surplus.get(key).map_or(&[], |all| all) }
    }

    /// Forgets the first of these surplus routes, which has been removed.
    pub(super) fn surplus_removed(&mut self, key: &Key, route: &SurplusRoute) -> Option<Surplus> {
        let all = self.surplus.get_mut(key)?;
        let at = all.iter().position(|surplus| surplus.route == *route)?;
        let surplus = all.remove(at);
        if all.is_empty() {
            self.surplus.remove(key);
        }
        Some(surplus)
    }

    /// Returns whether a route that was installed has not been found by a dump.
    pub(super) fn is_lost(&self, key: &Key) -> bool {
        self.by_key.get(key).is_some_and(|entry| !entry.is_seen && entry.installed != TargetId::NONE)
    }

    /// Forgets a destination if nothing is wanted for it, and it has no surplus routes. Its route is not installed.
    pub(super) fn forget(&mut self, key: &Key) {
        if !self.by_key.contains_key(key) || self.wanted(key) != SetId::EMPTY || !self.surplus(key).is_empty() {
            return;
        }
        self.end_conflict(key);
        self.set_left_out(key, false);
        self.by_key.remove(key);
        if self.by_key.capacity() > 8 * self.by_key.len() + 1024 {
            self.by_key.shrink_to(self.by_key.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_forgotten_when_nothing_is_wanted_and_no_route_is_left() {
        let mut routes = Routes::new(FixedState::with_seed(1));
        let key = Key::new(7, "10.0.0.0/24".parse().unwrap());
        routes.set_wanted(key, SetId::EMPTY);
        let surplus = Surplus { target: TargetId::UNKNOWN, is_in_place: false, route: SurplusRoute::new([1]) };
        assert!(routes.found_surplus(key, surplus, false));
        routes.forget(&key);
        assert_eq!(routes.keys(), [key]);
        assert!(routes.surplus_removed(&key, &SurplusRoute::new([1])).is_some());
        routes.forget(&key);
        assert_eq!(routes.keys(), []);
    }
}
