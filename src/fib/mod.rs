//! Routes in a kernel (FIB): what is wanted against what is installed, and the operations that turn one into the other.
//!
//! A [`Fib`] does no I/O, like a [`Node`](crate::Node): changes and the kernel's answers go in, operations come out.
//! `metalbond-linux` carries them out over netlink. The loop around it:
//!
//! 1. while [`Fib::needs_dump`]: [`Fib::dump_begins`], [`Fib::found`] for each object and route in the kernel, [`Fib::dump_ends`];
//! 2. [`Fib::poll_op`] until it returns `None` or the batch is full; carry the operations out; [`Fib::done`] for each, in order;
//! 3. [`Fib::poll_report`]; then wait for a change, a notice of the kernel, or [`Fib::poll_timeout`].
//!
//! # Invariants
//!
//! Each has a property test of its name in `tests/fib.rs`.
//!
//! - *converges*: once failures and changes by other programs stop, the kernel gets the routes that are wanted.
//! - *lowest VNI*: where several VNIs share a table, a destination of several of them is installed for the lowest. The others are
//!   reported and counted; when the lowest loses the destination, the next one's route replaces it, without a gap.
//! - *no gap*: a destination that is wanted before and after a change has a route all the time. Routes are replaced, and an
//!   object exists before its first route and until after its last.
//! - *adopts*: a route that is in the kernel at the start and stays wanted is not touched, whatever the order of the changes.
//!   (Except for a destination of several VNIs in one table: if the change of the lowest VNI comes last, its route is installed last.)
//! - *foreign*: a route of another protocol is never replaced or removed.

mod dump;
mod op;
mod reconcile;
mod report;
mod routes;
mod sets;
mod settings;
mod steps;
mod targets;
mod vni_conflicts;
mod wanted;

pub use op::{Found, FoundObject, Nexthop, Nexthops, Notice, Op, OpError, OpErrorKind, RouteTarget};
pub use reconcile::Fib;
pub use report::{FibReport, FibStats};
pub use settings::{FibSettings, FibSettingsError};
