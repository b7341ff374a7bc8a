//! The log of the thread. The number of lines is limited, because a failure may repeat.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;
use std::{fmt, io};

use metalbond::fib::FibReport;
use metalbond::{Instant, RateLimit, Vni};
use tracing::{error, info, warn};

use crate::mark::Mark;
use crate::message::Answer;

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
            FibReport::Device(state) if state.is_up() => return info!("{report}"),
            FibReport::Device(_) => return warn!("{report}"),
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

/// Logs that a table was emptied, because it had routes of VNIs that are no longer in it.
pub(crate) fn emptied(table: u32, vnis: &BTreeSet<Vni>, routes: usize) {
    let (routes, vnis) = (routes_of(routes), list(vnis));
    warn!(
        "table {table} had {routes} of {vnis}, which the settings no longer have there: removed, before the table is used"
    );
}

/// Logs that routes are left in a table that was to be emptied.
pub(crate) fn not_emptied(table: u32, routes: usize) {
    let routes = routes_of(routes);
    warn!(
        "{routes} of VNIs that the settings no longer have in table {table} cannot be removed: they go with adopted routes"
    );
}

/// Logs that a table has routes of this program and is no longer in the settings.
pub(crate) fn no_longer_mapped(table: u32, vnis: &BTreeSet<Vni>, routes: usize) {
    let (routes, vnis) = (routes_of(routes), list(vnis));
    warn!(
        "table {table} has {routes} of {vnis}, and the settings no longer have this table: removed together with adopted routes"
    );
}

/// Logs that a table has routes without a mark, so that their VNI is not known.
pub(crate) fn unmarked(table: u32, routes: usize) {
    let routes = routes_of(routes);
    info!(
        "table {table} has {routes} of an earlier version, or of another program with our protocol number: taken for those of its present VNIs"
    );
}

/// Logs that routes and objects of other numbers are replaced.
pub(crate) fn former_numbers(protocol: u8, ids: &RangeInclusive<u32>) {
    let (first, last) = (ids.start(), ids.end());
    warn!(
        "the settings had protocol number {protocol} and nexthop ids {first}-{last}: what has these numbers is replaced"
    );
}

/// Logs what other processes have left in tables that are not of the settings, with the commands that remove it.
pub(crate) fn left_alone(marks: &[Mark]) {
    let of_tables: BTreeMap<(u32, u8), BTreeSet<Vni>> = marks.iter().fold(BTreeMap::new(), |mut all, mark| {
        all.entry((mark.table, mark.protocol)).or_default().insert(mark.vni);
        all
    });
    for ((table, protocol), vnis) in of_tables {
        let vnis = list(&vnis);
        warn!(
            "table {table} may have routes of {vnis}, with protocol number {protocol}, which a process that has ended has left: they stay. If \
             nothing needs them: metalbond flush-routes --rt-proto {protocol} --table {table}"
        );
    }
}

/// Logs that a table could not be marked.
pub(crate) fn cannot_mark(table: u32, answer: &Answer) {
    let (error, text) = (io::Error::from_raw_os_error(answer.errno), answer.text.as_deref());
    warn!(%error, text, "cannot mark table {table} with its VNIs: after a change of the settings, their routes are not removed");
}

fn routes_of(routes: usize) -> String {
    if routes == 1 { "1 route".to_owned() } else { format!("{routes} routes") }
}

fn list(vnis: &BTreeSet<Vni>) -> String {
    let numbers: Vec<String> = vnis.iter().map(ToString::to_string).collect();
    format!("{} {}", if vnis.len() == 1 { "VNI" } else { "VNIs" }, numbers.join(", "))
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
