//! Read-only views of a node for monitoring and queries: getters, which change nothing. They borrow, and do no work of their own beside
//! what is iterated over.

use super::{Bookmark, Common, Counters, Destination, Moved, Node, PeerInfo, SessionInfo, TableInfo};
use crate::rib::{self, OriginId, Viewer};
use crate::{
    Announcer, CloseKind, Config, ConnId, Histogram, HostAddr, Instant, NextHop, PeerId, Prefix, Route, SessionState,
    Vni,
};

/// A destination of a VNI, as [`Node::walk`] returns it.
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

    /// Iterates over its next hops, at least one, each with its announcers.
    pub fn next_hops(&self) -> impl Iterator<Item = (&'a NextHop, impl Iterator<Item = Announcer> + 'a)> + 'a {
        let node = self.node;
        self.entry
            .next_hops()
            .map(|(next_hop, origins)| (next_hop, origins.map(|origin| node.common.origins.get(origin))))
    }
}

impl Node {
    /// Returns the settings, with the present policy.
    pub fn config(&self) -> &Config {
        &self.common.config
    }

    /// Returns the latest `now` of the inputs so far.
    pub fn now(&self) -> Instant {
        self.common.clock.now()
    }

    /// Returns whether this node listens: see [`Command::SetListening`](crate::Command::SetListening).
    pub fn is_listening(&self) -> bool {
        self.common.listening.is_on()
    }

    /// Returns whether this node is converging: its table may be incomplete, and its HELLOs say so. It is, for
    /// [`Config::convergence_time`], after it began to listen and after the loss of a client with routes.
    pub fn is_converging(&self) -> bool {
        self.common.is_converging()
    }

    /// Returns the state of the session with a configured peer. `None`: there is no such peer.
    pub fn peer_state(&self, id: PeerId) -> Option<SessionState> {
        self.client.peer_state(id)
    }

    /// Returns whether the application may remove *adopted* routes: routes that an earlier process has installed, in a kernel for example, and
    /// that no server has announced to this node. For this to work, the application subscribes before it adds servers.
    ///
    /// It is true in one of two cases, and never without a configured server:
    ///
    /// - A server that has `ordered` and is not converging has sent all its routes. Each other server has sent all its routes as well, or has
    ///   no session after its first dial.
    /// - The time is over for which stale routes of each server would stay ([`Config::stale_time`], [`Config::session_stale_time`]).
    ///
    /// It may become false again, after a new subscription for example. An application that has removed its adopted routes need not call it again.
    pub fn may_remove_adopted(&self) -> bool {
        self.client.may_remove_adopted()
    }

    /// Returns the number of peers in a state: accepted connections and configured servers. Always 0 for CLOSED. Takes constant time.
    /// A configured server that the node does not dial any more, because it is shutting down, counts in its last state.
    pub fn peer_count(&self, state: SessionState) -> usize {
        self.common.states.get(state)
    }

