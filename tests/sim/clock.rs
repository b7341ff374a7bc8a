//! A host's clock: it runs as fast as the world's time, from wherever it was set to; it may jump, and stands still while
//! a machine is suspended that doesn't count such time.

use std::time::Duration;

use metalbond::Instant;

/// It goes back no further than this behind the latest time that it said: until it has caught up, the node's time
/// stands still.
const BACK: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// When, in the world's time, it was set to what.
    set_at: Duration,
    set_to: Duration,
    stands_still: bool,
    /// The latest that the node was told, which is what it goes by.
    latest: Duration,
}

impl Clock {
    pub(crate) fn new(now: Duration) -> Self {
        Self { set_at: now, set_to: now, stands_still: false, latest: now }
    }

    /// What it says.
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

    /// When, in the world's time, it will say this. What is not later than the latest is due.
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
        // One that is behind anyway is not put ahead.
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

    /// It is behind no more.
    pub(crate) fn catch_up(&mut self, now: Duration) {
        self.set(now, self.says(now).max(self.latest));
    }
}
