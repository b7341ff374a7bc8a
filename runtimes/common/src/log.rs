//! What a driver says in the log: every change of a session's state once, and trouble once, not once per retry.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;

use metalbond::{CloseReason, PeerId, SessionState, Transition};
use tracing::field::display;
use tracing::{debug, info, warn};

/// A server that cannot be reached is mentioned at info level once in this many tries: every five minutes with the
/// longest back-off's default.
const RARELY: u32 = 60;

/// Logs the changes of sessions' states. Remembers which servers cannot be reached, so as not to say so at each try.
#[derive(Debug, Default)]
pub struct SessionLog {
    /// Dials in a row that failed.
    failed: HashMap<PeerId, u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Loudness {
    Debug,
    Info,
    Warn,
}

impl SessionLog {
    /// Logs one change: at info level; at warn level if the peer is to blame; at debug level if it is one more try to
    /// reach a server that is known to be away.
    pub fn transition(&mut self, t: &Transition) {
        let peer = match (&t.peer, t.remote) {
            (Some(peer), _) => peer.endpoint.to_string(),
            (None, Some(remote)) => remote.to_string(),
            (None, None) => t.conn.to_string(),
        };
        let remote = t.peer.as_ref().and(t.remote).map(display);
        let reason = t.reason.as_ref().map(display);
        macro_rules! say {
            ($level:ident) => {
                $level!(peer, remote, conn = %t.conn, old = %t.old, new = %t.new, reason, "session")
            };
        }
        match self.loudness(t) {
            Loudness::Debug => say!(debug),
            Loudness::Info => say!(info),
            Loudness::Warn => say!(warn),
        }
    }

    fn loudness(&mut self, t: &Transition) -> Loudness {
        let blamed =
            matches!(t.reason, Some(CloseReason::Decode(_) | CloseReason::Misbehaved(_) | CloseReason::TooSlow));
        if blamed {
            return Loudness::Warn;
        }
        let Some(peer) = &t.peer else { return Loudness::Info };
        match (t.new, &t.reason) {
            (SessionState::Retry, Some(CloseReason::DialFailed(_))) => {
                let failed = self.failed.entry(peer.id).or_default();
                *failed = failed.wrapping_add(1);
                if *failed % RARELY == 1 { Loudness::Info } else { Loudness::Debug }
            }
            (SessionState::Connecting, _) if self.failed.contains_key(&peer.id) => Loudness::Debug,
            (SessionState::Established | SessionState::Closed, _) => {
                self.failed.remove(&peer.id);
                Loudness::Info
            }
            _ => Loudness::Info,
        }
    }
}

/// Logs a listener's errors: the first of a streak, and its end.
#[derive(Debug)]
pub struct AcceptLog {
    local: SocketAddr,
    failed: u64,
}

impl AcceptLog {
    /// For the listener at this address.
    pub const fn new(local: SocketAddr) -> Self {
        Self { local, failed: 0 }
    }

    /// Nothing could be accepted.
    pub fn failed(&mut self, error: &io::Error) {
        if self.failed == 0 {
            warn!(local = %self.local, %error, "cannot accept connections; trying again");
        }
        self.failed += 1;
    }

    /// A connection was accepted.
    pub fn succeeded(&mut self) {
        if self.failed > 0 {
            info!(local = %self.local, tries = self.failed, "accepting connections again");
            self.failed = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use metalbond::{ConnId, Peer, PeerMisbehaved, TransportEnd};

    use super::*;

    #[test]
    fn a_server_that_is_away_is_mentioned_once_and_then_rarely() {
        let mut log = SessionLog::default();
        let mut loud = 0;
        for _ in 0..2 * RARELY {
            let away = CloseReason::DialFailed("connection refused".into());
            loud += usize::from(log.loudness(&dialled(SessionState::Retry, Some(away))) == Loudness::Info);
            loud += usize::from(log.loudness(&dialled(SessionState::Connecting, None)) == Loudness::Info);
        }
        assert_eq!(loud, 2);
        assert_eq!(log.loudness(&dialled(SessionState::Established, None)), Loudness::Info);
        assert_eq!(log.loudness(&dialled(SessionState::Connecting, None)), Loudness::Info);
    }

    #[test]
    fn misbehaviour_is_a_warning_and_an_ordinary_end_is_not() {
        let mut log = SessionLog::default();
        let garbage = CloseReason::Misbehaved(PeerMisbehaved::SecondHello);
        assert_eq!(log.loudness(&dialled(SessionState::Retry, Some(garbage))), Loudness::Warn);
        let eof = CloseReason::Transport(TransportEnd::Eof);
        assert_eq!(log.loudness(&dialled(SessionState::Retry, Some(eof))), Loudness::Info);
    }

    fn dialled(new: SessionState, reason: Option<CloseReason>) -> Transition {
        let peer = Some(Peer { id: PeerId(1), endpoint: "server:4711".into() });
        Transition { conn: ConnId::accepted(1), peer, remote: None, old: SessionState::Connecting, new, reason }
    }
}
