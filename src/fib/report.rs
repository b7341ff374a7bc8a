//! What a FIB reports: events for the log, and figures.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::string::String;
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use super::op::{DeviceState, Op, OpError, Rival};
use super::underlay::Covered;
use crate::{Prefix, Vni};

/// The reports that wait to be fetched, at most.
const REPORTS_MAX: usize = 64;
/// The next hops, and the destinations, that are remembered as reported, at most.
const REPORTED_MAX: usize = 1024;

/// An event about kernel routes that an application should log, for example a conflict.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FibReport {
    /// A route is not installed, because a route of another protocol is in its place. The other route is not touched.
    Conflict {
        /// The table.
        table: u32,
        /// The destination.
        prefix: Prefix,
    },
    /// A route is installed, but not in effect, or not for all packets: the kernel prefers a route of another protocol.
    Overridden {
        /// The table.
        table: u32,
        /// The destination.
        prefix: Prefix,
        /// The other route.
        rival: Rival,
    },
    /// The end of a [`Conflict`](Self::Conflict), or of [`Overridden`](Self::Overridden): the route is installed and in effect.
    ConflictOver {
        /// The table.
        table: u32,
        /// The destination.
        prefix: Prefix,
    },
    /// A destination was not installed for a VNI: a lower VNI in the same table has the same destination.
    VniConflict {
        /// The table.
        table: u32,
        /// The destination.
        prefix: Prefix,
        /// The VNI whose route is not installed.
        vni: Vni,
        /// The lower VNI, whose route is installed.
        installed: Vni,
    },
    /// The end of a [`VniConflict`](Self::VniConflict): no lower VNI has the destination any more, and the VNI's own route takes
    /// its place.
    VniConflictOver {
        /// The table.
        table: u32,
        /// The destination.
        prefix: Prefix,
        /// The VNI.
        vni: Vni,
    },
    /// An IPv4 next hop was not installed, because it cannot be the far end of an IPv6 tunnel. Reported once for each address, and for 1,024
    /// addresses at most.
    Ipv4NextHop(Ipv4Addr),
    /// A next hop was not installed, because it is an address of this machine. Reported once for each address, and for 1,024 addresses at
    /// most.
    LocalNextHop(Ipv6Addr),
    /// A destination was not installed, because no virtual machine can have its addresses. Reported once for each destination, and for 1,024
    /// at most.
    Impossible(Prefix),
    /// A destination was not installed, because packets of sessions and tunnels are sent by the same table and it covers their destination.
    /// Reported once for each destination and reason, and for 1,024 at most.
    Covered {
        /// The table.
        table: u32,
        /// The destination.
        prefix: Prefix,
        /// What it covers.
        covered: Covered,
    },
    /// A destination has more next hops than a kernel route can have. Reported once for each destination, and for 1,024 at most.
    TooManyNextHops {
        /// The table.
        table: u32,
        /// The destination.
        prefix: Prefix,
        /// How many of its next hops are not installed.
        left_out: usize,
        /// The first of these.
        first: Ipv6Addr,
    },
    /// An operation failed, and will be tried again. Reported for the first of several failures in a row.
    Failed {
        /// The operation.
        op: Op,
        /// The kernel's reason.
        error: OpError,
        /// The wait before the next try.
        retry_in: Duration,
    },
    /// Another program has removed a route of this FIB. The FIB installs it again.
    Removed {
        /// The table.
        table: u32,
        /// The destination.
        prefix: Prefix,
    },
    /// The state of the tunnel device has changed, or is not [`DeviceState::Up`] at the start. As long as it is not, nothing is installed, and
    /// the kernel may have removed routes through it. Then all routes are installed again.
    Device(DeviceState),
    /// All [`FibSettings::ids`](super::FibSettings::ids) are in use. Routes that need another object or group are
    /// tried again later.
    NoIds,
}

