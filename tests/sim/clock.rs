//! A host's clock. It runs as fast as the world's time, from any time that it was set to. It may jump, and it stands
//! still while the machine is suspended.

use std::time::Duration;

use metalbond::Instant;

/// The clock jumps back at most this far before the latest time that it returned. Until it has caught up, the node's
/// time stands still.
const BACK: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// The world's time when the clock was set, and the time that it was set to.
    set_at: Duration,
    set_to: Duration,
    stands_still: bool,
    /// The latest time that was passed to the node, which the node uses.
    latest: Duration,
}

impl Clock {
    pub(crate) fn new(now: Duration) -> Self {
        Self { set_at: now, set_to: now, stands_still: false, latest: now }
    }

    /// Returns the clock's time.
    pub(crate) fn read(&mut self, now: Duration) -> Instant {
        let says = self.says(now);
        self.latest = self.latest.max(says);
        Instant::from_epoch(says)
    }

    fn says(&self, now: Duration) -> Duration {
        if self.stands_still { self.set_to } else { self.set_to + now.saturating_sub(self.set_at) }
    }

    pub(crate) fn latest(&self) -> Instant {
        Instant::from_epoch(self.latest)
    }

    /// Returns when, in the world's time, the clock will return this time. A deadline that is not after the latest time
    /// is due.
    pub(crate) fn when(&self, deadline: Instant) -> Duration {
        let deadline = deadline.since_epoch();
        if deadline <= self.latest {
            return Duration::ZERO;
        }
        self.set_at + deadline.saturating_sub(self.set_to)
    }

    fn set(&mut self, now: Duration, to: Duration) {
        (self.set_at, self.set_to) = (now, to);
    }

    pub(crate) fn jump_ahead(&mut self, now: Duration, by: Duration) {
        self.set(now, self.says(now) + by);
    }

    pub(crate) fn jump_back(&mut self, now: Duration, by: Duration) {
        let says = self.says(now);
        // A clock that is behind already is not put ahead.
        self.set(now, says.saturating_sub(by).max(self.latest.saturating_sub(BACK)).min(says));
    }

    pub(crate) fn stop(&mut self, now: Duration) {
        self.set(now, self.says(now));
        self.stands_still = true;
    }

    pub(crate) fn go_on(&mut self, now: Duration) {
        self.set(now, self.says(now));
        self.stands_still = false;
    }

    /// Sets a clock that is behind to the latest time.
    pub(crate) fn catch_up(&mut self, now: Duration) {
        self.set(now, self.says(now).max(self.latest));
    }
}
