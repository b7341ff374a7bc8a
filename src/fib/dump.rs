//! When the kernel's routes and objects are read: at the start, and whenever they may be other than known.

use core::ops::RangeInclusive;
use core::time::Duration;

use crate::{Backoff, Instant};

/// The shortest time from the end of a dump to the next. After a dump that took longer, as long as that took: other
/// programs that change the kernel's routes must not make this one read all the time.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The time without another change after which a dump begins: a program that removes many objects is read after the last one.
const QUIET: Duration = Duration::from_millis(1);
/// The longest wait for that.
const WAIT_MAX: Duration = Duration::from_millis(20);

/// What may be other than known, as long as no dump has shown it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Doubt {
    /// The destinations that the [`Fib`](super::Fib) has noted, and those to which another protocol is believed to have a route.
    Destinations,
    /// All routes and objects.
    Everything,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Due { since: Instant, at: Instant, doubt: Doubt },
    Running { since: Instant },
    NotNeeded,
}

#[derive(Debug)]
pub(super) struct Dump {
    state: State,
    /// What may have changed that the present dump has passed: another one is needed after it.
    passed: Option<Doubt>,
    /// Of dumps that were cut off, in a row.
    backoff: Backoff,
    /// The earliest time of the next dump.
    earliest: Instant,
    count: u64,
}

impl Dump {
    /// Returns a schedule by which the first dump is due at once.
    pub(super) fn new() -> Self {
        let state = State::Due { since: Instant::EPOCH, at: Instant::EPOCH, doubt: Doubt::Everything };
        Self { state, passed: None, backoff: Backoff::default(), earliest: Instant::EPOCH, count: 0 }
    }

    /// Returns how many dumps have ended.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Returns whether a dump is due, planned or under way.
    pub(super) fn is_needed(&self) -> bool {
        self.state != State::NotNeeded
    }

    /// Returns whether no operation may begin before the next dump has ended.
    pub(super) const fn is_awaited(&self) -> bool {
        matches!(self.state, State::Due { doubt: Doubt::Everything, .. } | State::Running { .. })
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        matches!(self.state, State::Due { at, .. } if at <= now)
    }

    /// Returns when the next dump is due, if one is planned.
    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        if let State::Due { at, .. } = self.state { Some(at) } else { None }
    }

    /// Plans a dump, or puts off the one that is planned.
    pub(super) fn request(&mut self, now: Instant, doubt: Doubt) {
        match &mut self.state {
            State::Due { since, at, doubt: other } => {
                *at = (*at).max((now + QUIET).min(*since + WAIT_MAX));
                *other = doubt.max(*other);
            }
            State::Running { .. } => self.passed = self.passed.max(Some(doubt)),
            State::NotNeeded => self.state = State::Due { since: now, at: self.earliest.max(now + QUIET), doubt },
        }
    }

    pub(super) fn begin(&mut self, now: Instant) {
        (self.state, self.passed) = (State::Running { since: now }, None);
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
            if let Some(doubt) = self.passed {
                self.request(now, doubt);
            }
        } else {
            let max = *retry.end();
            self.earliest = now + self.backoff.fail(retry).max(pause).min(max);
            self.state = State::Due { since: now, at: self.earliest, doubt: Doubt::Everything };
        }
        true
    }
}
