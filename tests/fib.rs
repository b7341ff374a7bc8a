//! A FIB and a kernel, under any sequence of changes, failures and changes by other programs: the promises of
//! `metalbond::fib`.

#[path = "fib/alone.rs"]
mod alone;
#[path = "fib/groups.rs"]
mod groups;
#[path = "fib/kernel.rs"]
mod kernel;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use kernel::{Kernel, Key, METRIC, Object, Route as Installed, Surplus, rival};
use metalbond::fib::{
    DeviceState, Fib, FibReport, FibSettings, FibSettingsError, Nexthop, Nexthops, Notice, Op, OpError, OpErrorKind,
    RouteTarget,
};
use metalbond::{Instant, NextHop, NextHopKind, Prefix, Route, RouteChange, Vni};
use proptest::prelude::*;

/// VNIs 0 and 2 share table 100; VNI 1 has table 101 for itself.
const VNIS: u8 = 3;
const PREFIXES: [&str; 7] =
    ["10.0.0.0/24", "10.0.0.5/24", "10.0.1.0/24", "10.0.0.1/32", "2001:db8:1::/64", "2001:db8:1::7/64", "::/0"];

fn prefix(n: u8) -> Prefix {
    PREFIXES[usize::from(n) % PREFIXES.len()].parse().unwrap()
}

fn addr(n: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0xff, 0, 0, 0, 0, n + 1)
}

/// Returns three hypervisors, of which the last is preferred; the first one by three kinds of routes; an IPv4 next hop,
/// and the same one as an IPv4-mapped IPv6 address.
fn hops(mask: u8) -> Vec<NextHop> {
    let standard = |n| NextHop::standard(addr(n).into());
    let of_kind = |kind| NextHop { kind, ..standard(0) };
    let all = [
        standard(0),
        standard(1),
        standard(2),
        of_kind(NextHopKind::LoadBalancer),
        of_kind(NextHopKind::Nat { from: 1, to: 2 }),
        of_kind(NextHopKind::Nat { from: 3, to: 4 }),
        NextHop::standard(IpAddr::from([192, 0, 2, 1])),
        NextHop::standard("::ffff:192.0.2.1".parse().unwrap()),
    ];
    (0..8).filter(|n| mask & 1 << n != 0).map(|n| all[n]).collect()
}

fn settings(nexthop_objects: bool) -> FibSettings {
    let tables = (0..VNIS).map(|n| Vni(n.into())).map(|vni| (vni, World::table(vni))).collect();
    let prefer = vec!["2001:db8:ff::3/128".parse().unwrap()];
    // Groups are replaced even if they have few routes.
    FibSettings { tables, nexthop_objects, prefer, ids: 10..=40, replace_min: 2, ..FibSettings::default() }
}

#[derive(Clone, Debug)]
enum Step {
    Change(u8, u8, u8),
    Own(u8, u8, bool),
    /// Performs up to this many operations. Some of them fail, or all answers are lost.
    Work(usize, u8),
    LoseAnswers(usize),
    /// Performs this many operations. Another step happens before their answers arrive.
    Meanwhile(usize, Box<Step>),
    Dump(bool),
    Wait(u16),
    Release,
    Restart,
    Device(bool),
    ForeignRoute(u8, u8),
    ForeignGone(u8, u8),
    /// A route of another program before one of ours, with the same metric.
    ForeignBeside(u8, u8),
    /// A route of another program with a lower metric.
    Preferred(u8, u8, u8),
    PreferredGone(u8, u8, u8),
    /// A second route of ours, in the same place or with another metric, that leads to an object or to a hypervisor.
    Surplus(u8, u8, bool, u8),
    /// Another program begins or ends to use an object of ours.
    Use(u8),
    RemoveRoute(u8, u8),
    RemoveObject(u8),
    ReplaceObject(u8, u16),
    ForeignObject(u32),
    LoseNotices,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => simple_step(),
        1 => (1..4usize, simple_step()).prop_map(|(n, step)| Step::Meanwhile(n, Box::new(step))),
    ]
}

