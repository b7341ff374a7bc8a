//! A subscriber's place in a table's journal, and what follows from it about what the subscriber has been told.

use alloc::collections::BTreeMap;

use smallvec::SmallVec;

use super::table::Hop;
use super::visibility::Visibility;

/// Walks of one lap that are told apart; when there are more, neighbours are put together.
const MAX_STRETCHES: usize = 32;

/// What a subscriber has been told of a next hop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Told {
    /// That it is there.
    Yes,
    /// Nothing, or that it is gone.
    No,
    /// What there was to tell before the hop's last change.
    AsBefore,
    /// One of the two: it changed more than once since the subscriber last stood at the tail.
    Unknown,
}

/// A place in a table's journal.
///
/// What a subscriber has been told needs no memory of its own at the tail: everything. On its way to the tail, a *lap*
/// of one or more walks, it follows from where each walk ended, and where the tail was then: a walk tells of an entry
/// unless its hop has changed again, and whether it had by then is a comparison of numbers. Two equal places in the
/// same table mean equal knowledge, but for a peer's own routes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Position {
    /// The last entry that it passed.
    at: u64,
    /// Where the current walk began; between two, `at`.
    from: u64,
    /// The tail when it last stood there. Before the first time: 0, for it was told nothing.
    base: u64,
    /// The tail when it subscribed: no tombstone up to there is of any use to it.
    born: u64,
    /// The walks of this lap, in order.
    stretches: SmallVec<[Stretch; 1]>,
    /// Hops that were told before their turn, with others of their destination, and whether as there.
    ahead: BTreeMap<u32, bool>,
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
    /// As its hop's last: told.
    Live,
    /// When the hop had changed again, or not yet: not told.
    Dead,
    Unknown,
}

impl Position {
    /// A newcomer's, in a journal whose tail is `tail`.
    pub(super) fn new(tail: u64) -> Self {
        Self { at: 0, from: 0, base: 0, born: tail, stretches: SmallVec::new(), ahead: BTreeMap::new() }
    }

    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Whether another in the same place knows the same.
    pub(crate) fn is_sharable(&self) -> bool {
        self.ahead.is_empty()
    }

    /// Up to which change tombstones are of no use to it.
    pub(super) fn needs_no_tombstone_before(&self) -> u64 {
        self.at.max(self.born)
    }

    /// What it has been told of a hop whose last change it has not passed.
    pub(super) fn told(&self, id: u32, hop: &Hop) -> Told {
        if !self.ahead.is_empty()
            && let Some(there) = self.ahead.get(&id)
        {
            return if *there { Told::Yes } else { Told::No };
        }
        // Gone before it came.
        if hop.seq <= self.born && hop.now == Visibility::NONE {
            return Told::No;
        }
        // Not told before this lap, and not in it.
        if let Some(first) = hop.first_seq()
            && first > self.base
            && self.passed(first, hop.seq) == Passed::Dead
        {
            return Told::No;
        }
        match self.passed(hop.prev_seq(), hop.seq) {
            Passed::Live => Told::AsBefore,
            Passed::Dead | Passed::Unknown => Told::Unknown,
        }
    }

    /// How it passed a hop's change `seq`, where the hop's last change is `last`.
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

    /// Notes that a hop was told before its turn.
    pub(super) fn tell_ahead(&mut self, hop: u32, there: bool) {
        self.ahead.insert(hop, there);
    }

    /// Passes an entry; `live`: the hop, if it is its last.
    pub(super) fn pass(&mut self, seq: u64, live: Option<u32>) {
        self.at = seq;
        if let Some(hop) = live
            && !self.ahead.is_empty()
        {
            self.ahead.remove(&hop);
        }
    }

    /// A hop has another number.
    pub(super) fn rename(&mut self, from: u32, to: u32) {
        if let Some(there) = self.ahead.remove(&from) {
            self.ahead.insert(to, there);
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

    /// Stands at the tail.
    pub(super) fn reach(&mut self, tail: u64) {
        debug_assert!(self.ahead.is_empty(), "what was told ahead has been passed");
        (self.at, self.from, self.base) = (tail, tail, tail);
        self.stretches.clear();
    }
}