impl fmt::Display for FibReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict { table, prefix } => {
                write!(f, "{prefix} in table {table} is not installed: a route of another protocol is there")
            }
            Self::Overridden { table, prefix, rival: Rival { metric, tos: 0, source_len: 0, .. } } => {
                write!(
                    f,
                    "{prefix} in table {table} has no effect: a route of another protocol comes first, with metric {metric}"
                )
            }
            Self::Overridden { table, prefix, rival: Rival { tos, source_len, .. } } => {
                write!(
                    f,
                    "{prefix} in table {table} has no effect on some packets: a route of another protocol is for type of service \
                     {tos:#x} and a source of {source_len} bits"
                )
            }
            Self::ConflictOver { table, prefix } => write!(f, "{prefix} in table {table} is in effect now"),
            Self::VniConflict { table, prefix, vni, installed } => {
                write!(
                    f,
                    "{prefix} of VNI {vni} in table {table} is not installed: VNI {installed} has the same destination in \
                     this table, and the lower VNI counts"
                )
            }
            Self::VniConflictOver { table, prefix, vni } => {
                write!(f, "{prefix} in table {table} is installed for VNI {vni} now: no lower VNI has it any more")
            }
            Self::Ipv4NextHop(addr) => write!(f, "next hop {addr} is not installed: a tunnel needs an IPv6 address"),
            Self::LocalNextHop(addr) => write!(f, "next hop {addr} is not installed: it is an address of this machine"),
            Self::Impossible(prefix) => {
                write!(f, "{prefix} is not installed: no virtual machine can have an address of it")
            }
            Self::Covered { table, prefix, covered: Covered::Everything } => {
                write!(
                    f,
                    "{prefix} in table {table} is not installed: sessions and tunnels need this table, and it covers everything"
                )
            }
            Self::Covered { table, prefix, covered: Covered::Server(addr) } => {
                write!(
                    f,
                    "{prefix} in table {table} is not installed: sessions need this table, and it covers the server {addr}"
                )
            }
            Self::Covered { table, prefix, covered: Covered::NextHop(addr) } => {
                write!(
                    f,
                    "{prefix} in table {table} is not installed: tunnels need this table, and it covers the next hop {addr}"
                )
            }
            Self::Failed { op, error, retry_in } => write!(f, "{op}: {error}; trying again in {retry_in:?}"),
            Self::Removed { table, prefix } => {
                write!(f, "{prefix} in table {table} was removed by another program; it is installed again")
            }
            Self::Device(DeviceState::Up) => write!(f, "{}", DeviceState::Up),
            Self::Device(state) => write!(f, "{state}: no route is installed until that changes"),
            Self::TooManyNextHops { table, prefix, left_out, first } => {
                write!(
                    f,
                    "{prefix} in table {table} has {} next hops: {left_out} of them, {first} and those after it, are not installed",
                    super::NEXTHOPS_MAX + left_out
                )
            }
            Self::NoIds => f.write_str("all ids for nexthop objects are in use"),
        }
    }
}

/// Counters and current numbers of a [`Fib`](super::Fib), the state of the kernel routes of an application: how many routes are wanted and
/// installed, and how many operations the kernel has carried out or refused since the start. See [`Fib::stats`](super::Fib::stats).
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct FibStats {
    /// Number of destinations that should have a kernel route. A destination of two VNIs in one table counts twice.
    pub wanted: usize,
    /// Number of kernel routes that are installed and in effect.
    pub installed: usize,
    /// Number of nexthop objects and groups in the kernel.
    pub objects: usize,
    /// Number of destinations that are not installed, or not in effect, because another protocol, or a lower VNI in the same table, has a
    /// route there.
    pub conflicts: usize,
    /// The [`conflicts`](Self::conflicts) that are due to a lower VNI.
    pub vni_conflicts: usize,
    /// Number of operations that the kernel has carried out.
    pub done: u64,
    /// Number of operations that failed.
    pub failed: u64,
    /// The state of the tunnel device. Unless it is [`DeviceState::Up`], no route can be installed.
    pub device: DeviceState,
    /// Number of routes and nexthop objects whose last operation failed. Each is tried again.
    pub failing: usize,
    /// Number of destinations that have more next hops than are installed.
    pub too_many_next_hops: usize,
    /// Why nothing can be installed, or why the last failing operation failed: one line. `None` if there is no such trouble.
    pub trouble: Option<String>,
    /// Number of routes that another program has removed.
    pub removed: u64,
    /// Number of dumps of the kernel's routes and objects that have ended.
    pub dumps: u64,
    /// Number of IPv4 next hops in changes, which are not installed. Each change counts.
    pub ipv4_next_hops: u64,
    /// Number of reports that were dropped, because 64 already waited for [`Fib::poll_report`](super::Fib::poll_report).
    pub unreported: u64,
}

