//! The log of what the policy denies. The first denial of a peer is logged at once, later ones now and then, with their number.

use std::collections::HashMap;
use std::time::Duration;

use metalbond::{ConnId, Denial, Instant, PeerName, RateLimit};
use tracing::field::display;
use tracing::warn;

/// The shortest time between two log lines about the denials of a peer.
const PAUSE: Duration = Duration::from_secs(10);

/// Logs denials. The number of a peer's denials that were not logged is logged with the next one, or at the end of the session.
#[derive(Debug, Default)]
pub(crate) struct DenialLog {
    by_conn: HashMap<ConnId, RateLimit>,
}

impl DenialLog {
    pub(crate) fn denied(&mut self, now: Instant, denial: &Denial) {
        let suppressed = match denial.conn {
            Some(conn) => match self.take(now, conn, denial.count) {
                Some(suppressed) => suppressed,
                None => return,
            },
            // A client without a connection has at most one denial, when the policy is replaced.
            None => 0,
        };
        let peer = denial.remote.map_or_else(|| "a client that has left".to_owned(), |remote| remote.to_string());
        let names = denial.names.as_deref().map(names_of);
        let suppressed = (suppressed > 0).then_some(suppressed);
        let conn = denial.conn.map(display);
        warn!(peer, names, conn, suppressed, "denied by the policy: {denial}");
    }

    /// Counts a connection's denials. Returns how many earlier ones were not logged if these are to be logged, otherwise `None`.
    fn take(&mut self, now: Instant, conn: ConnId, count: u64) -> Option<u64> {
        let limit = self.by_conn.entry(conn).or_insert(RateLimit::new(1, PAUSE));
        limit.admit_all(now, count).then(|| limit.take_suppressed())
    }

    /// Ends the count of a connection, and logs the number of denials that were not logged.
    pub(crate) fn ended(&mut self, conn: ConnId) {
        let Some(mut limit) = self.by_conn.remove(&conn) else { return };
        let suppressed @ 1.. = limit.take_suppressed() else { return };
        warn!(%conn, suppressed, "more routes and subscriptions were denied");
    }
}

/// Returns the names in one text, separated by spaces.
pub(crate) fn names_of(names: &[PeerName]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_denials_are_logged_at_once_and_then_every_ten_seconds_with_their_number() {
        let mut log = DenialLog::default();
        let (one, other) = (ConnId::accepted(1), ConnId::accepted(2));
        let at = |secs| Instant::EPOCH + Duration::from_secs(secs);
        assert_eq!(log.take(at(0), one, 3), Some(0));
        assert_eq!(log.take(at(1), one, 3), None);
        assert_eq!(log.take(at(9), one, 4), None);
        assert_eq!(log.take(at(9), other, 1), Some(0), "each peer by itself");
        assert_eq!(log.take(at(10), one, 1), Some(7));
        assert_eq!(log.take(at(11), one, 2), None);
        log.ended(one);
        assert_eq!(log.by_conn.len(), 1, "an ended connection is forgotten");
    }
}
