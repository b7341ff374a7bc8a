//! Read-only views of a node for monitoring and queries: getters, which change nothing. They borrow, and do no work of their own beside
//! what is iterated over.

use super::{Bookmark, Common, Counters, Destination, Moved, Node, PeerInfo, SessionInfo, TableInfo};
use crate::rib::{self, OriginId, Viewer};
use crate::{
    Announcer, CloseKind, Config, ConnId, Histogram, HostAddr, Instant, NextHop, PeerId, Prefix, Route, SessionState,
    Vni,
};

/// A destination that [`Node::walk`] visits.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    entry: rib::Entry<'a>,
    node: &'a Node,
}

impl<'a> Entry<'a> {
    /// Returns the destination.
    pub fn prefix(&self) -> &'a Prefix {
        self.entry.prefix()
    }

    /// Returns its next hops that are announced, at least one, each with its announcers.
    pub fn next_hops(&self) -> impl Iterator<Item = (&'a NextHop, impl Iterator<Item = Announcer> + 'a)> + 'a {
        let node = self.node;
        self.entry
            .next_hops()
            .map(|(next_hop, origins)| (next_hop, origins.map(|origin| node.common.origins.get(origin))))
    }
}

impl Node {
    /// The settings.
    pub fn config(&self) -> &Config {
        &self.common.config
    }

    /// The `now` of the last input.
    pub fn now(&self) -> Instant {
        self.common.clock.now()
    }

    /// Whether this node says in its HELLO that it listens.
    pub fn is_listening(&self) -> bool {
        self.common.listening.is_on()
    }

    /// Whether this node is converging, and says so in its HELLO: its table may be incomplete ([`Config::convergence_time`]).
    pub fn is_converging(&self) -> bool {
        self.common.is_converging()
    }

    /// Where the session with a configured peer stands; `None`: there is no such peer.
    pub fn peer_state(&self, id: PeerId) -> Option<SessionState> {
        self.client.peer_state(id)
    }

    /// Whether the application may remove what it had installed before this node began and no server has announced to the node
    /// since: routes in a kernel, say, that it *adopted* from an earlier process.
    ///
    /// It may as soon as a server that has `ordered` and is not converging has sent all routes, and every other server has either
    /// sent what it has, or has no session and its first dial has failed; or when the time is over for which stale routes of each
    /// server would stay ([`Config::stale_time`](crate::Config::stale_time), [`Config::session_stale_time`](crate::Config::session_stale_time)). Never
    /// without a server. What is true may become false again, with a new subscription for example: an application that has
    /// removed what it adopted need not ask again. It subscribes before it adds servers.
    pub fn may_remove_adopted(&self) -> bool {
        self.client.may_remove_adopted()
    }

    /// Returns the number of peers in a state: accepted connections, and configured servers. Takes constant time. Configured servers that a
    /// node does not dial any more, because it is shutting down, count as they were before.
    pub fn peer_count(&self, state: SessionState) -> usize {
        self.common.states.get(state)
    }

