//! What the behaviours of a node need besides a node: peers that speak by hand, lines that can be held up, routes by number,
//! certificates, and waiting for a condition. It runs under any executor.
//!
//! The behaviours themselves are in `tests/behaviours`: source that calls `crate::driver::start`, runs a future by `crate::run`, starts
//! tasks by `crate::spawn`, and has its time from `crate::now` and `crate::sleep`. It is compiled once for each runtime, in `tests/tokio.rs` and `tests/smol.rs` for example. With
//! `crate::TLS` all of it is over TLS, as in `tests/tokio_tls.rs`. A runtime of your own takes part with a file like these.

#![forbid(unsafe_code)]

mod authority;
mod line;
mod raw;
mod routes;
pub mod simulated;
mod stream;
mod wait;

pub use authority::{Authority, Identity};
pub use line::Line;
pub use raw::{HELLO, KEEPALIVE, RawPeer, SUBSCRIBE};
pub use routes::{VNI, route, routes, routes_of};
pub use stream::RawStream;
pub use wait::{poll_once, until, until_by, within, within_by};