fn simple_step() -> impl Strategy<Value = Step> {
    let key = || (0..VNIS, 0..PREFIXES.len() as u8);
    prop_oneof![
        10 => (key(), any::<u8>()).prop_map(|((v, p), mask)| Step::Change(v, p, mask)),
        4 => key().prop_map(|(v, p)| Step::Change(v, p, 0)),
        2 => (key(), any::<bool>()).prop_map(|((v, p), on)| Step::Own(v, p, on)),
        12 => (1..6usize, prop_oneof![4 => Just(0), 1 => any::<u8>()]).prop_map(|(n, fail)| Step::Work(n, fail)),
        1 => (1..4usize).prop_map(Step::LoseAnswers),
        3 => any::<bool>().prop_map(Step::Dump),
        3 => (0..2000u16).prop_map(Step::Wait),
        1 => Just(Step::Release),
        1 => Just(Step::Restart),
        1 => any::<bool>().prop_map(Step::Device),
        1 => key().prop_map(|(v, p)| Step::ForeignRoute(v, p)),
        1 => key().prop_map(|(v, p)| Step::ForeignGone(v, p)),
        1 => key().prop_map(|(v, p)| Step::ForeignBeside(v, p)),
        2 => (key(), 1..4u8).prop_map(|((v, p), metric)| Step::Preferred(v, p, metric)),
        2 => (key(), 1..4u8).prop_map(|((v, p), metric)| Step::PreferredGone(v, p, metric)),
        2 => (key(), any::<bool>(), any::<u8>()).prop_map(|((v, p), is_in_place, n)| Step::Surplus(v, p, is_in_place, n)),
        1 => any::<u8>().prop_map(Step::Use),
        1 => key().prop_map(|(v, p)| Step::RemoveRoute(v, p)),
        1 => any::<u8>().prop_map(Step::RemoveObject),
        1 => (any::<u8>(), 0..3u16).prop_map(|(n, nexthop)| Step::ReplaceObject(n, nexthop)),
        1 => (10..16u32).prop_map(Step::ForeignObject),
        1 => Just(Step::LoseNotices),
    ]
}

struct World {
    fib: Fib,
    kernel: Kernel,
    now: Instant,
    /// The complete sets of next hops, and the node's own STANDARD routes.
    wanted: BTreeMap<(Vni, Prefix), Vec<NextHop>>,
    own: BTreeSet<(Vni, Prefix)>,
    /// Routes found in the kernel at the start, and not wanted since.
    adopted: BTreeSet<Key>,
    is_released: bool,
}

impl World {
    fn new(settings: FibSettings) -> Self {
        let fib = Fib::new(settings, DeviceState::Up).unwrap();
        let (wanted, own, adopted) = Default::default();
        Self { fib, kernel: Kernel::new(), now: Instant::EPOCH, wanted, own, adopted, is_released: false }
    }

    fn table(vni: Vni) -> u32 {
        100 + vni.0 % 2
    }

    /// Returns the nexthops that a kernel route should have, by the model.
    fn nexthops(&self, key: &Key) -> Nexthops {
        nexthops(&self.wanted, &self.own, self.fib.settings(), key)
    }

    /// Returns the VNIs that want a kernel route, and the nexthops that each one wants for it.
    fn claims(&self, key: &Key) -> Vec<(Vni, Nexthops)> {
        claims(&self.wanted, &self.own, self.fib.settings(), key)
    }

    fn change(&mut self, vni: Vni, prefix: Prefix, hops: Vec<NextHop>) {
        self.adopted.remove(&(Self::table(vni), prefix.network()));
        self.fib.change(&RouteChange::new(vni, prefix, hops.clone(), [], []));
        self.wanted.insert((vni, prefix), hops);
    }

    fn own(&mut self, vni: Vni, prefix: Prefix, on: bool) {
        let route = Route { vni, prefix, next_hop: NextHop::standard(addr(9).into()) };
        match on {
            true if self.own.insert((vni, prefix)) => {
                let table = Self::table(vni);
                if (0..VNIS).filter(|n| Self::table(Vni((*n).into())) == table).count() == 1 {
                    self.adopted.remove(&(table, prefix.network()));
                }
                self.fib.announced(&route);
            }
            false if self.own.remove(&(vni, prefix)) => self.fib.withdrawn(&route),
            _ => {}
        }
    }