    /// Iterates over the configured peers in the order of their ids: up to [`Config::peers_max`].
    pub fn peers(&self) -> impl Iterator<Item = PeerInfo> + '_ {
        self.peers_after(None)
    }

    /// Iterates over the configured peers after the peer `last`, in the order of their ids; `None`: from the first. To look at many of them in
    /// several calls, go on after the last one seen: peers that are there all the time are seen once each.
    pub fn peers_after(&self, last: Option<PeerId>) -> impl Iterator<Item = PeerInfo> + '_ {
        self.client.peers(&self.common, last)
    }

    /// Returns one configured peer; `None` if it does not exist.
    pub fn peer(&self, id: PeerId) -> Option<PeerInfo> {
        self.client.peer(&self.common, id)
    }

    /// Iterates over the connections in the order of their ids, accepted ones first: up to [`Limits::connections`](crate::Limits::connections)
    /// and [`Config::peers_max`].
    pub fn sessions(&self) -> impl Iterator<Item = SessionInfo> + '_ {
        self.sessions_after(None)
    }

    /// Iterates over the connections after the connection `last`, in the order of their ids; `None`: from the first. To look at many of them in
    /// several calls, go on after the last one seen: connections that are there all the time are seen once each.
    pub fn sessions_after(&self, last: Option<ConnId>) -> impl Iterator<Item = SessionInfo> + '_ {
        // The ids of dialled connections come after all others.
        let accepted = last.filter(|id| !id.is_dialled());
        let accepted = (last.is_none() || accepted.is_some()).then(|| self.server.sessions(&self.common, accepted));
        let dialled = self.client.sessions(&self.common, last.filter(|id| id.is_dialled()));
        accepted.into_iter().flatten().chain(dialled)
    }

    /// Returns one connection; `None` if it is gone.
    pub fn session(&self, id: ConnId) -> Option<SessionInfo> {
        if id.is_dialled() { self.client.session(&self.common, id) } else { self.server.session(&self.common, id) }
    }

    /// Returns how many changes a connection has yet to be sent, at most; 0 if the connection is gone. If changes of more than 256 VNIs wait,
    /// the number is an estimate from 256 of them. The cost is a step for each of these VNIs, up to some 10 µs.
    pub fn lag(&self, id: ConnId) -> u64 {
        let Common { rib, own, .. } = &self.common;
        if id.is_dialled() {
            self.client.subscriber(id).map_or(0, |subscriber| own.lag(subscriber))
        } else {
            self.server.subscriber(id).map_or(0, |subscriber| rib.lag(subscriber))
        }
    }

    /// What was received and sent on all connections since the node began, those that have ended included. Takes constant time.
    pub fn counters(&self) -> Counters {
        self.common.statistics.total()
    }

    /// What was received and sent on the connections from a host that have ended. Together with those that are open
    /// ([`sessions`](Self::sessions)) it never falls while one is open, and for ten minutes after that; then it begins anew. It begins anew earlier
    /// if as many other addresses have left since then as there may be connections ([`Limits::connections`](crate::Limits::connections)).
    pub fn past_counters(&self, host: HostAddr) -> Counters {
        self.server.past_counters(host)
    }

    /// How long it took from a change of a VNI's routes until a subscriber that had caught up before had caught up again: one count for each
    /// subscriber and time. By the node's clock, which moves with its inputs.
    pub fn convergence(&self) -> &Histogram {
        self.common.convergence.times()
    }

    /// How many connections have ended (or were refused) since the node began, by reason. Reasons without any are left out.
    pub fn closed(&self) -> impl Iterator<Item = (CloseKind, u64)> + '_ {
        self.common.statistics.by_reason()
    }

    /// Whether this node is subscribed to a VNI.
    pub fn is_subscribed(&self, vni: Vni) -> bool {
        self.common.rib.is_wanted(vni)
    }

    /// Returns the number of VNIs that this node is subscribed to. Takes constant time.
    pub fn subscription_count(&self) -> usize {
        self.common.rib.wanted().len()
    }

    /// The VNIs that this node is subscribed to, in order.
    pub fn subscribed_vnis(&self) -> impl Iterator<Item = Vni> + '_ {
        self.common.rib.wanted()
    }

    /// Whether this node announces a route.
    pub fn is_announced(&self, route: &Route) -> bool {
        self.common.own.is_announced(OriginId::LOCAL, route)
    }

    /// The number of routes that this node announces.
    pub fn announcement_count(&self) -> usize {
        self.common.own.route_count(OriginId::LOCAL)
    }

    /// The routes that this node announces.
    pub fn announcements(&self) -> impl Iterator<Item = Route> + '_ {
        self.common.own.announced_by(OriginId::LOCAL)
    }

    /// Iterates over the routes of a VNI that this node announces itself.
    pub fn announcements_in(&self, vni: Vni) -> impl Iterator<Item = Route> + '_ {
        self.common.own.routes(vni, None)
    }

    /// The VNIs of which the table has a route.
    pub fn vnis(&self) -> impl Iterator<Item = Vni> + '_ {
        self.common.rib.vnis()
    }

    /// Returns the number of VNIs that have a route. Takes constant time.
    pub fn vni_count(&self) -> usize {
        self.common.rib.vni_total()
    }

    /// The number of routes in all VNIs, those of this node included.
    pub fn route_count(&self) -> usize {
        self.common.rib.len()
    }

    /// The routes of a VNI, those of this node included.
    pub fn routes(&self, vni: Vni) -> impl Iterator<Item = Route> + '_ {
        self.common.rib.routes(vni, None)
    }

    /// The destinations of a VNI with their next hops: the same routes, put together.
    pub fn destinations(&self, vni: Vni) -> impl Iterator<Item = Destination> + '_ {
        self.common.rib.destinations(vni)
    }

    /// The next hops of one destination, those of this node's routes included.
    pub fn next_hops(&self, vni: Vni, prefix: &Prefix) -> impl Iterator<Item = NextHop> + '_ {
        self.common.rib.next_hops(vni, prefix)
    }

    /// The routes of one announcer. None, if the announcer does not exist, and for [`Announcer::Departed`], which stands for many.
    pub fn announced_by(&self, announcer: Announcer) -> impl Iterator<Item = Route> + '_ {
        let origin = match announcer {
            Announcer::Local => Some(OriginId::LOCAL),
            Announcer::Peer(id) => self.client.origin(id),
            // The routes of a dialled connection are those of its server.
            Announcer::Conn(id) => self.server.origin(id),
            Announcer::Departed => None,
        };
        origin.into_iter().flat_map(|origin| self.common.rib.announced_by(origin))
    }

    /// The announcers of a route.
    pub fn announcers(&self, route: &Route) -> impl Iterator<Item = Announcer> + '_ {
        self.common.rib.announcers(route).map(|origin| self.common.origins.get(origin))
    }

    /// The tables in use, those without a route but with a subscriber among them, from place `from` on, in no particular order;
    /// each with its place. To look at many of them in several calls, go on after the last place: tables that exist all the
    /// time are seen once each.
    pub fn tables(&self, from: u32) -> impl Iterator<Item = (u32, TableInfo)> + '_ {
        self.common.rib.infos(from)
    }

    /// One VNI's table, if it is in use.
    pub fn table(&self, vni: Vni) -> Option<TableInfo> {
        self.common.rib.info(vni)
    }

    /// The destinations of a VNI in no particular order, from a bookmark on, each with the bookmark of the next one. To look
    /// at many of them in several calls, go on with the last bookmark: destinations that exist all the time are seen once
    /// each. Nothing is copied beside the entries that are fetched.
    ///
    /// # Errors
    /// If the table was rearranged since the bookmark was made, which happens when it has shrunk to a fraction: the places of
    /// destinations that were not seen yet are not known any more.
    pub fn walk(&self, vni: Vni, from: Bookmark) -> Result<impl Iterator<Item = (Bookmark, Entry<'_>)>, Moved> {
        let entries = self.common.rib.entries(vni, from)?;
        Ok(entries.map(|(behind, entry)| (behind, Entry { entry, node: self })))
    }

    /// The routes of a VNI as [`poll_change`](Self::poll_change) reports them: those that peers announce and this node
    /// does not. Empty if this node is not subscribed.
    pub fn learned(&self, vni: Vni) -> impl Iterator<Item = Route> + '_ {
        self.is_subscribed(vni).then(|| self.common.rib.routes(vni, Some(Viewer::Local))).into_iter().flatten()
    }
}
