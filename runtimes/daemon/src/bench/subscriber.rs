//! A subscriber's end of the stream: what it has seen, and how long it took.

use std::time::Instant;

use futures_util::FutureExt as _;
use hdrhistogram::Histogram;
use metalbond::RouteChange;
use metalbond_tokio::Changes;
use tokio::sync::watch;

use super::plan::{Digest, Plan};

/// Changes that are taken before it is said what has been seen, if as many are there.
const BATCH: usize = 1024;

/// What a subscriber has seen so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Of the routes that it holds.
    pub(super) digest: Digest,
    /// Destinations that it holds.
    pub(super) routes: u64,
    /// Changes, in all.
    pub(super) changes: u64,
    /// When it saw the last.
    pub(super) at: Instant,
}

/// Follows changes until their end.
pub(super) struct Subscriber {
    plan: Plan,
    /// Since when next hops count nanoseconds.
    start: Instant,
    seen: Seen,
    delays: Histogram<u64>,
}

impl Subscriber {
    pub(super) fn new(plan: Plan, start: Instant) -> (Self, watch::Sender<Seen>, watch::Receiver<Seen>) {
        let seen = Seen { digest: Digest::default(), routes: 0, changes: 0, at: start };
        let (sender, receiver) = watch::channel(seen);
        (Self { plan, start, seen, delays: delays() }, sender, receiver)
    }

    /// Returns how long it took for routes that moved to come, in nanoseconds.
    pub(super) async fn follow(mut self, mut changes: Changes, told: watch::Sender<Seen>) -> Histogram<u64> {
        while let Some(change) = changes.next().await {
            self.take(&change);
            for _ in 1..BATCH {
                let Some(Some(change)) = changes.next().now_or_never() else { break };
                self.take(&change);
            }
            self.seen.at = Instant::now();
            told.send_replace(self.seen);
        }
        self.delays
    }

    fn take(&mut self, change: &RouteChange) {
        let Some(news) = self.plan.news(change) else { return };
        self.seen.changes += 1;
        self.seen.routes += u64::from(news.is_there);
        self.seen.routes -= u64::from(news.was_there);
        for next_hop in change.removed().iter().filter_map(|hop| self.plan.number(hop.addr)) {
            self.seen.digest.remove(news.number, next_hop);
        }
        for next_hop in change.added().iter().filter_map(|hop| self.plan.number(hop.addr)) {
            self.seen.digest.add(news.number, next_hop);
            if next_hop > 0 {
                // A next hop of a route that moved is the time at which it did.
                let delay = (self.start.elapsed().as_nanos() as u64).saturating_sub(next_hop);
                self.delays.saturating_record(delay);
            }
        }
    }
}

/// Of nanoseconds, exact to a thousandth, up to an hour.
pub(super) fn delays() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 3_600_000_000_000, 3)
        .expect("the bounds are in order, and three digits are allowed")
}
