//! The servers that a node dials: connecting, losing, dialling again; and what becomes of their routes meanwhile.

use alloc::collections::BTreeSet;
use core::net::SocketAddr;

use super::conn::Conn;
use super::jobs::Job;
use super::peer::Hold;
use super::timers::{TimerKey, Timers};
use super::{Action, Close, Node, Shutdown, Transition};
use crate::rib::OriginId;
use crate::session::Role;
use crate::{CloseReason, ConnId, PeerId, SessionState, Vni};

impl Node {
    /// A peer's next dial, or its hold time, may be due.
    pub(super) fn peer_due(&mut self, id: PeerId) {
        let now = self.clock.now();
        let Some(peer) = self.peers.get_mut(&id) else { return };
        Timers::fired(&mut peer.timer);
        if matches!(peer.hold, Hold::Until(at) if at <= now) {
            peer.hold = Hold::None;
            self.jobs.push_back(Job::Sweep { origin: peer.origin, release: false });
        }
        if peer.dial_at.is_some_and(|at| at <= now) {
            self.dial(id, SessionState::Retry);
        }
        self.set_peer_timer(id);
    }

    pub(super) fn set_peer_timer(&mut self, id: PeerId) {
        if let Some(peer) = self.peers.get_mut(&id) {
            let next = peer.next();
            self.timers.set(&mut peer.timer, TimerKey::Peer(id), next);
        }
    }

    pub(super) fn dial(&mut self, id: PeerId, old: SessionState) {
        let conn_id = ConnId::dialled(self.next_conn);
        let mut conn = self.new_conn(conn_id, Role::Dialler);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        self.next_conn += 1;
        conn.peer = Some(id);
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
        let (now, uptime, keepalive) = (self.clock.now(), self.clock.uptime(), self.config.keepalive);
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
        let Some(peer) = self.peers.get_mut(&id) else { return SessionState::Closed };
        peer.conn = None;
        peer.last_close = Some(reason.clone());
        if conn.session.is_established() {
            let origin = peer.origin;
            let is_fresh = self.rib.route_count(origin) > self.rib.stale_count(origin);
            self.rib.mark_stale(origin);
            // What was to be swept until now is not what is stale from now on.
            self.jobs.retain(|job| !matches!(job, Job::Sweep { origin: o, release: false } if *o == origin));
            peer.synced = false;
            peer.hold = match peer.hold {
                _ if self.rib.route_count(origin) == 0 => Hold::None,
                _ if is_fresh => Hold::Until(now + self.config.hold),
                Hold::Suspended(left) => Hold::Until(now + left),
                Hold::Until(at) => Hold::Until(at),
                Hold::None => Hold::Until(now),
            };
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
        self.set_peer_timer(id);
        state
    }

    /// A server has sent all that was asked of it.
    pub(super) fn check_synced(&mut self, id: ConnId) {
        let now = self.clock.now();
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let (Some(upstream), Some(peer_id), Some(hello)) = (&mut conn.upstream, conn.peer, conn.session.hello()) else {
            return;
        };
        let Some(peer) = self.peers.get_mut(&peer_id) else { return };
        if !hello.ordered || peer.synced || !upstream.is_synced() {
            return;
        }
        peer.synced = true;
        let synced = upstream.take_synced();
        if hello.warming {
            // Its table may still be incomplete: what is stale goes by the hold time only.
            peer.resume_hold(now);
        } else {
            let by = peer.origin;
            peer.hold = Hold::None;
            self.jobs.push_back(Job::Sweep { origin: by, release: false });
            self.contradict_others(by, &synced);
        }
        self.set_peer_timer(peer_id);
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
                self.actions.push(Action::State(Transition {
                    conn: last_conn,
                    peer,
                    remote: None,
                    names: None,
                    old,
                    new,
                    reason,
                }));
            }
        }
        if let Some(mut peer) = self.peers.remove(&id) {
            self.timers.set(&mut peer.timer, TimerKey::Peer(id), None);
        }
        self.jobs.retain(|job| !job.concerns(origin));
        self.rib.mark_stale(origin);
        self.rib.orphan(origin);
        self.jobs.push_back(Job::Sweep { origin, release: true });
        true
    }
}
