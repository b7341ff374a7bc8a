//! Carries out the operations of [`metalbond::fib`] in the Linux kernel, over netlink. On other systems this package is empty.
//!
//! [`KernelRoutes`] is a thread that does so, for any async runtime. What it owns can be used alone, and is synchronous and
//! blocking (a send can take 50 to 90 ms): [`Kernel::execute`] changes, [`Kernel::dump`] reads what is there, [`Kernel::notices`] tells what others did. What is
//! wanted, and what is to be done when something fails, is `metalbond::fib`'s affair.

#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]

mod attribute;
mod compat;
mod device;
mod encap;
mod error;
mod kernel;
mod link;
mod log;
mod message;
mod nexthop;
mod operation;
mod requests;
mod retry;
mod route;
mod settings;
mod socket;
mod watch;
mod worker;

pub use compat::is_nexthop_compat_mode;
pub use error::{DumpError, Lost, OpenError};
pub use kernel::Kernel;
pub use settings::Settings;
pub use worker::{Ended, KernelRoutes};
