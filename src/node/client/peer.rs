//! A configured server, over all its sessions: when it is dialled, and how long routes of its earlier sessions stay.
//!
//! Invariant: the server has either a connection (or a dial in progress), or a time for the next dial, until it is removed or the node shuts
//! down. `synced` is set only while a session is established.

use alloc::sync::Arc;

use super::super::ban::Ban;
use super::super::timers::{Timer, TimerKey, Timers};
use super::super::totals::Total;
use super::super::{Common, Counters, Peer as PeerName};
use super::back_off::BackOff;
use super::dialled::Dialled;
use super::stale::{Phase, Sessions, StaleTime};
use crate::rib::OriginId;
use crate::{CloseReason, Config, ConnId, Instant, PeerId};

#[derive(Debug)]
pub(super) struct Peer {
    id: PeerId,
    endpoint: Arc<str>,
    origin: OriginId,
    /// The connection, or the dial that is in progress.
    conn: Option<ConnId>,
    /// The last connection that there was.
    last_conn: ConnId,
    timer: Timer,
    /// When to dial, if there is no connection.
    dial_at: Option<Instant>,
    back_off: BackOff,
    ban: Ban,
    /// Whether all routes of all wanted VNIs were received since the session opened.
    synced: bool,
    /// How long routes of earlier sessions stay. `None`: there are none, or they are being removed.
    stale_time: Option<StaleTime>,
    /// How many sessions were lost: a sweep that was begun before the last one is void.
    epoch: u64,
    dials: u64,
    sessions: u64,
    /// What was counted on connections that have ended.
    past: Counters,
    last_close: Option<CloseReason>,
}

impl Peer {
    /// A server that has just been configured. Its counters go on from `total`.
    pub(super) fn new(id: PeerId, endpoint: Arc<str>, origin: OriginId, stale_time: StaleTime, total: Total) -> Self {
        Self {
            id,
            endpoint,
            origin,
            conn: None,
            last_conn: ConnId::dialled(0),
            timer: Timer::default(),
            dial_at: None,
            back_off: BackOff::default(),
            ban: Ban::default(),
            synced: false,
            stale_time: Some(stale_time),
            epoch: 0,
            dials: total.dials(),
            sessions: total.sessions(),
            past: total.counters(),
            last_close: None,
        }
    }

    /// Returns the server as it is named in reports.
    pub(super) fn name(&self) -> PeerName {
        PeerName { id: self.id, endpoint: self.endpoint.clone() }
    }

    pub(super) fn endpoint(&self) -> &Arc<str> {
        &self.endpoint
    }

    pub(super) fn origin(&self) -> OriginId {
        self.origin
    }

    pub(super) fn conn(&self) -> Option<ConnId> {
        self.conn
    }

    pub(super) fn last_conn(&self) -> ConnId {
        self.last_conn
    }

