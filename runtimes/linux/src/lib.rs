//! Carries out the operations of [`metalbond::fib`] in the Linux kernel, over netlink. On other systems this package is empty.
//!
//! [`KernelRoutes`] is a thread that does this for any async runtime. [`KernelRoutes::start`] takes a [`Kernel`] (the tunnel device, the
//! tables) and a [`Fib`](metalbond::fib::Fib) (the table of each VNI). Then pass it what the node reports: each route change to
//! [`KernelRoutes::change`], the node's own announcements to [`KernelRoutes::announced`] and [`KernelRoutes::withdrawn`]. Call
//! [`KernelRoutes::release_adopted`] once, when [`Node::may_remove_adopted`](metalbond::Node::may_remove_adopted) is true and all changes
//! until then were passed.
//!
//! [`Kernel`] can be used alone. It is synchronous and blocking (a send can take 50 to 90 ms): [`Kernel::execute`] changes routes,
//! [`Kernel::dump`] reads them, [`Kernel::notices`] reports the changes of other programs. `metalbond::fib` decides which routes are
//! wanted, and what to do when an operation fails.

#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]

mod attribute;
mod claim;
mod compat;
mod device;
mod encap;
mod error;
mod flush;
mod kernel;
mod link;
mod log;
mod mark;
mod message;
mod nexthop;
mod operation;
mod ours;
mod remains;
mod requests;
mod retry;
mod route;
mod settings;
mod socket;
mod strays;
mod watch;
mod worker;

pub use compat::is_nexthop_compat_mode;
pub use error::{DumpError, Lost, OpenError, Taken};
pub use flush::{Flushed, flush};
pub use kernel::Kernel;
pub use settings::Settings;
pub use worker::{Ended, KernelRoutes};