    fn report_notices(&mut self) {
        for notice in std::mem::take(&mut self.kernel.notices) {
            self.fib.notice(self.now, notice);
        }
    }

    /// Performs operations. Those with a bit in `fail` fail. Returns their number.
    fn work(&mut self, count: usize, fail: u8) -> usize {
        self.report_notices();
        let results = self.begin(count, fail);
        let done = results.len();
        results.into_iter().for_each(|result| self.fib.done(self.now, result));
        done
    }

    /// Performs up to `count` operations. Their results are not reported to the FIB yet.
    fn begin(&mut self, count: usize, fail: u8) -> Vec<Result<(), OpError>> {
        let mut results = Vec::new();
        while results.len() < count
            && let Some(op) = self.fib.poll_op(self.now)
        {
            results.push(self.carry_out(&op, fail & 1 << (results.len() % 8) != 0));
        }
        results
    }

    fn carry_out(&mut self, op: &Op, fails: bool) -> Result<(), OpError> {
        if fails {
            return Err(OpError { kind: OpErrorKind::Busy, errno: 105, text: None });
        }
        let (wanted, own, adopted, settings) = (&self.wanted, &self.own, &self.adopted, self.fib.settings());
        let is_wanted = |key: &Key| adopted.contains(key) || !nexthops(wanted, own, settings, key).is_empty();
        self.kernel.apply(op, is_wanted)
    }

    fn dump(&mut self, complete: bool) {
        self.report_notices();
        if !self.fib.needs_dump(self.now) {
            return;
        }
        self.fib.dump_begins(self.now);
        let found = self.kernel.found();
        let upto = if complete { found.len() } else { found.len() / 2 };
        found.into_iter().take(upto).for_each(|one| self.fib.found(one));
        self.fib.dump_ends(self.now, complete);
    }

    /// Starts a new process. The wanted routes are reported to it again, in another order.
    fn restart(&mut self) {
        self.fib = Fib::new(self.fib.settings().clone(), self.kernel.device()).unwrap();
        self.kernel.notices.clear();
        self.is_released = false;
        let ours = self.kernel.routes.iter().filter(|(_, route)| **route != Installed::Foreign).map(|(key, _)| *key);
        let more = self.kernel.surplus.keys().chain(self.kernel.beside.keys()).copied();
        self.adopted = ours.chain(more).collect();
        self.dump(true);
        for (vni, prefix) in std::mem::take(&mut self.own) {
            self.own(vni, prefix, true);
        }
        // One next hop after the other, as they arrive from a server.
        for ((vni, prefix), hops) in std::mem::take(&mut self.wanted).into_iter().rev() {
            for count in 1..=hops.len() {
                self.change(vni, prefix, hops[..count].to_vec());
                self.work(2, 0);
            }
        }
    }

    /// Another program adds a route with this node's metric. It replaces this node's route, or is put before it.
    fn put_foreign(&mut self, (table, prefix): Key, is_replacement: bool) {
        let key = (table, prefix);
        if is_replacement && self.kernel.routes.get(&key) == Some(&Installed::Foreign) {
            return;
        }
        // For this model, a place with a foreign route has one route of this node at most.
        if let Some(all) = self.kernel.surplus.get_mut(&key) {
            all.retain(|surplus| !surplus.is_in_place);
        }
        self.kernel.surplus.retain(|_, all| !all.is_empty());
        let is_replacement = self.kernel.routes.insert(key, Installed::Foreign).is_some() && is_replacement;
        let rival = rival(METRIC);
        self.kernel.notices.push(Notice::ForeignAdded { table, prefix, rival, is_replacement });
    }

