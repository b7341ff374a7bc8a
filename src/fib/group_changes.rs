//! Routes of a nexthop group that are to lead to other next hops: they wait for each other for a short time. If all routes of the group are to
//! lead to the same next hops, the group is replaced instead of each route: when a hypervisor is gone, one operation changes 100,000 routes.
//!
//! Invariant: a route waits in one change at most, that of the group to which it leads, and for [`WAIT_MAX`] at most.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use super::routes::Key;
use super::targets::TargetId;
use crate::Instant;

/// The time without another route of the same change after which the routes are changed one by one.
const QUIET: Duration = Duration::from_millis(2);
/// The longest wait of a route.
const WAIT_MAX: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug)]
enum State {
    /// The routes wait. It is looked at this time whether they have waited long enough.
    Waits { until: Instant },
    /// The routes are changed one by one. There were so many when that began.
    Due { routes: usize },
}

/// The routes of a group that are to lead to the same target.
#[derive(Debug)]
struct Change {
    /// The routes that wait, and some that have left. A route may be there several times.
    routes: VecDeque<Key>,
    /// How many routes wait.
    count: usize,
    since: Instant,
    /// When the last route was added.
    latest: Instant,
    state: State,
}

impl Change {
    /// Returns when the routes wait no longer, if no other one is added.
    fn ends(&self) -> Instant {
        (self.latest + QUIET).min(self.since + WAIT_MAX)
    }
}

#[derive(Default, Debug)]
pub(super) struct GroupChanges {
    /// By the group, and by the target that its routes are to lead to.
    of_group: BTreeMap<TargetId, BTreeMap<TargetId, Change>>,
    /// The changes that wait, by the time of the next look.
    timers: BTreeSet<(Instant, TargetId, TargetId)>,
    /// The changes whose routes are changed one by one, the one with the fewest routes first: when these are gone, all others may be equal.
    due: BTreeSet<(usize, TargetId, TargetId)>,
    /// Groups all of whose routes may be in one change.
    to_check: Vec<TargetId>,
    /// Routes that have waited long enough, and wait for an object now.
    alone: BTreeSet<Key>,
    /// The routes of the groups that are being replaced.
    under_way: BTreeMap<TargetId, VecDeque<Key>>,
}

impl GroupChanges {
    /// Returns whether no route waits, and no group is being replaced.
    pub(super) fn are_settled(&self) -> bool {
        self.of_group.is_empty() && self.under_way.is_empty() && self.alone.is_empty()
    }

    /// Returns when the routes of some change wait no longer.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, ..)| *at)
    }

    /// Has a route wait that leads to `group` and is to lead to `to`. Returns true if it is the first one of its change.
    pub(super) fn add(&mut self, group: TargetId, to: TargetId, key: Key, now: Instant) -> bool {
        let changes = self.of_group.entry(group).or_default();
        let Some(change) = changes.get_mut(&to) else {
            let until = now + QUIET;
            let change =
                Change { routes: [key].into(), count: 1, since: now, latest: now, state: State::Waits { until } };
            changes.insert(to, change);
            self.timers.insert((until, group, to));
            return true;
        };
        change.routes.push_back(key);
        change.count += 1;
        change.latest = now;
        let until = change.ends();
        if let State::Due { routes } = change.state
            && until > now
        {
            change.state = State::Waits { until };
            self.due.remove(&(routes, group, to));
            self.timers.insert((until, group, to));
        }
        false
    }

    /// Notes that a route has left its change. Returns whether it was the last one.
    pub(super) fn remove(&mut self, group: TargetId, to: TargetId) -> bool {
        // A group that is being replaced has no change any more.
        let Some(change) = self.of_group.get_mut(&group).and_then(|changes| changes.get_mut(&to)) else { return false };
        change.count -= 1;
        change.count == 0 && self.end_change(group, to).is_some()
    }

    /// Has a group looked at again, because a route has left it.
    pub(super) fn check(&mut self, group: TargetId) {
        if self.of_group.contains_key(&group) {
            self.to_check.push(group);
        }
    }

    /// Returns a group that may have to be replaced.
    pub(super) fn poll_check(&mut self) -> Option<TargetId> {
        self.to_check.pop()
    }

    /// Returns the target to which all routes of a group with this number of routes are to lead, if they are to lead to the same one.
    pub(super) fn common(&self, group: TargetId, routes: usize) -> Option<TargetId> {
        let changes = self.of_group.get(&group).filter(|changes| changes.len() == 1)?;
        let (to, change) = changes.first_key_value()?;
        (change.count == routes).then_some(*to)
    }

    /// Ends the wait of a change's routes.
    pub(super) fn end_wait(&mut self, group: TargetId, to: TargetId) {
        if let Some(change) = self.of_group.get_mut(&group).and_then(|changes| changes.get_mut(&to))
            && let State::Waits { until } = change.state
        {
            let routes = change.count;
            change.state = State::Due { routes };
            self.timers.remove(&(until, group, to));
            self.due.insert((routes, group, to));
        }
    }

    /// Ends the waits that have been long enough.
    pub(super) fn run_timers(&mut self, now: Instant) {
        while let Some(&(at, group, to)) = self.timers.first()
            && at <= now
        {
            self.timers.pop_first();
            let Some(change) = self.of_group.get_mut(&group).and_then(|changes| changes.get_mut(&to)) else { continue };
            let until = change.ends();
            if until <= now {
                self.end_wait(group, to);
            } else {
                change.state = State::Waits { until };
                self.timers.insert((until, group, to));
            }
        }
    }

    /// Returns a route that waits no longer: it is still to be removed. `is_in`: whether a route is in a change, given by its group and its
    /// target.
    pub(super) fn poll_due(&mut self, is_in: impl Fn(&Key, TargetId, TargetId) -> bool) -> Option<Key> {
        let &(_, group, to) = self.due.first()?;
        let change = self.of_group.get_mut(&group)?.get_mut(&to)?;
        while let Some(key) = change.routes.pop_front() {
            if is_in(&key, group, to) {
                return Some(key);
            }
        }
        None
    }

    /// Notes that a route is not to wait again.
    pub(super) fn set_alone(&mut self, key: Key) {
        self.alone.insert(key);
    }

    /// Returns whether a route is not to wait again, once.
    pub(super) fn take_alone(&mut self, key: &Key) -> bool {
        self.alone.remove(key)
    }

    /// Ends a change because its group is replaced from now on.
    pub(super) fn begin(&mut self, group: TargetId, to: TargetId) {
        let routes = self.end_change(group, to).unwrap_or_default();
        self.under_way.insert(group, routes);
    }

    /// Returns the routes of a group that has been replaced, or could not be, and some that have left.
    pub(super) fn end(&mut self, group: TargetId) -> VecDeque<Key> {
        self.under_way.remove(&group).unwrap_or_default()
    }

    /// Ends a change. Returns its routes, and some that have left.
    pub(super) fn end_change(&mut self, group: TargetId, to: TargetId) -> Option<VecDeque<Key>> {
        let changes = self.of_group.get_mut(&group)?;
        let change = changes.remove(&to)?;
        match change.state {
            State::Waits { until } => drop(self.timers.remove(&(until, group, to))),
            State::Due { routes } => drop(self.due.remove(&(routes, group, to))),
        }
        if changes.is_empty() {
            self.of_group.remove(&group);
        } else {
            self.to_check.push(group);
        }
        Some(change.routes)
    }
}
