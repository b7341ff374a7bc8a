//! A limit on how often something is logged or notified. Pure: the time is an argument.

use core::time::Duration;

use crate::Instant;

/// A limit on repeated events: lets the first few events of each window of time through, and counts the others. A log shows what happens, and
/// a peer cannot fill it at will.
///
/// ```
/// use core::time::Duration;
/// use metalbond::{Instant, RateLimit};
///
/// let mut limit = RateLimit::new(1, Duration::from_secs(10));
/// let at = |secs| Instant::EPOCH + Duration::from_secs(secs);
/// assert!(limit.admit(at(0)) && !limit.admit(at(1)) && !limit.admit(at(9)));
/// assert_eq!((limit.poll_timeout(), limit.take_suppressed()), (Some(at(10)), 2));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateLimit {
    max: u32,
    window: Duration,
    /// When the latest window began.
    since: Option<Instant>,
    /// Events of this window that were let through: at most `max`.
    admitted: u32,
    /// Events that were not let through since `take_suppressed` was called last.
    suppressed: u64,
}

impl RateLimit {
    /// Returns a limit that lets `max` events through in each window. A window begins with its first event.
    pub const fn new(max: u32, window: Duration) -> Self {
        Self { max, window, since: None, admitted: 0, suppressed: 0 }
    }

    /// Counts one event. Returns whether it is let through.
    pub fn admit(&mut self, now: Instant) -> bool {
        self.admit_all(now, 1)
    }

    /// Counts `count` events that are reported together, as one event of the `max`. Returns whether the report is let through.
    pub fn admit_all(&mut self, now: Instant, count: u64) -> bool {
        if self.since.is_none_or(|since| now.saturating_since(since) >= self.window) {
            (self.since, self.admitted) = (Some(now), 0);
        }
        let is_admitted = self.admitted < self.max;
        if is_admitted {
            self.admitted += 1;
        } else {
            self.suppressed = self.suppressed.saturating_add(count);
        }
        is_admitted
    }

    /// Returns how many events were not let through since the last call.
    pub const fn take_suppressed(&mut self) -> u64 {
        core::mem::replace(&mut self.suppressed, 0)
    }

    /// Returns the end of the window: the time to log how many events were not let through. `None` if
    /// [`take_suppressed`](Self::take_suppressed) would return 0.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.since.filter(|_| self.suppressed > 0).map(|since| since + self.window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::EPOCH + Duration::from_millis(millis)
    }

    #[test]
    fn of_events_at_every_moment_a_few_are_let_through_in_each_window_and_the_others_counted() {
        let mut limit = RateLimit::new(10, Duration::from_secs(1));
        let admitted = (0..3_000).filter(|&millis| limit.admit(at(millis))).count();
        assert_eq!((admitted, limit.take_suppressed(), limit.take_suppressed()), (30, 2_970, 0));
    }

    #[test]
    fn a_window_begins_with_its_first_event() {
        let mut limit = RateLimit::new(1, Duration::from_secs(1));
        assert!(limit.admit(at(900)) && !limit.admit(at(1_899)) && limit.admit(at(1_900)));
    }

    #[test]
    fn there_is_something_to_say_only_once_an_event_was_suppressed() {
        let mut limit = RateLimit::new(1, Duration::from_secs(1));
        assert!(limit.admit_all(at(0), 5) && limit.poll_timeout().is_none());
        assert!(!limit.admit_all(at(1), 5));
        assert_eq!((limit.poll_timeout(), limit.take_suppressed(), limit.poll_timeout()), (Some(at(1_000)), 5, None));
    }
}
