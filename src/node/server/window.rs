//! How many bytes of routes a client without `ordered` may be sent now. Such a client loses its session when 65,535 bytes wait unread, and no
//! message of it says what it has read; but its TCP window does.
//!
//! A receiver's window shrinks by the bytes that wait there, and opens again as they are read. The difference between the largest window seen
//! and the present one, together with the bytes that are not acknowledged, is therefore about what the client has not read. Three things make
//! it inexact:
//!
//! - A receiver shows a window that has opened again only in an acknowledgement. If there is nothing to acknowledge, a KEEPALIVE is sent as a
//!   *probe*.
//! - While a window grows beyond the largest one seen, unread bytes may hide in its growth. The bytes acknowledged meanwhile count as unread,
//!   less what a client reads at [`READ_RATE`].
//! - A window may stay smaller for ever although everything is read, because the receiver lacks memory. If no probe opens the window, single
//!   segments are sent as *trials*: after a trial that does not shrink the window, the largest one counts as smaller. If it stays
//!   closed, the client counts as one that does not read: the session is closed after the send hold time, and the next one begins with
//!   another largest window.
//!
//! Invariant: whatever is measured, at most [`LIMIT`] bytes are sent before the next measurement, and no more than the pacing permits. Without
//! measurements, no more than the slow pace permits.

use core::time::Duration;

use super::super::transmit::SEGMENT;
use super::bucket::Bucket;
use crate::{Instant, Pacing};

/// The most bytes that are sent before something is known to be read. Measured on Linux, over loopback and over Ethernet:
/// a client that stops has at most 51 KB unread if this is 16 KiB.
const LIMIT: u32 = 12 * 1024;
/// The bytes per second that a client is supposed to read while its window grows. Linux's window grows to megabytes within seconds.
const READ_RATE: u32 = 1_000_000;
/// While fewer bytes than this may be sent, the window is measured again and again.
const LOW: usize = LIMIT as usize / 2;
/// The wait between a send and the first measurement after it. It doubles up to [`PAUSE_MIN`].
const WAIT_MIN: Duration = Duration::from_millis(1);
/// The shortest pause between two probes.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// The longest pause between two probes or measurements of a window that does not open.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long a driver may take to answer.
const ANSWER: Duration = Duration::from_millis(200);
/// How long a window stays closed before a trial.
const CLOSED: Duration = Duration::from_secs(1);
/// How long a window stays closed before it is not measured any more, if the send hold time is longer.
const CLOSED_MAX: Duration = Duration::from_secs(120);
/// The most trials that shrink the window before it opens again.
const TRIALS: u8 = 4;
/// What a trial that did not shrink the window takes from the largest window: half of what it sent, to be careful.
const TRIAL_GAIN: u32 = SEGMENT as u32 / 2;

/// The state of one client.
#[derive(Debug)]
pub(super) struct Window {
    pacing: Pacing,
    bucket: Bucket,
    /// A measurement was asked for, and has not come.
    is_asked: bool,
    /// When to ask for the next measurement; or, if one was asked for, when to stop waiting for it.
    next: Option<Instant>,
    /// The bytes of routes in the transmit that is not written yet.
    in_flight: u32,
    measured: Option<Measured>,
}

/// What is known of a client's window.
#[derive(Debug)]
struct Measured {
    /// The bytes that may be sent before the next measurement.
    credit: usize,
    /// The window while everything is read.
    largest: u32,
    window: u32,
    unacknowledged: u32,
    /// The bytes of routes that were sent since the measurement.
    sent: u32,
    /// [`LIMIT`], less what may be unread without being seen.
    unhidden: Bucket,
    wait: Duration,
    /// When the window began to be closed without opening a bit since.
    closed_at: Option<Instant>,
    /// Since when, by the node's uptime, routes wait for the window and nothing shows that the client reads.
    unread_since: Option<Instant>,
    probe_at: Instant,
    is_trial: bool,
    /// The last trial did not shrink the window: the next one follows at once.
    has_passed: bool,
    trials: u8,
}

/// What a measurement calls for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// Routes may be sent.
    Send,
    /// A KEEPALIVE is to be sent, because only its acknowledgement shows the window.
    Probe,
    /// Nothing before the next measurement.
    Wait,
}

impl Window {
    /// A window that was not measured yet.
    pub(super) fn new(pacing: Pacing, now: Instant) -> Self {
        let bucket = Bucket::new(pacing.slow(), now);
        Self { pacing, bucket, is_asked: true, next: None, in_flight: 0, measured: None }
    }

    /// Returns how many bytes of routes may be sent now.
    pub(super) fn available(&mut self, now: Instant) -> usize {
        let credit = self.measured.as_ref().map_or(usize::MAX, |measured| measured.credit);
        self.bucket.tokens(now).min(credit)
    }

    /// Notes that a transmit with this many bytes of routes is sent.
    pub(super) fn take(&mut self, bytes: usize, now: Instant) {
        self.bucket.take(bytes);
        let Some(measured) = &mut self.measured else { return };
        // A transmit has under 64 KiB.
        let len = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.in_flight = self.in_flight.saturating_add(len);
        measured.sent = measured.sent.saturating_add(len);
        measured.credit = measured.credit.saturating_sub(bytes);
        if bytes > 0 && measured.credit < LOW && !self.is_asked {
            measured.wait = WAIT_MIN;
            self.next = Some(now + WAIT_MIN);
        }
    }

    /// Notes that the transmit in flight was written.
    pub(super) fn sent(&mut self) {
        self.in_flight = 0;
    }

