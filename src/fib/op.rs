//! The vocabulary between a [`Fib`](super::Fib) and the kernel: operations, how they fail, and what the kernel has.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv6Addr;

use smallvec::SmallVec;

use crate::Prefix;

/// A nexthop of a kernel route: the hypervisor that packets are sent to in an IPv6 tunnel, and its share of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Nexthop {
    /// The hypervisor's underlay address.
    pub addr: Ipv6Addr,
    /// The weight among the nexthops of the route: 1 or, with [`FibSettings::prefer`](super::FibSettings::prefer), 99. A dump may find others.
    pub weight: u8,
}

/// The nexthops of a kernel route. Those that a [`Fib`](super::Fib) installs are in the order of their addresses, each once, and at most 256: of
/// more, the preferred ones and then the lowest addresses.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct Nexthops(SmallVec<[Nexthop; 1]>);

impl Nexthops {
    /// Returns the nexthops in order.
    pub fn as_slice(&self) -> &[Nexthop] {
        &self.0
    }

    /// Returns how many nexthops there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there is no nexthop.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Nexthop> for Nexthops {
    fn from(nexthop: Nexthop) -> Self {
        Self(SmallVec::from_buf([nexthop]))
    }
}

impl FromIterator<Nexthop> for Nexthops {
    fn from_iter<I: IntoIterator<Item = Nexthop>>(nexthops: I) -> Self {
        Self(nexthops.into_iter().collect())
    }
}

/// The target of a kernel route: a nexthop object, or next hops in the route itself.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum RouteTarget {
    /// To a nexthop object or a nexthop group, by its id.
    Object(u32),
    /// To nexthops in the route itself, each with its encapsulation: for a kernel without nexthop objects.
    Nexthops(Nexthops),
}

/// A route of another protocol to one of the FIB's destinations that takes packets away from the FIB's own route, or would.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rival {
    /// Whether it is in the very place of the FIB's own route: it has the same metric, and is for packets of every type of service and
    /// source. A replacement of one of two such routes may hit the other. Otherwise the kernel prefers it to the FIB's own route: for all
    /// packets, because its metric is lower, or for those of a type of service (IPv4) or a source (IPv6).
    pub is_in_place: bool,
    /// The metric.
    pub metric: u32,
    /// The type of service; 0 for all packets.
    pub tos: u8,
    /// The prefix length of the source; 0 for all packets.
    pub source_len: u8,
}

/// What identifies a surplus route ([`Found::Surplus`]) in the kernel. Only the program that talks to the kernel knows its meaning.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SurplusRoute(Box<[u8]>);

impl SurplusRoute {
    /// Returns a route that these bytes identify.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// Returns the bytes that identify the route.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// An operation on the kernel's state. It either succeeds or fails as a whole.
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
        /// The objects' ids and weights, in the order of the hypervisors' addresses.
        members: Vec<(u32, u8)>,
    },
    /// Replace the members of a group. All routes that use it lead to the new members from now on.
    ReplaceGroup {
        /// The group's id.
        id: u32,
        /// The objects' ids and weights, in the order of the hypervisors' addresses. A single one is allowed.
        members: Vec<(u32, u8)>,
    },
    /// Remove a nexthop object or a group.
    RemoveObject {
        /// The object's id.
        id: u32,
    },
    /// Create a route. Fails if any protocol has a route to the destination in the same place ([`Rival::is_in_place`]).
    AddRoute {
        /// The table.
        table: u32,
        /// The destination, without host bits.
        prefix: Prefix,
        /// Where the route leads.
        target: RouteTarget,
    },
    /// Replace the FIB's own route to a destination. There is a route all the time.
    ReplaceRoute {
        /// The table.
        table: u32,
        /// The destination, without host bits.
        prefix: Prefix,
        /// Where the route leads from now on.
        target: RouteTarget,
    },
    /// Remove the FIB's own route to a destination.
    RemoveRoute {
        /// The table.
        table: u32,
        /// The destination, without host bits.
        prefix: Prefix,
    },
    /// Remove a surplus route to a destination ([`Found::Surplus`]), and not the FIB's own one.
    RemoveSurplus {
        /// The table.
        table: u32,
        /// The destination, without host bits.
        prefix: Prefix,
        /// The route.
        route: SurplusRoute,
    },
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddObject { id, addr } => write!(f, "add nexthop object {id} to {addr}"),
            Self::AddGroup { id, members } => write!(f, "add nexthop group {id} of {}", members.len()),
            Self::ReplaceGroup { id, members } => write!(f, "replace nexthop group {id} by one of {}", members.len()),
            Self::RemoveObject { id } => write!(f, "remove nexthop object {id}"),
            Self::AddRoute { table, prefix, .. } => write!(f, "add {prefix} in table {table}"),
            Self::ReplaceRoute { table, prefix, .. } => write!(f, "replace {prefix} in table {table}"),
            Self::RemoveRoute { table, prefix } => write!(f, "remove {prefix} from table {table}"),
            Self::RemoveSurplus { table, prefix, .. } => {
                write!(f, "remove a second route to {prefix} from table {table}")
            }
        }
    }
}

