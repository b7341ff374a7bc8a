//! Properties: beside any routes and objects of other programs, ours are as they are wanted, and theirs are not touched. The other programs'
//! routes have any metric, type, type of service, source and protocol, and are added before, after and beside ours. The kernel's state is
//! read without the code under test.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::Ipv6Addr;
use std::time::Duration;

use metalbond::fib::{Fib, FibSettings};
use metalbond::{Instant, NextHop, RouteChange, Vni};
use metalbond_linux::Kernel;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

use crate::netns::{self, *};
use crate::raw::{Object, Raw, Seen};

/// Destinations, those of IPv4 first. Two of them are parts of others.
const DESTINATIONS: [&str; 6] = ["10.1.0.0/24", "10.1.0.7/32", "0.0.0.0/0", "fd10:1::/64", "fd10:1::7/128", "::/0"];
const IPV4: usize = 3;
/// A table in which this program has nothing.
const OTHER_TABLE: u32 = 1001;
/// The number of hypervisors.
const HOPS: u8 = 3;
const VNI: Vni = Vni(23);

#[derive(Clone, Debug)]
enum Step {
    /// A destination gets the next hops of this set; none if it is empty.
    Want(usize, u8),
    /// This program works until there is nothing to do.
    Settle,
    /// It does a few operations.
    Work(usize),
    Release,
    /// A new process takes over.
    Restart,
    /// Another program changes a route.
    Theirs(Theirs),
    /// It removes one of its routes.
    TheirsGone(prop::sample::Index),
    /// A route of this program's protocol that leads to one of its objects: an earlier version's, or a second one.
    Old {
        verb: &'static str,
        destination: usize,
        object: prop::sample::Index,
        metric: Option<u32>,
    },
    /// A route of the reference implementation.
    Reference {
        destination: usize,
        hop: u8,
    },
    /// Another program removes our route, or puts an MTU on it.
    OursGone(usize),
    OursChanged(usize),
    /// Another program uses one of our objects: by a group, or by a route in another table.
    Group(prop::sample::Index),
    Use(usize, prop::sample::Index),
    /// A hypervisor's address becomes one of this machine, or is no longer.
    Local(u8),
}

#[derive(Clone, Debug)]
struct Theirs {
    verb: &'static str,
    destination: usize,
    kind: &'static str,
    metric: Option<u32>,
    protocol: u8,
    /// Type of service, or for IPv6 a source.
    is_special: bool,
    has_mtu: bool,
    table: u32,
}

impl Theirs {
    fn line(&self) -> String {
        let Self { verb, kind, metric, protocol, is_special, has_mtu, table, .. } = self;
        let (destination, is_ipv4) = (DESTINATIONS[self.destination], self.destination < IPV4);
        let mut line = format!("route {verb} ");
        match *kind {
            "blackhole" | "unreachable" | "prohibit" | "throw" => write!(line, "{kind} {destination}"),
            "local" => write!(line, "local {destination} dev lo"),
            "gateway" if is_ipv4 => write!(line, "{destination} via 192.0.2.1 dev t1 onlink"),
            "gateway" => write!(line, "{destination} via fe80::1 dev t1"),
            "object" => write!(line, "{destination} nhid {}", if is_ipv4 { 5 } else { 6 }),
            "tunnel" => write!(line, "{destination} encap ip6 dst fd00::99 dev t0"),
            _ => write!(line, "{destination} dev t1"),
        }
        .unwrap();
        write!(line, " table {table} proto {protocol}").unwrap();
        if let Some(metric) = metric {
            write!(line, " metric {metric}").unwrap();
        }
        if *is_special {
            line += if is_ipv4 { " tos 0x10" } else { " from fd99::/64" };
        }
        if *has_mtu {
            line += " mtu 1400";
        }
        line
    }
}

fn metric() -> impl Strategy<Value = Option<u32>> {
    prop_oneof![
        3 => Just(None),
        4 => Just(Some(METRIC)),
        3 => prop::sample::select(vec![Some(1), Some(100), Some(1024), Some(METRIC - 1), Some(METRIC + 1), Some(u32::MAX)]),
    ]
}

fn verb() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["add", "append", "prepend", "replace", "change"])
}

