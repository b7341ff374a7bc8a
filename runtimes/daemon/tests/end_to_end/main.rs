//! The real binary, end to end: servers and clients are processes on loopback (or in a network namespace) that are
//! started, fed, stopped and killed.
//!
//! No test waits for a fixed time. A test waits for an expected event; if it expects that nothing happens, it waits for
//! a later event that would arrive after the unexpected one.

mod arguments;
mod bench;
mod config;
mod demo;
mod departures;
mod docs;
mod exchange;
mod http;
mod identity;
mod inspect;
mod limits;
mod manual;
mod messages;
#[cfg(target_os = "linux")]
#[path = "../../../linux/tests/netns/namespace.rs"]
mod namespace;
#[cfg(target_os = "linux")]
mod own_addresses;
mod page;
mod policy;
mod ports;
mod privileges;
mod process;
mod raw;
mod readme;
mod record;
mod reference;
mod reload;
mod restarts;
mod signals;
mod stdin;
mod streams;
mod systemd;
mod table;
mod tls;
mod top;
