//! How long a peer is refused after it went over a limit: longer each time.
//!
//! Invariant: the time doubles with each offence up to the most that is configured, and starts anew after ten minutes without one.

use core::time::Duration;

use crate::{Backoff, Instant};

/// The first ban.
const FIRST: Duration = Duration::from_secs(1);
/// After this time without an offence, a peer counts as one without any.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// The ban of one peer. By default there is none.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Ban {
    offences: Backoff,
    last: Instant,
    until: Instant,
}

impl Ban {
    /// Begins a ban after one more offence. Returns its time, at most `max`.
    pub(super) fn begin(&mut self, now: Instant, max: Duration) -> Duration {
        if self.is_forgotten(now) {
            self.offences.reset();
        }
        let wait = self.offences.fail(FIRST..=max);
        (self.last, self.until) = (now, now + wait);
        wait
    }

    /// Returns how much longer the ban lasts; zero if it is over.
    pub(super) fn left(&self, now: Instant) -> Duration {
        self.until.saturating_since(now)
    }

    /// Returns when nothing of it is to be remembered any more. `None`: there was no offence.
    pub(super) fn forgotten_at(&self) -> Option<Instant> {
        self.offences.has_failed().then(|| self.until.max(self.last + FORGOTTEN))
    }

    pub(super) fn is_forgotten(&self, now: Instant) -> bool {
        self.forgotten_at().is_none_or(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ban_doubles_up_to_the_most_and_starts_anew_after_ten_minutes_without() {
        let (mut ban, most) = (Ban::default(), Duration::from_secs(5));
        let mut now = Instant::from_epoch(Duration::from_secs(3));
        for secs in [1, 2, 4, 5, 5] {
            assert_eq!(ban.begin(now, most), Duration::from_secs(secs));
            assert_eq!(ban.left(now + Duration::from_millis(400)), Duration::from_millis(secs * 1000 - 400));
            now = now + Duration::from_secs(60);
            assert!(ban.left(now).is_zero() && !ban.is_forgotten(now));
        }
        now = now + FORGOTTEN;
        assert!(ban.is_forgotten(now));
        assert_eq!(ban.begin(now, most), Duration::from_secs(1));
        assert_eq!(ban.begin(now, Duration::ZERO), Duration::ZERO);
    }
}