fn theirs() -> impl Strategy<Value = Theirs> {
    let kinds = vec!["device", "blackhole", "unreachable", "prohibit", "throw", "local", "gateway", "object", "tunnel"];
    let protocol = prop_oneof![4 => prop::sample::select(vec![2u8, 3, 4, 16, 186, 253]), 1 => Just(254)];
    let table = prop_oneof![5 => Just(TABLE), 1 => Just(OTHER_TABLE)];
    let what = (verb(), 0..DESTINATIONS.len(), prop::sample::select(kinds), metric(), protocol);
    let more = (prop::bool::weighted(0.2), prop::bool::weighted(0.1), table);
    (what, more).prop_map(|((verb, destination, kind, metric, protocol), (is_special, has_mtu, table))| Theirs {
        verb,
        destination,
        kind,
        metric,
        protocol,
        is_special,
        has_mtu,
        table,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let destination = || 0..DESTINATIONS.len();
    let index = || any::<prop::sample::Index>();
    prop_oneof![
        10 => (destination(), 0..1u8 << HOPS).prop_map(|(destination, hops)| Step::Want(destination, hops)),
        8 => Just(Step::Settle),
        3 => (1..4usize).prop_map(Step::Work),
        1 => Just(Step::Release),
        1 => Just(Step::Restart),
        12 => theirs().prop_map(Step::Theirs),
        6 => index().prop_map(Step::TheirsGone),
        3 => (verb(), destination(), index(), metric())
            .prop_map(|(verb, destination, object, metric)| Step::Old { verb, destination, object, metric }),
        1 => (destination(), 0..HOPS).prop_map(|(destination, hop)| Step::Reference { destination, hop }),
        1 => destination().prop_map(Step::OursGone),
        1 => destination().prop_map(Step::OursChanged),
        1 => index().prop_map(Step::Group),
        1 => (destination(), index()).prop_map(|(destination, object)| Step::Use(destination, object)),
        1 => (0..HOPS).prop_map(Step::Local),
    ]
}

struct World<'a> {
    namespace: &'a Namespace,
    raw: Raw,
    kernel: Kernel,
    fib: Fib,
    now: Instant,
    wanted: BTreeMap<usize, u8>,
    /// The hypervisors that are this machine.
    local: u8,
    is_released: bool,
    groups: u32,
}

fn fib(kernel: &Kernel) -> Fib {
    let settings = FibSettings { tables: [(VNI, TABLE)].into(), ids: settings().ids, ..FibSettings::default() };
    Fib::new(settings, kernel.device()).unwrap()
}

fn hop(n: u8) -> Ipv6Addr {
    nexthop(1 + u16::from(n)).addr
}

impl<'a> World<'a> {
    fn new(namespace: &'a Namespace) -> Self {
        // Objects of another program.
        namespace.ip("nexthop add id 5 dev t1");
        namespace.ip("-6 nexthop add id 6 dev t1");
        let kernel = namespace.open();
        let fib = fib(&kernel);
        let (raw, now, wanted) = (Raw::open(), Instant::EPOCH, BTreeMap::new());
        Self { namespace, raw, kernel, fib, now, wanted, local: 0, is_released: false, groups: 0 }
    }

    fn want(&mut self, destination: usize, hops: u8) {
        let next_hops = (0..HOPS).filter(|n| hops & 1 << n != 0).map(|n| NextHop::standard(hop(n).into()));
        self.wanted.insert(destination, hops);
        let next_hops: Vec<NextHop> = next_hops.collect();
        self.fib.change(&RouteChange::new(VNI, prefix(DESTINATIONS[destination]), next_hops, [], []));
    }

    /// Does up to `count` operations at once, after reading what is to be read. Returns their number.
    fn work(&mut self, count: usize) -> usize {
        let now = self.now;
        self.kernel.notices(|notice| self.fib.notice(now, notice)).unwrap();
        if self.fib.needs_dump(now) {
            self.fib.dump_begins(now);
            self.kernel.dump(|found| self.fib.found(found)).unwrap();
            self.fib.dump_ends(now, true);
        }
        let ops: Vec<_> = std::iter::from_fn(|| self.fib.poll_op(now)).take(count).collect();
        for result in self.kernel.execute(&ops).unwrap() {
            self.fib.done(now, result);
        }
        ops.len()
    }

    /// Works until nothing is left to do for some seconds.
    fn settle(&mut self) {
        let theirs = self.theirs();
        let end = self.now + Duration::from_secs(5);
        let mut rounds = 0;
        loop {
            rounds += 1;
            assert!(rounds < 500, "there is always something to do");
            if self.work(8) > 0 {
                continue;
            }
            match self.fib.poll_timeout() {
                Some(at) if at <= end => self.now = self.now.max(at),
                _ => break,
            }
        }
        self.now = end;
        assert_eq!(self.theirs(), theirs, "routes and objects of other programs are touched");
        if self.is_released {
            self.check();
        }
    }

    /// Returns the routes and objects of other programs.
    fn theirs(&mut self) -> (Vec<Seen>, Vec<Object>) {
        let (mut routes, mut objects) = (self.raw.routes(), self.raw.objects());
        routes.retain(|route| [TABLE, OTHER_TABLE].contains(&route.table) && !is_ours(route));
        objects.retain(|object| object.protocol != 254);
        (routes, objects)
    }

    fn check(&mut self) {
        let (routes, objects) = (self.raw.routes(), self.raw.objects());
        let objects: BTreeMap<u32, Object> = objects.into_iter().map(|object| (object.id, object)).collect();
        let (mut conflicts, mut installed, mut used) = (0, 0, BTreeSet::new());
        for (n, destination) in DESTINATIONS.iter().enumerate() {
            let destination = prefix(destination);
            let here: Vec<&Seen> =
                routes.iter().filter(|route| route.table == TABLE && route.prefix == destination).collect();
            let ours: Vec<&Seen> = here.iter().copied().filter(|route| is_ours(route)).collect();
            let takes = |route: &&&Seen| route.is_special() || route.metric <= METRIC;
            let rivals: Vec<&Seen> = here.iter().copied().filter(|route| !is_ours(route)).collect();
            let has_rival = rivals.iter().any(|route| takes(&route));
            let is_occupied = rivals.iter().any(|route| !route.is_special() && route.metric == METRIC);
            let hops = self.wanted.get(&n).copied().unwrap_or(0) & !self.local;
            conflicts += usize::from(hops != 0 && has_rival);
            installed += usize::from(hops != 0 && !has_rival);
            if hops == 0 || is_occupied {
                assert_eq!(ours, [] as [&Seen; 0], "{destination} is not wanted, or another route is in its place");
                continue;
            }
            let [route] = ours[..] else { panic!("{destination} has {ours:#?}") };
            let wanted: Vec<Ipv6Addr> = (0..HOPS).filter(|n| hops & 1 << n != 0).map(hop).collect();
            assert!(route.metric == METRIC && !route.has_metrics && route.kind == 1, "{route:#?}");
            let object = &objects[&route.object.unwrap_or_else(|| panic!("{route:#?}"))];
            used.insert(object.id);
            used.extend(&object.members);
            let leads: Vec<Ipv6Addr> = match object.addr {
                Some(addr) => vec![addr],
                None => object.members.iter().filter_map(|member| objects[member].addr).collect(),
            };
            assert_eq!(leads, wanted, "{route:#?} by {object:#?}");
        }
        let stats = self.fib.stats();
        assert_eq!((stats.conflicts, stats.installed), (conflicts, installed), "{routes:#?}");
        used.extend(routes.iter().filter_map(|route| route.object));
        let groups = objects.values().filter(|object| object.protocol != 254 || used.contains(&object.id));
        let members: BTreeSet<u32> = groups.flat_map(|group| group.members.clone()).collect();
        for object in objects.values().filter(|object| object.protocol == 254 && settings().ids.contains(&object.id)) {
            assert!(used.contains(&object.id) || members.contains(&object.id), "nothing uses {object:#?}");
        }
    }

    /// Runs a command of `ip`, which may fail.
    fn try_ip(&self, destination: usize, line: &str) {
        let family = if destination < IPV4 { "-4" } else { "-6" };
        let _ = self.namespace.try_ip(&format!("{family} {line}"));
    }

    /// Returns the id of an object of this program.
    fn object(&mut self, index: prop::sample::Index) -> Option<u32> {
        let objects = self.raw.objects();
        let ours: Vec<u32> = objects.iter().filter(|object| object.protocol == 254).map(|object| object.id).collect();
        (!ours.is_empty()).then(|| ours[index.index(ours.len())])
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Want(destination, hops) => self.want(destination, hops),
            Step::Settle => self.settle(),
            Step::Work(count) => drop(self.work(count)),
            Step::Release => {
                self.is_released = true;
                self.fib.release_adopted();
            }
            Step::Restart => {
                self.kernel = self.namespace.open();
                self.fib = fib(&self.kernel);
                self.is_released = false;
                self.work(3);
                // One next hop after the other, as they arrive from a server.
                for (destination, hops) in std::mem::take(&mut self.wanted) {
                    for n in 0..HOPS {
                        self.want(destination, hops & ((2 << n) - 1));
                        self.work(3);
                    }
                }
            }
            Step::Theirs(ref theirs) => self.try_ip(theirs.destination, &theirs.line()),
            Step::TheirsGone(index) => {
                let theirs = self.theirs().0;
                if !theirs.is_empty() {
                    self.raw.remove(&theirs[index.index(theirs.len())]);
                }
            }
            Step::Old { verb, destination, object, metric } => {
                let Some(id) = self.object(object) else { return };
                let mut line = format!("route {verb} {} nhid {id} proto 254 table {TABLE}", DESTINATIONS[destination]);
                if let Some(metric) = metric {
                    write!(line, " metric {metric}").unwrap();
                }
                self.try_ip(destination, &line);
            }
            Step::Reference { destination, hop: n } => {
                let line = format!(
                    "route replace {} encap ip6 dst {} dev t0 proto 254 table {TABLE}",
                    DESTINATIONS[destination],
                    hop(n)
                );
                self.try_ip(destination, &line);
            }
            Step::OursGone(destination) => {
                let line = format!("route del {} proto 254 table {TABLE} metric {METRIC}", DESTINATIONS[destination]);
                self.try_ip(destination, &line);
            }
            Step::OursChanged(destination) => {
                let Some(route) = self.raw.routes().into_iter().find(|route| {
                    route.table == TABLE && is_ours(route) && route.prefix == prefix(DESTINATIONS[destination])
                }) else {
                    return;
                };
                let line = format!(
                    "route change {} nhid {} proto 254 table {TABLE} metric {} mtu 1300",
                    DESTINATIONS[destination],
                    route.object.unwrap_or(0),
                    route.metric
                );
                self.try_ip(destination, &line);
            }
            Step::Group(index) => {
                let Some(id) = self.object(index) else { return };
                self.groups += 1;
                self.try_ip(0, &format!("nexthop add id {} group {id} proto 4", 100 + self.groups));
            }
            Step::Local(n) => {
                self.local ^= 1 << n;
                let what = if self.local & 1 << n != 0 { "add" } else { "del" };
                // The kernel adds such a route for an address, but some time later.
                self.namespace.ip(&format!("-6 route {what} local {}/128 dev lo table local", hop(n)));
            }
            Step::Use(destination, index) => {
                let Some(id) = self.object(index) else { return };
                let line = format!("route add {} nhid {id} table {OTHER_TABLE} proto 254", DESTINATIONS[destination]);
                self.try_ip(destination, &line);
            }
        }
    }
}

/// Returns whether a route is one of this program, by its protocol and by what this program makes. In its place, all are.
fn is_ours(route: &Seen) -> bool {
    let is_in_place = route.metric == METRIC;
    let is_made = route.kind == 1
        && !route.has_metrics
        && (route.object.is_some_and(|id| settings().ids.contains(&id)) || route.object.is_none() && route.is_tunnel);
    route.table == TABLE && route.protocol == 254 && !route.is_special() && (is_in_place || is_made)
}

#[test]
fn beside_any_foreign_routes_and_objects_ours_are_as_they_are_wanted_and_theirs_are_not_touched() {
    let cases = std::env::var("METALBOND_FOREIGN_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(80);
    let seed = std::env::var("METALBOND_FOREIGN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let config = Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..Config::default()
    };
    proptest!(config, |(steps in prop::collection::vec(step(), 1..40))| {
        netns::run(|namespace| {
            let mut world = World::new(namespace);
            for step in &steps {
                world.step(step);
            }
            world.step(&Step::Release);
            world.settle();
        });
    });
}
