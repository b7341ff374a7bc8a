//! The FIB: compares what is wanted with what is installed, and processes the kernel's answers.
//!
//! Invariant: an operation is decided only while the kernel's state is known, because one on a guess could hit a route of another protocol. As
//! long as a dump is needed to know the state of some destinations, nothing is begun for these; or nothing at all if all may have changed.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::string::ToString as _;
use core::net::IpAddr;
use core::ops::RangeInclusive;
use core::time::Duration;

use foldhash::fast::FixedState;

use super::dump::{Doubt, Dump};
use super::foreign::Foreign;
use super::group_changes::GroupChanges;
use super::op::{DeviceState, Found, Nexthops, Notice, Op, OpError, OpErrorKind, SurplusRoute};
use super::report::{FibReport, FibStats, Reports};
use super::routes::{Key, Routes, Situation, Surplus};
use super::sets::SetId;
use super::settings::{FibSettings, FibSettingsError};
use super::steps::{Step, Steps};
use super::targets::{Context, TargetId, Targets};
use super::underlay::Underlay;
use super::vni_conflicts::{Overruled, VniConflicts};
use super::wanted::{self, Claims, Wanted};
use crate::{Instant, NextHopKind, Prefix, Route, RouteChange, Vni};

/// The shortest wait for the end of a conflict, if no notice of the kernel reports it.
const CONFLICT: Duration = Duration::from_secs(1);

/// A state machine that keeps a kernel's routes as they are wanted. The [module's documentation](super) has the loop around it.
///
/// Times are arguments. A `now` that is earlier than the latest one is taken as the latest.
#[derive(Debug)]
pub struct Fib {
    settings: FibSettings,
    now: Instant,
    wanted: Wanted,
    targets: Targets,
    routes: Routes,
    group_changes: GroupChanges,
    /// Routes that are to be moved from a duplicate to its original.
    to_move: VecDeque<Key>,
    steps: Steps,
    vni_conflicts: VniConflicts,
    foreign: Foreign,
    underlay: Underlay,
    dump: Dump,
    /// The destinations whose state only the next dump shows.
    in_doubt: BTreeSet<Key>,
    device: DeviceState,
    /// The device was down since the last dump: routes that are missing went with it.
    is_device_lost: bool,
    /// Routes and objects that were in the kernel at the start and are not wanted (yet) stay.
    is_adopting: bool,
    /// Nothing is wanted any more.
    is_clearing: bool,
    /// A dump has to show what an operation has done, when there is nothing else to do.
    is_to_verify: bool,
    done: u64,
    failed: u64,
    reports: Reports,
}

impl Fib {
    /// Returns a FIB without wanted routes, which needs a dump. `device`: the state of the tunnel device.
    ///
    /// # Errors
    /// If a setting is out of its range: the first one.
    pub fn new(settings: FibSettings, device: DeviceState) -> Result<Self, FibSettingsError> {
        settings.check()?;
        let mut reports = Reports::default();
        if !device.is_up() {
            reports.push(FibReport::Device(device));
        }
        let seed = FixedState::with_seed(settings.seed);
        let underlay = Underlay::new(settings.tables.values().copied());
        Ok(Self {
            now: Instant::EPOCH,
            wanted: Wanted::new(seed.clone(), &settings.tables, underlay.has_tables()),
            targets: Targets::new(seed.clone(), settings.ids.clone(), settings.nexthop_objects),
            routes: Routes::new(seed.clone()),
            group_changes: GroupChanges::default(),
            to_move: VecDeque::new(),
            steps: Steps::default(),
            vni_conflicts: VniConflicts::new(seed.clone()),
            foreign: Foreign::new(seed),
            underlay,
            dump: Dump::new(),
            in_doubt: BTreeSet::new(),
            device,
            is_device_lost: false,
            is_adopting: true,
            is_clearing: false,
            is_to_verify: false,
            done: 0,
            failed: 0,
            reports,
            settings,
        })
    }

    /// Returns the settings.
    pub fn settings(&self) -> &FibSettings {
        &self.settings
    }

    /// Sets the wanted next hops of a destination. Ignores a VNI that has no table.
    pub fn change(&mut self, change: &RouteChange) {
        let Some(key) = self.key(change.vni, change.prefix) else { return };
        if self.settings.ipv4_only && key.prefix().is_ipv6() {
            return;
        }
        if self.underlay.is_impossible(key.prefix()) {
            if !change.next_hops().is_empty() {
                self.reports.impossible(key.prefix());
            }
            return;
        }
        let reports = &mut self.reports;
        let sources = wanted::sources(change.next_hops(), &self.settings, |addr| reports.ipv4_next_hop(addr));
        let set = self.wanted.change(&key, change.vni, change.prefix, sources, self.routes.wanted(&key));
        self.routes.set_wanted(key, set);
        for (addr, has_come) in self.wanted.take_changed() {
            let is_change =
                if has_come { self.underlay.add_next_hop(addr) } else { self.underlay.remove_next_hop(addr) };
            if is_change {
                self.enqueue_covering(addr.into());
            }
        }
    }

