//! A token bucket: how many bytes may be sent now, or how many connections may come, and when more may.
//!
//! Invariant: in any time `t`, at most `burst` plus `rate` times `t` tokens are taken.

use core::time::Duration;

use crate::{Instant, Pacing};

#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    pacing: Pacing,
    tokens: u64,
    filled: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(super) fn new(pacing: Pacing, now: Instant) -> Self {
        Self { pacing, tokens: pacing.burst.into(), filled: now }
    }

    /// Returns how many tokens there are now.
    pub(super) fn tokens(&mut self, now: Instant) -> usize {
        let passed = now.saturating_since(self.filled).as_micros().min(u128::from(u32::MAX)) as u64;
        let gained = passed * u64::from(self.pacing.rate) / 1_000_000;
        // Time that is worth less than a token is left to add up.
        if gained > 0 {
            self.tokens = (self.tokens + gained).min(self.pacing.burst.into());
            let whole = Duration::from_micros(gained * 1_000_000 / u64::from(self.pacing.rate));
            self.filled = if self.tokens == u64::from(self.pacing.burst) { now } else { self.filled + whole };
        }
        self.tokens as usize
    }

    /// Takes tokens; if there are fewer, all of them.
    pub(super) fn take(&mut self, n: usize) {
        self.tokens = self.tokens.saturating_sub(n as u64);
    }

    /// Returns when the bucket will be half full: a peer then gets small bursts, not single frames.
    pub(super) fn refilled(&self) -> Instant {
        let missing = (u64::from(self.pacing.burst / 2).max(Pacing::MIN.into())).saturating_sub(self.tokens);
        self.filled + Duration::from_micros(missing * 1_000_000 / u64::from(self.pacing.rate) + 1)
    }
}
