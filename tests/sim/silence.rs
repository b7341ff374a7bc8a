//! How long a node waits for its peers, connection by connection and by its own clock: for a sign of life, and for
//! bytes to be written. A peer that the node gives up had as long as the limit, and a peer that takes longer is given
//! up.

use std::collections::BTreeMap;
use std::time::Duration;

use metalbond::{CloseReason, ConnId, Instant};

/// From this lateness on, the loop counts as late, and the peers get the time back.
const LATE: Duration = Duration::from_millis(250);
/// Additional time for peers beyond the lateness.
const CATCH_UP: Duration = Duration::from_secs(1);

/// The time for which the node was awake, as far as an observer can know: bounds from both sides.
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

/// What the node waits for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum For {
    /// The next step of the handshake; then any sign of life.
    Life,
    /// That the handed-out bytes are written.
    Room,
}

impl Silence {
    pub(crate) fn new(now: Instant) -> Self {
        Self { latest: now, uptime: Uptime::default(), waits: BTreeMap::new() }
    }

    /// Advances to `now`. The node had asked to be called at `due`, which is not after the present time if it had work
    /// left.
    pub(crate) fn advance(&mut self, now: Instant, due: Option<Instant>) {
        let passed = now.saturating_since(self.latest);
        let late = due.map_or(Duration::ZERO, |due| now.saturating_since(due.max(self.latest)));
        let is_busy = due.is_some_and(|due| due <= self.latest);
        let excused = if late > LATE { late } else { Duration::ZERO };
        self.uptime.least += passed.saturating_sub(if late > LATE { late + CATCH_UP } else { Duration::ZERO });
        // It is not known when a node with work left had to wake for its deadlines.
        self.uptime.most += if is_busy { passed } else { passed - excused };
        self.latest = self.latest.max(now);
    }

    /// Starts to wait for this peer, for at most this time.
    pub(crate) fn wait(&mut self, conn: ConnId, what: For, limit: Duration) {
        self.waits.insert((conn, what), Wait { since: self.uptime, limit });
    }

    /// Ends the wait for room.
    pub(crate) fn written(&mut self, conn: ConnId) {
        self.waits.remove(&(conn, For::Room));
    }

    /// Ends all waits for a connection, with the reason for its end.
    pub(crate) fn end(&mut self, conn: ConnId, reason: Option<&CloseReason>) {
        let [life, room] = [For::Life, For::Room].map(|what| self.waits.remove(&(conn, what)));
        let wait = match reason {
            Some(CloseReason::HoldTime(_) | CloseReason::HandshakeTimeout(_)) => life,
            Some(CloseReason::NotReading(_)) => room,
            _ => return,
        };
        let Wait { since, limit } = wait.expect("a peer that the node waits for");
        let waited = self.uptime.most - since.most;
        assert!(waited >= limit, "{conn} is given up after {waited:?} instead of {limit:?}: {reason:?}");
    }

    /// Checks that no wait is over its limit, when no timeout is due.
    pub(crate) fn check(&self) {
        for ((conn, what), Wait { since, limit }) in &self.waits {
            let waited = self.uptime.least - since.least;
            assert!(waited < *limit, "{conn} is waited for ({what:?}) since {waited:?} instead of {limit:?}");
        }
    }
}