    /// Returns when the client, which is to be sent more than [`available`](Self::available), is to be looked at again.
    pub(super) fn refilled(&self) -> Option<Instant> {
        let is_closed = self.measured.as_ref().is_some_and(|measured| measured.credit < SEGMENT);
        if is_closed { self.next } else { Some(self.bucket.refilled()) }
    }

    /// Returns when [`ask`](Self::ask) may return true.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Returns whether the driver is to measure the window now.
    pub(super) fn ask(&mut self, now: Instant) -> bool {
        if self.next.is_none_or(|next| now < next) {
            return false;
        }
        if self.is_asked {
            // The driver does not measure any more.
            self.forget(now);
            return false;
        }
        (self.is_asked, self.next) = (true, Some(now + ANSWER));
        true
    }

    /// Returns for how long, by the node's `uptime`, routes have waited for a client without a sign that it reads. Called after each
    /// measurement. `is_pending`: there are routes to be sent.
    pub(super) fn unread_for(&mut self, is_pending: bool, uptime: Instant) -> Duration {
        let Some(measured) = &mut self.measured else { return Duration::ZERO };
        if measured.credit >= LOW || !is_pending {
            measured.unread_since = None;
            return Duration::ZERO;
        }
        uptime.saturating_since(*measured.unread_since.get_or_insert(uptime))
    }

    /// Takes a measurement: the window, and the bytes written that are not acknowledged. `is_pending`: there are routes to be sent.
    pub(super) fn measure(&mut self, window: u32, unacknowledged: u32, is_pending: bool, now: Instant) -> Next {
        self.is_asked = false;
        let measured = match &mut self.measured {
            Some(measured) => measured,
            unknown => {
                self.bucket = Bucket::new(self.pacing, now);
                unknown.insert(Measured::new(window, now))
            }
        };
        measured.update(window, unacknowledged, self.in_flight, now);
        let (next, call) = measured.decide(self.in_flight, is_pending, now);
        self.next = next;
        if is_pending && measured.closed_at.is_some_and(|closed_at| now >= closed_at + CLOSED_MAX) {
            self.forget(now);
            return Next::Send;
        }
        call
    }

    /// Goes on at the slow pace, without measurements.
    fn forget(&mut self, now: Instant) {
        (self.next, self.measured) = (None, None);
        self.bucket = Bucket::new(self.pacing.slow(), now);
    }
}

impl Measured {
    fn new(window: u32, now: Instant) -> Self {
        let pacing = Pacing { rate: READ_RATE, burst: LIMIT };
        Self {
            credit: 0,
            largest: window,
            window,
            unacknowledged: 0,
            sent: 0,
            unhidden: Bucket::new(pacing, now),
            wait: WAIT_MIN,
            closed_at: None,
            unread_since: None,
            probe_at: now,
            is_trial: false,
            has_passed: false,
            trials: TRIALS,
        }
    }

    fn update(&mut self, window: u32, unacknowledged: u32, in_flight: u32, now: Instant) {
        let acknowledged = self.unacknowledged.saturating_add(self.sent).saturating_sub(unacknowledged);
        if window > self.largest {
            self.unhidden.tokens(now);
            self.unhidden.take(acknowledged.min(window - self.largest) as usize);
            self.largest = window;
        }
        if self.is_trial && unacknowledged == 0 {
            self.is_trial = false;
            self.has_passed = window >= self.window;
            if self.has_passed {
                self.unread_since = None;
                self.largest = self.largest.saturating_sub(TRIAL_GAIN).max(window);
                self.probe_at = now;
            } else {
                self.trials = self.trials.saturating_sub(1);
            }
        }
        if window > self.window {
            (self.closed_at, self.unread_since) = (None, None);
        } else if window == self.window && acknowledged >= TRIAL_GAIN {
            // As much was read as arrived, or the window would have shrunk.
            self.unread_since = None;
        }
        (self.window, self.unacknowledged, self.sent) = (window, unacknowledged, 0);
        let unread = (self.largest - window).saturating_add(unacknowledged).saturating_add(in_flight);
        self.credit = self.unhidden.tokens(now).saturating_sub(unread as usize);
    }

    /// Returns when to measure again, and what to do now.
    fn decide(&mut self, in_flight: u32, is_pending: bool, now: Instant) -> (Option<Instant>, Next) {
        if self.credit >= LOW {
            (self.wait, self.closed_at, self.trials, self.has_passed) = (WAIT_MIN, None, TRIALS, false);
            return (None, Next::Send);
        }
        let closed = now.saturating_since(*self.closed_at.get_or_insert(now));
        let pause = (closed / 8).clamp(PAUSE_MIN, PAUSE_MAX);
        let wait = self.wait;
        self.wait = (wait * 2).min(pause);
        if self.credit >= SEGMENT && is_pending {
            return (Some(now + wait), Next::Send);
        }
        let has_news_coming = self.unacknowledged > 0 || in_flight > 0 || self.window == self.largest;
        if has_news_coming {
            return (Some(now + wait), Next::Wait);
        }
        if now < self.probe_at {
            return (Some(self.probe_at), Next::Wait);
        }
        self.probe_at = now + pause;
        self.wait = WAIT_MIN * 2;
        let next = Some(now + WAIT_MIN);
        if is_pending && (closed >= CLOSED || self.has_passed) && self.trials > 0 {
            (self.is_trial, self.credit) = (true, SEGMENT);
            (next, Next::Send)
        } else {
            (next, Next::Probe)
        }
    }
}
