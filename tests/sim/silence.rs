//! How long a node waits for its peers, connection by connection and by its own clock: for a sign of life, and for bytes to
//! be written. Whoever is given up had as long as there is for it, and whoever takes longer is given up.

use std::collections::BTreeMap;
use std::time::Duration;

use metalbond::{CloseReason, ConnId, Instant};

/// From here on the loop counts as late, which is not the peers' fault.
const LATE: Duration = Duration::from_millis(250);
/// What peers are given beyond the lateness.
const CATCH_UP: Duration = Duration::from_secs(1);

/// The time for which the node was awake, as far as that can be told from outside: bounds from both sides.
#[derive(Clone, Copy, Default, Debug)]
struct Uptime {
    least: Duration,
    most: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Wait {
    since: Uptime,
    limit: Duration,
}

#[derive(Clone, Debug)]
pub(crate) struct Silence {
    latest: Instant,
    uptime: Uptime,
    waits: BTreeMap<(ConnId, For), Wait>,
}

/// What it waits for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum For {
    /// The next step of the handshake; then any sign of life.
    Life,
    /// That what was handed out is written.
    Room,
}

impl Silence {
    pub(crate) fn new(now: Instant) -> Self {
        Self { latest: now, uptime: Uptime::default(), waits: BTreeMap::new() }
    }

    /// It is `now`; the node had asked to be called at `due`, or before the present if it had work left.
    pub(crate) fn advance(&mut self, now: Instant, due: Option<Instant>) {
        let passed = now.saturating_since(self.latest);
        let late = due.map_or(Duration::ZERO, |due| now.saturating_since(due.max(self.latest)));
        let is_busy = due.is_some_and(|due| due <= self.latest);
        let excused = if late > LATE { late } else { Duration::ZERO };
        self.uptime.least += passed.saturating_sub(if late > LATE { late + CATCH_UP } else { Duration::ZERO });
        // When it had to wake for its deadlines, while it had work left, is not known.
        self.uptime.most += if is_busy { passed } else { passed - excused };
        self.latest = self.latest.max(now);
    }

    /// From now on it waits for this peer, so long at most.
    pub(crate) fn wait(&mut self, conn: ConnId, what: For, limit: Duration) {
        self.waits.insert((conn, what), Wait { since: self.uptime, limit });
    }

    /// There is room again.
    pub(crate) fn written(&mut self, conn: ConnId) {
        self.waits.remove(&(conn, For::Room));
    }

    /// The connection is over, and why.
    pub(crate) fn end(&mut self, conn: ConnId, reason: Option<&CloseReason>) {
        let [life, room] = [For::Life, For::Room].map(|what| self.waits.remove(&(conn, what)));
        let wait = match reason {
            Some(CloseReason::HoldTime(_) | CloseReason::HandshakeTimeout(_)) => life,
            Some(CloseReason::NotReading(_)) => room,
            _ => return,
        };
        let Wait { since, limit } = wait.expect("one that is waited for");
        let waited = self.uptime.most - since.most;
        assert!(waited >= limit, "{conn} is given up after {waited:?} instead of {limit:?}: {reason:?}");
    }

    /// No timeout is due.
    pub(crate) fn check(&self) {
        for ((conn, what), Wait { since, limit }) in &self.waits {
            let waited = self.uptime.least - since.least;
            assert!(waited < *limit, "{conn} is waited for ({what:?}) since {waited:?} instead of {limit:?}");
        }
    }
}