    fn step(&mut self, step: &Step) {
        let key = |v: u8, p: u8| (World::table(Vni(v.into())), prefix(p).network());
        match *step {
            Step::Change(v, p, mask) => self.change(Vni(v.into()), prefix(p), hops(mask)),
            Step::Own(v, p, on) => self.own(Vni(v.into()), prefix(p), on),
            Step::Work(count, fail) => drop(self.work(count, fail)),
            Step::LoseAnswers(count) => {
                self.report_notices();
                self.begin(count, 0);
                self.fib.lost(self.now);
            }
            Step::Meanwhile(count, ref step) => {
                self.report_notices();
                let mut results = self.begin(count, 0);
                if !is_work(step) {
                    self.step(step);
                    self.report_notices();
                }
                results.extend(self.begin(count, 0));
                results.into_iter().for_each(|result| self.fib.done(self.now, result));
            }
            Step::Dump(complete) => self.dump(complete),
            Step::Wait(ms) => self.now = self.now + Duration::from_millis(ms.into()),
            Step::Release => {
                self.fib.release_adopted();
                self.adopted.clear();
                self.is_released = true;
            }
            Step::Restart => self.restart(),
            Step::Device(is_up) => {
                if self.kernel.is_up != is_up {
                    self.kernel.set_device(is_up);
                }
            }
            Step::ForeignRoute(v, p) => {
                let (table, prefix) = key(v, p);
                self.put_foreign((table, prefix), true);
            }
            Step::ForeignBeside(v, p) => {
                let key = key(v, p);
                if let Some(Installed::Ours(target)) = self.kernel.routes.get(&key).cloned() {
                    self.kernel.beside.insert(key, target);
                    self.put_foreign(key, false);
                }
            }
            Step::Preferred(v, p, metric) => {
                let (table, prefix) = key(v, p);
                self.kernel.preferred.entry((table, prefix)).or_default().push(metric.into());
                let rival = rival(metric.into());
                self.kernel.notices.push(Notice::ForeignAdded { table, prefix, rival, is_replacement: false });
            }
            Step::PreferredGone(v, p, metric) => {
                let (table, prefix) = key(v, p);
                let Some(all) = self.kernel.preferred.get_mut(&(table, prefix)) else { return };
                let Some(at) = all.iter().position(|other| *other == u32::from(metric)) else { return };
                all.remove(at);
                if all.is_empty() {
                    self.kernel.preferred.remove(&(table, prefix));
                }
                let rival = rival(metric.into());
                self.kernel.notices.push(Notice::ForeignRemoved { table, prefix, rival });
            }
            Step::Surplus(v, p, is_in_place, n) => {
                let (table, prefix) = key(v, p);
                let objects: Vec<u32> = self.kernel.objects.keys().copied().collect();
                let objects = objects.iter().filter(|id| self.kernel.objects[*id] != Object::Foreign);
                let objects: Vec<u32> = objects.copied().collect();
                let is_ours = matches!(self.kernel.routes.get(&(table, prefix)), Some(Installed::Ours(_)));
                if objects.is_empty() || is_in_place && !is_ours || !self.kernel.is_up {
                    return;
                }
                let target = RouteTarget::Object(objects[usize::from(n) % objects.len()]);
                let all = self.kernel.surplus.entry((table, prefix)).or_default();
                let number = all.iter().map(|surplus| surplus.number).max().unwrap_or(n / 2) + 1;
                all.push(Surplus { number, target, is_in_place });
                self.kernel.notices.push(Notice::Anything);
            }
            Step::Use(n) => {
                let ours: Vec<u32> = self.kernel.objects.keys().copied().collect();
                if !ours.is_empty() {
                    let id = ours[usize::from(n) % ours.len()];
                    if !self.kernel.in_use.remove(&id) {
                        self.kernel.in_use.insert(id);
                    }
                }
            }
            Step::ForeignGone(v, p) => {
                let (table, prefix) = key(v, p);
                if self.kernel.routes.get(&(table, prefix)) == Some(&Installed::Foreign) {
                    self.kernel.routes.remove(&(table, prefix));
                    if let Some(target) = self.kernel.beside.remove(&(table, prefix)) {
                        self.kernel.routes.insert((table, prefix), Installed::Ours(target));
                    }
                    self.kernel.notices.push(Notice::ForeignRemoved { table, prefix, rival: rival(METRIC) });
                }
            }
            Step::RemoveRoute(v, p) => {
                let (table, prefix) = key(v, p);
                if matches!(self.kernel.routes.get(&(table, prefix)), Some(Installed::Ours(_))) {
                    self.kernel.routes.remove(&(table, prefix));
                    self.kernel.notices.push(Notice::RouteRemoved { table, prefix });
                }
            }
            Step::RemoveObject(n) => {
                let objects: Vec<u32> = self.kernel.objects.keys().copied().collect();
                if !objects.is_empty() {
                    self.kernel.drop_object(objects[usize::from(n) % objects.len()]);
                    self.kernel.notices.push(Notice::Anything);
                }
            }
            Step::ReplaceObject(n, nexthop) => {
                let nexthops: Vec<u32> = self
                    .kernel
                    .objects
                    .iter()
                    .filter(|(_, o)| matches!(o, Object::Nexthop(_)))
                    .map(|(id, _)| *id)
                    .collect();
                if !nexthops.is_empty() {
                    self.kernel
                        .objects
                        .insert(nexthops[usize::from(n) % nexthops.len()], Object::Nexthop(addr(nexthop)));
                    self.kernel.notices.push(Notice::Anything);
                }
            }
            Step::ForeignObject(id) => {
                if let Entry::Vacant(free) = self.kernel.objects.entry(id) {
                    free.insert(Object::Foreign);
                    self.kernel.notices.push(Notice::Anything);
                }
            }
            Step::LoseNotices => {
                if !self.kernel.notices.is_empty() {
                    let device = self.kernel.notices.iter().rev().find(|n| matches!(n, Notice::Device(_)));
                    self.kernel.notices = device.copied().into_iter().chain([Notice::Anything]).collect();
                }
            }
        }
    }

