//! Back-off: the growing delay between tries. Pure: it counts failures, and reads no clock.

use core::ops::RangeInclusive;
use core::time::Duration;

/// The number of failures in a row. It determines the delay before the next try.
///
/// The shortest and the longest delay are arguments, so that the type takes one byte: a table may have one for each of a million routes.
///
/// ```
/// use core::time::Duration;
/// use metalbond::Backoff;
///
/// let range = Duration::from_secs(1)..=Duration::from_secs(5);
/// let mut backoff = Backoff::default();
/// let delays = [0; 4].map(|_| backoff.fail(range.clone()).as_secs());
/// assert_eq!(delays, [1, 2, 4, 5]);
/// backoff.reset();
/// assert_eq!(backoff.fail(range), Duration::from_secs(1));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Backoff {
    /// At most 32: 2^31 times the shortest delay is the most that is computed.
    failures: u8,
}

impl Backoff {
    /// Counts a failure. Returns the delay before the next try: the start of the range after the first failure, and twice as
    /// long after each further one, up to the end of the range.
    pub fn fail(&mut self, range: RangeInclusive<Duration>) -> Duration {
        self.failures = (self.failures + 1).min(32);
        self.delay(range)
    }

    /// Counts a failure like [`fail`](Self::fail). Returns the delay less up to half of it, as the random number `random` decides, so
    /// that peers that failed together do not try again together. [`delay`](Self::delay) returns the whole delay.
    pub fn fail_with_jitter(&mut self, range: RangeInclusive<Duration>, random: u64) -> Duration {
        let delay = self.fail(range);
        match delay.as_nanos() as u64 / 2 {
            0 => delay,
            half => delay - Duration::from_nanos(random % half),
        }
    }

    /// Returns the delay that [`fail`](Self::fail) returned last, if the range is the same. Zero if nothing has failed since the last success.
    pub fn delay(&self, range: RangeInclusive<Duration>) -> Duration {
        let Some(doublings) = self.failures.checked_sub(1) else { return Duration::ZERO };
        let (min, max) = range.into_inner();
        min.saturating_mul(1 << doublings).min(max)
    }

    /// Sets the number of failures to 0, after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Returns whether something has failed since the last success.
    pub const fn has_failed(&self) -> bool {
        self.failures > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RANGE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(10);

    #[test]
    fn the_delay_doubles_up_to_the_longest_and_starts_anew_after_a_success() {
        let mut backoff = Backoff::default();
        assert!(!backoff.has_failed() && backoff.delay(RANGE).is_zero());
        for millis in [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000] {
            assert_eq!(backoff.fail(RANGE), Duration::from_millis(millis));
            assert_eq!(backoff.delay(RANGE), Duration::from_millis(millis));
        }
        backoff.reset();
        assert_eq!(backoff.fail(RANGE), Duration::from_millis(100));
    }

    #[test]
    fn the_delay_stays_within_any_range_after_any_number_of_failures() {
        let ranges =
            [Duration::from_nanos(1)..=Duration::MAX, Duration::MAX..=Duration::MAX, Duration::ZERO..=Duration::ZERO];
        for range in ranges {
            let mut backoff = Backoff::default();
            let delays: alloc::vec::Vec<_> = (0..300).map(|_| backoff.fail(range.clone())).collect();
            assert!(delays.is_sorted() && delays.iter().all(|delay| range.contains(delay)));
        }
    }

    #[test]
    fn a_range_that_is_empty_gives_its_end() {
        assert_eq!(Backoff::default().fail(Duration::from_secs(1)..=Duration::ZERO), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn jitter_takes_at_most_half_of_the_delay(random: u64, failures in 1..12u8, min in 1..1_000_000u64) {
            let range = Duration::from_nanos(min)..=Duration::from_millis(3);
            let (mut backoff, mut jittered) = (Backoff::default(), Backoff::default());
            for _ in 0..failures {
                let (delay, less) = (backoff.fail(range.clone()), jittered.fail_with_jitter(range.clone(), random));
                prop_assert!(less <= delay && less * 2 >= delay);
            }
        }
    }
}
