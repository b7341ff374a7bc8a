//! The back-off of a configured server: how long to wait before the next dial.
//!
//! Invariant: the first dial after a session that lasted is made at once. From then on the wait doubles up to the configured most, and chance
//! shortens it by less than half.

use core::time::Duration;

use crate::{Backoff, Config, Instant};

#[derive(Clone, Copy, Default, Debug)]
pub(super) struct BackOff {
    /// Dials since the last session that lasted.
    failures: Backoff,
    established_at: Option<Instant>,
}

impl BackOff {
    /// Notes that a session is established.
    pub(super) fn established(&mut self, now: Instant) {
        self.established_at = Some(now);
    }

    /// Notes that a dial has failed, or a session has ended. Returns how long to wait before the next dial. `random`: a random number.
    pub(super) fn next(&mut self, now: Instant, config: &Config, random: u64) -> Duration {
        if self.established_at.take().is_some_and(|at| now.saturating_since(at) >= config.backoff_reset) {
            self.failures.reset();
            return Duration::ZERO;
        }
        self.failures.fail_with_jitter(config.backoff_min..=config.backoff_max, random)
    }
}
