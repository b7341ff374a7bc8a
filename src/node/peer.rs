//! A configured peer: a server that is dialled for as long as it is configured, over all its sessions.

use alloc::sync::Arc;
use core::time::Duration;

use super::offences::Offences;
use super::timers::Timer;
use crate::rib::OriginId;
use crate::{CloseReason, Config, ConnId, Instant};

/// How long the routes of lost sessions stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hold {
    /// There are none.
    None,
    /// Until then.
    Until(Instant),
    /// A new session is syncing; if it doesn't say what is there, for this much longer.
    Suspended(Duration),
}

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) endpoint: Arc<str>,
    pub(super) origin: OriginId,
    /// Its connection, or the dial that is under way.
    pub(super) conn: Option<ConnId>,
    /// The last one that it had.
    pub(super) last_conn: ConnId,
    pub(super) timer: Timer,
    /// When to dial, if there is no connection.
    pub(super) dial_at: Option<Instant>,
    /// Dials since the last session that lasted.
    failures: u32,
    /// How often it has told more than is taken.
    pub(super) offences: Offences,
    pub(super) established_at: Option<Instant>,
    /// Everything subscribed to has been received since the session opened.
    pub(super) synced: bool,
    pub(super) hold: Hold,
    pub(super) dials: u64,
    pub(super) sessions: u64,
    pub(super) last_close: Option<CloseReason>,
    /// It is about to be forgotten.
    pub(super) is_removed: bool,
}

impl Peer {
    pub(super) fn new(endpoint: Arc<str>, origin: OriginId) -> Self {
        Self {
            endpoint,
            origin,
            conn: None,
            last_conn: ConnId::dialled(0),
            timer: Timer::default(),
            dial_at: None,
            failures: 0,
            offences: Offences::default(),
            established_at: None,
            synced: false,
            hold: Hold::None,
            dials: 0,
            sessions: 0,
            last_close: None,
            is_removed: false,
        }
    }

    /// When to look at it next.
    pub(super) fn next(&self) -> Option<Instant> {
        let hold = match self.hold {
            Hold::Until(at) => Some(at),
            Hold::None | Hold::Suspended(_) => None,
        };
        self.dial_at.into_iter().chain(hold).min()
    }

    /// A dial failed, or a session ended: how long to wait before the next dial. The first is tried at once; from then on the
    /// wait doubles, less up to half of it by chance, until a session lasts.
    pub(super) fn back_off(&mut self, now: Instant, config: &Config, chance: u64) -> Duration {
        if self.established_at.take().is_some_and(|at| now.saturating_since(at) >= config.backoff_reset) {
            self.failures = 0;
            return Duration::ZERO;
        }
        let factor = 1u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = (self.failures + 1).min(31);
        let wait = config.backoff_min.saturating_mul(factor).min(config.backoff_max);
        let spared = wait.as_nanos() as u64 / 2;
        wait - Duration::from_nanos(if spared == 0 { 0 } else { chance % spared })
    }

    /// The hold time runs on, if a new session suspended it.
    pub(super) fn resume_hold(&mut self, now: Instant) {
        if let Hold::Suspended(left) = self.hold {
            self.hold = Hold::Until(now + left);
        }
    }

    /// A new session is about to say what is there.
    pub(super) fn suspend_hold(&mut self, now: Instant) {
        if let Hold::Until(at) = self.hold {
            self.hold = Hold::Suspended(at.saturating_since(now));
        }
    }
}
