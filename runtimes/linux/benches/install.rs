//! Installs 100,000 routes with nexthop objects, in three ways: from the wire through the table, with `Kernel::execute` alone, and with `ip
//! -batch` for comparison. Each runs in a new network namespace, with `net.ipv4.nexthop_compat_mode` set to 1 (the default) and to 0.
//!
//! Then one of the four hypervisors is gone to which 100,000 routes lead: the time until their nexthop group is replaced.
//!
//! Then another program removes all nexthop groups, as systemd-networkd does: the time until all routes are there again, compared with that of
//! their installation.
//!
//! Then compares the memory of two clients, one with ten times as many routes as the other, each in a process of its own.
//!
//! As root: `cargo bench -p metalbond-linux`; `-- --test` runs small rounds.

#[cfg(target_os = "linux")]
#[path = "install/linux.rs"]
mod linux;
#[cfg(target_os = "linux")]
#[path = "install/repair.rs"]
mod repair;
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
