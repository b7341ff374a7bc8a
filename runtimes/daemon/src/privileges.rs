//! Reduces the process's privileges to those that it needs. Each thread has its own capabilities, and a new thread
//! inherits them from the thread that starts it. So most of them are dropped before there is a second thread.

use rustix::io;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};
use tracing::{debug, warn};

/// Keeps the capability for kernel routes, and, until [`settle`] is called, the one for ports below 1024, if they are
/// needed. Drops all others permanently; programs that are executed do not get them either. Must be called while this
/// is the only thread.
pub(crate) fn reduce(has_kernel_routes: bool, has_low_port: bool) {
    // Fails only on kernels before 3.5.
    let _ = set_no_new_privs(true);
    let kept = to_the_end(has_kernel_routes);
    let first = if has_low_port { kept | CapabilitySet::NET_BIND_SERVICE } else { kept };
    // On failure `settle` tries again and warns.
    let _ = drop_to(first, kept);
}

/// Drops the capability for low ports once the sockets are bound. Applies to this thread and the threads that it starts
/// from now on.
pub(crate) fn settle(has_kernel_routes: bool) {
    let kept = to_the_end(has_kernel_routes);
    let Err(error) = drop_to(kept, kept) else { return };
    let left = capabilities(None).map_or(CapabilitySet::empty(), |now| now.permitted) - kept;
    // A unit may forbid changes of capabilities; such a unit grants no other than this one.
    if (left - CapabilitySet::NET_ADMIN).is_empty() {
        debug!("capabilities stay unchanged: {error}");
    } else {
        warn!("capabilities that are not needed cannot be dropped: {error}");
    }
}

fn to_the_end(has_kernel_routes: bool) -> CapabilitySet {
    if has_kernel_routes { CapabilitySet::NET_ADMIN } else { CapabilitySet::empty() }
}

/// Drops all capabilities of this thread.
pub(crate) fn drop_all_of_this_thread() {
    // Fails if a unit forbids it, which was logged at the start.
    let _ = drop_to(CapabilitySet::empty(), CapabilitySet::empty());
}

/// Excludes secrets from core dumps, and prevents other processes of the same user from reading them.
pub(crate) fn hide_memory() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        warn!("a core dump of this process would contain its keys: {error}");
    }
}

/// Reduces this thread's capabilities to `kept`, and those that executed programs can get to `bounding`.
fn drop_to(kept: CapabilitySet, bounding: CapabilitySet) -> io::Result<()> {
    let now = capabilities(None)?;
    let _ = clear_ambient_capability_set();
    if now.effective.contains(CapabilitySet::SETPCAP) {
        for bit in 0..u64::BITS {
            let one = CapabilitySet::from_bits_retain(1 << bit);
            // An error means that the kernel does not know this capability.
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
