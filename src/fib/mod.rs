//! Routes in a kernel (FIB): compares the wanted routes with the installed ones, and returns the operations that install the difference.
//!
//! A [`Fib`] does no I/O, like a [`Node`](crate::Node): its inputs are route changes and the kernel's answers, its outputs are operations.
//! `metalbond-linux` carries them out over netlink. The loop around it:
//!
//! 1. If [`Fib::needs_dump`] returns true, read the kernel's state: call [`Fib::dump_begins`], then [`Fib::found`] for each nexthop object and
//!    then for each route, then [`Fib::dump_ends`].
//! 2. Call [`Fib::poll_op`] until it returns `None` or the batch is full. Carry the operations out. Call [`Fib::done`] for each, in order.
//! 3. Log what [`Fib::poll_report`] returns, until it returns `None`.
//! 4. Wait for a change ([`Fib::change`]), a notice of the kernel ([`Fib::notice`]), or the time of [`Fib::poll_timeout`].
//!
//! # Terms
//!
//! - *Nexthop object*, *nexthop group*: an object of the Linux kernel for the tunnel to a hypervisor, and an object for several of these.
//! - *Adopted*: a route or an object that was in the kernel when the `Fib` began. It stays until it is known whether it is wanted
//!   ([`Fib::release_adopted`]), or until this node announces its destination itself.
//! - *Rival*: a route of another protocol that the kernel prefers to a route of the `Fib`, or that is in its place ([`Rival`]).
//! - *Conflict*: a route that is wanted and not in effect, because of a rival, or because a lower VNI in the same table has the same
//!   destination. With a rival in its place it is not installed. Otherwise it is installed, and takes over when the rival goes.
//! - *Surplus*: a route of the `Fib`'s protocol that is one too many for its destination ([`Found::Surplus`]).
//!
//! # Invariants
//!
//! Tests check each of them.
//!
//! - *converges*: once failures and changes by other programs stop, the kernel gets the routes that are wanted.
//! - *lowest VNI*: where several VNIs share a table, a destination of several of them is installed for the lowest. The others are
//!   reported and counted; when the lowest loses the destination, the next one's route replaces it, without a gap.
//! - *no gap*: a destination that is wanted before and after a change has a route all the time. Routes are replaced, and an
//!   object exists before its first route and until after its last.
//! - *adopts*: an adopted route that is wanted is not touched, whatever the order of the changes. Exception: a destination of several VNIs in
//!   one table. If the change of the lowest VNI comes last, its route is installed last. Another exception: a destination that this node
//!   announces itself is removed at once, and added again if other nodes announce it with another kind.
//! - *underlay*: no route leads to this machine itself. In the tables by which packets to servers and next hops are sent (253 to 255), no route
//!   covers one of them.
//! - *foreign*: a route of another protocol is never replaced or removed.
//! - *one route*: a destination gets one route of the `Fib`. Surplus ones are removed, after the one that stays is as it is wanted.
//! - *one operation*: if all routes of a nexthop group are to lead to the same other next hops, the group is replaced, and no route. They
//!   wait for each other: until no other one has come for 2 ms, and for 100 ms at most.
//! - *objects last*: an object that this `Fib` has not added is removed only after the adoption has ended.

mod dump;
mod foreign;
mod group_changes;
mod op;
mod reconcile;
mod report;
mod routes;
mod sets;
mod settings;
mod steps;
mod targets;
mod underlay;
mod vni_conflicts;
mod wanted;

pub use op::{
    DeviceState, Found, FoundObject, Nexthop, Nexthops, Notice, Op, OpError, OpErrorKind, Rival, RouteTarget,
    SurplusRoute,
};
pub use reconcile::Fib;
pub use report::{FibReport, FibStats};
pub use settings::{FibSettings, FibSettingsError};
pub use underlay::Covered;
use wanted::NEXTHOPS_MAX;