/// Reports that wait to be fetched, and figures of what they report.
#[derive(Debug, Default)]
pub(super) struct Reports {
    /// At most `REPORTS_MAX`.
    queue: VecDeque<FibReport>,
    unreported: u64,
    removed: u64,
    ipv4_next_hops: u64,
    /// At most `REPORTED_MAX` of the IPv4 next hops that were reported.
    ipv4_reported: BTreeSet<Ipv4Addr>,
    /// At most `REPORTED_MAX` of each.
    local_reported: BTreeSet<Ipv6Addr>,
    impossible_reported: BTreeSet<Prefix>,
    covered_reported: BTreeSet<(u32, Prefix, Covered)>,
    too_many_reported: BTreeSet<(u32, Prefix)>,
    /// The last failed operation, with the reason.
    last_failure: Option<String>,
}

impl Reports {
    pub(super) fn push(&mut self, report: FibReport) {
        if self.queue.len() < REPORTS_MAX {
            self.queue.push_back(report);
        } else {
            self.unreported += 1;
        }
    }

    pub(super) fn pop(&mut self) -> Option<FibReport> {
        self.queue.pop_front()
    }

    /// Counts and reports a route that another program has removed.
    pub(super) fn removed(&mut self, table: u32, prefix: Prefix) {
        self.removed += 1;
        self.push(FibReport::Removed { table, prefix });
    }

    /// Notes a failed operation. Reports it if it is the first failure in a row.
    pub(super) fn failed(&mut self, op: Op, error: OpError, retry_in: Duration, is_first: bool) {
        if is_first {
            self.last_failure = Some(alloc::format!("{op}: {error}"));
            self.push(FibReport::Failed { op, error, retry_in });
        }
    }

    /// Reports a destination with more next hops than are installed, if it is a new one.
    pub(super) fn too_many_next_hops(&mut self, table: u32, prefix: Prefix, left_out: usize, first: Ipv6Addr) {
        if self.too_many_reported.len() < REPORTED_MAX && self.too_many_reported.insert((table, prefix)) {
            self.push(FibReport::TooManyNextHops { table, prefix, left_out, first });
        }
    }

    /// Counts an IPv4 next hop. Reports it if it is a new one.
    pub(super) fn ipv4_next_hop(&mut self, addr: Ipv4Addr) {
        self.ipv4_next_hops += 1;
        if self.ipv4_reported.len() < REPORTED_MAX && self.ipv4_reported.insert(addr) {
            self.push(FibReport::Ipv4NextHop(addr));
        }
    }

    /// Reports a next hop that is this machine, if it is a new one.
    pub(super) fn local_next_hop(&mut self, addr: Ipv6Addr) {
        if self.local_reported.len() < REPORTED_MAX && self.local_reported.insert(addr) {
            self.push(FibReport::LocalNextHop(addr));
        }
    }

    /// Reports a destination that no virtual machine can have, if it is a new one.
    pub(super) fn impossible(&mut self, prefix: Prefix) {
        if self.impossible_reported.len() < REPORTED_MAX && self.impossible_reported.insert(prefix) {
            self.push(FibReport::Impossible(prefix));
        }
    }

    /// Reports a destination that covers something of the underlay, if that is new.
    pub(super) fn covered(&mut self, table: u32, prefix: Prefix, covered: Covered) {
        if self.covered_reported.len() < REPORTED_MAX && self.covered_reported.insert((table, prefix, covered)) {
            self.push(FibReport::Covered { table, prefix, covered });
        }
    }

    /// Writes the figures that are counted here.
    pub(super) fn add_to(&self, stats: &mut FibStats) {
        if stats.failing > 0 {
            stats.trouble.clone_from(&self.last_failure);
        }
        stats.unreported = self.unreported;
        stats.removed = self.removed;
        stats.ipv4_next_hops = self.ipv4_next_hops;
    }
}
