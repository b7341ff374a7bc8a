//! Destinations of routing tables that several VNIs share: the VNIs for which a destination is not installed, because a
//! lower VNI has it.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::routes::Key;
use crate::Vni;

/// The VNIs that have a destination in vain.
pub(super) type Overruled = SmallVec<[Vni; 1]>;

#[derive(Debug)]
pub(super) struct VniConflicts {
    by_key: HashMap<Key, Overruled, FixedState>,
    /// All of them together.
    count: usize,
}

impl VniConflicts {
    pub(super) fn new(seed: FixedState) -> Self {
        Self { by_key: HashMap::with_hasher(seed), count: 0 }
    }

    /// Returns how many destinations are not installed; one counts once for each VNI.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Replaces the VNIs for which a destination is not installed. Returns those until now.
    pub(super) fn replace(&mut self, key: Key, overruled: Overruled) -> Overruled {
        self.count += overruled.len();
        let before = if overruled.is_empty() { self.by_key.remove(&key) } else { self.by_key.insert(key, overruled) };
        let before = before.unwrap_or_default();
        self.count -= before.len();
        before
    }
}
