//! How long somebody is kept away who went over a limit: longer each time.

use core::time::Duration;

use crate::{Backoff, Instant};

/// For the first offence.
const FIRST: Duration = Duration::from_secs(1);
/// Without another one for this long, they are forgotten.
const FORGOTTEN: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Offences {
    backoff: Backoff,
    last: Instant,
    until: Instant,
}

impl Offences {
    /// One more. How long its author is kept away now, `most` at most.
    pub(super) fn again(&mut self, now: Instant, most: Duration) -> Duration {
        if self.are_forgotten(now) {
            self.backoff.reset();
        }
        let wait = self.backoff.fail(FIRST..=most);
        (self.last, self.until) = (now, now + wait);
        wait
    }

    /// For how much longer.
    pub(super) fn left(&self, now: Instant) -> Duration {
        self.until.saturating_since(now)
    }

    pub(super) fn are_forgotten(&self, now: Instant) -> bool {
        !self.backoff.has_failed() || (self.left(now).is_zero() && now.saturating_since(self.last) >= FORGOTTEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_the_most_and_starts_anew_after_ten_minutes_without() {
        let (mut offences, most) = (Offences::default(), Duration::from_secs(5));
        let mut now = Instant::from_epoch(Duration::from_secs(3));
        for secs in [1, 2, 4, 5, 5] {
            assert_eq!(offences.again(now, most), Duration::from_secs(secs));
            assert_eq!(offences.left(now + Duration::from_millis(400)), Duration::from_millis(secs * 1000 - 400));
            now = now + Duration::from_secs(60);
            assert!(offences.left(now).is_zero() && !offences.are_forgotten(now));
        }
        now = now + FORGOTTEN;
        assert!(offences.are_forgotten(now));
        assert_eq!(offences.again(now, most), Duration::from_secs(1));
        assert_eq!(offences.again(now, Duration::ZERO), Duration::ZERO);
    }
}
