//! An attempt that is made again after a failure: later each time.

use std::ops::RangeInclusive;
use std::time::Duration;

use metalbond::{Backoff, Instant};

/// The shortest and the longest wait.
const WAIT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(10);

/// How often an attempt has failed in a row, and when the next one is due.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Retry {
    failures: u32,
    backoff: Backoff,
    at: Instant,
}

impl Retry {
    /// Makes the attempt if it is due. Returns its result; `None` if it is not due.
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

    /// How often it has failed in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// When the next attempt is due; `None` if the last one did not fail.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        (self.failures > 0).then_some(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_that_always_fails_is_made_ever_more_rarely_until_it_succeeds() {
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
