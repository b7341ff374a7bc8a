//! What a FIB says of itself: events for the log, and figures.

use core::fmt;
use core::net::Ipv4Addr;
use core::time::Duration;

use super::op::{Op, OpError};
use crate::{Prefix, Vni};

/// Something that the operator should know.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FibReport {
    /// A route was not installed: one of another protocol to the same destination is there, and stays untouched.
    Conflict {
        /// The table.
        table: u32,
        /// The destination.
        prefix: Prefix,
    },
    /// That is over: ours is installed.
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
        /// The lower VNI, whose route is.
        installed: Vni,
    },
    /// That is over: no lower VNI has the destination any more, and the VNI's own route takes its place.
    VniConflictOver {
        /// The table.
        table: u32,
        /// The destination.
        prefix: Prefix,
        /// The VNI.
        vni: Vni,
    },
    /// An IPv4 next hop can't be the far end of an IPv6 tunnel. Said once for each.
    Ipv4NextHop(Ipv4Addr),
    /// An operation failed, and will be tried again.
    Failed {
        /// What was to be done.
        op: Op,
        /// Why it was not.
        error: OpError,
        /// In what time it is tried again.
        retry_in: Duration,
    },
    /// One of our routes was removed by another hand; it will be there again.
    Removed {
        /// The table.
        table: u32,
        /// The destination.
        prefix: Prefix,
    },
    /// The tunnel device is down or away: the kernel has dropped all routes that lead through it.
    DeviceDown,
    /// It is back, and the routes will be.
    DeviceUp,
    /// All ids for nexthop objects are in use.
    NoIds,
}

impl fmt::Display for FibReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict { table, prefix } => {
                write!(f, "{prefix} in table {table} is not installed: a route of another protocol is there")
            }
            Self::ConflictOver { table, prefix } => write!(f, "{prefix} in table {table} is installed now"),
            Self::VniConflict { table, prefix, vni, installed } => {
                write!(
                    f,
                    "{prefix} of VNI {vni} in table {table} is not installed: VNI {installed} has the same destination in \
                     this table, and the lower VNI counts"
                )
            }
            Self::VniConflictOver { table, prefix, vni } => {
                write!(f, "{prefix} in table {table} is that of VNI {vni} now: no lower VNI has it any more")
            }
            Self::Ipv4NextHop(addr) => write!(f, "next hop {addr} is not installed: a tunnel needs an IPv6 address"),
            Self::Failed { op, error, retry_in } => write!(f, "{op}: {error}; again in {retry_in:?}"),
            Self::Removed { table, prefix } => {
                write!(f, "{prefix} in table {table} was removed by another hand; it is installed again")
            }
            Self::DeviceDown => f.write_str("the tunnel device is down or away: no route leads anywhere"),
            Self::DeviceUp => f.write_str("the tunnel device is up"),
            Self::NoIds => f.write_str("no nexthop id is left"),
        }
    }
}

/// Figures of a [`Fib`](super::Fib).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FibStats {
    /// Destinations that should have a kernel route. One that two VNIs of a table have counts twice.
    pub wanted: usize,
    /// Kernel routes of ours.
    pub installed: usize,
    /// Nexthop objects of ours, groups among them.
    pub objects: usize,
    /// Destinations that are not installed because a route of another protocol, or one of a lower VNI in the same table, is
    /// there.
    pub conflicts: usize,
    /// Those of them for which it is a lower VNI's.
    pub vni_conflicts: usize,
    /// Operations that the kernel did.
    pub done: u64,
    /// Operations that failed.
    pub failed: u64,
    /// Routes of ours that were removed by another hand.
    pub removed: u64,
    /// How often the kernel's state was read.
    pub dumps: u64,
    /// IPv4 next hops in changes: not installed.
    pub ipv4_next_hops: u64,
    /// Reports that were dropped, since nobody fetched them.
    pub unreported: u64,
}