    /// Returns whether a table is one by which packets to servers are sent, so that [`set_servers`](Self::set_servers) has an effect.
    pub fn needs_servers(&self) -> bool {
        self.underlay.has_tables()
    }

    /// Sets the addresses of the servers. In a table by which packets to them are sent, no route that covers one of them is installed.
    pub fn set_servers(&mut self, servers: impl IntoIterator<Item = IpAddr>) {
        for changed in self.underlay.set_servers(servers.into_iter().map(|addr| addr.to_canonical()).collect()) {
            self.enqueue_covering(changed);
        }
    }

    /// Has the routes compared with what is wanted that cover an address of the underlay.
    fn enqueue_covering(&mut self, addr: IpAddr) {
        for key in self.underlay.covering(addr) {
            self.routes.enqueue(key);
        }
    }

    /// Records that this node announces a route. If its kind is `STD`, `STD` next hops of other nodes for the same destination are not
    /// installed, and an adopted route to it does not stay, except in a table of several VNIs.
    pub fn announced(&mut self, route: &Route) {
        self.set_own(route, true);
    }

    /// Records that this node has withdrawn a route.
    pub fn withdrawn(&mut self, route: &Route) {
        self.set_own(route, false);
    }

    fn set_own(&mut self, route: &Route, is_announced: bool) {
        if route.next_hop.kind == NextHopKind::Standard
            && let Some(key) = self.key(route.vni, route.prefix)
        {
            self.wanted.set_own(key, route.vni, route.prefix, route.next_hop, is_announced);
            if self.wanted.is_own(&key) {
                self.routes.release_adopted(&key);
            }
            self.routes.enqueue(key);
        }
    }

    /// Returns the kernel route that a VNI's destination belongs to, if the VNI has a table.
    fn key(&self, vni: Vni, prefix: Prefix) -> Option<Key> {
        self.settings.tables.get(&vni).map(|&table| Key::new(table, prefix))
    }

    /// Removes the adopted routes and objects that are not wanted. Call it when all wanted routes are known: when
    /// [`Node::may_remove_adopted`](crate::Node::may_remove_adopted) is true, and the changes before that have been passed to
    /// [`change`](Self::change).
    pub fn release_adopted(&mut self) {
        self.is_adopting = false;
        self.routes.release_all_adopted();
    }

    /// Removes all routes and objects. From now on no route is wanted, whatever changes come.
    pub fn clear(&mut self) {
        self.is_clearing = true;
        self.release_adopted();
        self.routes.enqueue_all();
    }

    /// Handles a notice of the kernel.
    pub fn notice(&mut self, now: Instant, notice: Notice) {
        self.advance(now);
        match notice {
            Notice::Anything => self.request_dump(),
            Notice::ForeignAdded { table, prefix, rival, is_replacement } => {
                let key = Key::new(table, prefix);
                self.foreign.added(key, rival, is_replacement);
                // It may have replaced a route of this FIB.
                let is_there = self.routes.is_in_kernel(&key) || !self.routes.surplus(&key).is_empty();
                if rival.is_in_place && is_there {
                    self.doubt(key);
                }
                self.routes.enqueue(key);
            }
            Notice::ForeignRemoved { table, prefix, rival } => {
                let key = Key::new(table, prefix);
                self.foreign.removed(&key, rival);
                self.routes.enqueue(key);
            }
            // The notice may be older than a later operation on the route: only a dump shows the present state.
            Notice::RouteAdded { table, prefix } | Notice::RouteRemoved { table, prefix } => {
                self.doubt(Key::new(table, prefix));
            }
            Notice::LocalAdded { prefix } => {
                if self.underlay.add_local(prefix) {
                    self.routes.enqueue_all();
                }
            }
            // Until the dump, nothing is installed that leads there.
            Notice::LocalGone => self.dump.request(self.now, Doubt::Destinations),
            Notice::ForeignGone => {
                // Without rivals, nothing can change for the routes of this FIB. Until the dump, those with rivals stay as they are.
                if !self.foreign.is_empty() {
                    self.dump.request(self.now, Doubt::Destinations);
                }
            }
            Notice::Device(device) => self.set_device(device),
        }
    }

    fn set_device(&mut self, device: DeviceState) {
        self.is_device_lost |= !device.is_up();
        if core::mem::replace(&mut self.device, device) != device {
            self.reports.push(FibReport::Device(device));
        }
        self.request_dump();
    }

