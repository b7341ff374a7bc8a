//! The back-off of a configured server: how long to wait before the next dial.
//!
//! Invariant: the first dial after a session that lasted is made at once. From then on the wait doubles up to the configured most, and chance
//! shortens it by less than half.

use core::time::Duration;

use crate::{Config, Instant};

#[derive(Clone, Copy, Default, Debug)]
pub(super) struct BackOff {
    /// Dials since the last session that lasted.
    failures: u32,
    established_at: Option<Instant>,
}

impl BackOff {
    /// Notes that a session is established.
    pub(super) fn established(&mut self, now: Instant) {
        self.established_at = Some(now);
    }

    /// Notes that a dial has failed, or a session has ended. Returns how long to wait before the next dial. `chance`: a random number.
    pub(super) fn next(&mut self, now: Instant, config: &Config, chance: u64) -> Duration {
        if self.established_at.take().is_some_and(|at| now.saturating_since(at) >= config.backoff_reset) {
            self.failures = 0;
            return Duration::ZERO;
        }
        let factor = 1u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = (self.failures + 1).min(31);
        let wait = config.backoff_min.saturating_mul(factor).min(config.backoff_max);
        let spared = wait.as_nanos() as u64 / 2;
        wait - Duration::from_nanos(if spared == 0 { 0 } else { chance % spared })
    }
}

/// Random numbers that the seed determines (splitmix64).
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
