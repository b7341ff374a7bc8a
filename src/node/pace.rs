//! A token bucket: how many bytes may go now (or connections come), and when more may.

use core::time::Duration;

use crate::{Instant, Pacing};

#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    pacing: Pacing,
    tokens: u64,
    filled: Instant,
}

impl Bucket {
    pub(super) fn new(pacing: Pacing, now: Instant) -> Self {
        Self { pacing, tokens: pacing.burst.into(), filled: now }
    }

    /// How many may go now.
    pub(super) fn tokens(&mut self, now: Instant) -> usize {
        let passed = now.saturating_since(self.filled).as_micros().min(u128::from(u32::MAX)) as u64;
        let gained = passed * u64::from(self.pacing.rate) / 1_000_000;
        // Less than a token: let the time add up.
        if gained > 0 {
            self.tokens = (self.tokens + gained).min(self.pacing.burst.into());
            let whole = Duration::from_micros(gained * 1_000_000 / u64::from(self.pacing.rate));
            self.filled = if self.tokens == u64::from(self.pacing.burst) { now } else { self.filled + whole };
        }
        self.tokens as usize
    }

    pub(super) fn take(&mut self, n: usize) {
        self.tokens = self.tokens.saturating_sub(n as u64);
    }

    /// When it will be half full: small bursts, but not single frames.
    pub(super) fn refilled(&self) -> Instant {
        let missing = (u64::from(self.pacing.burst / 2).max(Pacing::MIN.into())).saturating_sub(self.tokens);
        self.filled + Duration::from_micros(missing * 1_000_000 / u64::from(self.pacing.rate) + 1)
    }
}
