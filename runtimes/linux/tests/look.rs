//! What the kernel has, as `ip`, a dump and the notices show it, and what it refuses.

use std::time::{Duration, Instant};

use metalbond::Prefix;
use metalbond::fib::{Found, Notice, Op, OpError, RouteTarget};
use metalbond_linux::Kernel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

use crate::netns::{Namespace, TABLE, prefix};

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
}

pub(crate) fn replace(destination: &str, target: RouteTarget) -> Op {
    Op::ReplaceRoute { table: TABLE, prefix: prefix(destination), target }
}

pub(crate) fn remove(destination: &str) -> Op {
    Op::RemoveRoute { table: TABLE, prefix: prefix(destination) }
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
    let mut all = all_notices(kernel);
    all.retain(|notice| *notice != Notice::ForeignGone);
    all
}

/// Returns the notices that have come, including the one that routes of others may have gone.
pub(crate) fn all_notices(kernel: &mut Kernel) -> Vec<Notice> {
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
