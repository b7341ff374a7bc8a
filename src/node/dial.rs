//! The servers that a node dials: connecting, losing, dialling again; and what becomes of their routes meanwhile.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use core::net::SocketAddr;

use super::conn::Conn;
use super::jobs::Job;
use super::peer::Peer;
use super::stale::{Phase, Sessions, StaleTime};
use super::timers::{TimerKey, Timers};
use super::{Action, Close, Node, Shutdown, Transition};
use crate::rib::OriginId;
use crate::session::Role;
use crate::{CloseReason, Config, ConnId, Instant, PeerId, SessionState, Vni};

impl Node {
    /// A peer's next dial, or the end of its stale time, may be due.
    pub(super) fn peer_due(&mut self, id: PeerId) {
        let (now, sessions) = (self.clock.now(), self.open_sessions());
        let Self { peers, conns, config, rib, jobs, .. } = self;
        let Some(peer) = peers.get_mut(&id) else { return };
        Timers::fired(&mut peer.timer);
        if stale_time_end(peer, phase(peer, conns), sessions, config).is_some_and(|at| at <= now) {
            peer.stale_time = None;
            if rib.stale_count(peer.origin) > 0 {
                jobs.push_back(Job::Sweep { origin: peer.origin, release: false });
            }
        }
        if peer.dial_at.is_some_and(|at| at <= now) {
            self.dial(id, SessionState::Retry);
        }
        self.set_peer_timer(id);
    }

    pub(super) fn set_peer_timer(&mut self, id: PeerId) {
        let sessions = self.open_sessions();
        let Self { peers, conns, config, timers, .. } = self;
        if let Some(peer) = peers.get_mut(&id) {
            let stale = stale_time_end(peer, phase(peer, conns), sessions, config);
            let next = peer.dial_at.into_iter().chain(stale).min();
            timers.set(&mut peer.timer, TimerKey::Peer(id), next);
        }
    }

    /// Sets the timers of all peers: how long stale routes of one stay may depend on another's session.
    pub(super) fn set_peer_timers(&mut self) {
        let sessions = self.open_sessions();
        let Self { peers, conns, config, timers, .. } = self;
        for (id, peer) in peers {
            let stale = stale_time_end(peer, phase(peer, conns), sessions, config);
            let next = peer.dial_at.into_iter().chain(stale).min();
            timers.set(&mut peer.timer, TimerKey::Peer(*id), next);
        }
    }

    /// The sessions with configured servers that are open.
    pub(super) fn open_sessions(&self) -> Sessions {
        Sessions::of(self.peers.values().map(|peer| phase(peer, &self.conns)))
    }

    /// Whether the application may remove what it had installed before this node began and no server has announced to the node
    /// since: routes in a kernel, say, that it *adopted* from an earlier process.
    ///
    /// It may as soon as a server that has `ordered` and is not `warming` has sent all routes, and every other server has either
    /// sent what it has, or has no session and its first dial has failed; or when the time is over for which stale routes of each
    /// server would stay ([`Config::hold`](crate::Config::hold), [`Config::session_stale_time`](crate::Config::session_stale_time)). Never
    /// without a server. What is true may become false again, with a new subscription for example: an application that has
    /// removed what it adopted need not ask again. It subscribes before it adds servers.
    pub fn may_remove_adopted(&self) -> bool {
        // One that was warming has converged when its time is over.
        let is_complete = |peer: &Peer| peer.synced && peer.stale_time.is_none();
        let has_complete = self.peers.values().any(is_complete);
        let may = |peer: &Peer| match (peer.stale_time, phase(peer, &self.conns)) {
            (_, Phase::Syncing) => false,
            (None, _) => true,
            // It has sent all that it has, and the other one all that there is.
            (Some(_), Phase::Settled) => has_complete && peer.synced,
            (Some(time), Phase::Away) => has_complete && !time.is_first_dial(),
        };
        !self.peers.is_empty() && self.peers.values().all(may)
    }

    pub(super) fn dial(&mut self, id: PeerId, old: SessionState) {
        let conn_id = ConnId::dialled(self.next_conn);
        let mut conn = self.new_conn(conn_id, Role::Dialler);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        self.next_conn += 1;
        conn.peer = Some(id);
        conn.counted = old;
        peer.conn = Some(conn_id);
        peer.last_conn = conn_id;
        peer.dial_at = None;
        peer.dials += 1;
        let endpoint = peer.endpoint.clone();
        self.actions.push(Action::Dial { conn: conn_id, peer: id, endpoint });
        self.conns.insert(conn_id, conn);
        self.transition(conn_id, old);
        self.set_conn_timer(conn_id);
    }

    pub(super) fn connected(&mut self, id: ConnId, remote: SocketAddr) {
        let (now, uptime, keepalive) = (self.clock.now(), self.clock.uptime(), self.config.keepalive_secs());
        let Some(conn) = self.conns.get_mut(&id) else { return };
        if conn.session.state() != SessionState::Connecting || !id.is_dialled() {
            return;
        }
        conn.remote = Some(remote);
        conn.session.connected();
        conn.timers.step(now, uptime, &conn.session, keepalive);
        conn.hello_due = true;
        self.mark_ready(id);
        self.transition(id, SessionState::Connecting);
        self.set_conn_timer(id);
    }

