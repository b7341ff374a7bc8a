//! The sysctl `net.ipv4.nexthop_compat_mode` of the thread's network namespace.

/// Whether the kernel says of each route that has a nexthop object where it leads, as if it had none: the default. Installing
/// then takes longer, and much longer if many routes share a group that is changed. Never changed by this package, as it
/// changes what other programs see. False if there is no such setting.
pub fn is_nexthop_compat_mode() -> bool {
    std::fs::read("/proc/sys/net/ipv4/nexthop_compat_mode").is_ok_and(|value| !value.starts_with(b"0"))
}
