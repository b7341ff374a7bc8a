//! A session's deadlines: handshake, hold time, send hold time, and the next KEEPALIVE.
//!
//! Invariant: a peer is closed for its own delay only, not for that of the loop that drives this node.

use core::time::Duration;

use super::{Role, Session};
use crate::{CloseReason, Instant, SessionState};

/// The delay of the loop from which on deadlines move.
const LATE: Duration = Duration::from_millis(250);
/// The time by which deadlines move beyond the loop's delay, because bytes of peers wait in the sockets.
const CATCH_UP: Duration = Duration::from_secs(1);

/// The clock of the peers' deadlines. It stops while the loop is late, for example on a paused machine.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Uptime {
    /// The time for which the clock has stood.
    skipped: Duration,
}

impl Uptime {
    /// Notes that the loop, which last ran at `last` and was to run at `due`, runs `now`.
    pub(crate) fn woken(&mut self, due: Instant, last: Instant, now: Instant) {
        let late = now.saturating_since(due.max(last));
        if late > LATE {
            // The clock does not run back.
            let stood = late.saturating_add(CATCH_UP).min(now.saturating_since(last));
            self.skipped = self.skipped.saturating_add(stood);
        }
    }

    /// Converts a time of the driver's clock.
    pub(crate) fn at(self, real: Instant) -> Instant {
        real - self.skipped
    }

    /// Converts a time of this clock to the driver's.
    fn real(self, uptime: Instant) -> Instant {
        uptime + self.skipped
    }
}

/// A session's deadlines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionTimers {
    /// By the uptime: when the current step of the handshake began; in ESTABLISHED, when bytes were received last.
    since: Instant,
    /// The time that may pass from `since`: the handshake timeout, then the hold time.
    limit: Duration,
    /// The KEEPALIVE interval, once ESTABLISHED.
    interval: Duration,
    /// A dialler's next KEEPALIVE, once ESTABLISHED.
    next_keepalive: Option<Instant>,
    /// By the uptime: when the transmit in flight began.
    writing_since: Option<Instant>,
    /// The time that a transmit may take.
    send_hold_time: Duration,
}

impl SessionTimers {
    /// Returns the deadlines of a connection that begins now.
    pub(crate) fn new(now: Instant, uptime: Uptime, handshake: Duration, send_hold_time: Duration) -> Self {
        let (since, interval) = (uptime.at(now), Duration::ZERO);
        Self { since, limit: handshake, interval, next_keepalive: None, writing_since: None, send_hold_time }
    }

    /// Notes that the session's state has changed. `keepalive` is the negotiated interval, in seconds.
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

    /// Notes that bytes were received.
    pub(crate) fn received(&mut self, now: Instant, uptime: Uptime, state: SessionState) {
        if state == SessionState::Established {
            self.since = uptime.at(now);
        }
    }

    /// Notes that a transmit has begun.
    pub(crate) fn writing(&mut self, now: Instant, uptime: Uptime) {
        self.writing_since = Some(uptime.at(now));
    }

    /// Notes that the transmit is written.
    pub(crate) fn written(&mut self) {
        self.writing_since = None;
    }

    /// Returns whether a KEEPALIVE is due. If so, the next is due an interval later.
    pub(crate) fn keepalive_due(&mut self, now: Instant) -> bool {
        let due = self.next_keepalive.is_some_and(|at| at <= now);
        if due {
            self.next_keepalive = Some(now + self.interval);
        }
        due
    }

    /// Returns the deadline that has passed, if any, as the reason to close the session.
    pub(crate) fn expired(&self, now: Instant, uptime: Uptime, state: SessionState) -> Option<CloseReason> {
        let uptime = uptime.at(now);
        let lasted = uptime.saturating_since(self.since);
        if lasted >= self.limit {
            return Some(match state {
                SessionState::Established => CloseReason::HoldTime(lasted),
                other => CloseReason::HandshakeTimeout(other),
            });
        }
        let unread = uptime.saturating_since(self.writing_since?);
        (unread >= self.send_hold_time).then_some(CloseReason::NotReading(unread))
    }

    /// Returns the earliest deadline.
    pub(crate) fn next(&self, uptime: Uptime) -> Instant {
        let unread = self.writing_since.map(|since| since + self.send_hold_time);
        let limit = unread.into_iter().fold(self.since + self.limit, Instant::min);
        let limit = uptime.real(limit);
        self.next_keepalive.map_or(limit, |keepalive| keepalive.min(limit))
    }
}
