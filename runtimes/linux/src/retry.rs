//! An attempt that is repeated after a failure, with a growing delay.

use std::ops::RangeInclusive;
use std::time::Duration;

use metalbond::{Backoff, Instant};

/// The shortest and the longest delay.
const WAIT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(10);

/// The consecutive failures of an attempt, and the time of the next one.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Retry {
    failures: u32,
    backoff: Backoff,
    at: Instant,
}

impl Retry {
    /// Makes the attempt if it is due. Returns its result, or `None` if it is not due.
    pub(crate) fn attempt<T, E>(
        &mut self,
        now: Instant,
        attempt: impl FnOnce() -> Result<T, E>,
    ) -> Option<Result<T, E>> {
        if self.poll_timeout().is_some_and(|at| now < at) {
            return None;
        }
        let result = attempt();
        if result.is_ok() {
            self.failures = 0;
            self.backoff.reset();
        } else {
            self.failures = self.failures.saturating_add(1);
            self.at = now + self.backoff.fail(WAIT);
        }
        Some(result)
    }

    /// Returns the number of consecutive failures.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Returns the time of the next attempt; `None` if the last one did not fail.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        (self.failures > 0).then_some(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_that_always_fails_is_made_at_growing_intervals_until_it_succeeds() {
        let mut retry = Retry::default();
        let mut made = Vec::new();
        for millis in 0..40_000 {
            let now = Instant::EPOCH + Duration::from_millis(millis);
            if retry.attempt(now, || Err::<(), ()>(())).is_some() {
                made.push(millis);
            }
        }
        assert_eq!(made, [0, 100, 300, 700, 1_500, 3_100, 6_300, 12_700, 22_700, 32_700]);
        let later = Instant::EPOCH + Duration::from_secs(100);
        assert_eq!(retry.attempt(later, || Ok::<(), ()>(())), Some(Ok(())));
        assert_eq!(retry.poll_timeout(), None);
        assert_eq!(retry.attempt(later, || Ok::<(), ()>(())), Some(Ok(())), "nothing is waited for");
    }
}
