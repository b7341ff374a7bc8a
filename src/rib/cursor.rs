//! A subscriber's place in a table's journal, and what follows from it about what the subscriber was sent.
//!
//! Invariant: what a subscriber was sent of a hop is derived from sequence numbers alone, except for the hops in `ahead`.

use alloc::collections::BTreeMap;

use smallvec::SmallVec;

use super::short::Place;
use super::table::Hop;
use super::visibility::Visibility;

/// Stretches of one lap. When there are more, neighbours are merged.
const MAX_STRETCHES: usize = 32;

/// What a subscriber was sent of a next hop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sent {
    /// An addition, last. `may_have_been_gone`: since then, and be there again.
    Added { may_have_been_gone: bool },
    /// Nothing, or a removal last.
    Nothing,
    /// What there was to send before the hop's last change.
    AsBefore,
    /// An addition or a removal: the hop changed more than once since the subscriber last was at the journal's end.
    Unknown,
}

/// A hop by the sequence number of its first change, which no other hop has: its place in the table may change. If that change was ages
/// ago, by that of its last change. Then, if it changes once more, what was sent of it counts as unknown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct HopKey(u64);

impl HopKey {
    #[inline]
    pub(super) fn of(hop: &Hop) -> Self {
        Self(hop.first_seq().unwrap_or(hop.seq()))
    }
}

/// A place in a table's journal.
///
/// At the journal's end (tail) a subscriber was sent everything, which needs no memory. On its way to the tail, a *lap* of one or more
/// walks, what it was sent follows from where each walk ended, and where the tail was then: a walk sends the change of an entry
/// unless its hop has changed again, and whether it had by then is a comparison of sequence numbers. Subscribers with equal
/// positions in one table were sent the same, except for their own routes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Position {
    /// The last entry that it passed.
    at: u64,
    /// Where the current walk began; between two, `at`.
    from: u64,
    /// The tail when it was there last. Before the first time: 0.
    base: u64,
    /// In an initial sync of a peer that is sent short prefixes first: where in their order it is. `None`: all were sent.
    short: Option<Place>,
    /// The tail when it subscribed: no tombstone up to there is of any use to it.
    born: u64,
    /// The walks of this lap, in order.
    stretches: SmallVec<[Stretch; 1]>,
    /// Hops whose change was sent out of order, before its entry was passed.
    ahead: BTreeMap<HopKey, Ahead>,
}

/// A change that was sent before its entry was passed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Ahead {
    /// Its sequence number.
    seq: u64,
    /// Whether it was sent as an addition.
    is_added: bool,
}

/// Walks of one lap.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Stretch {
    /// The last entry that they passed.
    end: u64,
    /// The tail during the first of them, and during the last.
    tails: (u64, u64),
}

/// How a change was passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Passed {
    /// As its hop's last change: sent.
    Live,
    /// After the hop had changed again, or not yet: not sent.
    Dead,
    Unknown,
}

impl Position {
    /// Returns the position of a new subscriber in a journal whose end is `tail`.
    pub(super) fn new(tail: u64) -> Self {
        let (stretches, ahead) = (SmallVec::new(), BTreeMap::new());
        Self { at: 0, from: 0, base: 0, short: Some(Place::FIRST), born: tail, stretches, ahead }
    }

    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Whether subscribers with an equal position were sent the same.
    pub(crate) fn is_sharable(&self) -> bool {
        self.ahead.is_empty()
    }

    /// Returns the change up to which the subscriber needs no tombstone.
    pub(super) fn needs_tombstones_after(&self) -> u64 {
        self.at.max(self.born)
    }

    /// Returns where in the order of short prefixes it is, if these are to be sent first.
    pub(super) fn short(&self) -> Option<Place> {
        self.short
    }

    /// Returns the number of changes that were sent out of order.
    pub(super) fn ahead(&self) -> usize {
        self.ahead.len()
    }

    pub(super) fn set_short(&mut self, short: Option<Place>) {
        self.short = short;
    }

    /// Returns what the subscriber was sent of a hop whose last change it has not passed.
    pub(super) fn sent(&self, hop: &Hop) -> Sent {
        if !self.ahead.is_empty()
            && let Some(&Ahead { seq, is_added }) = self.ahead.get(&HopKey::of(hop))
        {
            if !is_added {
                return Sent::Nothing;
            }
            // If it has changed twice since then, it may have been gone between the two.
            let may_have_been_gone = hop.seq() != seq && (hop.is_back() || hop.prev_seq() != seq);
            return Sent::Added { may_have_been_gone };
        }
        // The hop was gone before the subscriber came.
        if hop.seq() <= self.born && hop.now() == Visibility::NONE {
            return Sent::Nothing;
        }
        // Neither sent before this lap, nor in it.
        if let Some(first) = hop.first_seq()
            && first > self.base
            && self.passed(first, hop.seq()) == Passed::Dead
        {
            return Sent::Nothing;
        }
        match self.passed(hop.prev_seq(), hop.seq()) {
            Passed::Live => Sent::AsBefore,
            Passed::Dead | Passed::Unknown => Sent::Unknown,
        }
    }

    /// Returns how the subscriber passed a hop's change `seq`, where the hop's last change is `last`.
    fn passed(&self, seq: u64, last: u64) -> Passed {
        if seq <= self.base {
            return Passed::Live;
        }
        if seq > self.from {
            return Passed::Dead;
        }
        let stretch = self.stretches.partition_point(|stretch| stretch.end < seq);
        match self.stretches.get(stretch) {
            Some(Stretch { tails: (first, _), .. }) if last <= *first => Passed::Dead,
            Some(Stretch { tails: (_, latest), .. }) if last > *latest => Passed::Live,
            _ => Passed::Unknown,
        }
    }

    /// Notes that a hop's change was sent out of order.
    pub(super) fn send_ahead(&mut self, hop: &Hop, is_added: bool) {
        self.ahead.insert(HopKey::of(hop), Ahead { seq: hop.seq(), is_added });
    }

    /// Passes an entry. `live`: the hop, if the entry is the hop's last.
    #[inline]
    pub(super) fn pass(&mut self, seq: u64, live: Option<&Hop>) {
        self.at = seq;
        if !self.ahead.is_empty()
            && let Some(hop) = live
        {
            self.ahead.remove(&HopKey::of(hop));
        }
    }

    /// Ends a walk, during which the tail was `tail`.
    pub(super) fn pause(&mut self, tail: u64) {
        if self.at == self.from {
            return;
        }
        self.from = self.at;
        match self.stretches.last_mut() {
            Some(last) if last.tails == (tail, tail) => last.end = self.at,
            _ => self.stretches.push(Stretch { end: self.at, tails: (tail, tail) }),
        }
        if self.stretches.len() > MAX_STRETCHES {
            let pairs = self.stretches.chunks(2).map(|pair| {
                let (first, last) = (pair[0], pair[pair.len() - 1]);
                Stretch { end: last.end, tails: (first.tails.0, last.tails.1) }
            });
            self.stretches = pairs.collect();
        }
    }

    /// Moves to the journal's end.
    pub(super) fn reach(&mut self, tail: u64) {
        (self.at, self.from, self.base) = (tail, tail, tail);
        // All that was sent ahead has been passed; what is left has another key by now.
        self.ahead.clear();
        self.stretches.clear();
        self.short = None;
    }
}
