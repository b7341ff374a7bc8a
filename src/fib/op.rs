//! The words between a [`Fib`](super::Fib) and the kernel: operations, how they fail, and what the kernel tells of itself.

use alloc::string::String;
use core::fmt;
use core::net::Ipv6Addr;

use smallvec::SmallVec;

use crate::Prefix;

/// A way to a destination: the hypervisor that packets are sent to in an IPv6 tunnel, and its share of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Leg {
    /// The hypervisor's underlay address.
    pub addr: Ipv6Addr,
    /// Its weight among the destination's legs, from 1.
    pub weight: u8,
}

/// The legs of a destination, in order, each address once.
pub type Legs = SmallVec<[Leg; 1]>;

/// Where a kernel route leads.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Via {
    /// To a nexthop object, by its id.
    Object(u32),
    /// To encapsulated next hops of its own: what a kernel without nexthop objects takes.
    Legs(Legs),
}

/// A change of the kernel's state. Each either happens or fails as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Create a nexthop object with an encapsulation towards a hypervisor. Fails if the id is taken.
    AddObject {
        /// The new object's id.
        id: u32,
        /// The hypervisor.
        addr: Ipv6Addr,
    },
    /// Create a group of nexthop objects. Fails if the id is taken.
    AddGroup {
        /// The new group's id.
        id: u32,
        /// The objects' ids and weights.
        members: SmallVec<[(u32, u8); 4]>,
    },
    /// Remove a nexthop object or a group.
    RemoveObject {
        /// Its id.
        id: u32,
    },
    /// Create a route where there is none, of any protocol.
    AddRoute {
        /// The table.
        table: u32,
        /// The destination, without host bits.
        prefix: Prefix,
        /// Where to.
        via: Via,
    },
    /// Put a route in the place of ours to the same destination, without a moment between.
    ReplaceRoute {
        /// The table.
        table: u32,
        /// The destination, without host bits.
        prefix: Prefix,
        /// Where to, from now on.
        via: Via,
    },
    /// Remove our route to a destination.
    RemoveRoute {
        /// The table.
        table: u32,
        /// The destination, without host bits.
        prefix: Prefix,
    },
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddObject { id, addr } => write!(f, "add nexthop object {id} to {addr}"),
            Self::AddGroup { id, members } => write!(f, "add nexthop group {id} of {}", members.len()),
            Self::RemoveObject { id } => write!(f, "remove nexthop object {id}"),
            Self::AddRoute { table, prefix, .. } => write!(f, "add {prefix} in table {table}"),
            Self::ReplaceRoute { table, prefix, .. } => write!(f, "replace {prefix} in table {table}"),
            Self::RemoveRoute { table, prefix } => write!(f, "remove {prefix} from table {table}"),
        }
    }
}

/// Why the kernel did not do an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpError {
    /// What kind of failure it is.
    pub kind: OpErrorKind,
    /// The system's error number.
    pub errno: i32,
    /// What the kernel says beyond that (extended acknowledgement).
    pub text: Option<String>,
}

/// Kinds of failures, by what is to be done about them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OpErrorKind {
    /// EEXIST: somebody else has a route there, or an object with this id.
    Exists,
    /// ESRCH or ENOENT: what was to be removed, or referred to, is not there.
    Missing,
    /// ENODEV, ENETDOWN, ENXIO: the tunnel device is away or down.
    NoDevice,
    /// EPERM, EACCES: this process may not.
    NotPermitted,
    /// ENOBUFS, ENOMEM, EAGAIN, EBUSY: the kernel can't at the moment.
    Busy,
    /// It will not work as long as it is said like this: EINVAL, for example.
    Refused,
}

impl fmt::Display for OpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            OpErrorKind::Exists => "it is there already",
            OpErrorKind::Missing => "no such thing",
            OpErrorKind::NoDevice => "the tunnel device is away or down",
            OpErrorKind::NotPermitted => "not permitted (CAP_NET_ADMIN is needed)",
            OpErrorKind::Busy => "the kernel is short of memory or busy",
            OpErrorKind::Refused => "refused by the kernel",
        };
        write!(f, "{what} (errno {})", self.errno)?;
        match &self.text {
            Some(text) => write!(f, ": {text}"),
            None => Ok(()),
        }
    }
}

impl core::error::Error for OpError {}

/// One thing of ours that is in the kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// A nexthop object whose id is in our range, whoever made it.
    Object {
        /// Its id.
        id: u32,
        /// What it is.
        what: FoundObject,
    },
    /// A route of our protocol in one of our tables. To be told after the objects.
    Route {
        /// The table.
        table: u32,
        /// The destination.
        prefix: Prefix,
        /// Where to; none if it is nothing that a [`Fib`](super::Fib) makes.
        via: Option<Via>,
    },
}

/// What a nexthop object is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FoundObject {
    /// Ours: an encapsulation towards this hypervisor through our device.
    Leg(Ipv6Addr),
    /// Ours: a group of these objects with these weights.
    Group(SmallVec<[(u32, u8); 4]>),
    /// Of our protocol, but nothing that a [`Fib`](super::Fib) makes for this device.
    Strange,
    /// Of another protocol: its id is taken.
    Foreign,
}

/// Something that happened in the kernel by another hand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// Routes or objects may have changed in any way: notices were lost, an object is gone, the device came back.
    Anything,
    /// Our route to a destination was removed.
    RouteRemoved {
        /// The table.
        table: u32,
        /// The destination.
        prefix: Prefix,
    },
    /// A route of another protocol, in one of our tables, was removed.
    ForeignRemoved {
        /// The table.
        table: u32,
        /// The destination.
        prefix: Prefix,
    },
    /// A route to a destination, in one of our tables, was added or changed.
    RouteAdded {
        /// The table.
        table: u32,
        /// The destination.
        prefix: Prefix,
    },
    /// The tunnel device is there and up.
    DeviceUp,
    /// The tunnel device is down or away.
    DeviceDown,
}
