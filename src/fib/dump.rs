//! When the kernel's routes and objects are read: at the start, and whenever they may be other than known.

use core::ops::RangeInclusive;
use core::time::Duration;

use crate::{Backoff, Instant};

/// The shortest time from the end of a dump to the next. After a dump that took longer, as long as that took: other
/// programs that change the kernel's routes must not make this one read all the time.
const PAUSE_MIN: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Due(Instant),
    Running { since: Instant },
    NotNeeded,
}

#[derive(Debug)]
pub(super) struct Dump {
    state: State,
    /// Something may have changed that the present dump has passed: another one is needed after it.
    is_outdated: bool,
    /// Of dumps that were cut off, in a row.
    backoff: Backoff,
    /// The earliest time of the next dump.
    earliest: Instant,
    count: u64,
}

impl Dump {
    /// Returns a schedule by which the first dump is due at once.
    pub(super) fn new() -> Self {
        let state = State::Due(Instant::EPOCH);
        Self { state, is_outdated: false, backoff: Backoff::default(), earliest: Instant::EPOCH, count: 0 }
    }

    /// Returns how many dumps have ended.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Returns whether a dump is due, planned or under way.
    pub(super) fn is_needed(&self) -> bool {
        self.state != State::NotNeeded
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        matches!(self.state, State::Due(at) if at <= now)
    }

    /// Returns when the next dump is due, if one is planned.
    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        if let State::Due(at) = self.state { Some(at) } else { None }
    }

    /// Plans a dump, if none is planned.
    pub(super) fn request(&mut self, now: Instant) {
        match self.state {
            State::Due(_) => {}
            State::Running { .. } => self.is_outdated = true,
            State::NotNeeded => self.state = State::Due(now.max(self.earliest)),
        }
    }

    pub(super) fn begin(&mut self, now: Instant) {
        (self.state, self.is_outdated) = (State::Running { since: now }, false);
    }

    /// Ends the present dump. One that is not complete is repeated, later each time. Returns false if no dump was under way.
    pub(super) fn end(&mut self, now: Instant, is_complete: bool, retry: RangeInclusive<Duration>) -> bool {
        let State::Running { since } = self.state else { return false };
        let pause = now.saturating_since(since).max(PAUSE_MIN);
        self.count += 1;
        if is_complete {
            self.backoff.reset();
            self.earliest = now + pause;
            self.state = State::NotNeeded;
            if self.is_outdated {
                self.request(now);
            }
        } else {
            let max = *retry.end();
            self.earliest = now + self.backoff.fail(retry).max(pause).min(max);
            self.state = State::Due(self.earliest);
        }
        true
    }
}
