//! What is said in the log of what the policy refuses: of each peer at once, and then now and then, with how much more it was.

use std::collections::HashMap;
use std::time::Duration;

use metalbond::{ConnId, Instant, PeerName, Refusal};
use tracing::field::display;
use tracing::warn;

/// A peer's refusals are mentioned this far apart.
const PAUSE: Duration = Duration::from_secs(10);

/// Logs refusals. What it holds back of a peer is told with the next that it mentions, or at the end of the session.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog {
    by_conn: HashMap<ConnId, Held>,
}

#[derive(Debug)]
struct Held {
    until: Instant,
    count: u64,
}

impl RefusalLog {
    pub(crate) fn refused(&mut self, now: Instant, refusal: &Refusal) {
        let held = match refusal.conn {
            Some(conn) => match self.take(now, conn, refusal.count) {
                Some(held) => held,
                None => return,
            },
            // Of one that is gone there is one at most, when the policy is replaced.
            None => 0,
        };
        let peer = refusal.remote.map_or_else(|| "a client that has left".to_owned(), |remote| remote.to_string());
        let names = refusal.names.as_deref().map(names_of);
        let held = (held > 0).then_some(held);
        let conn = refusal.conn.map(display);
        warn!(peer, names, conn, held, "refused: {refusal}");
    }

    /// How many were held back, if it is time to say something.
    fn take(&mut self, now: Instant, conn: ConnId, count: u64) -> Option<u64> {
        let until = now + PAUSE;
        let Some(held) = self.by_conn.get_mut(&conn) else {
            self.by_conn.insert(conn, Held { until, count: 0 });
            return Some(0);
        };
        if now < held.until {
            held.count += count;
            return None;
        }
        Some(std::mem::replace(held, Held { until, count: 0 }).count)
    }

    /// The connection is over.
    pub(crate) fn ended(&mut self, conn: ConnId) {
        if let Some(Held { count: held @ 1.., .. }) = self.by_conn.remove(&conn) {
            warn!(%conn, held, "more was refused");
        }
    }
}

/// Names one behind the other.
pub(crate) fn names_of(names: &[PeerName]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_refusals_are_mentioned_at_once_and_then_every_ten_seconds_with_how_many_more() {
        let mut log = RefusalLog::default();
        let (one, other) = (ConnId::accepted(1), ConnId::accepted(2));
        let at = |secs| Instant::EPOCH + Duration::from_secs(secs);
        assert_eq!(log.take(at(0), one, 3), Some(0));
        assert_eq!(log.take(at(1), one, 3), None);
        assert_eq!(log.take(at(9), one, 4), None);
        assert_eq!(log.take(at(9), other, 1), Some(0), "each peer by itself");
        assert_eq!(log.take(at(10), one, 1), Some(7));
        assert_eq!(log.take(at(11), one, 2), None);
        log.ended(one);
        assert_eq!(log.by_conn.len(), 1, "nothing is remembered of who is gone");
    }
}
