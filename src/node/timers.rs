//! When to wake up: at most one deadline for each connection, configured server and departed client, the earliest first.
//!
//! Invariant: a deadline that is held in a [`Timer`] is in the set exactly once, with the time that the timer names.

use alloc::collections::BTreeSet;

use crate::rib::OriginId;
use crate::{ConnId, Instant, PeerId};

/// What a deadline is for. At the same time, deadlines fire in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum TimerKey {
    /// A connection's handshake timeout, hold time, send hold time, KEEPALIVE or pacing.
    Conn(ConnId),
    /// A configured server's next dial, or the end of its stale time.
    Peer(PeerId),
    /// The end of a departed client's restart time.
    RestartTime(OriginId),
    /// The end of the shutdown timeout.
    Shutdown,
}

/// All deadlines.
#[derive(Debug, Default)]
pub(super) struct Timers {
    set: BTreeSet<(Instant, TimerKey)>,
}

/// A deadline, held by what it is for.
#[derive(Debug, Default)]
pub(super) struct Timer(Option<Instant>);

impl Timers {
    /// Returns the earliest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.set.first().map(|(at, _)| *at)
    }

    /// Removes and returns the earliest deadline, if it is due.
    pub(super) fn pop(&mut self, now: Instant) -> Option<TimerKey> {
        let due = self.set.first().is_some_and(|(at, _)| *at <= now);
        if due { self.set.pop_first().map(|(_, key)| key) } else { None }
    }

    /// Replaces a deadline. `None`: there is none from now on.
    pub(super) fn set(&mut self, timer: &mut Timer, key: TimerKey, at: Option<Instant>) {
        if timer.0 == at {
            return;
        }
        if let Some(old) = timer.0 {
            self.set.remove(&(old, key));
        }
        if let Some(at) = at {
            self.set.insert((at, key));
        }
        timer.0 = at;
    }

    /// Like `set`, but keeps an earlier deadline: when that one fires, its owner sees that nothing is due, and sets the next. So
    /// deadlines that only ever move later cost nothing.
    pub(super) fn set_by(&mut self, timer: &mut Timer, key: TimerKey, at: Instant) {
        if timer.0.is_none_or(|old| at < old) {
            self.set(timer, key, Some(at));
        }
    }

    /// Adds a deadline without a [`Timer`]. To cancel it, the caller has to remember its time.
    pub(super) fn once(&mut self, key: TimerKey, at: Instant) {
        self.set.insert((at, key));
    }

    /// Removes a deadline that was added by `once`.
    pub(super) fn cancel(&mut self, key: TimerKey, at: Instant) {
        self.set.remove(&(at, key));
    }

    /// Removes all deadlines.
    pub(super) fn clear(&mut self) {
        self.set.clear();
    }
}

impl Timer {
    /// Notes that the deadline was popped.
    pub(super) fn fired(&mut self) {
        self.0 = None;
    }
}