/// Why the kernel did not carry out an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpError {
    /// The kind of failure.
    pub kind: OpErrorKind,
    /// The error number of the operating system (errno).
    pub errno: i32,
    /// The kernel's error message (extended acknowledgement), if there is one.
    pub text: Option<String>,
}

/// The kinds of failures, by the reaction of a [`Fib`](super::Fib).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OpErrorKind {
    /// EEXIST: another protocol has a route to the destination, or an object with this id.
    Exists,
    /// ESRCH or ENOENT: the route or object that was to be removed or referred to does not exist.
    Missing,
    /// No errno: the object was not removed, because a route or a group of another program uses it.
    InUse,
    /// ENODEV, ENETDOWN, ENXIO: the tunnel device is missing or down.
    NoDevice,
    /// EPERM, EACCES: the process lacks a permission.
    NotPermitted,
    /// ENOBUFS, ENOMEM, EAGAIN, EBUSY: the kernel lacks memory, or is busy.
    Busy,
    /// Other errors, for example EINVAL: the kernel does not accept this operation.
    Refused,
}

impl fmt::Display for OpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            OpErrorKind::Exists => "another route or object exists",
            OpErrorKind::Missing => "the route or object does not exist",
            OpErrorKind::InUse => "another program uses it",
            OpErrorKind::NoDevice => "the tunnel device is down or missing",
            // The text, if there is one, says why: it may also be a setting of the kernel.
            OpErrorKind::NotPermitted if self.text.is_none() => "not permitted (CAP_NET_ADMIN is needed)",
            OpErrorKind::NotPermitted => "not permitted",
            OpErrorKind::Busy => "the kernel lacks memory or is busy",
            OpErrorKind::Refused => "refused by the kernel",
        };
        f.write_str(what)?;
        if self.errno != 0 {
            write!(f, " (errno {})", self.errno)?;
        }
        match &self.text {
            Some(text) => write!(f, ": {text}"),
            None => Ok(()),
        }
    }
}

impl core::error::Error for OpError {}

/// A route or an object that a dump of the kernel has found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// A nexthop object of any protocol whose id is one of [`FibSettings::ids`](super::FibSettings::ids).
    Object {
        /// The object's id.
        id: u32,
        /// What the object is.
        what: FoundObject,
    },
    /// A route of the FIB's protocol in one of its tables, in the place where a FIB puts its routes. Routes come after all objects.
    Route {
        /// The table.
        table: u32,
        /// The destination.
        prefix: Prefix,
        /// Where the route leads. `None`: to something that a [`Fib`](super::Fib) does not make.
        target: Option<RouteTarget>,
    },
    /// A route of the FIB's protocol that is one too many: it is what a FIB makes, but has another metric, or the destination has another
    /// route of the protocol in the same place, which comes first.
    Surplus {
        /// The table.
        table: u32,
        /// The destination.
        prefix: Prefix,
        /// Where the route leads, as in [`Route`](Self::Route).
        target: Option<RouteTarget>,
        /// Whether it has the metric of the FIB's own routes.
        is_in_place: bool,
        /// What identifies it.
        route: SurplusRoute,
    },
    /// Addresses of this machine itself, whatever the FIB's tables are.
    Local {
        /// One address, or a network with only such addresses.
        prefix: Prefix,
    },
    /// A route of another protocol in one of the FIB's tables, if it takes packets away from a route of the FIB.
    Foreign {
        /// The table.
        table: u32,
        /// The destination.
        prefix: Prefix,
        /// What it is to the FIB's own route.
        rival: Rival,
    },
}

