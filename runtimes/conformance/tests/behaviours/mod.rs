//! The behaviours, each a test with nodes on the runtime that the including file chooses. There is one file per subject. Helpers are in
//! `support`, and those that need no node in this package's library. Tests that need sockets of the operating system are in `sockets`, so
//! that all others also run on the simulated runtime.

mod calls;
mod cancel;
mod establish;
mod handler;
mod lifecycle;
pub(crate) mod limits;
mod listen;
mod many;
pub(crate) mod policy;
mod reconnect;
mod routes;
mod servers;
mod shutdown;
pub(crate) mod slow;
pub(crate) mod sockets;
mod stale_time;
pub(crate) mod support;
pub(crate) mod wait;
