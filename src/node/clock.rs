//! The node's time: what the driver says it is, never running back; and the uptime, by which peers are judged.

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

    /// It is `now`; the earliest deadline was `due`. If the loop should have woken and did not, that is not the peers' fault.
    pub(super) fn advance(&mut self, now: Instant, due: Option<Instant>) {
        if let Some(due) = due {
            self.uptime.woken(due, self.now, now);
        }
        self.now = self.now.max(now);
    }

    pub(super) fn session_timers(&self, config: &Config) -> SessionTimers {
        SessionTimers::new(self.now, self.uptime, config.handshake_timeout, config.send_hold)
    }
}