    /// Without further failures, checks that the kernel gets the wanted routes and no others of this node.
    fn converge(&mut self) {
        if !self.kernel.is_up {
            self.kernel.set_device(true);
        }
        self.step(&Step::Release);
        let until = self.now + Duration::from_secs(120);
        let mut rounds = 0;
        loop {
            self.dump(true);
            if self.work(100, 0) > 0 {
                rounds += 1;
                assert!(rounds < 1000, "the FIB does not come to rest");
                continue;
            }
            match self.fib.poll_timeout() {
                Some(at) if at <= until => self.now = self.now.max(at),
                _ => break,
            }
        }
        let keys = (0..VNIS).flat_map(|v| (0..PREFIXES.len() as u8).map(move |p| (v, p)));
        let (mut wanted, mut installed, mut conflicts, mut vni_conflicts) = (0, 0, 0, 0);
        assert!(self.kernel.beside.is_empty() && self.kernel.surplus.is_empty(), "{:?}", self.kernel);
        let keys: BTreeSet<Key> = keys.map(|(v, p)| (Self::table(Vni(v.into())), prefix(p).network())).collect();
        for key in keys {
            let nexthops = self.nexthops(&key);
            vni_conflicts += self.claims(&key).len().saturating_sub(1);
            if self.kernel.routes.get(&key) == Some(&Installed::Foreign) {
                conflicts += usize::from(!nexthops.is_empty());
                continue;
            }
            assert_eq!(self.kernel.nexthops(&key).unwrap_or_default(), nexthops, "{key:?}");
            let is_wanted = !nexthops.is_empty();
            let is_preferred = self.kernel.preferred.contains_key(&key);
            conflicts += usize::from(is_wanted && is_preferred);
            installed += usize::from(is_wanted && !is_preferred);
            wanted += usize::from(is_wanted);
        }
        assert_eq!(self.kernel.left_over(), [0; 0], "objects that nothing uses");
        assert_eq!(self.kernel.duplicates(), [0; 0], "{:?}", self.kernel);
        let stats = self.fib.stats();
        let counted = (stats.installed, stats.conflicts, stats.vni_conflicts);
        assert_eq!(counted, (installed, conflicts + vni_conflicts, vni_conflicts), "{stats:?}");
        assert!(stats.wanted >= wanted + vni_conflicts);
        assert!(self.fib.is_settled() || !self.kernel.in_use.is_empty());
    }
}

fn is_work(step: &Step) -> bool {
    matches!(step, Step::Work(..) | Step::LoseAnswers(_) | Step::Dump(_) | Step::Restart)
}

/// Returns the nexthops of a kernel route. If several VNIs share a table, the lowest one has the route.
fn nexthops(
    wanted: &BTreeMap<(Vni, Prefix), Vec<NextHop>>,
    own: &BTreeSet<(Vni, Prefix)>,
    settings: &FibSettings,
    key: &Key,
) -> Nexthops {
    claims(wanted, own, settings, key).into_iter().next().map_or_else(Nexthops::default, |(_, nexthops)| nexthops)
}

