//! What this node says of itself in its HELLO: whether it listens, and whether it is converging.
//!
//! Invariant: a node that does not listen is never converging.

use core::time::Duration;

use crate::Instant;

#[derive(Debug, Default)]
pub(super) struct Listening {
    is_on: bool,
    /// When the node began to listen, or when it last lost a client that may be cut off from it.
    since: Option<Instant>,
}

impl Listening {
    /// Notes whether the node listens. The first time that it does, it begins to converge.
    pub(super) fn set(&mut self, is_on: bool, now: Instant) {
        self.is_on = is_on;
        if is_on {
            self.since.get_or_insert(now);
        }
    }

    /// Begins the convergence time anew, if the node has ever listened: a client was lost that may be cut off, and others with it.
    pub(super) fn client_cut_off(&mut self, now: Instant) {
        self.since = self.since.map(|_| now);
    }

    pub(super) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Returns whether the table may still be incomplete. `time`: how long a node converges.
    pub(super) fn is_converging(&self, now: Instant, time: Duration) -> bool {
        self.is_on && self.since.is_some_and(|since| now.saturating_since(since) < time)
    }
}
