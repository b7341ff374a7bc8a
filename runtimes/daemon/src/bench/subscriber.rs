//! The receiving end of a subscriber: what it has seen, and how long routes took.

use std::time::Instant;

use futures_util::FutureExt as _;
use hdrhistogram::Histogram;
use metalbond::RouteChange;
use metalbond_tokio::Changes;
use tokio::sync::watch;

use super::plan::{Digest, Plan};

/// Maximum number of changes that are processed between two progress updates.
const BATCH: usize = 1024;

/// What a subscriber has seen so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Digest of the subscriber's routes.
    pub(super) digest: Digest,
    /// Number of destinations.
    pub(super) routes: u64,
    /// Number of changes in total.
    pub(super) changes: u64,
    /// The time of the last change.
    pub(super) at: Instant,
}

/// Follows a stream of changes to its end.
pub(super) struct Subscriber {
    plan: Plan,
    /// The time from which next hops count nanoseconds.
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

    /// Follows the changes. Returns the delays of moved routes, in nanoseconds.
    pub(super) async fn follow(mut self, mut changes: Changes, delivered: watch::Sender<Seen>) -> Histogram<u64> {
        while let Some(change) = changes.next().await {
            self.take(&change);
            for _ in 1..BATCH {
                let Some(Some(change)) = changes.next().now_or_never() else { break };
                self.take(&change);
            }
            self.seen.at = Instant::now();
            delivered.send_replace(self.seen);
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
                // The next hop of a moved route encodes the time of the move.
                let delay = (self.start.elapsed().as_nanos() as u64).saturating_sub(next_hop);
                self.delays.saturating_record(delay);
            }
        }
    }
}

/// Returns an empty histogram of nanoseconds, with a resolution of one thousandth and a range of one hour.
pub(super) fn delays() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 3_600_000_000_000, 3)
        .expect("the bounds are in order, and three digits are allowed")
}
