//! What the process may do: of what it was given, only what it needs. Capabilities are each thread's own, and a new thread gets those
//! of the thread that starts it: so most are dropped before there is another thread.

use rustix::io;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};
use tracing::{debug, warn};

/// Keeps what kernel routes take, and until it is [settled](settle) what ports under 1024 take, if those are wanted; drops everything
/// else, for good: no program that is executed gets more. To be called while this is the only thread.
pub(crate) fn reduce(has_kernel_routes: bool, has_low_port: bool) {
    // Fails on kernels before 3.5 only.
    let _ = set_no_new_privs(true);
    let kept = to_the_end(has_kernel_routes);
    let first = if has_low_port { kept | CapabilitySet::NET_BIND_SERVICE } else { kept };
    // It is tried again.
    let _ = drop_to(first, kept);
}

/// The sockets are bound: what only that took is dropped, by this thread and for all that it starts from now on.
pub(crate) fn settle(has_kernel_routes: bool) {
    let kept = to_the_end(has_kernel_routes);
    let Err(error) = drop_to(kept, kept) else { return };
    let left = capabilities(None).map_or(CapabilitySet::empty(), |now| now.permitted) - kept;
    // A unit may forbid to change them, and then gives no more than this one.
    if (left - CapabilitySet::NET_ADMIN).is_empty() {
        debug!("capabilities stay as they were given: {error}");
    } else {
        warn!("capabilities that are not needed can't be dropped: {error}");
    }
}

fn to_the_end(has_kernel_routes: bool) -> CapabilitySet {
    if has_kernel_routes { CapabilitySet::NET_ADMIN } else { CapabilitySet::empty() }
}

/// Drops all capabilities of this thread.
pub(crate) fn drop_all_of_this_thread() {
    // Where that is forbidden, it has been said at the start.
    let _ = drop_to(CapabilitySet::empty(), CapabilitySet::empty());
}

/// Keeps secrets out of core dumps, and out of reach of other processes of the same user.
pub(crate) fn hide_memory() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        warn!("a core dump of this process would hold its keys: {error}");
    }
}

/// `bounding`: what may ever come back, by executing a program.
fn drop_to(kept: CapabilitySet, bounding: CapabilitySet) -> io::Result<()> {
    let now = capabilities(None)?;
    let _ = clear_ambient_capability_set();
    if now.effective.contains(CapabilitySet::SETPCAP) {
        for bit in 0..u64::BITS {
            let one = CapabilitySet::from_bits_retain(1 << bit);
            // An error says that the kernel knows no such capability.
            if !bounding.contains(one) && capability_is_in_bounding_set(one) == Ok(true) {
                remove_capability_from_bounding_set(one)?;
            }
        }
    }
    let reduced = CapabilitySets {
        effective: now.effective & kept,
        permitted: now.permitted & kept,
        inheritable: CapabilitySet::empty(),
    };
    if reduced == now { Ok(()) } else { set_capabilities(None, reduced) }
}