    pub(super) fn is_synced(&self) -> bool {
        self.synced
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn dials(&self) -> u64 {
        self.dials
    }

    pub(super) fn sessions(&self) -> u64 {
        self.sessions
    }

    pub(super) fn past(&self) -> &Counters {
        &self.past
    }

    pub(super) fn last_close(&self) -> Option<&CloseReason> {
        self.last_close.as_ref()
    }

    /// Returns what was counted until now, for when the server is configured again.
    pub(super) fn total(&self) -> Total {
        Total::new(self.past, self.dials, self.sessions)
    }

    /// Returns whether the server is to be dialled at some time.
    pub(super) fn is_waiting(&self) -> bool {
        self.dial_at.is_some()
    }

    /// Returns whether it is time to dial.
    pub(super) fn is_dial_due(&self, now: Instant) -> bool {
        self.dial_at.is_some_and(|at| at <= now)
    }

    /// Has the server dialled at `at`; never, if `None`.
    pub(super) fn dial_at(&mut self, at: Option<Instant>) {
        self.dial_at = at;
    }

    /// Notes that a dial begins.
    pub(super) fn dialling(&mut self, conn: ConnId) {
        self.conn = Some(conn);
        self.last_conn = conn;
        self.dial_at = None;
        self.dials += 1;
    }

    /// Notes that a session with any server is established.
    pub(super) fn any_opens(&mut self, now: Instant) {
        if let Some(stale_time) = &mut self.stale_time {
            stale_time.any_opens(now);
        }
    }

    /// Notes that a session with this server is established.
    pub(super) fn opens(&mut self, now: Instant) {
        self.back_off.established(now);
        self.sessions += 1;
        if let Some(stale_time) = &mut self.stale_time {
            stale_time.opens(now);
        }
    }

    /// Notes that a VNI is to be subscribed to.
    pub(super) fn subscribes(&mut self) {
        self.synced = false;
    }

    /// Notes that all routes of all wanted VNIs were received. `is_complete`: the server has all routes that there are, so that what is stale is
    /// removed.
    pub(super) fn syncs(&mut self, is_complete: bool) {
        self.synced = true;
        if is_complete {
            self.stale_time = None;
        }
    }

    /// Notes that there is no connection any more.
    pub(super) fn disconnects(&mut self) {
        self.conn = None;
    }

    /// Notes why a connection has ended. `is_established`: its session was. `sessions`: those that are left.
    pub(super) fn ended(
        &mut self,
        common: &mut Common,
        counters: &Counters,
        reason: &CloseReason,
        is_established: bool,
        sessions: Sessions,
    ) {
        let Common { rib, config, clock, .. } = common;
        let now = clock.now();
        self.past.add(counters);
        self.last_close = Some(reason.clone());
        if !is_established {
            if let Some(time) = &mut self.stale_time {
                time.dial_failed();
            }
            return;
        }
        let is_fresh = rib.route_count(self.origin) > rib.stale_count(self.origin);
        rib.mark_stale(self.origin);
        // What was to be swept until now is not what is stale from now on.
        self.epoch += 1;
        self.synced = false;
        match &mut self.stale_time {
            time if is_fresh => *time = Some(StaleTime::of_lost_session(now, config, sessions)),
            Some(time) => time.loses(now),
            // Routes that were about to be swept.
            time if rib.route_count(self.origin) > 0 => *time = Some(StaleTime::over(now)),
            _ => {}
        }
    }

    /// Has the server dialled again after its back-off, and after its ban, if it went over a limit. `chance`: a random number.
    pub(super) fn retries(&mut self, reason: &CloseReason, now: Instant, config: &Config, chance: u64) {
        let at_once = matches!(reason, CloseReason::ResetRequested | CloseReason::Resubscribe);
        let mut wait = self.back_off.next(now, config, chance);
        if let CloseReason::Limit { .. } = reason {
            wait = wait.max(self.ban.begin(now, config.limits.ban_time_max));
        }
        self.dial_at = Some(if at_once { now } else { now + wait });
    }

    /// Returns where the session with the server stands. `conn`: its connection.
    pub(super) fn phase(&self, conn: Option<&Dialled>) -> Phase {
        match conn.map(|dialled| dialled.conn().session()) {
            Some(session) if !session.is_established() => Phase::Away,
            Some(session) if session.is_ordered() && !self.synced => Phase::Syncing,
            Some(_) => Phase::Settled,
            None => Phase::Away,
        }
    }

    pub(super) fn stale_time(&self) -> Option<&StaleTime> {
        self.stale_time.as_ref()
    }

    fn stale_time_end(&self, phase: Phase, sessions: Sessions, config: &Config) -> Option<Instant> {
        self.stale_time.as_ref()?.end(phase, sessions, config)
    }

    /// Notes that the timer has fired. Returns whether the stale time is over.
    pub(super) fn due(&mut self, phase: Phase, sessions: Sessions, config: &Config, now: Instant) -> bool {
        self.timer.fired();
        let is_over = self.stale_time_end(phase, sessions, config).is_some_and(|at| at <= now);
        if is_over {
            self.stale_time = None;
        }
        is_over
    }

    /// Sets the timer for the next dial and the end of the stale time.
    pub(super) fn set_timer(&mut self, phase: Phase, sessions: Sessions, config: &Config, timers: &mut Timers) {
        let stale = self.stale_time_end(phase, sessions, config);
        let next = self.dial_at.into_iter().chain(stale).min();
        timers.set(&mut self.timer, TimerKey::Peer(self.id), next);
    }

    /// Removes the timer of a server that is removed.
    pub(super) fn clear_timer(&mut self, timers: &mut Timers) {
        timers.set(&mut self.timer, TimerKey::Peer(self.id), None);
    }
}
