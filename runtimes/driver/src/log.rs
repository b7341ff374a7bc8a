//! The log of the driver: each change of a session's state once, and each problem once, not once per retry. The number of lines that
//! unknown clients can cause is limited.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use metalbond::{CloseReason, Denial, Instant, PeerId, RateLimit, SessionState, ShortRestartTime, Transition};
use tracing::field::display;
use tracing::{debug, info, warn};

use crate::denial_log::{DenialLog, names_of};

/// A server without a session is logged at info level once in this many tries: every five minutes with the default of the longest back-off.
const RARELY: u32 = 60;

/// The most accepted connections whose end without a session is logged in each [`WINDOW`].
const STRANGERS: u32 = 10;
const WINDOW: Duration = Duration::from_secs(10);

/// The time without an error after which a listener is reported to accept again.
const QUIET: Duration = Duration::from_secs(1);

/// Logs the changes of sessions' states. Remembers the servers with which no session opens, so that not each try is logged.
#[derive(Debug)]
pub(crate) struct SessionLog {
    /// The number of consecutive tries without a session.
    failed: HashMap<PeerId, u32>,
    /// The servers that retain this node's routes for a shorter time than it asked for, with what each last announced.
    short_restart_times: HashMap<PeerId, ShortRestartTime>,
    /// The rate limit of log lines about accepted connections that ended without a session.
    strangers: RateLimit,
    denials: DenialLog,
}

impl Default for SessionLog {
    fn default() -> Self {
        let strangers = RateLimit::new(STRANGERS, WINDOW);
        Self { failed: HashMap::new(), short_restart_times: HashMap::new(), strangers, denials: DenialLog::default() }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Loudness {
    Debug,
    Info,
    Warn,
}

impl SessionLog {
    /// Logs one change, at info level. The level is warn if the peer is at fault. It is debug for a further try with a server that has no
    /// session, and for an unknown client over the rate limit.
    pub(crate) fn transition(&mut self, now: Instant, t: &Transition) {
        let peer = match (&t.peer, t.remote) {
            (Some(peer), _) => peer.endpoint.to_string(),
            (None, Some(remote)) => remote.to_string(),
            (None, None) => t.conn.to_string(),
        };
        let remote = t.peer.as_ref().and(t.remote).map(display);
        let names = t.names.as_deref().map(names_of);
        let reason = t.reason.as_ref().map(display);
        macro_rules! say {
            ($level:ident) => {
                $level!(peer, remote, names, conn = %t.conn, old = %t.old, new = %t.new, reason, "session")
            };
        }
        self.tick(now);
        if t.new == SessionState::Closed {
            self.denials.ended(t.conn);
        }
        match self.loudness(now, t) {
            Loudness::Debug => say!(debug),
            Loudness::Info => say!(info),
            Loudness::Warn => say!(warn),
        }
        if self.is_restart_time_news(t)
            && let Some(ShortRestartTime { asked, granted, .. }) = t.restart_time
        {
            match granted {
                Some(granted) => warn!(
                    peer,
                    asked = asked.as_secs(),
                    granted = granted.as_secs(),
                    "the server retains this client's routes for fewer seconds than asked when the client's process goes away: \
                     raise --restart-time-max at the server, or lower --restart-time here"
                ),
                None => info!(
                    peer,
                    asked = asked.as_secs(),
                    "the server does not say for how long it retains this client's routes when the client's process goes away: \
                     it may withdraw them at once"
                ),
            }
        }
    }

    /// Returns true if a server has just opened a session with another restart time than it announced last.
    fn is_restart_time_news(&mut self, t: &Transition) -> bool {
        let Some(server) = t.peer.as_ref().map(|peer| peer.id) else { return false };
        match (t.new, t.restart_time) {
            (SessionState::Established, Some(short)) => self.short_restart_times.insert(server, short) != Some(short),
            (SessionState::Established | SessionState::Closed, None) => {
                self.short_restart_times.remove(&server);
                false
            }
            _ => false,
        }
    }

    /// Logs the announcements that the policy denied to a peer, at warn level: the first at once, later ones at most every ten seconds.
    pub(crate) fn denied(&mut self, now: Instant, denial: &Denial) {
        self.denials.denied(now, denial);
    }

    /// Returns the time at which [`tick`](Self::tick) has something to log.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.strangers.poll_timeout()
    }

    /// Logs the number of suppressed lines, if it is time.
    pub(crate) fn tick(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|at| at <= now) {
            self.finish();
        }
    }

    /// Logs the number of suppressed lines.
    pub(crate) fn finish(&mut self) {
        let held @ 1.. = self.strangers.take_suppressed() else { return };
        info!(held, "more connections ended without a session");
    }

