//! What the thread says in the log: trouble, but not more of it than anybody reads.

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
        self.tick(now);
        if self.since.is_none_or(|since| now.saturating_since(since) >= WINDOW) {
            (self.since, self.said) = (Some(now), 0);
        }
        if self.said == SAID {
            self.held += 1;
            return;
        }
        self.said += 1;
        match report {
            FibReport::ConflictOver { .. } | FibReport::VniConflictOver { .. } => info!("{report}"),
            FibReport::NoIds => error!("{report}"),
            _ => warn!("{report}"),
        }
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
