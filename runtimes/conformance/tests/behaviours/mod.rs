//! The behaviours, one body each: nodes on the runtime that the file above chooses. One file per subject; helpers in `support`, and
//! those that need no node in this package's library. What needs sockets of the operating system is in `sockets`, so that everything else
//! also runs on a simulated runtime.

mod calls;
mod cancel;
mod establish;
mod handler;
mod hold;
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
mod sockets;
pub(crate) mod support;
pub(crate) mod wait;