/// A nexthop object that a dump found in the kernel: a single next hop or a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FoundObject {
    /// An object of the FIB's protocol: an encapsulation towards this hypervisor through the tunnel device.
    Nexthop(Ipv6Addr),
    /// A group of the FIB's protocol: the objects' ids and weights.
    Group(Vec<(u32, u8)>),
    /// An object of the FIB's protocol, but nothing that a [`Fib`](super::Fib) makes for this device.
    Unknown,
    /// An object of another protocol. Its id cannot be used.
    Foreign,
}

/// The state of the tunnel device: whether the kernel accepts tunnels through it, and if not, why.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub enum DeviceState {
    /// It accepts tunnels.
    #[default]
    Up,
    /// There is no device with its name.
    Missing,
    /// It is down.
    Down,
    /// It is up, but has no carrier.
    NoCarrier,
    /// Its MTU in bytes, which is less than IPv6 needs ([`MTU_MIN`](Self::MTU_MIN)).
    SmallMtu(u32),
    /// IPv6 is switched off for the device, by the sysctl `disable_ipv6`.
    Ipv6Disabled,
}

impl DeviceState {
    /// The smallest MTU of a link for IPv6, in bytes: RFC 8200, section 5.
    pub const MTU_MIN: u32 = 1280;

    /// Returns whether the kernel accepts tunnels through the device.
    pub const fn is_up(self) -> bool {
        matches!(self, Self::Up)
    }
}

impl fmt::Display for DeviceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up => f.write_str("the tunnel device is up"),
            Self::Missing => f.write_str("the tunnel device does not exist"),
            Self::Down => f.write_str("the tunnel device is down"),
            Self::NoCarrier => f.write_str("the tunnel device has no carrier"),
            Self::SmallMtu(mtu) => {
                write!(f, "the tunnel device has an MTU of {mtu}, and IPv6 needs at least {}", Self::MTU_MIN)
            }
            Self::Ipv6Disabled => f.write_str("IPv6 is disabled on the tunnel device (sysctl disable_ipv6)"),
        }
    }
}

/// A change of the kernel's state by another program, or by the kernel itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// Routes and objects may have changed in any way: notices were lost, or an object was added or removed.
    Anything,
    /// A route of the FIB's protocol, in one of the FIB's tables, was removed.
    RouteRemoved {
        /// The table.
        table: u32,
        /// The destination.
        prefix: Prefix,
    },
    /// A route of the FIB's protocol, in one of the FIB's tables, was added or changed.
    RouteAdded {
        /// The table.
        table: u32,
        /// The destination.
        prefix: Prefix,
    },
    /// A route of another protocol that takes packets away from a route of the FIB was added or changed, in one of the FIB's tables.
    ForeignAdded {
        /// The table.
        table: u32,
        /// The destination.
        prefix: Prefix,
        /// What it is to the FIB's own route.
        rival: Rival,
        /// Whether it replaced a route of the same metric, type of service and source.
        is_replacement: bool,
    },
    /// Such a route was removed.
    ForeignRemoved {
        /// The table.
        table: u32,
        /// The destination.
        prefix: Prefix,
        /// What it was to the FIB's own route.
        rival: Rival,
    },
    /// Addresses have become this machine's own: see [`Found::Local`].
    LocalAdded {
        /// One address, or a network with only such addresses.
        prefix: Prefix,
    },
    /// Addresses may not be this machine's own any more: see [`Found::Local`].
    LocalGone,
    /// Routes of other protocols may have gone without a notice of each, together with an address, a device or a nexthop object.
    ForeignGone,
    /// The tunnel device has this state.
    Device(DeviceState),
}
