//! Support for the tests of a node's behaviours, and of the programs around it: peers that a test drives by bytes, relayed connections
//! that can be stalled or cut ([`Line`]), generated routes ([`route`]), certificates, waiting for a condition, and what a test needs of its
//! machine. It runs under any executor. [`simulated`] is a runtime with virtual time and sockets in memory.
//!
//! The behaviours themselves are in `tests/behaviours`. Their source calls `crate::driver::start`, runs a future with `crate::run`, starts
//! tasks with `crate::spawn`, and takes the time from `crate::now` and `crate::sleep`. It is compiled once for each runtime, in
//! `tests/tokio.rs` and `tests/smol.rs` for example. With `crate::TLS`, all connections use TLS, as in `tests/tokio_tls.rs`. To test
//! another runtime, add a file like these.

#![forbid(unsafe_code)]

mod authority;
mod line;
mod need;
mod raw;
mod routes;
pub mod simulated;
mod stream;
mod wait;

pub use authority::{Authority, Identity};
pub use line::Line;
pub use need::{has_ipv6, has_program, skip};
pub use raw::{HELLO, KEEPALIVE, RawPeer, SUBSCRIBE};
pub use routes::{VNI, route, routes, routes_of};
pub use stream::RawStream;
pub use wait::{block_on, block_until, poll_once, until, until_by, within, within_by};
