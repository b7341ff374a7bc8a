//! What can be seen of a node from outside: getters, which change nothing.

use super::{Announcer, Bookmark, Counters, Destination, Entry, Moved, Node, PeerInfo, SessionInfo, TableInfo};
use crate::rib::{OriginId, Viewer};
use crate::session::Role;
use crate::{CloseKind, Config, Histogram, HostAddr, Instant, NextHop, PeerId, Prefix, Route, SessionState, Vni};

impl Node {
    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The `now` of the last input.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Whether it says of itself that it listens.
    pub fn is_listening(&self) -> bool {
        self.is_listening
    }

    /// Whether it tells its clients that its table may still be incomplete ([`Config::warming`]).
    pub fn is_warming(&self) -> bool {
        let since = self.warming_since.filter(|_| self.is_listening);
        since.is_some_and(|since| self.clock.now().saturating_since(since) < self.config.warming)
    }

    /// Where the session with a configured peer stands; `None`: there is no such peer.
    pub fn peer_state(&self, id: PeerId) -> Option<SessionState> {
        let peer = self.peers.get(&id)?;
        let conn = peer.conn.and_then(|conn| self.conns.get(&conn));
        Some(match conn {
            Some(conn) => conn.session.state(),
            None if peer.dial_at.is_some() => SessionState::Retry,
            None => SessionState::Closed,
        })
    }

