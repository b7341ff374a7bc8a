//! How long changes take: from a change of a table until each subscriber of it has caught up.
//!
//! Invariant: a stamp is never later than the change that it stands for. While some subscribers of earlier changes are not woken, later
//! changes get the earlier stamp.

use core::time::Duration;

use crate::{Histogram, Instant};

#[derive(Debug, Default)]
pub(super) struct Convergence {
    /// The time of the first change whose subscribers are not all woken.
    dirty_since: Option<Instant>,
    times: Histogram,
}

impl Convergence {
    /// Notes that a table has changed.
    pub(super) fn changed(&mut self, now: Instant) {
        self.dirty_since.get_or_insert(now);
    }

    /// Returns the stamp for subscribers that are woken now.
    pub(super) fn stamp(&self, now: Instant) -> u64 {
        nanos(self.dirty_since.unwrap_or(now))
    }

    /// Notes that all subscribers of all changes are woken.
    pub(super) fn all_woken(&mut self) {
        self.dirty_since = None;
    }

    /// Counts a subscriber that has caught up after the change of this stamp.
    pub(super) fn caught_up(&mut self, now: Instant, stamp: u64) {
        self.times.observe(Duration::from_nanos(nanos(now).saturating_sub(stamp)));
    }

    pub(super) fn times(&self) -> &Histogram {
        &self.times
    }
}

/// Returns a time as the table carries it: nanoseconds since the driver's epoch, which last for 584 years.
fn nanos(at: Instant) -> u64 {
    u64::try_from(at.since_epoch().as_nanos()).unwrap_or(u64::MAX)
}
