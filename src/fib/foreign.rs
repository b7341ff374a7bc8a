//! The routes of other protocols to destinations of a FIB's tables, as far as they take packets away from the FIB's own routes.
//!
//! Invariant: a destination whose rivals are not known for certain is outdated, and only a dump shows them.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::op::Rival;
use super::routes::Key;

#[derive(Clone, Copy, Debug)]
struct Known {
    /// The only rival; of several, one in the place of the FIB's own route if there is one.
    rival: Rival,
    /// There may be several. When one of them goes, it is not known what is left.
    is_many: bool,
    /// One of several has gone.
    is_outdated: bool,
}

impl Known {
    fn one(rival: Rival) -> Self {
        Self { rival, is_many: false, is_outdated: false }
    }

    fn add(&mut self, rival: Rival) {
        self.is_many = true;
        if rival.is_in_place {
            self.rival = rival;
        }
    }
}

#[derive(Debug)]
pub(super) struct Foreign {
    by_key: HashMap<Key, Known, FixedState>,
    /// Those of the present dump.
    found: HashMap<Key, Known, FixedState>,
}

impl Foreign {
    pub(super) fn new(seed: FixedState) -> Self {
        Self { by_key: HashMap::with_hasher(seed.clone()), found: HashMap::with_hasher(seed) }
    }

    /// Returns whether no rival is known.
    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Returns a route of another protocol that takes packets away from the FIB's own route, if there is one.
    pub(super) fn rival(&self, key: &Key) -> Option<Rival> {
        if self.by_key.is_empty() { None } else { self.by_key.get(key).map(|known| known.rival) }
    }

    /// Returns whether only a dump shows what is there.
    pub(super) fn is_outdated(&self, key: &Key) -> bool {
        !self.by_key.is_empty() && self.by_key.get(key).is_some_and(|known| known.is_outdated)
    }

    /// Notes a rival that was added. The notice may be older than the last dump, which has found the rival then.
    pub(super) fn added(&mut self, key: Key, rival: Rival, is_replacement: bool) {
        let Some(known) = self.by_key.get_mut(&key) else {
            self.by_key.insert(key, Known::one(rival));
            return;
        };
        if known.rival != rival || known.is_many || !is_replacement {
            known.add(rival);
        }
    }

    /// Notes that a rival was removed.
    pub(super) fn removed(&mut self, key: &Key, rival: Rival) {
        let Some(known) = self.by_key.get_mut(key) else { return };
        if known.is_many {
            known.is_outdated = true;
        } else if known.rival == rival {
            self.by_key.remove(key);
        }
    }

    /// Begins a dump, in which all rivals are found again.
    pub(super) fn begin_dump(&mut self) {
        self.found.clear();
    }

    /// Notes a rival that a dump has found.
    pub(super) fn found(&mut self, key: Key, rival: Rival) {
        self.found.entry(key).and_modify(|known| known.add(rival)).or_insert(Known::one(rival));
    }

    /// Ends a complete dump.
    pub(super) fn end_dump(&mut self) {
        self.by_key = core::mem::replace(&mut self.found, HashMap::with_hasher(self.by_key.hasher().clone()));
    }
}