    fn loudness(&mut self, now: Instant, t: &Transition) -> Loudness {
        let loud = match t.reason {
            Some(ref reason) if reason.is_peers_fault() => Loudness::Warn,
            _ => Loudness::Info,
        };
        let is_loud = match &t.peer {
            Some(peer) => self.is_server_loud(peer.id, t),
            None => match (t.old, t.new) {
                (_, SessionState::Established) | (SessionState::Established, _) => true,
                (_, SessionState::Closed) => self.strangers.admit(now),
                _ => false,
            },
        };
        if is_loud { loud } else { Loudness::Debug }
    }

    fn is_server_loud(&mut self, server: PeerId, t: &Transition) -> bool {
        match (t.old, t.new) {
            (_, SessionState::Established | SessionState::Closed) => {
                self.failed.remove(&server);
                true
            }
            (SessionState::Established, _) => true,
            (_, SessionState::Retry) if matches!(t.reason, Some(CloseReason::ResetRequested)) => true,
            (_, SessionState::Retry) => {
                let failed = self.failed.entry(server).or_default();
                *failed = failed.wrapping_add(1);
                *failed % RARELY == 1
            }
            _ => !self.failed.contains_key(&server),
        }
    }
}

/// Logs a listener's errors: the first of a series, and the end of the series after a second without an error.
#[derive(Debug)]
pub(crate) struct AcceptLog {
    local: SocketAddr,
    failed: u64,
    last: Instant,
    /// True if a connection was accepted since the last error.
    works: bool,
}

impl AcceptLog {
    /// Makes the log of the listener at this address.
    pub(crate) const fn new(local: SocketAddr) -> Self {
        Self { local, failed: 0, last: Instant::EPOCH, works: false }
    }

    /// Notes that a connection could not be accepted.
    pub(crate) fn failed(&mut self, now: Instant, error: &io::Error) {
        self.tick(now);
        if self.failed == 0 {
            warn!(local = %self.local, %error, "cannot accept connections; trying again");
        }
        self.failed += 1;
        self.last = now;
        self.works = false;
    }

    /// Notes that a connection was accepted.
    pub(crate) const fn succeeded(&mut self) {
        self.works = true;
    }

