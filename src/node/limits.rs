//! The limits on what peers may ask for: who is refused, and who has to go when all together hold too much.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use super::conn::Conn;
use super::jobs::Job;
use super::timers::TimerKey;
use super::{Action, Close, Node, Transition};
use crate::rib::{Crowd, OriginId, SubscriberId};
use crate::session::Role;
use crate::{CloseReason, ConnId, PeerLimit, SessionState};

/// Somebody who has a part of what accepted peers hold together.
struct Holder {
    addr: IpAddr,
    who: Who,
    part: usize,
}

/// What has the most goes first; of equals, what departed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Conn(ConnId),
    Departed(OriginId),
}

impl Node {
    /// A connection was accepted: lets it in or refuses it.
    pub(super) fn accepted(&mut self, id: ConnId, remote: SocketAddr) {
        if self.conns.contains_key(&id) {
            return;
        }
        if self.shutdown != super::Shutdown::No || id.is_dialled() {
            self.actions.push(Action::Close { conn: id, how: Close::Now });
            return;
        }
        let entered = self.sources.enter(remote.ip().to_canonical(), &self.config.limits, self.clock.now());
        if let Err(reason) = entered {
            self.count(&reason);
            self.actions.push(Action::Close { conn: id, how: Close::Now });
            let (remote, old, new) = (Some(remote), SessionState::Connecting, SessionState::Closed);
            let refused = Transition { conn: id, peer: None, remote, old, new, reason: Some(reason) };
            self.actions.push(Action::State(refused));
            return;
        }
        let mut conn = self.new_conn(id, Role::Acceptor);
        conn.remote = Some(remote);
        self.conns.insert(id, conn);
        self.set_conn_timer(id);
    }

    fn over(&self, limit: PeerLimit) -> CloseReason {
        CloseReason::Limit { limit, max: self.config.limits.get(limit) }
    }

    /// One more connection ended for this reason.
    pub(super) fn count(&mut self, reason: &CloseReason) {
        *self.closed.entry(reason.kind()).or_default() += 1;
    }

    /// After a connection has said something: whether it, or all together, hold too much now.
    pub(super) fn check_limits(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get(&id) else { return };
        let Some(origin) = conn.origin else { return };
        let routes = self.rib.route_count(origin);
        let limits = &self.config.limits;
        if conn.peer.is_some() {
            // What is left from its last session is there by our own wish.
            if routes - self.rib.stale_count(origin) > limits.routes {
                self.close(id, self.over(PeerLimit::Routes), Some(Close::Now));
            }
            return;
        }
        let vnis = self.rib.subscription_count_of(conn.subscriber).max(self.rib.opened_by(origin));
        if routes > limits.routes_per_peer {
            self.close(id, self.over(PeerLimit::RoutesPerPeer), Some(Close::Now));
        } else if vnis > limits.vnis_per_peer {
            self.close(id, self.over(PeerLimit::VnisPerPeer), Some(Close::Now));
        }
        while self.rib.held() > self.config.limits.routes
            && self
                .relieve(PeerLimit::Routes, |node, origin, _| origin.map_or(0, |origin| node.rib.route_count(origin)))
        {
        }
        while self.rib.opened() > self.config.limits.vnis
            && self.relieve(PeerLimit::Vnis, |node, origin, _| origin.map_or(0, |origin| node.rib.opened_by(origin)))
        {
        }
        while self.rib.subscriptions() > self.config.limits.subscriptions
            && self.relieve(PeerLimit::Subscriptions, |node, _, subscriber| node.rib.subscription_count_of(subscriber))
        {
        }
        if let Some(crowd) = self.rib.take_crowd() {
            let limit = match crowd {
                Crowd::Dest(..) => PeerLimit::NextHops,
                Crowd::Hop(..) => PeerLimit::Announcers,
            };
            while let Some(by) = self.rib.crowded_by(crowd)
                && self.relieve(limit, |_, origin, _| origin.and_then(|origin| by.get(&origin).copied()).unwrap_or(0))
            {
            }
        }
    }

    /// Ends a session, or a restart time: of the address that has the most of what `part` tells, what has the most. False:
    /// nobody has any.
    fn relieve(
        &mut self,
        limit: PeerLimit,
        part: impl Fn(&Self, Option<OriginId>, Option<SubscriberId>) -> usize,
    ) -> bool {
        let conns = self.conns.values().filter(|conn| conn.peer.is_none()).filter_map(|conn| {
            let addr = conn.remote?.ip().to_canonical();
            Some(Holder { addr, who: Who::Conn(conn.id), part: part(self, conn.origin, conn.subscriber) })
        });
        let departed = self.departed.keys().filter_map(|&origin| {
            let addr = self.rib.host(origin)?;
            Some(Holder { addr, who: Who::Departed(origin), part: part(self, Some(origin), None) })
        });
        let holders: Vec<Holder> = conns.chain(departed).filter(|holder| holder.part > 0).collect();
        let mut by_addr = BTreeMap::<IpAddr, usize>::new();
        for holder in &holders {
            *by_addr.entry(holder.addr).or_default() += holder.part;
        }
        let Some((addr, _)) = by_addr.into_iter().max_by_key(|&(_, part)| part) else { return false };
        let there = holders.iter().filter(|holder| holder.addr == addr);
        match there.max_by_key(|holder| (holder.part, holder.who)).map(|holder| holder.who) {
            None => return false,
            Some(Who::Conn(id)) => self.close(id, self.over(limit), Some(Close::Now)),
            Some(Who::Departed(origin)) => {
                if let Some(until) = self.departed.get(&origin) {
                    self.timers.cancel(TimerKey::Grace(origin), *until);
                }
                self.end_grace(origin);
            }
        }
        true
    }

    /// An accepted connection is over.
    pub(super) fn left(&mut self, conn: &Conn, reason: &CloseReason) {
        let Some(addr) = conn.remote.map(|remote| remote.ip().to_canonical()) else { return };
        let (limits, now) = (&self.config.limits, self.clock.now());
        if matches!(reason, CloseReason::Limit { limit, .. } if limit.is_on_content()) {
            self.sources.offend(addr, limits, now);
        }
        self.sources.leave(addr, now);
    }

    /// A departed client's restart time is over.
    pub(super) fn end_grace(&mut self, origin: OriginId) {
        self.departed.remove(&origin);
        self.leave(origin);
    }

    /// All routes of an accepted peer go.
    pub(super) fn leave(&mut self, origin: OriginId) {
        self.rib.leave(origin);
        self.jobs.push_back(Job::Sweep { origin, release: true });
    }
}
