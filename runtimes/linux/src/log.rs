//! What the thread says in the log: trouble, but not more of it than anybody reads.

use std::fmt;
use std::time::Duration;

use metalbond::Instant;
use metalbond::fib::FibReport;
use tracing::{error, info, warn};

/// Of what is reported, so much is logged in each window; then how much more there was.
const SAID: u32 = 10;
const WINDOW: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(crate) struct Log {
    since: Option<Instant>,
    said: u32,
    held: u64,
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

    /// Logs that something could not be read from the kernel, after so many tries. It counts as a report, because it may happen at every
    /// iteration of the thread.
    pub(crate) fn trouble(&mut self, now: Instant, what: &str, error: &dyn fmt::Display, tries: u32) {
        if self.has_room(now) {
            let tries = (tries > 1).then_some(tries);
            warn!(%error, tries, "{what}");
        }
    }

    /// Counts one more report. Returns whether it is to be logged.
    fn has_room(&mut self, now: Instant) -> bool {
        self.tick(now);
        if self.since.is_none_or(|since| now.saturating_since(since) >= WINDOW) {
            (self.since, self.said) = (Some(now), 0);
        }
        if self.said == SAID {
            self.held += 1;
            return false;
        }
        self.said += 1;
        true
    }

    /// When [`tick`](Self::tick) has something to say.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.since.filter(|_| self.held > 0).map(|since| since + WINDOW)
    }

    /// Says what was held back, if it is time.
    pub(crate) fn tick(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|at| at <= now) {
            self.finish();
        }
    }

    /// Says what was held back.
    pub(crate) fn finish(&mut self) {
        let held = std::mem::take(&mut self.held);
        if held > 0 {
            warn!(held, "more reports about kernel routes");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_at_every_iteration_is_logged_ten_times_in_ten_seconds_and_then_counted() {
        let mut log = Log::default();
        let at = |millis| Instant::EPOCH + Duration::from_millis(millis);
        for millis in 0..9_999 {
            log.trouble(at(millis), "cannot read", &"broken", 1);
        }
        assert_eq!((log.said, log.held), (SAID, 9_999 - u64::from(SAID)));
        assert_eq!(log.poll_timeout(), Some(at(10_000)));
        log.tick(at(10_000));
        assert_eq!(log.held, 0, "the count was logged");
    }
}