fn claims(
    wanted: &BTreeMap<(Vni, Prefix), Vec<NextHop>>,
    own: &BTreeSet<(Vni, Prefix)>,
    settings: &FibSettings,
    key: &Key,
) -> Vec<(Vni, Nexthops)> {
    let vnis = (0..VNIS).map(|n| Vni(n.into())).filter(|vni| World::table(*vni) == key.0);
    let claims = vnis.map(|vni| (vni, legs_of(wanted, own, settings, vni, key)));
    claims.filter(|(_, nexthops)| !nexthops.is_empty()).collect()
}

fn legs_of(
    wanted: &BTreeMap<(Vni, Prefix), Vec<NextHop>>,
    own: &BTreeSet<(Vni, Prefix)>,
    settings: &FibSettings,
    vni: Vni,
    key: &Key,
) -> Nexthops {
    let is_here = |(other, prefix): &(Vni, Prefix)| (*other, prefix.network()) == (vni, key.1);
    let is_own = own.iter().any(is_here);
    let hops = wanted.iter().filter(|(dest, _)| is_here(dest)).flat_map(|(_, hops)| hops);
    let hops = hops.filter(|hop| !is_own || hop.kind != NextHopKind::Standard);
    let addrs: BTreeSet<Ipv6Addr> =
        hops.filter_map(|hop| if let IpAddr::V6(addr) = hop.addr.to_canonical() { Some(addr) } else { None }).collect();
    let is_mixed = addrs.contains(&addr(2)) && addrs.len() > 1;
    let weight = |a| if is_mixed && a == addr(2) { 99 } else { 1 };
    let nexthops: Nexthops = addrs.into_iter().map(|addr| Nexthop { addr, weight: weight(addr) }).collect();
    if settings.nexthop_objects || !key.1.is_ipv6() || nexthops.len() < 2 {
        return nexthops;
    }
    let best =
        nexthops.as_slice().iter().max_by_key(|nexthop| (nexthop.weight, std::cmp::Reverse(nexthop.addr))).unwrap();
    std::iter::once(Nexthop { weight: 1, ..*best }).collect()
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4_000) })]

    /// Also runs the kernel model's own assertions: *no gap* and *foreign*.
    #[test]
    fn converges(steps in steps(), nexthop_objects in any::<bool>()) {
        let mut world = World::new(settings(nexthop_objects));
        world.dump(true);
        for step in &steps {
            world.step(step);
        }
        world.converge();
    }

    #[test]
    fn adopts(steps in steps(), nexthop_objects in any::<bool>()) {
        let mut world = World::new(settings(nexthop_objects));
        world.dump(true);
        for step in &steps {
            world.step(step);
        }
        world.converge();
        let before = world.kernel.changes;
        // For two VNIs of a table, the route of the one that comes first is installed first.
        let has_conflicts = world.fib.stats().vni_conflicts > 0;
        // A route to a destination of this node goes until one of another kind is announced.
        let mut own = world.own.iter().map(|(vni, prefix)| (World::table(*vni), prefix.network()));
        let has_own = own.any(|key| !world.nexthops(&key).is_empty());
        world.restart();
        world.converge();
        prop_assert!(has_conflicts || has_own || world.kernel.changes == before, "routes that stay are not touched");
    }

    #[test]
    fn clears(steps in steps(), nexthop_objects in any::<bool>()) {
        let mut world = World::new(settings(nexthop_objects));
        world.dump(true);
        for step in &steps {
            world.step(step);
        }
        world.fib.clear();
        world.wanted.clear();
        world.kernel.in_use.clear();
        world.converge();
        prop_assert!(world.kernel.routes.values().all(|route| *route == Installed::Foreign));
        prop_assert!(world.kernel.objects.values().all(|object| *object == Object::Foreign));
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let with = |tables: &[(u32, u32)], ids| {
        let tables = tables.iter().map(|&(vni, table)| (Vni(vni), table)).collect();
        Fib::new(FibSettings { tables, ids, ..FibSettings::default() }, DeviceState::Up).err()
    };
    assert_eq!(with(&[(23, 5), (42, 6)], 1..=1), None);
    assert_eq!(with(&[(23, 0)], 1..=1), Some(FibSettingsError::TableZero(Vni(23))));
    assert_eq!(with(&[(23, 5), (42, 5)], 1..=1), None, "VNIs may share a table");
    assert_eq!(with(&[], 0..=1), Some(FibSettingsError::Ids(0..=1)));
}

