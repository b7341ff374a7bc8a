//! A network namespace for a test, and short functions for the actions in it.

#![allow(dead_code, reason = "each test uses what it needs")]

mod namespace;

use std::time::{Duration, Instant};

use metalbond::Prefix;
use metalbond::fib::{Found, Nexthop, Notice, Op, OpError, RouteTarget};
use metalbond_linux::{Kernel, Settings};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

pub(crate) use namespace::{Namespace, run};

pub(crate) const TABLE: u32 = 1000;
const PATIENCE: Duration = Duration::from_secs(20);

impl Namespace {
    /// Returns the output of `ip -j`.
    pub(crate) fn json(&self, args: &str) -> Vec<Value> {
        let text = self.ip(&format!("-j {args}"));
        if text.trim().is_empty() { Vec::new() } else { serde_json::from_str(&text).unwrap() }
    }

    /// Returns the routes of both families in the table, as `ip` prints them.
    pub(crate) fn routes(&self) -> Vec<Value> {
        let show = |family| {
            // `ip` fails for a table that does not exist yet.
            let text = self.try_ip(&format!("{family} -j route show table {TABLE}")).unwrap_or_default();
            serde_json::from_str(&text).unwrap_or_else(|_| Vec::<Value>::new())
        };
        [show("-4"), show("-6")].concat()
    }

    pub(crate) fn open(&self) -> Kernel {
        Kernel::open(settings()).unwrap()
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        device: "t0".into(),
        protocol: 254,
        ids: 1_000_000..=1_999_999,
        tables: vec![TABLE],
        nexthop_objects: true,
    }
}

/// Returns the id of the n-th object in this program's range.
pub(crate) fn id(n: u32) -> u32 {
    1_000_000 + n
}

pub(crate) fn nexthop(n: u16) -> Nexthop {
    Nexthop { addr: [0xfd00, 0, 0, 0, 0, 0, 0, n].into(), weight: 1 }
}

pub(crate) fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub(crate) fn object(n: u16) -> Op {
    Op::AddObject { id: id(n.into()), addr: nexthop(n).addr }
}

pub(crate) fn add(destination: &str, target: RouteTarget) -> Op {
    Op::AddRoute { table: TABLE, prefix: prefix(destination), target }
}

pub(crate) fn replace(destination: &str, target: RouteTarget) -> Op {
    Op::ReplaceRoute { table: TABLE, prefix: prefix(destination), target }
}

pub(crate) fn remove(destination: &str) -> Op {
    Op::RemoveRoute { table: TABLE, prefix: prefix(destination) }
}

pub(crate) fn to_object(n: u32) -> RouteTarget {
    RouteTarget::Object(id(n))
}

/// Carries out operations, which have to succeed.
pub(crate) fn execute(kernel: &mut Kernel, ops: &[Op]) {
    for (op, result) in ops.iter().zip(kernel.execute(ops).unwrap()) {
        assert_eq!(result, Ok(()), "{op:?}");
    }
}

/// Carries out one operation, which has to fail.
pub(crate) fn fail(kernel: &mut Kernel, op: Op) -> OpError {
    let [result] = kernel.execute(std::slice::from_ref(&op)).unwrap().try_into().unwrap();
    result.expect_err(&format!("{op:?} should fail"))
}

pub(crate) fn dump(kernel: &mut Kernel) -> Vec<Found> {
    let mut all = Vec::new();
    kernel.dump(|found| all.push(found)).unwrap();
    all
}

/// Returns the routes of a dump.
pub(crate) fn dumped_routes(kernel: &mut Kernel) -> Vec<(Prefix, Option<RouteTarget>)> {
    let route = |found| if let Found::Route { prefix, target, .. } = found { Some((prefix, target)) } else { None };
    dump(kernel).into_iter().filter_map(route).collect()
}

/// Returns the notices that are there.
pub(crate) fn notices(kernel: &mut Kernel) -> Vec<Notice> {
    let mut all = Vec::new();
    kernel.notices(|notice| all.push(notice)).unwrap();
    all
}

/// Returns the notices until all of `last` have come, which have to.
pub(crate) fn notices_until(kernel: &mut Kernel, last: &[Notice]) -> Vec<Notice> {
    let end = Instant::now() + PATIENCE;
    let mut all = notices(kernel);
    while !last.iter().all(|notice| all.contains(notice)) {
        let left = Timespec::try_from(end.saturating_duration_since(Instant::now())).unwrap();
        let ready = poll(&mut [PollFd::new(&kernel.fd(), PollFlags::IN)], Some(&left)).unwrap();
        assert_ne!(ready, 0, "not {last:?} but {all:?}");
        all.extend(notices(kernel));
    }
    all
}
