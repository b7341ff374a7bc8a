//! `metalbond client --install-routes`, end to end: the real binary and a real kernel, each test in a network namespace of
//! its own. What the kernel has is seen with `ip`; what happened on the way there, by the kernel's own notifications.
//!
//! Nothing here waits for a time to pass. That nothing happens is shown by a route that is announced afterwards: its
//! notification comes behind all others.

#![cfg(target_os = "linux")]

mod choice;
mod cleanup;
mod device;
mod docs;
mod hands;
mod objects;
mod options;
mod own;
mod picture;
mod reference;
mod restarts;
mod routes;
mod scene;
mod servers;
mod settings;
mod start;
mod watch;

#[path = "../../../linux/tests/netns/namespace.rs"]
#[allow(dead_code, reason = "others use the rest")]
mod namespace;
#[path = "../end_to_end/process.rs"]
#[allow(dead_code, reason = "others use the rest")]
mod process;