#[test]
fn a_conflict_is_over_as_soon_as_the_other_route_goes() {
    let mut world = World::new(settings(true));
    world.dump(true);
    world.step(&Step::ForeignRoute(0, 2));
    world.step(&Step::Change(0, 2, 1));
    while world.work(9, 0) > 0 {}
    let key = (100, prefix(2));
    assert_eq!((world.fib.stats().conflicts, world.kernel.routes.get(&key)), (1, Some(&Installed::Foreign)));
    assert_eq!(world.fib.poll_report(), Some(FibReport::Conflict { table: 100, prefix: prefix(2) }));
    assert!(world.fib.is_settled(), "nothing is tried again");
    world.step(&Step::ForeignGone(0, 2));
    assert_eq!(world.work(9, 0), 1, "the object");
    assert_eq!(world.work(9, 0), 1, "the route");
    assert_eq!(world.fib.stats().conflicts, 0);
    assert_eq!(world.kernel.nexthops(&key), Some(world.nexthops(&key)));
    assert_eq!(world.fib.poll_report(), Some(FibReport::ConflictOver { table: 100, prefix: prefix(2) }));
}

#[test]
fn a_route_that_the_kernel_does_not_prefer_is_installed_and_a_conflict_until_the_other_one_goes() {
    let mut world = World::new(settings(true));
    world.dump(true);
    world.step(&Step::Preferred(0, 2, 1));
    world.step(&Step::Change(0, 2, 1));
    while world.work(9, 0) > 0 {}
    let (key, prefix) = ((100, prefix(2)), prefix(2));
    assert_eq!(world.kernel.nexthops(&key), Some(world.nexthops(&key)));
    let counted = |world: &World| (world.fib.stats().installed, world.fib.stats().conflicts);
    assert_eq!(counted(&world), (0, 1));
    assert_eq!(world.fib.poll_report(), Some(FibReport::Overridden { table: 100, prefix, rival: rival(1) }));
    world.step(&Step::PreferredGone(0, 2, 1));
    assert_eq!((world.work(9, 0), counted(&world)), (0, (1, 0)));
    assert_eq!(world.fib.poll_report(), Some(FibReport::ConflictOver { table: 100, prefix }));
}

#[test]
fn an_adopted_route_to_a_destination_of_this_node_goes_at_once() {
    for is_announced_first in [true, false] {
        let mut world = World::new(settings(true));
        world.kernel.objects.insert(20, Object::Nexthop(addr(7)));
        let [own, other] = [2, 3].map(|n| (101, prefix(n)));
        for key in [own, other] {
            world.kernel.routes.insert(key, Installed::Ours(RouteTarget::Object(20)));
        }
        if is_announced_first {
            world.step(&Step::Own(1, 2, true));
        }
        world.dump(true);
        world.step(&Step::Own(1, 2, true));
        assert_eq!(world.work(9, 0), 1);
        assert_eq!(world.kernel.routes.keys().copied().collect::<Vec<_>>(), [other]);
    }
}

#[test]
fn objects_that_were_found_stay_until_the_adoption_has_ended() {
    let mut world = World::new(settings(true));
    world.kernel.objects.insert(20, Object::Nexthop(addr(7)));
    world.dump(true);
    assert_eq!(world.work(9, 0), 0);
    world.step(&Step::Release);
    assert_eq!((world.work(9, 0), world.kernel.objects.len()), (1, 0));
}

