//! A session's deadlines: for the handshake, for silence, for what is being written, for its own next KEEPALIVE.

use core::time::Duration;

use super::{Role, Session};
use crate::{CloseReason, Instant, SessionState};

/// How late the loop may be before that is held to be its own fault rather than the peers'.
const LATE: Duration = Duration::from_millis(250);
/// Then, deadlines move by a little more than the lateness: the peers' bytes have to come in from the sockets first.
const CATCH_UP: Duration = Duration::from_secs(1);

/// The clock by which peers are judged: it stands still while the loop itself is late (a paused machine).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Uptime {
    skipped: Duration,
}

impl Uptime {
    /// The loop was to wake at `due`, was last seen at `last`, and it is `now`.
    pub(crate) fn woken(&mut self, due: Instant, last: Instant, now: Instant) {
        let late = now.saturating_since(due.max(last));
        if late > LATE {
            // It stands still at most.
            let stood = late.saturating_add(CATCH_UP).min(now.saturating_since(last));
            self.skipped = self.skipped.saturating_add(stood);
        }
    }

    /// The uptime at a time of the driver's clock.
    fn at(self, real: Instant) -> Instant {
        real - self.skipped
    }

    /// And back.
    fn real(self, uptime: Instant) -> Instant {
        uptime + self.skipped
    }
}

/// A session's deadlines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionTimers {
    /// By the uptime: when the current step of the handshake began; in ESTABLISHED, when something was received last.
    since: Instant,
    /// How long it may last.
    limit: Duration,
    /// A dialler's, once ESTABLISHED.
    interval: Duration,
    next_keepalive: Option<Instant>,
    /// By the uptime: when the bytes were handed out that are not written yet.
    writing_since: Option<Instant>,
    /// How long that may last.
    send_hold: Duration,
}

impl SessionTimers {
    /// For a connection that begins now.
    pub(crate) fn new(now: Instant, uptime: Uptime, handshake: Duration, send_hold: Duration) -> Self {
        let (since, interval) = (uptime.at(now), Duration::ZERO);
        Self { since, limit: handshake, interval, next_keepalive: None, writing_since: None, send_hold }
    }

    /// The session's state changed. `keepalive` is the negotiated interval, in seconds.
    pub(crate) fn step(&mut self, now: Instant, uptime: Uptime, session: &Session, keepalive: u32) {
        self.since = uptime.at(now);
        if session.is_established() {
            self.interval = Duration::from_secs(keepalive.into());
            self.limit = self.interval * 5 / 2;
            if session.role() == Role::Dialler {
                self.next_keepalive = Some(now + self.interval);
            }
        }
    }

    /// Bytes were received.
    pub(crate) fn heard(&mut self, now: Instant, uptime: Uptime, state: SessionState) {
        if state == SessionState::Established {
            self.since = uptime.at(now);
        }
    }

    /// Bytes were handed out to be written.
    pub(crate) fn writing(&mut self, now: Instant, uptime: Uptime) {
        self.writing_since = Some(uptime.at(now));
    }

    /// They are written.
    pub(crate) fn written(&mut self) {
        self.writing_since = None;
    }

    /// Whether a KEEPALIVE is due; if so, the next is due an interval later.
    pub(crate) fn keepalive_due(&mut self, now: Instant) -> bool {
        let due = self.next_keepalive.is_some_and(|at| at <= now);
        if due {
            self.next_keepalive = Some(now + self.interval);
        }
        due
    }

    /// Why the session is over, if it is.
    pub(crate) fn expired(&self, now: Instant, uptime: Uptime, state: SessionState) -> Option<CloseReason> {
        let uptime = uptime.at(now);
        let lasted = uptime.saturating_since(self.since);
        if lasted >= self.limit {
            return Some(match state {
                SessionState::Established => CloseReason::Silence(lasted),
                other => CloseReason::HandshakeTimeout(other),
            });
        }
        let unread = uptime.saturating_since(self.writing_since?);
        (unread >= self.send_hold).then_some(CloseReason::NotReading(unread))
    }

    /// When to look again.
    pub(crate) fn next(&self, uptime: Uptime) -> Instant {
        let unread = self.writing_since.map(|since| since + self.send_hold);
        let limit = unread.into_iter().fold(self.since + self.limit, Instant::min);
        let limit = uptime.real(limit);
        self.next_keepalive.map_or(limit, |keepalive| keepalive.min(limit))
    }
}
