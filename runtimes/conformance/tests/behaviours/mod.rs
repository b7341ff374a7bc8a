//! The behaviours, one body each: nodes over sockets on loopback. One file per subject; helpers in
//! `support`, and those that need no node in this package's library.

mod calls;
mod cancel;
mod establish;
mod handler;
mod hold;
mod hostile;
mod lifecycle;
mod limits;
mod listen;
mod many;
mod policy;
mod reconnect;
mod record;
mod routes;
mod servers;
mod shutdown;
mod slow;
pub(crate) mod support;
pub(crate) mod wait;