#[test]
fn if_two_vnis_share_a_table_the_lower_one_has_the_destination_and_the_other_one_follows() {
    let mut world = World::new(settings(true));
    world.dump(true);
    let (table, prefix, vni) = (100, prefix(2), Vni(2));
    let key = (table, prefix);
    let settle = |world: &mut World| while world.work(9, 0) > 0 {};
    let counted = |world: &World| {
        let stats = world.fib.stats();
        (stats.wanted, stats.installed, stats.conflicts, stats.vni_conflicts)
    };
    // The higher VNI is first, and alone.
    world.step(&Step::Change(2, 2, 1));
    settle(&mut world);
    assert_eq!((world.kernel.nexthops(&key), counted(&world)), (Some(world.nexthops(&key)), (1, 1, 0, 0)));
    // The lower VNI adds its route: a replacement, and a conflict for the higher one.
    world.step(&Step::Change(0, 2, 2));
    settle(&mut world);
    assert_eq!(world.kernel.nexthops(&key), Some(std::iter::once(Nexthop { addr: addr(1), weight: 1 }).collect()));
    assert_eq!(counted(&world), (2, 1, 1, 1));
    let report = world.fib.poll_report().unwrap();
    assert_eq!(report, FibReport::VniConflict { table, prefix, vni, installed: Vni(0) });
    assert!(report.to_string().contains("VNI 2") && report.to_string().contains("the lower VNI counts"), "{report}");
    assert_eq!(world.fib.poll_report(), None);
    assert!(world.fib.is_settled(), "no operation is tried again");
    // The lower VNI removes it. The kernel of this test refuses to remove a wanted route, so this is a replacement as
    // well.
    world.step(&Step::Change(0, 2, 0));
    settle(&mut world);
    assert_eq!(world.kernel.nexthops(&key), Some(std::iter::once(Nexthop { addr: addr(0), weight: 1 }).collect()));
    assert_eq!(counted(&world), (1, 1, 0, 0));
    assert_eq!(world.fib.poll_report(), Some(FibReport::VniConflictOver { table, prefix, vni }));
    assert_eq!(world.fib.poll_report(), None);
}

#[test]
fn if_the_lower_vnis_next_hop_is_this_machine_the_higher_vnis_route_is_installed() {
    let mut world = World::new(settings(true));
    world.dump(true);
    world.step(&Step::Own(0, 2, true));
    world.step(&Step::Change(0, 2, 1));
    world.step(&Step::Change(2, 2, 2));
    while world.work(9, 0) > 0 {}
    let key = (100, prefix(2));
    assert_eq!(world.kernel.nexthops(&key), Some(std::iter::once(Nexthop { addr: addr(1), weight: 1 }).collect()));
    assert_eq!((world.fib.stats().vni_conflicts, world.fib.poll_report()), (0, None));
    world.step(&Step::Own(0, 2, false));
    while world.work(9, 0) > 0 {}
    assert_eq!(world.kernel.nexthops(&key), Some(std::iter::once(Nexthop { addr: addr(0), weight: 1 }).collect()));
    assert_eq!(world.fib.stats().vni_conflicts, 1);
}

#[test]
fn an_ipv4_next_hop_is_reported_once_and_counted_each_time() {
    let mut world = World::new(settings(true));
    world.dump(true);
    // An IPv4-mapped address is the same next hop.
    for (n, mask) in [(0, 64), (2, 128), (4, 64)] {
        world.step(&Step::Change(0, n, mask));
    }
    assert_eq!(world.fib.poll_report(), Some(FibReport::Ipv4NextHop([192, 0, 2, 1].into())));
    assert_eq!((world.fib.poll_report(), world.fib.stats().ipv4_next_hops), (None, 3));
    assert_eq!(world.work(9, 0), 0);
}

/// The kernel may have removed another one of several routes than the FIB believes: before a dump, their objects stay.
#[test]
fn an_object_is_not_removed_before_a_dump_has_shown_which_of_several_routes_was() {
    let mut world = World::new(settings(true));
    world.dump(true);
    let change = |v, p, mask| Box::new(Step::Change(v, p, mask));
    for step in [
        Step::Meanwhile(3, change(0, 0, 110)),
        Step::Meanwhile(1, change(0, 2, 114)),
        Step::Meanwhile(2, change(0, 4, 1)),
        Step::Change(0, 4, 0),
        Step::Surplus(2, 4, true, 18),
        Step::Work(1, 0),
        Step::Wait(10),
        Step::Dump(true),
        Step::Work(1, 0),
        Step::ForeignBeside(0, 4),
    ] {
        world.step(&step);
    }
    world.fib.clear();
    world.wanted.clear();
    world.converge();
}
