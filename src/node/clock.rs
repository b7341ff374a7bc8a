//! The node's time, as the driver says it is, and the uptime, by which peers are judged.
//!
//! Invariant: neither ever runs back.

use crate::session::{SessionTimers, Uptime};
use crate::{Config, Instant};

#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    now: Instant,
    uptime: Uptime,
}

impl Clock {
    pub(super) fn new(now: Instant) -> Self {
        Self { now, uptime: Uptime::default() }
    }

    pub(super) fn now(&self) -> Instant {
        self.now
    }

    pub(super) fn uptime(&self) -> Uptime {
        self.uptime
    }

    /// Advances to `now`. `due`: the earliest deadline until now. If the loop was to wake up then and did not, the uptime stands still
    /// for that long, because it is not the peers' fault.
    pub(super) fn advance(&mut self, now: Instant, due: Option<Instant>) {
        if let Some(due) = due {
            self.uptime.woken(due, self.now, now);
        }
        self.now = self.now.max(now);
    }

    /// Returns the timers of a connection that begins now.
    pub(super) fn session_timers(&self, config: &Config) -> SessionTimers {
        SessionTimers::new(self.now, self.uptime, config.handshake_timeout, config.send_hold_time)
    }
}
