//! The log of the thread. The number of lines is limited, because a failure may repeat.

use std::fmt;
use std::time::Duration;

use metalbond::fib::FibReport;
use metalbond::{Instant, RateLimit};
use tracing::{error, info, warn};

/// The most reports that are logged in each window. At its end, the number of the others is logged.
const REPORTS_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Log {
    limit: RateLimit,
}

impl Default for Log {
    fn default() -> Self {
        Self { limit: RateLimit::new(REPORTS_MAX, WINDOW) }
    }
}

impl Log {
    pub(crate) fn say(&mut self, now: Instant, report: &FibReport) {
        match report {
            FibReport::DeviceUp => return info!("{report}"),
            FibReport::DeviceDown => return warn!("{report}"),
            _ => {}
        }
        if !self.has_room(now) {
            return;
        }
        match report {
            FibReport::ConflictOver { .. } | FibReport::VniConflictOver { .. } => info!("{report}"),
            FibReport::NoIds => error!("{report}"),
            _ => warn!("{report}"),
        }
    }

    /// Logs that a route of this program's protocol is not its own. `removal`: the command that removes it.
    pub(crate) fn stray(&mut self, now: Instant, removal: &str) {
        if self.has_room(now) {
            warn!("a route has our protocol number and is not ours: it stays. If nothing needs it: {removal}");
        }
    }

    /// Logs that something could not be read from the kernel, after `tries` tries. It counts as a report, because it may happen at every
    /// iteration of the thread.
    pub(crate) fn trouble(&mut self, now: Instant, what: &str, error: &dyn fmt::Display, tries: u32) {
        if self.has_room(now) {
            let tries = (tries > 1).then_some(tries);
            warn!(%error, tries, "{what}");
        }
    }

    /// Counts one more report. Returns true if it is to be logged.
    fn has_room(&mut self, now: Instant) -> bool {
        self.tick(now);
        self.limit.admit(now)
    }

    /// Returns the time at which [`tick`](Self::tick) has something to log.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.limit.poll_timeout()
    }

    /// Logs how many reports were not logged, if it is time.
    pub(crate) fn tick(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|at| at <= now) {
            self.finish();
        }
    }

    /// Logs how many reports were not logged.
    pub(crate) fn finish(&mut self) {
        let held @ 1.. = self.limit.take_suppressed() else { return };
        warn!(held, "more reports about kernel routes");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_at_every_iteration_is_logged_ten_times_in_ten_seconds_and_then_counted() {
        let mut log = Log::default();
        let at = |millis| Instant::EPOCH + Duration::from_millis(millis);
        for millis in 0..9_999 {
            log.trouble(at(millis), "cannot read", &"broken", 1);
        }
        assert_eq!(log.poll_timeout(), Some(at(10_000)));
        assert_eq!(log.limit.clone().take_suppressed(), 9_999 - u64::from(REPORTS_MAX));
        log.tick(at(10_000));
        assert_eq!(log.poll_timeout(), None, "the count was logged");
    }
}
