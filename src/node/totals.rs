//! What was received and sent on connections that have ended, by peer, so that a peer's counters do not fall while it is known. A peer
//! without a connection is remembered for ten minutes, or until too many others have left after it.
//!
//! Invariant: a peer is in `absent` exactly if its total says when it left. One call forgets a bounded number of peers.

use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

use super::Counters;
use crate::Instant;

/// How long a peer is remembered after it has left: longer than the interval of any monitoring.
const REMEMBERED: Duration = Duration::from_secs(600);
/// The most peers that one call forgets. More than one is enough, because a call adds one at most.
const FORGET_MAX: usize = 8;

/// Totals by peer. A peer is present from [`enter`](Self::enter) to the last [`leave`](Self::leave).
#[derive(Debug)]
pub(super) struct Totals<K> {
    by_peer: BTreeMap<K, Total>,
    /// Peers that have left, the first first.
    absent: BTreeSet<(Instant, K)>,
    absent_max: usize,
}

/// The total of one peer.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Total {
    counters: Counters,
    /// Of a configured server: how often it was dialled, and how often a session opened.
    dials: u64,
    sessions: u64,
    left: Option<Instant>,
}

impl Total {
    pub(super) fn new(counters: Counters, dials: u64, sessions: u64) -> Self {
        Self { counters, dials, sessions, left: None }
    }

    pub(super) fn counters(&self) -> Counters {
        self.counters
    }

    pub(super) fn dials(&self) -> u64 {
        self.dials
    }

    pub(super) fn sessions(&self) -> u64 {
        self.sessions
    }
}

impl<K: Ord + Clone> Totals<K> {
    /// Remembers at most `absent_max` peers that have left.
    pub(super) fn new(absent_max: usize) -> Self {
        Self { by_peer: BTreeMap::new(), absent: BTreeSet::new(), absent_max }
    }

    /// Notes that a peer is there again. Returns its total until now.
    pub(super) fn enter(&mut self, peer: &K) -> Total {
        let Some(total) = self.by_peer.get_mut(peer) else { return Total::default() };
        if let Some(left) = total.left.take() {
            self.absent.remove(&(left, peer.clone()));
        }
        *total
    }

    /// Adds the counters of a connection that has ended. `is_last`: the peer has no other one.
    pub(super) fn leave(&mut self, peer: K, counters: &Counters, is_last: bool, now: Instant) {
        self.by_peer.entry(peer.clone()).or_default().counters.add(counters);
        if is_last {
            self.depart(peer, now);
        }
    }

    /// Remembers a peer's total, which it returns when the peer enters again.
    pub(super) fn keep(&mut self, peer: K, total: Total, now: Instant) {
        self.enter(&peer);
        self.by_peer.insert(peer.clone(), total);
        self.depart(peer, now);
    }

    /// Notes that a peer has left, and forgets others that have left long ago.
    fn depart(&mut self, peer: K, now: Instant) {
        if let Some(total) = self.by_peer.get_mut(&peer) {
            total.left = Some(now);
            self.absent.insert((now, peer));
        }
        for _ in 0..FORGET_MAX {
            let Some((left, first)) = self.absent.first() else { return };
            if self.absent.len() <= self.absent_max && now.saturating_since(*left) < REMEMBERED {
                return;
            }
            self.by_peer.remove(first);
            self.absent.pop_first();
        }
    }

    /// Returns the counters of a peer's connections that have ended.
    pub(super) fn get(&self, peer: &K) -> Counters {
        self.by_peer.get(peer).map(|total| total.counters).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn bytes(bytes_in: u64) -> Counters {
        Counters { bytes_in, ..Counters::default() }
    }

    fn at(secs: u64) -> Instant {
        Instant::EPOCH + Duration::from_secs(secs)
    }

    #[test]
    fn a_peers_total_goes_on_while_it_is_there_and_for_ten_minutes() {
        let mut totals = Totals::new(8);
        totals.enter(&"one");
        totals.leave("one", &bytes(3), false, at(0));
        totals.leave("other", &bytes(9), true, at(1));
        assert_eq!(totals.get(&"one"), bytes(3), "it has another connection");
        totals.leave("one", &bytes(4), true, at(5000));
        assert_eq!(totals.get(&"other"), bytes(0), "forgotten");
        assert_eq!(totals.enter(&"one").counters, bytes(7));
        totals.leave("another", &bytes(1), true, at(9000));
        assert_eq!(totals.get(&"one"), bytes(7), "it is there");
        totals.leave("one", &bytes(1), true, at(9000));
        totals.leave("another", &bytes(1), true, at(9599));
        assert_eq!(totals.get(&"one"), bytes(8));
        totals.leave("last", &bytes(1), true, at(9600));
        assert_eq!(totals.get(&"one"), bytes(0));
    }

    #[test]
    fn of_many_that_have_left_the_last_are_remembered() {
        let mut totals = Totals::new(2);
        totals.enter(&9);
        totals.leave(9, &bytes(1), false, at(0));
        for peer in 0..5 {
            totals.leave(peer, &bytes(1), true, at(peer));
        }
        assert_eq!(totals.by_peer.keys().copied().collect::<Vec<_>>(), [3, 4, 9]);
        assert_eq!(totals.absent.len(), 2);
    }
}
