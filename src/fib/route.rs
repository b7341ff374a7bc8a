//! One kernel route: what it should be, and what it is.

use super::sets::SetId;
use super::vias::ViaId;
use crate::Prefix;

/// Which kernel route.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Key {
    pub(super) table: u32,
    /// Without host bits.
    pub(super) prefix: Prefix,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) wanted: SetId,
    /// Where it leads, as far as we know.
    pub(super) installed: ViaId,
    /// What it waits for, to be installed.
    pub(super) waits_for: ViaId,
    /// Where it could not be led at the last try. In use, lest its object comes and goes with each.
    pub(super) tried: ViaId,
    /// It is to be looked at.
    pub(super) is_queued: bool,
    /// An operation is under way.
    pub(super) is_busy: bool,
    /// Another protocol has a route there.
    pub(super) is_conflict: bool,
    /// Something changed meanwhile.
    pub(super) is_dirty: bool,
    /// It will be looked at when a time has come.
    pub(super) is_retrying: bool,
    /// It was found in the kernel at the start, and has not been wanted as it is so far.
    pub(super) is_adopted: bool,
    /// Found by the dump that is under way.
    pub(super) is_seen: bool,
    /// How often in a row an operation failed.
    pub(super) failures: u8,
}

impl Default for Entry {
    fn default() -> Self {
        Self {
            wanted: SetId::EMPTY,
            installed: ViaId::NONE,
            waits_for: ViaId::NONE,
            tried: ViaId::NONE,
            is_queued: false,
            is_busy: false,
            is_conflict: false,
            is_dirty: false,
            is_retrying: false,
            is_adopted: false,
            is_seen: false,
            failures: 0,
        }
    }
}
