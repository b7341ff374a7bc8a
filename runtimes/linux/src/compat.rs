//! The sysctl `net.ipv4.nexthop_compat_mode` of the thread's network namespace.

/// Returns true if the kernel reports the next hops of each route that has a nexthop object, as if it had none, which is the default.
/// Installing routes then takes longer, and much longer if many routes share a group that changes. This package never changes the setting,
/// because it changes what other programs see. Returns false if the kernel does not have the setting.
pub fn is_nexthop_compat_mode() -> bool {
    std::fs::read("/proc/sys/net/ipv4/nexthop_compat_mode").is_ok_and(|value| !value.starts_with(b"0"))
}
