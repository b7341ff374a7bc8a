//! A subscriber's place in a table's journal, and what follows from it about what the subscriber has been told.

use alloc::collections::BTreeMap;

use super::table::Hop;
use super::visibility::Viewer;

/// What a subscriber has been told of a next hop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Told {
    /// That it is there.
    Yes,
    /// Nothing, or that it is gone.
    No,
    /// One of the two: it changed more than once since the subscriber last stood at the tail.
    Unknown,
}

/// A place in a table's journal.
///
/// What a subscriber has been told needs no memory of its own as long as it stands at the tail, or walks towards it
/// from there: a hop whose last change lies before `base` has been told, and one that changed once since is as it was
/// before that change. Two equal places in the same table mean equal knowledge, but for a peer's own routes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Position {
    /// The last entry that it passed.
    at: u64,
    /// The tail when it last stood there; before the first time, the tail when it subscribed.
    base: u64,
    /// Whether it has ever stood at the tail. If not, it was told nothing of what happened up to `base`, unless it has
    /// passed it since.
    synced: bool,
    /// Hops that were told before their turn, with others of their destination, and whether as there.
    ahead: BTreeMap<u32, bool>,
}

impl Position {
    /// A newcomer's, in a journal whose tail is `tail`.
    pub(super) fn new(tail: u64) -> Self {
        Self { at: 0, base: tail, synced: tail == 0, ahead: BTreeMap::new() }
    }

    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Whether it has ever stood at the tail: its first sync is complete.
    pub(crate) fn is_synced(&self) -> bool {
        self.synced
    }

    /// Whether another in the same place knows the same.
    pub(crate) fn is_sharable(&self) -> bool {
        self.ahead.is_empty()
    }

    /// Up to which change tombstones are of no use to it.
    pub(super) fn needs_no_tombstone_before(&self) -> u64 {
        if self.synced { self.at } else { self.at.max(self.base) }
    }

    /// What it has been told of a hop whose entry it has not passed.
    pub(super) fn told(&self, id: u32, hop: &Hop, viewer: Viewer) -> Told {
        if let Some(there) = self.ahead.get(&id) {
            return if *there { Told::Yes } else { Told::No };
        }
        if hop.first_seq > self.at {
            return Told::No;
        }
        let before = |there| if there { Told::Yes } else { Told::No };
        if self.synced {
            match hop.prev_seq <= self.base {
                true => before(hop.prev.is_visible_to(viewer)),
                false => Told::Unknown,
            }
        } else if hop.seq <= self.base || (hop.prev_seq <= self.base && hop.prev_seq > self.at) {
            Told::No
        } else {
            Told::Unknown
        }
    }

    /// Notes that a hop was told before its turn.
    pub(super) fn tell_ahead(&mut self, id: u32, there: bool) {
        self.ahead.insert(id, there);
    }

    /// Passes an entry; `live`: the hop's last.
    pub(super) fn pass(&mut self, seq: u64, live: Option<u32>) {
        self.at = seq;
        if let Some(id) = live
            && !self.ahead.is_empty()
        {
            self.ahead.remove(&id);
        }
    }

    /// Stands at the tail.
    pub(super) fn reach(&mut self, tail: u64) {
        debug_assert!(self.ahead.is_empty(), "what was told ahead has been passed");
        (self.at, self.base, self.synced) = (tail, tail, true);
    }
}
