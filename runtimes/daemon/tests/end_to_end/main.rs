//! The real binary, end to end: servers and clients as processes on loopback (or in a
//! network namespace), started, fed, stopped and killed.
//! Nothing here waits for a time to pass: a test waits for what it expects, and where it expects nothing, for a later
//! event that would have come behind it.

mod arguments;
mod authority;
mod bench;
mod config;
mod demo;
mod departures;
mod docs;
mod exchange;
mod http;
mod inspect;
mod limits;
mod manual;
mod messages;
#[cfg(target_os = "linux")]
#[path = "../../../linux/tests/netns/namespace.rs"]
#[allow(dead_code, reason = "others use the rest")]
mod namespace;
#[cfg(target_os = "linux")]
mod own_addresses;
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