    /// Iterates over the configured peers in the order of their ids: up to [`Config::peers_max`].
    pub fn peers(&self) -> impl Iterator<Item = PeerInfo> + '_ {
        self.peers_after(None)
    }

    /// Iterates over the configured peers after the peer `last`, in the order of their ids. `None`: from the first. To visit many peers in
    /// several calls, pass the last one of the call before: a peer that exists all the time is visited once.
    pub fn peers_after(&self, last: Option<PeerId>) -> impl Iterator<Item = PeerInfo> + '_ {
        self.client.peers(&self.common, last)
    }

    /// Returns one configured peer. `None`: it does not exist.
    pub fn peer(&self, id: PeerId) -> Option<PeerInfo> {
        self.client.peer(&self.common, id)
    }

    /// Iterates over the connections in the order of their ids, accepted ones first: up to [`Limits::connections`](crate::Limits::connections)
    /// accepted and [`Config::peers_max`] dialled ones.
    pub fn sessions(&self) -> impl Iterator<Item = SessionInfo> + '_ {
        self.sessions_after(None)
    }

    /// Iterates over the connections after the connection `last`, in the order of their ids. `None`: from the first. To visit many
    /// connections in several calls, pass the last one of the call before: a connection that exists all the time is visited once.
    pub fn sessions_after(&self, last: Option<ConnId>) -> impl Iterator<Item = SessionInfo> + '_ {
        // The ids of dialled connections come after all others.
        let accepted = last.filter(|id| !id.is_dialled());
        let accepted = (last.is_none() || accepted.is_some()).then(|| self.server.sessions(&self.common, accepted));
        let dialled = self.client.sessions(&self.common, last.filter(|id| id.is_dialled()));
        accepted.into_iter().flatten().chain(dialled)
    }

    /// Returns one connection. `None`: it does not exist.
    pub fn session(&self, id: ConnId) -> Option<SessionInfo> {
        if id.is_dialled() { self.client.session(&self.common, id) } else { self.server.session(&self.common, id) }
    }

    /// Returns how many changes a connection has yet to be sent, at most. 0 if the connection does not exist. If changes of more than 256 VNIs
    /// wait, the number is an estimate from 256 of them. The cost is a step for each of these VNIs.
    pub fn lag(&self, id: ConnId) -> u64 {
        let Common { rib, own, .. } = &self.common;
        if id.is_dialled() {
            self.client.subscriber(id).map_or(0, |subscriber| own.lag(subscriber))
        } else {
            self.server.subscriber(id).map_or(0, |subscriber| rib.lag(subscriber))
        }
    }

    /// Returns the counters of all connections since the node began, also of those that have ended. Takes constant time.
    pub fn counters(&self) -> Counters {
        self.common.statistics.total()
    }

    /// Returns the counters of the accepted connections from a host that have ended. Add those of its open connections
    /// ([`sessions`](Self::sessions)) for a sum that never falls. Ten minutes after the host's last connection has ended, the counters begin again
    /// at 0; earlier, if as many other hosts have left since then as there may be connections ([`Limits::connections`](crate::Limits::connections)).
    pub fn past_counters(&self, host: HostAddr) -> Counters {
        self.server.past_counters(host)
    }

    /// Returns how long changes took to reach subscribers. A subscriber that was sent all changes of a VNI has *caught up*. Each time that it
    /// catches up again, the time since the first of the changes that it had not been sent is counted. Times are those of the inputs (`now`).
    pub fn convergence(&self) -> &Histogram {
        self.common.convergence.times()
    }

    /// Returns how many connections have ended or were refused since the node began, by reason. Reasons with a count of 0 are left out.
    pub fn closed(&self) -> impl Iterator<Item = (CloseKind, u64)> + '_ {
        self.common.statistics.by_reason()
    }

    /// Returns whether this node is subscribed to a VNI.
    pub fn is_subscribed(&self, vni: Vni) -> bool {
        self.common.rib.is_wanted(vni)
    }

    /// Returns the number of VNIs that this node is subscribed to. Takes constant time.
    pub fn subscription_count(&self) -> usize {
        self.common.rib.wanted().len()
    }

    /// Iterates over the VNIs that this node is subscribed to, in order.
    pub fn subscribed_vnis(&self) -> impl Iterator<Item = Vni> + '_ {
        self.common.rib.wanted()
    }

    /// Returns whether this node announces a route itself.
    pub fn is_announced(&self, route: &Route) -> bool {
        self.common.own.is_announced(OriginId::LOCAL, route)
    }

    /// Returns the number of routes that this node announces itself.
    pub fn announcement_count(&self) -> usize {
        self.common.own.route_count(OriginId::LOCAL)
    }

    /// Iterates over the routes that this node announces itself.
    pub fn announcements(&self) -> impl Iterator<Item = Route> + '_ {
        self.common.own.announced_by(OriginId::LOCAL)
    }

    /// Iterates over the routes of a VNI that this node announces itself.
    pub fn announcements_in(&self, vni: Vni) -> impl Iterator<Item = Route> + '_ {
        self.common.own.routes(vni, None)
    }

    /// Iterates over the VNIs that have a route, in no particular order.
    pub fn vnis(&self) -> impl Iterator<Item = Vni> + '_ {
        self.common.rib.vnis()
    }

    /// Returns the number of VNIs that have a route. Takes constant time.
    pub fn vni_count(&self) -> usize {
        self.common.rib.vni_total()
    }

    /// Returns the number of routes in all VNIs, those of this node included.
    pub fn route_count(&self) -> usize {
        self.common.rib.len()
    }

    /// Iterates over the routes of a VNI, those of this node included.
    pub fn routes(&self, vni: Vni) -> impl Iterator<Item = Route> + '_ {
        self.common.rib.routes(vni, None)
    }

    /// Iterates over the same routes by destination: each destination of a VNI with all its next hops.
    pub fn destinations(&self, vni: Vni) -> impl Iterator<Item = Destination> + '_ {
        self.common.rib.destinations(vni)
    }

    /// Iterates over the next hops of one destination, those of this node's routes included.
    pub fn next_hops(&self, vni: Vni, prefix: &Prefix) -> impl Iterator<Item = NextHop> + '_ {
        self.common.rib.next_hops(vni, prefix)
    }

    /// Iterates over the routes of one announcer. There are none if the announcer does not exist, for a dialled connection (use
    /// [`Announcer::Peer`]), and for [`Announcer::Departed`], which stands for many clients.
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

    /// Iterates over the announcers of a route.
    pub fn announcers(&self, route: &Route) -> impl Iterator<Item = Announcer> + '_ {
        self.common.rib.announcers(route).map(|origin| self.common.origins.get(origin))
    }

    /// Iterates over the tables in use, in the order of their places, from place `from` on; each with its place. A table with a subscriber and
    /// without a route is in use, too. To visit many tables in several calls, begin with 0, and pass the last place of the call before plus 1:
    /// a table that exists all the time is visited once.
    pub fn tables(&self, from: u32) -> impl Iterator<Item = (u32, TableInfo)> + '_ {
        self.common.rib.infos(from)
    }

    /// Returns one VNI's table. `None`: it is not in use.
    pub fn table(&self, vni: Vni) -> Option<TableInfo> {
        self.common.rib.info(vni)
    }

    /// Iterates over the destinations of a VNI from a bookmark on, in no particular order. Each comes with the bookmark of the next one. To visit
    /// many destinations in several calls, begin with [`Bookmark::default`], and pass the last bookmark of the call before: a destination that
    /// exists all the time is visited once.
    ///
    /// # Errors
    /// [`Moved`] if the table was rearranged since the bookmark was made, which happens when a table has shrunk to a fraction. Begin again then.
    pub fn walk(&self, vni: Vni, from: Bookmark) -> Result<impl Iterator<Item = (Bookmark, Entry<'_>)>, Moved> {
        let entries = self.common.rib.entries(vni, from)?;
        Ok(entries.map(|(behind, entry)| (behind, Entry { entry, node: self })))
    }

    /// Iterates over the routes of a VNI that [`poll_change`](Self::poll_change) reports: those that peers announce and this node does not.
    /// There are none if this node is not subscribed.
    pub fn learned(&self, vni: Vni) -> impl Iterator<Item = Route> + '_ {
        self.is_subscribed(vni).then(|| self.common.rib.routes(vni, Some(Viewer::Local))).into_iter().flatten()
    }
}
