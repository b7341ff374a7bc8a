//! When to wake: one deadline for each connection, peer and departed origin, the earliest first.

use alloc::collections::BTreeSet;

use crate::rib::OriginId;
use crate::{ConnId, Instant, PeerId};

/// Whose deadline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum TimerKey {
    /// A connection's handshake, silence, KEEPALIVE or pacing.
    Conn(ConnId),
    /// A configured peer's next dial, or its routes' hold time.
    Peer(PeerId),
    /// The end of a departed client's grace.
    Grace(OriginId),
    /// The end of the shutdown.
    Shutdown,
}

#[derive(Debug, Default)]
pub(super) struct Timers {
    set: BTreeSet<(Instant, TimerKey)>,
}

/// A deadline, in the hands of whom it is for.
#[derive(Debug, Default)]
pub(super) struct Timer(Option<Instant>);

impl Timers {
    pub(super) fn next(&self) -> Option<Instant> {
        self.set.first().map(|(at, _)| *at)
    }

    /// The next deadline that is due.
    pub(super) fn pop(&mut self, now: Instant) -> Option<TimerKey> {
        let due = self.set.first().is_some_and(|(at, _)| *at <= now);
        if due { self.set.pop_first().map(|(_, key)| key) } else { None }
    }

    /// Sets a deadline anew.
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

    /// Like `set`, but lets an earlier deadline stand: when it fires, its owner sees that nothing is due, and sets the
    /// next. Deadlines that only ever move away thus cost nothing.
    pub(super) fn set_by(&mut self, timer: &mut Timer, key: TimerKey, at: Instant) {
        if timer.0.is_none_or(|old| at < old) {
            self.set(timer, key, Some(at));
        }
    }

    /// The deadline has been popped.
    pub(super) fn fired(timer: &mut Timer) {
        timer.0 = None;
    }

    /// A deadline without a [`Timer`]: whoever may want to cancel it remembers the time.
    pub(super) fn once(&mut self, key: TimerKey, at: Instant) {
        self.set.insert((at, key));
    }

    /// Takes back what was set by `once`.
    pub(super) fn cancel(&mut self, key: TimerKey, at: Instant) {
        self.set.remove(&(at, key));
    }
}