    /// Returns when to call [`poll_op`](Self::poll_op) and [`needs_dump`](Self::needs_dump) again, if no other event comes before. `None`: not
    /// before another event.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let retries = [self.routes.poll_timeout(), self.targets.poll_timeout()];
        let others = [self.group_changes.poll_timeout(), self.dump.poll_timeout()];
        retries.into_iter().chain(others).flatten().min()
    }

    /// Returns the next event for the log. At most 64 wait; others are dropped and counted ([`FibStats::unreported`]).
    pub fn poll_report(&mut self) -> Option<FibReport> {
        self.reports.pop()
    }

    /// Returns whether routes that were in the kernel at the start stay though they are not wanted (yet): see
    /// [`release_adopted`](Self::release_adopted).
    pub const fn is_adopting(&self) -> bool {
        self.is_adopting
    }

    /// Returns whether there is no work: no operation is to be done, under way or to be tried again, and no dump is needed.
    pub fn is_settled(&self) -> bool {
        self.routes.are_settled()
            && self.group_changes.are_settled()
            && self.targets.is_settled(self.is_adopting)
            && self.to_move.is_empty()
            && self.steps.are_done()
            && !self.dump.is_needed()
            && !self.is_to_verify
    }

    /// Returns the figures.
    pub fn stats(&self) -> FibStats {
        let vni_conflicts = self.vni_conflicts.count();
        let mut stats = FibStats {
            wanted: self.wanted.count().saturating_sub(self.routes.left_out_count()),
            installed: self.routes.installed_count(),
            objects: self.targets.object_count(),
            conflicts: self.routes.conflict_count() + vni_conflicts,
            vni_conflicts,
            done: self.done,
            failed: self.failed,
            device: self.device,
            failing: self.routes.failing_count() + self.targets.failing_count(),
            too_many_next_hops: self.routes.too_many_count(),
            dumps: self.dump.count(),
            ..FibStats::default()
        };
        self.reports.add_to(&mut stats);
        if !self.device.is_up() {
            stats.trouble = Some(self.device.to_string());
        }
        stats
    }

    /// Returns the next operation. Several may be under way; call [`done`](Self::done) for each, in the same order. `None`: there is no
    /// operation now, or a dump is needed first.
    pub fn poll_op(&mut self, now: Instant) -> Option<Op> {
        self.advance(now);
        self.routes.run_retries(self.now);
        let (targets, mut cx) = self.targets();
        targets.run_retries(&mut cx);
        self.group_changes.run_timers(self.now);
        loop {
            if let Some(step) = self.steps.begin() {
                return Some(self.op(step));
            }
            if self.dump.is_awaited() {
                return None;
            }
            if let Some(key) = self.routes.pop() {
                self.reconcile(key);
            } else if let Some(group) = self.targets.poll_prepared().or_else(|| self.group_changes.poll_check()) {
                self.replace_if_common(group);
            } else if let Some((key, to)) = self.poll_due() {
                self.change_alone(key, to);
            } else if let Some(unused) = self.poll_unused() {
                self.steps.push(Step::RemoveObject(unused));
            } else if let Some(key) = self.poll_to_move() {
                self.move_to_original(key);
            } else {
                if core::mem::take(&mut self.is_to_verify) {
                    self.dump.request(self.now, Doubt::Destinations);
                }
                return None;
            }
        }
    }

    /// Returns an object that nothing uses. As long as routes are adopted or in doubt, it is not known what is used.
    fn poll_unused(&mut self) -> Option<TargetId> {
        if self.is_adopting || self.is_to_verify || self.dump.is_needed() { None } else { self.targets.poll_unused() }
    }

    /// Compares a route with what is wanted, and begins what the difference demands.
    fn reconcile(&mut self, key: Key) {
        let has_waited = self.leave_group_change(&key);
        if self.wanted.is_shared(key.table()) {
            self.find_vni_conflicts(key);
        }
        let now = self.routes.situation(&key);
        let set = now.wanted;
        let nexthops = self.nexthops(&key, set);
        self.find_left_out(key, set, &nexthops);
        // The end of the dump queues the route again.
        if self.in_doubt.contains(&key) {
            return;
        }
        if !nexthops.is_empty() {
            if self.foreign.is_outdated(&key) {
                return self.doubt(key);
            }
            if self.foreign.rival(&key).is_some_and(|rival| rival.is_in_place) {
                return self.yield_place(key);
            }
            // While the device is down nothing can be installed: the dump after its return queues the route again.
            if self.device.is_up() {
                self.install(key, now, &nexthops, has_waited);
            }
            return;
        }
        self.routes.stop_waiting(&key);
        self.set_tried(&key, TargetId::NONE);
        self.routes.end_conflict(&key);
        if !self.routes.is_adopted(&key) {
            self.remove(key);
        }
    }

    /// Notes whether what is wanted for a route is not to be installed here, and reports why.
    fn find_left_out(&mut self, key: Key, set: SetId, nexthops: &Nexthops) {
        let (table, prefix) = (key.table(), key.prefix());
        let is_wanted = set != SetId::EMPTY && !self.is_clearing;
        self.routes.set_left_out(&key, is_wanted && nexthops.is_empty() && !self.wanted.is_shared(table));
        if is_wanted && let Some(addr) = self.wanted.local_next_hop(set, &self.underlay) {
            self.reports.local_next_hop(addr);
        }
        if is_wanted && let Some(covered) = self.underlay.covered(&key) {
            self.reports.covered(table, prefix, covered);
        }
        let too_many = if is_wanted && !nexthops.is_empty() { self.wanted.too_many(set, &self.settings) } else { None };
        self.routes.set_too_many(&key, too_many.is_some());
        if let Some((left_out, first)) = too_many {
            self.reports.too_many_next_hops(table, prefix, left_out, first);
        }
    }

    /// Begins to remove a destination's route, and then the surplus ones.
    fn remove(&mut self, key: Key) {
        if self.routes.installed(&key) != TargetId::NONE {
            self.begin(key, TargetId::NONE);
        } else if !self.routes.surplus(&key).is_empty() {
            self.begin_to_remove_surplus(key);
        } else {
            self.routes.forget(&key);
        }
    }

    /// Leaves a destination to a route of another protocol in the place of this FIB's own. An operation on one of the two could hit the other.
    fn yield_place(&mut self, key: Key) {
        self.routes.stop_waiting(&key);
        self.set_tried(&key, TargetId::NONE);
        self.routes.release_adopted(&key);
        self.settle_conflict(&key);
        self.remove(key);
    }

    /// Notes and reports whether a route of another protocol takes packets away from a route that is wanted.
    fn settle_conflict(&mut self, key: &Key) {
        let (table, prefix) = (key.table(), key.prefix());
        match self.foreign.rival(key) {
            Some(rival) => {
                if self.routes.begin_conflict(key) {
                    self.reports.push(match rival.is_in_place {
                        true => FibReport::Conflict { table, prefix },
                        false => FibReport::Overridden { table, prefix, rival },
                    });
                }
            }
            None => {
                if self.routes.end_conflict(key) {
                    self.reports.push(FibReport::ConflictOver { table, prefix });
                }
            }
        }
    }

    /// Returns the nexthops for a route whose set of wanted next hops this is. Empty: there should be no route.
    fn nexthops(&self, key: &Key, set: SetId) -> Nexthops {
        if self.is_clearing {
            return Nexthops::default();
        }
        self.wanted.nexthops(key, set, &self.settings, &self.underlay)
    }

    /// Notes for which VNIs a route of a shared table is not installed, and reports what has changed in that.
    fn find_vni_conflicts(&mut self, key: Key) {
        let claims =
            if self.is_clearing { Claims::new() } else { self.wanted.claims(&key, &self.settings, &self.underlay) };
        let mut vnis = claims.iter().map(|(vni, _)| *vni);
        let installed = vnis.next();
        let now: Overruled = vnis.collect();
        let before = self.vni_conflicts.replace(key, now.clone());
        let Some(installed) = installed else { return };
        let (table, prefix) = (key.table(), key.prefix());
        if before.contains(&installed) {
            self.reports.push(FibReport::VniConflictOver { table, prefix, vni: installed });
        }
        for vni in now.into_iter().filter(|vni| !before.contains(vni)) {
            self.reports.push(FibReport::VniConflict { table, prefix, vni, installed });
        }
    }

    /// Installs a route with these nexthops: at once if their object is present, otherwise when it is. `has_waited`: it is not to wait for the other
    /// routes of its group.
    fn install(&mut self, key: Key, now: Situation, nexthops: &Nexthops, has_waited: bool) {
        let surplus = self.routes.surplus(&key);
        let is_installed = now.installed != TargetId::NONE;
        let has_another_in_place = is_installed && surplus.iter().any(|surplus| surplus.is_in_place);
        let installed = match surplus.first() {
            Some(surplus) if !is_installed && now.is_adopted => surplus.target,
            _ => now.installed,
        };
        let present = self.targets.nexthops(installed);
        let is_present = present == nexthops.as_slice();
        if is_present && is_installed && surplus.is_empty() {
            let tried = self.routes.settle(&key);
            self.targets.release(tried);
            if self.routes.has_failed(&key) {
                // It could not be moved to the original.
                self.targets.has_route(installed);
            }
            return self.settle_conflict(&key);
        }
        if !is_present && now.is_adopted {
            // Changes for the other next hops of an adopted route may yet come. Without objects, an IPv6 route has only the best
            // of them.
            let is_part = nexthops.as_slice().iter().all(|nexthop| present.iter().any(|one| one.addr == nexthop.addr));
            if is_part || !self.settings.nexthop_objects && key.prefix().is_ipv6() {
                return;
            }
        }
        if now.is_adopted {
            self.routes.release_adopted(&key);
        }
        // The kernel replaces the first route in a place, which is the installed one, but not if the next ones lead where it is to lead.
        if has_another_in_place {
            return self.begin_to_remove_surplus(key);
        }
        if is_present && is_installed {
            self.routes.stop_waiting(&key);
            self.set_tried(&key, TargetId::NONE);
            self.settle_conflict(&key);
            if !self.routes.surplus(&key).is_empty() {
                self.begin_to_remove_surplus(key);
            }
            return;
        }
        let target = self.targets.with_nexthops(nexthops);
        let group = now.installed;
        let may_wait = !has_waited && self.routes.surplus(&key).is_empty() && self.targets.is_replaceable(group);
        if may_wait && self.targets.is_replacement(target) {
            return self.wait_for_group(key, group, target);
        }
        if has_waited {
            return self.change_alone(key, target);
        }
        self.lead_to(key, target);
    }

    /// Has a route lead to a target: at once if its object is present, otherwise when it is.
    fn lead_to(&mut self, key: Key, target: TargetId) {
        if self.targets.is_present(target) {
            self.targets.acquire(target);
            self.begin(key, target);
            return;
        }
        if self.routes.wait_for(&key, target) {
            let (targets, mut cx) = self.targets();
            targets.add_waiter(target, key, &mut cx);
        }
    }

    /// Has a route wait for the other routes of its group, which may all be to lead to this target.
    fn wait_for_group(&mut self, key: Key, group: TargetId, to: TargetId) {
        self.routes.wait_for_group(&key, to);
        if self.group_changes.add(group, to, key, self.now) {
            let (targets, mut cx) = self.targets();
            targets.prepare(to, group, &mut cx);
        }
        // When no route is queued any more: some may not be as they were when they came to wait.
        if self.group_changes.common(group, self.targets.users(group)).is_some() {
            self.group_changes.check(group);
        }
    }

    /// Begins to replace a group if all its routes are to lead to the same target, and the members of that are present.
    fn replace_if_common(&mut self, group: TargetId) {
        let routes = self.targets.users(group);
        let Some(to) = self.group_changes.common(group, routes).filter(|_| self.device.is_up()) else { return };
        let is_better = routes >= self.settings.replace_min || !self.targets.has_object(to);
        if !is_better || !self.targets.is_replaceable(group) {
            return self.group_changes.end_wait(group, to);
        }
        if self.targets.begin_replacement(group, to) {
            self.group_changes.begin(group, to);
            self.steps.push(Step::ReplaceGroup(group, to));
        }
    }

    /// Ends a route's wait for the other routes of its group, if it waits for them. Returns whether it had waited long enough.
    fn leave_group_change(&mut self, key: &Key) -> bool {
        if self.group_changes.are_settled() {
            return false;
        }
        if let Some((group, to)) = self.routes.leave_group(key) {
            // Perhaps it was not moved because it was to be changed.
            self.targets.has_route(group);
            if self.group_changes.remove(group, to) {
                self.targets.end_preparation(to, group);
            }
        }
        self.group_changes.take_alone(key)
    }

    /// Returns a route that has waited for the other routes of its group long enough, and the target that it is to lead to.
    fn poll_due(&mut self) -> Option<(Key, TargetId)> {
        let Self { group_changes, routes, .. } = self;
        let key = group_changes.poll_due(|key, group, to| routes.is_in_change(key, group, to))?;
        let to = self.routes.awaited(&key);
        self.leave_group_change(&key);
        Some((key, to))
    }

    /// Has routes looked at again that have waited for the others of their group, and were to lead to this target with them. `is_over`: they are
    /// not to wait again.
    fn end_group_change(&mut self, group: TargetId, to: TargetId, routes: VecDeque<Key>, is_over: bool) {
        for key in routes {
            if self.routes.is_in_change(&key, group, to) {
                self.routes.leave_group(&key);
                if is_over {
                    self.group_changes.set_alone(key);
                }
            }
            // Also one that has left: it may lead to other next hops now than when it was looked at.
            self.routes.look_again(&key);
        }
    }

    /// Changes a route that has waited for the other routes of its group.
    fn change_alone(&mut self, key: Key, to: TargetId) {
        // While the device is down nothing can be installed.
        if self.device.is_up() && !self.in_doubt.contains(&key) {
            if !self.targets.is_present(to) {
                self.group_changes.set_alone(key);
            }
            self.lead_to(key, to);
        }
    }

    /// Returns a route that is to be moved to the original of its target. As long as routes are adopted, none is.
    fn poll_to_move(&mut self) -> Option<Key> {
        if self.is_adopting {
            return None;
        }
        if self.to_move.is_empty() {
            let from = self.targets.take_duplicates();
            if !from.is_empty() {
                self.to_move = self.routes.leading_to(&from).into();
            }
        }
        self.to_move.pop_front()
    }

    /// Begins to have a route lead to the original of its target, if that is a duplicate.
    fn move_to_original(&mut self, key: Key) {
        if let Some(original) = self.targets.original(self.routes.installed(&key))
            && !self.routes.is_busy(&key)
            && !self.in_doubt.contains(&key)
            && self.is_as_wanted(&key)
        {
            self.targets.acquire(original);
            self.begin(key, original);
        }
    }

    /// Begins to have a route lead to a target, which is acquired for it.
    fn begin(&mut self, key: Key, to: TargetId) {
        self.routes.begin(&key);
        self.steps.push(Step::SetRoute(key, to));
    }

    /// Begins to remove one of a destination's surplus routes, those in the place of the installed one first.
    fn begin_to_remove_surplus(&mut self, key: Key) {
        self.routes.begin(&key);
        self.steps.push(Step::RemoveSurplus(key));
    }

    /// Returns the surplus route of a destination that is to be removed next.
    fn next_surplus(&self, key: &Key) -> Option<&Surplus> {
        let surplus = self.routes.surplus(key);
        surplus.iter().find(|surplus| surplus.is_in_place).or(surplus.first())
    }

    /// Returns a step as an operation for the kernel.
    fn op(&self, step: Step) -> Op {
        match step {
            Step::AddObject(target) => self.targets.add_op(target),
            Step::RemoveObject(target) => self.targets.remove_op(target),
            Step::ReplaceGroup(group, to) => self.targets.replace_op(group, to),
            Step::RemoveSurplus(key) => {
                let (table, prefix) = (key.table(), key.prefix());
                let route = self.next_surplus(&key).map(|surplus| surplus.route.clone());
                Op::RemoveSurplus { table, prefix, route: route.unwrap_or(SurplusRoute::new([])) }
            }
            Step::SetRoute(key, to) => {
                let (table, prefix) = (key.table(), key.prefix());
                if to == TargetId::NONE {
                    return Op::RemoveRoute { table, prefix };
                }
                let target = self.targets.route_target(to);
                match self.routes.installed(&key) {
                    TargetId::NONE => Op::AddRoute { table, prefix, target },
                    _ => Op::ReplaceRoute { table, prefix, target },
                }
            }
        }
    }

    /// Handles the result of the earliest operation that is under way.
    ///
    /// # Panics
    /// If no operation is under way.
    pub fn done(&mut self, now: Instant, result: Result<(), OpError>) {
        self.advance(now);
        let step = self.steps.end().expect("an operation is under way");
        match &result {
            Ok(()) => self.done += 1,
            Err(_) => self.failed += 1,
        }
        match step {
            Step::AddObject(target) => self.object_added(target, result),
            Step::RemoveObject(target) => self.object_removed(target, result),
            Step::ReplaceGroup(group, to) => self.group_replaced(group, to, result),
            Step::SetRoute(key, to) => self.route_set(key, to, result),
            Step::RemoveSurplus(key) => self.surplus_removed(key, result),
        }
    }

    /// Gives up the results of all operations that are under way, for example when the connection to the kernel is lost. The next dump shows
    /// which of them succeeded.
    pub fn lost(&mut self, now: Instant) {
        self.advance(now);
        let lost = OpError { kind: OpErrorKind::Busy, errno: 0, text: None };
        while let Some(step) = self.steps.end() {
            match step {
                Step::AddObject(target) => self.targets.set_absent(target),
                Step::RemoveObject(target) => self.targets.set_present(target),
                Step::ReplaceGroup(group, to) => self.group_replaced(group, to, Err(lost.clone())),
                Step::SetRoute(key, to) => self.route_set(key, to, Err(lost.clone())),
                Step::RemoveSurplus(key) => self.surplus_removed(key, Err(lost.clone())),
            }
        }
        self.request_dump();
    }

    fn object_added(&mut self, target: TargetId, result: Result<(), OpError>) {
        let op = self.op(Step::AddObject(target));
        let is_device_up = self.device.is_up();
        let (targets, mut cx) = self.targets();
        let Err(error) = result else { return targets.added(target, &mut cx) };
        let is_first = !targets.has_failed(target);
        match error.kind {
            OpErrorKind::Exists => targets.id_is_taken(target, &mut cx),
            OpErrorKind::Missing => {
                targets.add_failed(target, &mut cx);
                self.request_dump();
            }
            // Its state was reported, or is about to be.
            OpErrorKind::NoDevice if !is_device_up => drop(targets.add_failed(target, &mut cx)),
            _ => {
                let retry_in = targets.add_failed(target, &mut cx);
                self.reports.failed(op, error, retry_in, is_first);
            }
        }
    }

    fn object_removed(&mut self, target: TargetId, result: Result<(), OpError>) {
        let op = self.op(Step::RemoveObject(target));
        let (targets, mut cx) = self.targets();
        match result {
            Err(error) if error.kind != OpErrorKind::Missing => {
                let is_first = !targets.has_failed(target);
                let retry_in = targets.remove_failed(target, &mut cx);
                self.reports.failed(op, error, retry_in, is_first);
            }
            _ => targets.removed(target, &mut cx),
        }
    }

    fn group_replaced(&mut self, group: TargetId, to: TargetId, result: Result<(), OpError>) {
        let mut is_over = false;
        let (targets, mut cx) = self.targets();
        match result {
            Ok(()) => {
                let waiting = targets.replaced(group, to, &mut cx);
                for (other, to) in waiting.into_iter().filter(|(other, _)| *other != group) {
                    if let Some(routes) = self.group_changes.end_change(other, to) {
                        self.end_group_change(other, to, routes, false);
                    }
                    self.targets.release(to);
                }
            }
            Err(error) => {
                targets.replace_failed(group, to, error.kind == OpErrorKind::Refused, &mut cx);
                match error.kind {
                    // A dump shows what is still there.
                    OpErrorKind::Missing => self.request_dump(),
                    // Each route is changed alone, which is reported and tried again if it fails.
                    _ => is_over = true,
                }
            }
        }
        let routes = self.group_changes.end(group);
        self.end_group_change(group, to, routes, is_over);
        self.targets.end_preparation(to, group);
    }

    fn surplus_removed(&mut self, key: Key, result: Result<(), OpError>) {
        let op = self.op(Step::RemoveSurplus(key));
        self.routes.end(&key);
        match result {
            Err(error) if error.kind != OpErrorKind::Missing => {
                let is_first = !self.routes.has_failed(&key);
                let retry_in = self.routes.retry(&key, self.now, self.retry(), self.settings.retry_min);
                return self.reports.failed(op, error, retry_in, is_first);
            }
            _ => {}
        }
        if let Op::RemoveSurplus { route, .. } = &op
            && let Some(surplus) = self.routes.surplus_removed(&key, route)
        {
            self.targets.release(surplus.target);
        }
        // The kernel may have removed another one of these routes.
        self.is_to_verify = true;
        self.routes.succeeded(&key);
        self.routes.enqueue(key);
    }

    fn route_set(&mut self, key: Key, to: TargetId, result: Result<(), OpError>) {
        let is_dirty = self.routes.end(&key);
        match result {
            Err(error) if to == TargetId::NONE && error.kind == OpErrorKind::Missing => self.route_leads(key, to),
            Err(error) => self.route_failed(key, to, error),
            Ok(()) => self.route_leads(key, to),
        }
        if is_dirty {
            self.routes.enqueue(key);
        }
    }

    fn route_failed(&mut self, key: Key, to: TargetId, error: OpError) {
        let op = self.op(Step::SetRoute(key, to));
        self.set_tried(&key, to);
        let is_first = !self.routes.has_failed(&key);
        let min = if error.kind == OpErrorKind::Exists { CONFLICT } else { self.settings.retry_min };
        let retry_in = self.routes.retry(&key, self.now, self.retry(), min);
        match error.kind {
            OpErrorKind::Exists => {
                if self.routes.begin_conflict(&key) {
                    self.reports.push(FibReport::Conflict { table: key.table(), prefix: key.prefix() });
                    self.doubt(key);
                }
            }
            OpErrorKind::Missing => self.request_dump(),
            // Its state was reported, or is about to be.
            OpErrorKind::NoDevice if !self.device.is_up() => {}
            _ => self.reports.failed(op, error, retry_in, is_first),
        }
    }

    /// Notes that an operation has succeeded.
    fn route_leads(&mut self, key: Key, to: TargetId) {
        // Routes that were added meanwhile may have got what the other program had written on this one: in Linux, routes of one object
        // share it.
        self.is_to_verify |= self.routes.installed(&key) == TargetId::UNKNOWN && to != TargetId::NONE;
        self.set_installed(&key, to);
        self.targets.has_route(to);
        self.routes.succeeded(&key);
        self.set_tried(&key, TargetId::NONE);
        if to != TargetId::NONE {
            self.settle_conflict(&key);
        }
        if !self.routes.surplus(&key).is_empty() {
            self.routes.enqueue(key);
        } else if to == TargetId::NONE {
            self.routes.forget(&key);
        }
    }

    /// Notes where a route leads, to a target that is acquired for it.
    fn set_installed(&mut self, key: &Key, to: TargetId) {
        self.leave_group_change(key);
        let from = self.routes.replace_installed(key, to);
        self.targets.release(from);
        self.group_changes.check(from);
    }

    /// Notes the target of a route's last failed operation, which is acquired for it.
    fn set_tried(&mut self, key: &Key, target: TargetId) {
        let before = self.routes.replace_tried(key, target);
        self.targets.release(before);
    }

    /// Returns whether the kernel's routes and objects have to be read now. Always false while operations are under way.
    pub fn needs_dump(&self, now: Instant) -> bool {
        self.dump.is_due(now.max(self.now)) && self.steps.are_done()
    }

    /// Begins a dump of the kernel's routes and objects. Call [`found`](Self::found) for each, then [`dump_ends`](Self::dump_ends).
    pub fn dump_begins(&mut self, now: Instant) {
        self.advance(now);
        self.dump.begin(self.now);
        self.in_doubt.clear();
        self.targets.begin_dump();
        self.foreign.begin_dump();
        self.underlay.begin_dump();
        for surplus in self.routes.begin_dump() {
            self.targets.release(surplus.target);
        }
    }

    /// Handles an object or a route of the dump. All objects come before the first route.
    pub fn found(&mut self, found: Found) {
        match found {
            Found::Object { id, what } => self.targets.found(id, what),
            Found::Route { table, prefix, target } => {
                self.targets.end_objects();
                let (key, target) = (Key::new(table, prefix), self.targets.of_route(target));
                if self.routes.found(key, self.is_adopting && !self.wanted.is_own(&key)) != target {
                    self.targets.acquire(target);
                    self.set_installed(&key, target);
                }
            }
            Found::Surplus { table, prefix, target, is_in_place, route } => {
                self.targets.end_objects();
                let target = self.targets.of_route(target);
                let (key, surplus) = (Key::new(table, prefix), Surplus { target, is_in_place, route });
                if self.routes.found_surplus(key, surplus, self.is_adopting && !self.wanted.is_own(&key)) {
                    self.targets.acquire(target);
                }
            }
            Found::Local { prefix } => self.underlay.found_local(prefix),
            Found::Foreign { table, prefix, rival } => self.foreign.found(Key::new(table, prefix), rival),
        }
    }

    /// Ends a dump. If it is not complete, [`needs_dump`](Self::needs_dump) requests another one later.
    pub fn dump_ends(&mut self, now: Instant, is_complete: bool) {
        self.advance(now);
        if !self.dump.end(self.now, is_complete, self.retry()) {
            return;
        }
        if !is_complete {
            return self.targets.abort_dump();
        }
        self.targets.end_objects();
        self.foreign.end_dump();
        self.underlay.end_dump();
        self.is_device_lost |= !self.device.is_up();
        for key in self.routes.keys() {
            if self.routes.is_lost(&key) {
                self.set_installed(&key, TargetId::NONE);
                // A route of another protocol in its place is reported as a conflict.
                let is_replaced = self.foreign.rival(&key).is_some_and(|rival| rival.is_in_place);
                if !self.is_device_lost && !is_replaced {
                    self.reports.removed(key.table(), key.prefix());
                }
            }
            if !self.is_as_wanted(&key) {
                self.routes.enqueue(key);
            }
        }
        self.is_device_lost = false;
        let (targets, mut cx) = self.targets();
        targets.end_dump(&mut cx);
    }

    /// Returns whether a route is installed as it is wanted, and wanted at all, and it is known whether it is in effect.
    fn is_as_wanted(&self, key: &Key) -> bool {
        let nexthops = self.nexthops(key, self.routes.wanted(key));
        let is_known = match self.foreign.rival(key) {
            Some(rival) => self.routes.has_conflict(key) && !rival.is_in_place,
            None => !self.routes.has_conflict(key),
        };
        !nexthops.is_empty()
            && self.targets.nexthops(self.routes.installed(key)) == nexthops.as_slice()
            && is_known
            && self.routes.surplus(key).is_empty()
    }

    /// Has the kernel's state read again, because everything may have changed.
    fn request_dump(&mut self) {
        self.dump.request(self.now, Doubt::Everything);
    }

    /// Has the kernel's state read again, because that of a destination may have changed.
    fn doubt(&mut self, key: Key) {
        self.in_doubt.insert(key);
        self.dump.request(self.now, Doubt::Destinations);
    }

    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Returns the shortest and the longest wait before a retry.
    fn retry(&self) -> RangeInclusive<Duration> {
        self.settings.retry_min..=self.settings.retry_max
    }

    /// Returns the targets, with all that they need to take a step.
    fn targets(&mut self) -> (&mut Targets, Context<'_>) {
        let retry = self.retry();
        let Self { now, device, targets, routes, steps, reports, .. } = self;
        (targets, Context::new(*now, device.is_up(), retry, routes, steps, reports))
    }
}