    /// The configured peers, in the order of their ids.
    pub fn peers(&self) -> impl Iterator<Item = PeerInfo> + '_ {
        self.peers.iter().map(|(&id, peer)| {
            let mut counters = peer.past;
            if let Some(conn) = peer.conn.and_then(|conn| self.conns.get(&conn)) {
                counters.add(&conn.counters);
            }
            PeerInfo {
                id,
                endpoint: peer.endpoint.clone(),
                state: self.peer_state(id).unwrap_or(SessionState::Closed),
                conn: peer.conn,
                synced: peer.synced,
                routes: self.rib.route_count(peer.origin),
                stale: self.rib.stale_count(peer.origin),
                dials: peer.dials,
                sessions: peer.sessions,
                last_close: peer.last_close.clone(),
                counters,
            }
        })
    }

    /// The connections, in the order of their ids.
    pub fn sessions(&self) -> impl Iterator<Item = SessionInfo> + '_ {
        self.conns.values().map(|conn| {
            let hello = conn.session.hello();
            let subscriptions = match (conn.peer, conn.subscriber) {
                (None, Some(subscriber)) => self.rib.subscription_count(subscriber),
                _ => 0,
            };
            SessionInfo {
                conn: conn.id,
                peer: conn.peer,
                remote: conn.remote,
                names: conn.names.clone(),
                rule: conn.permit.as_ref().map(|permit| permit.rule().name.clone()),
                state: conn.session.state(),
                ordered: conn.session.is_ordered(),
                is_server: hello.is_some_and(|hello| hello.is_server),
                warming: conn.session.hello().is_some_and(|hello| hello.converging),
                routes: conn.origin.map_or(0, |origin| self.rib.route_count(origin)),
                subscriptions,
                lag: conn.subscriber.map_or(0, |id| if conn.peer.is_some() { &self.own } else { &self.rib }.lag(id)),
                since: conn.since,
                heard: conn.heard,
                keepalive: hello.map(|hello| self.config.keepalive.min(hello.keepalive)),
                restart_time: match conn.session.role() {
                    Role::Acceptor => hello.map(|hello| self.config.grant_restart_time(hello.restart_time)),
                    Role::Dialler => hello.map(|hello| hello.restart_time).filter(|granted| *granted > 0),
                },
                counters: conn.counters,
            }
        })
    }

    /// What came and went on all connections since the node began, those that have ended included.
    pub fn counters(&self) -> Counters {
        self.conns.values().fold(self.past, |mut sum, conn| {
            sum.add(&conn.counters);
            sum
        })
    }

    /// What came and went on the connections from a host that have ended. Together with those that are open ([`sessions`](Self::sessions)) it
    /// never falls while one is open, and for ten minutes after that; then it begins anew. It begins anew earlier if as many other
    /// addresses have left since then as there may be connections ([`Limits::connections`](crate::Limits::connections)).
    pub fn past_counters(&self, host: HostAddr) -> Counters {
        self.totals.get(&host)
    }

    /// How long it took from a change of a VNI's routes until a peer that is subscribed to it, and had been told everything before,
    /// had been told everything again: one count for each such peer and time. By the node's clock, which moves with its inputs.
    pub fn convergence(&self) -> &Histogram {
        &self.convergence
    }

    /// How many connections have ended (or were refused) since the node began, by why. Those that none ended for are left out.
    pub fn closed(&self) -> impl Iterator<Item = (CloseKind, u64)> + '_ {
        self.closed.iter().map(|(&kind, &count)| (kind, count))
    }

    /// Whether this node wants the routes of a VNI.
    pub fn is_subscribed(&self, vni: Vni) -> bool {
        self.rib.is_wanted(vni)
    }

    /// The VNIs whose routes this node wants, in order.
    pub fn subscribed_vnis(&self) -> impl Iterator<Item = Vni> + '_ {
        self.rib.wanted()
    }

    /// Whether this node announces a route.
    pub fn is_announced(&self, route: &Route) -> bool {
        self.own.is_announced(OriginId::LOCAL, route)
    }

    /// How many routes this node announces.
    pub fn announcement_count(&self) -> usize {
        self.own.route_count(OriginId::LOCAL)
    }

    /// What this node announces.
    pub fn announcements(&self) -> impl Iterator<Item = Route> + '_ {
        self.own.announced_by(OriginId::LOCAL)
    }

    /// The VNIs of which the table has a route.
    pub fn vnis(&self) -> impl Iterator<Item = Vni> + '_ {
        self.rib.vnis()
    }

    /// The number of routes that somebody, this node included, announces.
    pub fn route_count(&self) -> usize {
        self.rib.len()
    }

    /// The routes of a VNI that somebody, this node included, announces.
    pub fn routes(&self, vni: Vni) -> impl Iterator<Item = Route> + '_ {
        self.rib.routes(vni, None)
    }

    /// The destinations of a VNI with their next hops: the same routes, put together.
    pub fn destinations(&self, vni: Vni) -> impl Iterator<Item = Destination> + '_ {
        self.rib.destinations(vni)
    }

    /// The next hops of one destination that somebody, this node included, announces.
    pub fn next_hops(&self, vni: Vni, prefix: &Prefix) -> impl Iterator<Item = NextHop> + '_ {
        self.rib.next_hops(vni, prefix)
    }

    /// What one of the announcers announces. Nothing, if it is not there (any more), and for [`Announcer::Departed`], which
    /// stands for many.
    pub fn announced_by(&self, announcer: Announcer) -> impl Iterator<Item = Route> + '_ {
        let origin = match announcer {
            Announcer::Local => Some(OriginId::LOCAL),
            Announcer::Peer(id) => self.peers.get(&id).map(|peer| peer.origin),
            // A dialled connection's origin is its peer's.
            Announcer::Conn(id) => self.conns.get(&id).filter(|conn| conn.peer.is_none()).and_then(|conn| conn.origin),
            Announcer::Departed => None,
        };
        origin.into_iter().flat_map(|origin| self.rib.announced_by(origin))
    }

    /// Who announces a route.
    pub fn announcers(&self, route: &Route) -> impl Iterator<Item = Announcer> + '_ {
        self.rib.announcers(route).map(|origin| self.rib.owner(origin))
    }

    /// The tables in use, those without a route but with a subscriber among them, from place `from` on, in no particular order;
    /// each with its place. To look at many of them in several calls, go on behind the last place: tables that are there all the
    /// time are seen once each.
    pub fn tables(&self, from: u32) -> impl Iterator<Item = (u32, TableInfo)> + '_ {
        self.rib.infos(from)
    }

    /// One VNI's table, if it is in use.
    pub fn table(&self, vni: Vni) -> Option<TableInfo> {
        self.rib.info(vni)
    }

    /// The destinations of a VNI in no particular order, from a bookmark on, each with the bookmark for what is behind it. To look
    /// at many of them in several calls, go on with the last bookmark: destinations that are there all the time are seen once
    /// each. Nothing is copied but what is looked at.
    ///
    /// # Errors
    /// If the table was rearranged since the bookmark was made, which happens when it has shrunk to a fraction: the places of
    /// destinations that were not seen yet are not known any more.
    pub fn walk(&self, vni: Vni, from: Bookmark) -> Result<impl Iterator<Item = (Bookmark, Entry<'_>)>, Moved> {
        self.rib.entries(vni, from)
    }

    /// The routes of a VNI as [`poll_change`](Self::poll_change) tells them: those that others announce and this node
    /// doesn't. Empty if it is not subscribed.
    pub fn learned(&self, vni: Vni) -> impl Iterator<Item = Route> + '_ {
        self.is_subscribed(vni).then(|| self.rib.routes(vni, Some(Viewer::Local))).into_iter().flatten()
    }
}