    /// A peer's connection is over. Its state from now on.
    pub(super) fn lost(&mut self, id: PeerId, conn: &Conn, reason: &CloseReason) -> SessionState {
        let (now, chance, shutdown) = (self.clock.now(), self.next_random(), self.shutdown);
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.conn = None;
        }
        let sessions = self.open_sessions();
        let Some(peer) = self.peers.get_mut(&id) else { return SessionState::Closed };
        peer.past.add(&conn.counters);
        peer.last_close = Some(reason.clone());
        if conn.session.is_established() {
            let origin = peer.origin;
            let is_fresh = self.rib.route_count(origin) > self.rib.stale_count(origin);
            self.rib.mark_stale(origin);
            // What was to be swept until now is not what is stale from now on.
            self.jobs.retain(|job| !matches!(job, Job::Sweep { origin: o, release: false } if *o == origin));
            peer.synced = false;
            match &mut peer.stale_time {
                time if is_fresh => *time = Some(StaleTime::of_lost_session(now, &self.config, sessions)),
                Some(time) => time.loses(now),
                // They were about to be swept.
                time if self.rib.route_count(origin) > 0 => *time = Some(StaleTime::over(now)),
                _ => {}
            }
        } else if let Some(time) = &mut peer.stale_time {
            time.dial_failed();
        }
        let state = if shutdown == Shutdown::No && !peer.is_removed {
            let at_once = matches!(reason, CloseReason::ResetRequested | CloseReason::Resubscribe);
            let mut wait = peer.back_off(now, &self.config, chance);
            if let CloseReason::Limit { .. } = reason {
                wait = wait.max(peer.offences.again(now, self.config.limits.keep_out));
            }
            peer.dial_at = Some(if at_once { now } else { now + wait });
            SessionState::Retry
        } else {
            SessionState::Closed
        };
        if conn.session.is_established() {
            self.set_peer_timers()
        } else {
            self.set_peer_timer(id)
        }
        state
    }

    /// A server has sent all that was asked of it.
    pub(super) fn check_synced(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let (Some(upstream), Some(peer_id), Some(hello)) = (&mut conn.upstream, conn.peer, conn.session.hello()) else {
            return;
        };
        let Some(peer) = self.peers.get_mut(&peer_id) else { return };
        if !hello.ordered || peer.synced || !upstream.is_synced(|vni| self.rib.is_wanted(vni)) {
            return;
        }
        peer.synced = true;
        let synced = upstream.take_synced();
        // The table of one that is warming may still be incomplete: what is stale goes when its time is over.
        if !hello.warming {
            let by = peer.origin;
            peer.stale_time = None;
            self.jobs.push_back(Job::Sweep { origin: by, release: false });
            self.contradict_others(by, &synced);
        }
        self.set_peer_timers();
    }

    /// A live server is believed: what it doesn't have, of the VNIs that it has just sent in full, is not kept on the word
    /// of a lost one.
    fn contradict_others(&mut self, by: OriginId, vnis: &BTreeSet<Vni>) {
        for peer in self.peers.values() {
            let from = self.rib.stale_count(peer.origin);
            if peer.origin != by && from > 0 && !vnis.is_empty() {
                self.jobs.push_back(Job::Contradict { origin: peer.origin, by, vnis: vnis.clone(), from });
            }
        }
    }

    /// A configured peer is left for good. False: there is none.
    pub(super) fn remove_peer(&mut self, id: PeerId) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        peer.is_removed = true;
        let (conn, last_conn, origin) = (peer.conn, peer.last_conn, peer.origin);
        match conn {
            Some(conn) => self.close(conn, CloseReason::Removed, Some(Close::Now)),
            None => {
                let peer = self.named(id);
                let (old, new, reason) = (SessionState::Retry, SessionState::Closed, Some(CloseReason::Removed));
                self.states.move_to(old, new);
                self.actions.push(Action::State(Transition {
                    conn: last_conn,
                    peer,
                    remote: None,
                    names: None,
                    old,
                    new,
                    reason,
                    restart_time: None,
                }));
            }
        }
        if let Some(mut peer) = self.peers.remove(&id) {
            self.timers.set(&mut peer.timer, TimerKey::Peer(id), None);
            self.removed.keep(peer.endpoint.clone(), peer.total(), self.clock.now());
        }
        self.jobs.retain(|job| !job.concerns(origin));
        self.rib.mark_stale(origin);
        self.rib.orphan(origin);
        self.jobs.push_back(Job::Sweep { origin, release: true });
        true
    }
}

/// Where the session with a peer stands.
fn phase(peer: &Peer, conns: &BTreeMap<ConnId, Box<Conn>>) -> Phase {
    match peer.conn.and_then(|conn| conns.get(&conn)) {
        Some(conn) if !conn.session.is_established() => Phase::Away,
        Some(conn) if conn.session.is_ordered() && !peer.synced => Phase::Syncing,
        Some(_) => Phase::Settled,
        None => Phase::Away,
    }
}

/// When the stale time of a peer is over, as things stand.
fn stale_time_end(peer: &Peer, phase: Phase, sessions: Sessions, config: &Config) -> Option<Instant> {
    peer.stale_time.as_ref()?.end(phase, sessions, config)
}