    /// Returns the time at which [`tick`](Self::tick) has something to log.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        (self.works && self.failed > 0).then(|| self.last + QUIET)
    }

    /// Logs that the listener accepts again, if it is time.
    pub(crate) fn tick(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|at| at <= now) {
            info!(local = %self.local, tries = self.failed, "accepting connections again");
            self.failed = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use SessionState::{Closed, Connecting, Established, HelloReceived, HelloSent, Retry};
    use metalbond::{ConnId, DecodeError, Peer, PeerMisbehaved, TransportEnd};

    use super::*;

    const NOW: Instant = Instant::EPOCH;

    #[test]
    fn a_server_without_a_session_is_logged_once_and_then_rarely_whatever_the_reason() {
        let eof = || CloseReason::Transport(TransportEnd::Eof);
        let garbage = || CloseReason::Decode(DecodeError::Version(72));
        let troubles: [(SessionState, &dyn Fn() -> CloseReason, Loudness); 4] = [
            (Connecting, &|| CloseReason::DialFailed("connection refused".into()), Loudness::Info),
            (HelloSent, &eof, Loudness::Info),
            (HelloSent, &garbage, Loudness::Warn),
            (HelloSent, &|| CloseReason::HandshakeTimeout(HelloSent), Loudness::Info),
        ];
        for (state, why, level) in troubles {
            let mut log = SessionLog::default();
            let mut loud = Vec::new();
            for _ in 0..2 * RARELY {
                loud.push(log.loudness(NOW, &dialled(Retry, Connecting, None)));
                loud.push(log.loudness(NOW, &dialled(Connecting, HelloSent, None)));
                loud.push(log.loudness(NOW, &dialled(state, Retry, Some(why()))));
            }
            loud.retain(|&loudness| loudness != Loudness::Debug);
            // The whole first try, and the end of one more.
            assert_eq!(loud, [Loudness::Info, Loudness::Info, level, level], "{:?}", why());
            assert_eq!(log.loudness(NOW, &dialled(HelloReceived, Established, None)), Loudness::Info);
            assert_eq!(log.loudness(NOW, &dialled(Established, Retry, Some(why()))), level);
            assert_eq!(log.loudness(NOW, &dialled(Retry, Connecting, None)), Loudness::Info);
        }
    }

    #[test]
    fn a_short_restart_time_is_logged_once_for_each_server_and_again_when_it_changes() {
        let mut log = SessionLog::default();
        let mut opens = |server, granted: Option<Option<u64>>| {
            log.is_restart_time_news(&dialled(Connecting, HelloSent, None));
            let mut transition = dialled(HelloReceived, Established, None);
            transition.peer = Some(Peer { id: PeerId(server), endpoint: "server:4711".into() });
            let secs = Duration::from_secs;
            transition.restart_time = granted.map(|granted| ShortRestartTime::new(secs(120), granted.map(secs)));
            log.is_restart_time_news(&transition)
        };
        assert!(!opens(1, None), "it grants all that was asked for");
        let news = [Some(60), Some(60), Some(30), None, None].map(|granted| opens(1, Some(granted)));
        assert_eq!(news, [true, false, true, true, false]);
        assert!(opens(2, Some(None)), "another server");
        assert!(!opens(1, None) && opens(1, Some(Some(60))), "it was long enough in between");
        assert!(!log.is_restart_time_news(&accepted(HelloReceived, Established, None)));
        assert!(!log.is_restart_time_news(&dialled(Established, Closed, None)));
        assert_eq!(log.short_restart_times.len(), 1, "a server that is left is forgotten");
    }

    #[test]
    fn misbehaviour_is_logged_as_a_warning_and_an_ordinary_end_is_not() {
        let mut log = SessionLog::default();
        let garbage = CloseReason::Misbehaved(PeerMisbehaved::SecondHello);
        assert_eq!(log.loudness(NOW, &accepted(Established, Closed, Some(garbage))), Loudness::Warn);
        let eof = CloseReason::Transport(TransportEnd::Eof);
        assert_eq!(log.loudness(NOW, &accepted(Established, Closed, Some(eof))), Loudness::Info);
    }

    #[test]
    fn only_the_start_and_the_end_of_a_clients_session_are_logged() {
        let mut log = SessionLog::default();
        assert_eq!(log.loudness(NOW, &accepted(Connecting, HelloReceived, None)), Loudness::Debug);
        assert_eq!(log.loudness(NOW, &accepted(HelloReceived, Established, None)), Loudness::Info);
        for _ in 0..3 * STRANGERS {
            let eof = CloseReason::Transport(TransportEnd::Eof);
            assert_eq!(log.loudness(NOW, &accepted(Established, Closed, Some(eof))), Loudness::Info);
        }
    }

    #[test]
    fn connections_without_a_session_are_logged_ten_times_in_ten_seconds_and_then_counted() {
        let mut log = SessionLog::default();
        let garbage = || accepted(Connecting, Closed, Some(CloseReason::Decode(DecodeError::Version(72))));
        for _ in 0..2 {
            assert_eq!(log.loudness(NOW, &garbage()), Loudness::Warn);
        }
        for _ in 2..STRANGERS {
            let scan = accepted(Connecting, Closed, Some(CloseReason::Transport(TransportEnd::Eof)));
            assert_eq!(log.loudness(NOW, &scan), Loudness::Info);
        }
        assert_eq!(log.poll_timeout(), None, "nothing is held back");
        for _ in 0..7 {
            assert_eq!(log.loudness(NOW + WINDOW / 2, &garbage()), Loudness::Debug);
        }
        assert_eq!((log.strangers.clone().take_suppressed(), log.poll_timeout()), (7, Some(NOW + WINDOW)));

        log.tick(NOW + WINDOW / 2);
        assert_eq!(log.poll_timeout(), Some(NOW + WINDOW), "not yet");
        log.tick(NOW + WINDOW);
        assert_eq!(log.poll_timeout(), None);
        assert_eq!(log.loudness(NOW + WINDOW, &garbage()), Loudness::Warn);
    }

    #[test]
    fn a_listener_is_reported_to_accept_again_after_a_second_without_an_error() {
        let mut log = AcceptLog::new((Ipv4Addr::LOCALHOST, 4711).into());
        let at = |millis| NOW + Duration::from_millis(millis);
        log.succeeded();
        assert_eq!(log.poll_timeout(), None, "nothing has failed");
        for millis in [0, 500, 1400] {
            log.failed(at(millis), &io::Error::from_raw_os_error(24));
            assert_eq!(log.poll_timeout(), None, "nothing works");
            log.succeeded();
            assert_eq!(log.poll_timeout(), Some(at(millis + 1000)));
            log.tick(at(millis + 999));
        }
        assert_eq!(log.failed, 3, "one streak");
        log.tick(at(2400));
        assert_eq!((log.failed, log.poll_timeout()), (0, None));
    }

    fn dialled(old: SessionState, new: SessionState, reason: Option<CloseReason>) -> Transition {
        let mut transition = accepted(old, new, reason);
        transition.peer = Some(Peer { id: PeerId(1), endpoint: "server:4711".into() });
        transition
    }

    fn accepted(old: SessionState, new: SessionState, reason: Option<CloseReason>) -> Transition {
        let mut transition = Transition::new(ConnId::accepted(1), old, new);
        transition.reason = reason;
        transition
    }
}
