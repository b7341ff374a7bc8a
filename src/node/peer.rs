//! A configured peer: a server that is dialled for as long as it is configured, over all its sessions.

use alloc::sync::Arc;
use core::time::Duration;

use super::Counters;
use super::offences::Offences;
use super::stale::StaleTime;
use super::timers::Timer;
use super::totals::Total;
use crate::rib::OriginId;
use crate::{Backoff, CloseReason, Config, ConnId, Instant};

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
    backoff: Backoff,
    /// How often it has told more than is taken.
    pub(super) offences: Offences,
    pub(super) established_at: Option<Instant>,
    /// Everything subscribed to has been received since the session opened.
    pub(super) synced: bool,
    /// How long what it announced in earlier sessions stays; `None`: nothing of it is left, or it may go.
    pub(super) stale_time: Option<StaleTime>,
    pub(super) dials: u64,
    pub(super) sessions: u64,
    /// What came and went on its connections that have ended.
    pub(super) past: Counters,
    pub(super) last_close: Option<CloseReason>,
    /// It is about to be forgotten.
    pub(super) is_removed: bool,
}

impl Peer {
    /// A peer that counts on from a total.
    pub(super) fn new(endpoint: Arc<str>, origin: OriginId, stale_time: StaleTime, total: Total) -> Self {
        Self {
            endpoint,
            origin,
            conn: None,
            last_conn: ConnId::dialled(0),
            timer: Timer::default(),
            dial_at: None,
            backoff: Backoff::default(),
            offences: Offences::default(),
            established_at: None,
            synced: false,
            stale_time: Some(stale_time),
            dials: total.dials,
            sessions: total.sessions,
            past: total.counters,
            last_close: None,
            is_removed: false,
        }
    }

    /// Returns how long to wait before the next dial, after a dial failed or a session ended. After a session that lasted,
    /// the next dial is made at once; then the wait grows until another session lasts.
    pub(super) fn back_off(&mut self, now: Instant, config: &Config, random: u64) -> Duration {
        if self.established_at.take().is_some_and(|at| now.saturating_since(at) >= config.backoff_reset) {
            self.backoff.reset();
            return Duration::ZERO;
        }
        self.backoff.fail_with_jitter(config.backoff_min..=config.backoff_max, random)
    }

    /// What it has counted until now.
    pub(super) fn total(&self) -> Total {
        Total::new(self.past, self.dials, self.sessions)
    }
}
