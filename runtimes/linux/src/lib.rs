//! Carries out the operations of [`metalbond::fib`] in the Linux kernel, over netlink. Synchronous and blocking, for one
//! thread of its own: a send can take 50 to 90 ms. On other systems this package is empty.
//!
//! [`Kernel::execute`] changes, [`Kernel::dump`] reads what is there, [`Kernel::notices`] tells what others did. What is
//! wanted, and what is to be done when something fails, is `metalbond::fib`'s affair.

#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]

mod attribute;
mod device;
mod encap;
mod error;
mod kernel;
mod link;
mod message;
mod nexthop;
mod operation;
mod requests;
mod route;
mod settings;
mod socket;
mod watch;

pub use error::{DumpError, Lost, OpenError};
pub use kernel::Kernel;
pub use settings::Settings;
