//! 100,000 routes through nexthop objects: from the wire into the table, and `Kernel::execute` alone, beside `ip -batch`; each in a new network namespace, whose
//! `net.ipv4.nexthop_compat_mode` is 1 (the default) or 0.
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
    linux::run(std::env::args().any(|arg| arg == "--test"));
}
