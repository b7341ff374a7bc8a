//! The limits on what peers may ask for: who is refused, and who has to go when all together hold too much.

use alloc::collections::{BTreeMap, BinaryHeap};
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::conn::Conn;
use super::jobs::Job;
use super::timers::TimerKey;
use super::{Action, Close, Node, Transition};
use crate::rib::{OriginId, Rib, SubscriberId};
use crate::session::Role;
use crate::{CloseReason, ConnId, HostAddr, PeerLimit, SessionState};

/// Somebody who has a part of what accepted peers hold together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Holder {
    Conn(ConnId),
    Departed(OriginId),
}

/// What one address has of it: the whole, and its holders, last who goes first: what departed, then who has the most.
#[derive(Default)]
struct Share {
    whole: usize,
    holders: Vec<(bool, usize, Holder)>,
}

impl Share {
    fn add(&mut self, holder: Holder, part: usize) {
        self.whole += part;
        self.holders.push((matches!(holder, Holder::Departed(_)), part, holder));
    }
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
        let entered = self.sources.enter(remote.into(), &self.config.limits, self.clock.now());
        if let Err(reason) = entered {
            self.count(&reason);
            self.actions.push(Action::Close { conn: id, how: Close::Now });
            let (remote, old, new) = (Some(remote), SessionState::Connecting, SessionState::Closed);
            let mut refused = Transition::new(id, old, new);
            (refused.remote, refused.reason) = (remote, Some(reason));
            self.actions.push(Action::State(refused));
            return;
        }
        self.totals.enter(&remote.into());
        let mut conn = self.new_conn(id, Role::Acceptor);
        conn.remote = Some(remote);
        conn.counted = SessionState::Connecting;
        self.states.move_to(SessionState::Closed, conn.counted);
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
            // What is left from its sessions before is there by our own wish, as long as it doesn't pile up.
            let fresh = routes - self.rib.stale_count(origin);
            if fresh > limits.routes || routes > limits.routes.saturating_mul(2) {
                self.close(id, self.over(PeerLimit::Routes), Some(Close::Now));
            }
            return;
        }
        let vnis = self.rib.subscription_count_of(conn.subscriber).max(self.rib.vni_count(origin));
        let rule = conn.permit.as_ref().map(|permit| permit.rule());
        let max_routes = rule.and_then(|rule| rule.max_routes).unwrap_or(limits.routes_per_peer);
        let max_vnis = rule.and_then(|rule| rule.max_vnis).unwrap_or(limits.vnis_per_peer);
        let mut over = |limit, max| self.close(id, CloseReason::Limit { limit, max: max as u64 }, Some(Close::Now));
        if routes > max_routes {
            over(PeerLimit::RoutesPerPeer, max_routes);
        } else if vnis > max_vnis {
            over(PeerLimit::VnisPerPeer, max_vnis);
        }
        self.relieve(
            PeerLimit::Routes,
            |rib| rib.held(),
            |rib, origin, _| origin.map_or(0, |origin| rib.route_count(origin)),
        );
        self.relieve(
            PeerLimit::Vnis,
            |rib| rib.held_vnis(),
            |rib, origin, _| origin.map_or(0, |origin| rib.vni_count(origin)),
        );
        self.relieve(
            PeerLimit::Subscriptions,
            |rib| rib.subscriptions(),
            |rib, _, subscriber| rib.subscription_count_of(subscriber),
        );
    }

    /// If all together have more than they may: ends sessions and restart times, of the address that has the most of it
    /// what has the most, until there is some room.
    fn relieve(
        &mut self,
        limit: PeerLimit,
        whole: impl Fn(&Rib) -> usize,
        part: impl Fn(&Rib, Option<OriginId>, Option<SubscriberId>) -> usize,
    ) {
        let max = self.config.limits.get(limit) as usize;
        if whole(&self.rib) <= max {
            return;
        }
        let mut shares = BTreeMap::<HostAddr, Share>::new();
        for conn in self.conns.values().filter(|conn| conn.peer.is_none()) {
            if let Some(host) = conn.host() {
                let part = part(&self.rib, conn.origin, conn.subscriber);
                shares.entry(host).or_default().add(Holder::Conn(conn.id), part);
            }
        }
        for (origin, _) in self.departed.iter() {
            if let Some(host) = self.rib.host(origin) {
                shares.entry(host).or_default().add(Holder::Departed(origin), part(&self.rib, Some(origin), None));
            }
        }
        let mut heaviest_first: BinaryHeap<(usize, HostAddr)> = BinaryHeap::with_capacity(shares.len());
        for (host, share) in &mut shares {
            share.holders.retain(|&(_, part, _)| part > 0);
            share.holders.sort_unstable();
            heaviest_first.push((share.whole, *host));
        }
        // Some room, so that this long look at everybody is rare.
        while whole(&self.rib) > max - max / 64
            && let Some((left, host)) = heaviest_first.pop()
        {
            if let Some((_, part, holder)) = shares.get_mut(&host).and_then(|share| share.holders.pop()) {
                self.dismiss(holder, limit);
                heaviest_first.push((left - part, host));
            }
        }
    }

    /// While nothing is being swept: of a destination with too many next hops, some of those who announce the most go.
    pub(super) fn thin_crowds(&mut self) {
        if !self.jobs.is_empty() || !self.rib.has_crowd() {
            return;
        }
        let crowders = self.rib.crowders();
        let conns = self.conns.values().filter(|conn| conn.origin.is_some_and(|origin| crowders.contains(&origin)));
        let departed = self.departed.iter().map(|(origin, _)| origin).filter(|origin| crowders.contains(origin));
        let conns = conns.map(|conn| Holder::Conn(conn.id));
        let holders: Vec<Holder> = departed.map(Holder::Departed).chain(conns).collect();
        for holder in holders {
            self.dismiss(holder, PeerLimit::NextHops);
        }
    }

    fn dismiss(&mut self, holder: Holder, limit: PeerLimit) {
        match holder {
            Holder::Conn(id) => self.close(id, self.over(limit), Some(Close::Now)),
            Holder::Departed(origin) => {
                self.count(&self.over(limit));
                self.cut_grace(origin);
            }
        }
    }

    /// An accepted connection is over.
    pub(super) fn left(&mut self, conn: &Conn, reason: &CloseReason) {
        let Some(host) = conn.host() else { return };
        let (limits, now) = (&self.config.limits, self.clock.now());
        if matches!(reason, CloseReason::Limit { limit, .. } if limit.is_on_content()) {
            self.sources.offend(host, limits, now);
        }
        let is_last = self.sources.leave(host, now);
        self.totals.leave(host, &conn.counters, is_last, now);
    }

    /// A departed client's restart time ends before its time.
    pub(super) fn cut_grace(&mut self, origin: OriginId) {
        if let Some(departed) = self.departed.get(origin) {
            self.timers.cancel(TimerKey::Grace(origin), departed.until);
        }
        self.end_grace(origin);
    }

    /// A departed client's restart time is over.
    pub(super) fn end_grace(&mut self, origin: OriginId) {
        self.departed.remove(origin);
        self.leave(origin);
    }

    /// All routes of an accepted peer go.
    pub(super) fn leave(&mut self, origin: OriginId) {
        self.rib.leave(origin);
        self.jobs.push_back(Job::Sweep { origin, release: true });
    }
}
