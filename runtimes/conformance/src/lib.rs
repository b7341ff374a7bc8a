//! What the behaviours need that no driver gives: peers that speak by hand, lines that can be held up, routes by number,
//! certificates, and waiting for a condition. It runs under any executor.
//!
//! The behaviours themselves are in `tests/behaviours`: source that names its driver `crate::driver` and its way to run
//! a future `crate::run`, and is compiled once for each driver, `tests/tokio.rs` and `tests/smol.rs` for example. With
//! `crate::TLS` all of it is over TLS, as in `tests/tokio_tls.rs`. So it proves as well that the drivers' interfaces are the same, name by name. A driver of your own takes part with a file
//! like these.

#![forbid(unsafe_code)]

mod authority;
mod line;
mod raw;
mod routes;
mod stream;
mod wait;

pub use authority::{Authority, Identity};
pub use line::Line;
pub use raw::{HELLO, KEEPALIVE, RawPeer, SUBSCRIBE};
pub use routes::{VNI, route, routes, routes_of};
pub use stream::RawStream;
pub use wait::{poll_once, until, within};
