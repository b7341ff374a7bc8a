//! 100,000 routes through nexthop objects: from the wire into the table, and `Kernel::execute` alone, beside `ip -batch`; each in a new network namespace, whose
//! `net.ipv4.nexthop_compat_mode` is 1 (the default) or 0.
//!
//! Then the memory of a client with ten times as many routes as another, each a process of its own.
//!
//! As root: `cargo bench -p metalbond-linux`; `-- --test` runs small rounds.

#[cfg(target_os = "linux")]
#[path = "install/linux.rs"]
mod linux;
#[cfg(target_os = "linux")]
#[path = "install/wire.rs"]
mod wire;

fn main() {
    #[cfg(target_os = "linux")]
    match std::env::args().skip_while(|arg| arg != "--memory").nth(1) {
        Some(routes) => linux::memory(routes.parse().expect("a number of routes")),
        None => linux::run(std::env::args().any(|arg| arg == "--test")),
    }
}
