//! `metalbond client --install-routes`, end to end: the real binary and a real kernel, each test in its own network
//! namespace. The tests read the kernel's state with `ip`, and the changes before it from the kernel's notifications.
//!
//! No test waits for a fixed time. To show that nothing happens, a test announces another route: its notification
//! arrives after all others.

#![cfg(target_os = "linux")]

mod changed;
mod choice;
mod cleanup;
mod device;
mod docs;
mod flush;
mod hands;
mod networkd;
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
mod underlay;
mod watch;

#[path = "../../../linux/tests/netns/namespace.rs"]
mod namespace;
#[path = "../end_to_end/process.rs"]
mod process;
