//! The expected state of one node: protocol.md's A(p), S(p) and View(s) as plain sets. Pure; no bytes, no time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use metalbond::{ConnId, Echo, HostAddr, NextHopKind, PeerId, PeerName, Prefix, Route, Vni};

use super::policies::{self, Credentials};
use super::reached::{Reached, Situation};

pub(crate) type Routes = BTreeSet<Route>;

/// An announcer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Who {
    /// The node itself.
    Own,
    /// A connected peer.
    Live(ConnId),
    /// A departed peer, within its restart time.
    Departed(ConnId),
    /// A server that the node dials, over all its sessions.
    Server(PeerId),
}

#[derive(Clone, Default, Debug)]
struct Peer {
    announces: Routes,
    subscribed: BTreeSet<Vni>,
    /// The routes that it announced in this session, permitted or denied.
    said: Routes,
    asked: BTreeSet<Vni>,
    is_server: bool,
    /// It has the capability `ordered`.
    is_ordered: bool,
    /// What a policy identifies it by. `None`: the node itself.
    credentials: Option<Credentials>,
    /// The address it comes from, with its link. It is recognised by that or by its names.
    from: Option<HostAddr>,
    /// When its session opened, or when a departed peer left, as a count of arrivals and departures.
    since: u64,
}

/// The peers of a node: what they announce and what they subscribed to.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    peers: BTreeMap<Who, Peer>,
    moment: u64,
    /// The number of the policy.
    policy: u8,
    /// The routes of their own that clients without `ordered` are sent.
    echo: Echo,
    pub(crate) reached: Reached,
}

impl Peer {
    /// Returns true if it is the same client as a departed one.
    fn is_again(&self, departed: &Self) -> bool {
        match departed.names() {
            None => self.from == departed.from,
            names => self.names() == names,
        }
    }

    /// Returns the names that its certificate proves, if there are any.
    fn names(&self) -> Option<&BTreeSet<PeerName>> {
        self.credentials.as_ref()?.names.as_ref().filter(|names| !names.is_empty())
    }

    fn may_announce(&self, policy: u8, route: &Route) -> bool {
        self.credentials.as_ref().is_none_or(|who| policies::may_announce(policy, who, route))
    }

    fn may_subscribe(&self, policy: u8, vni: Vni) -> bool {
        self.credentials.as_ref().is_none_or(|who| policies::may_subscribe(policy, who, vni))
    }
}

impl Model {
    /// Creates a model with the policy of this number.
    pub(crate) fn under(policy: u8, echo: Echo) -> Self {
        let peers = BTreeMap::from([(Who::Own, Peer::default())]);
        Self { peers, moment: 0, policy, echo, reached: Reached::default() }
    }

    /// Adds a connected peer with this address.
    pub(crate) fn join(&mut self, conn: ConnId, remote: SocketAddr) {
        let (credentials, from) = (Some(Credentials::of_host(remote.ip())), Some(remote.into()));
        self.peers.insert(Who::Live(conn), Peer { credentials, from, ..Peer::default() });
    }

    /// Sets the names in the certificate of a peer.
    pub(crate) fn identify(&mut self, conn: ConnId, names: &[PeerName]) {
        if let Some(Peer { credentials: Some(credentials), .. }) = self.peers.get_mut(&Who::Live(conn)) {
            credentials.names = Some(names.iter().cloned().collect());
        }
    }

    /// Sets what a peer's HELLO says.
    pub(crate) fn greet(&mut self, conn: ConnId, is_server: bool, is_ordered: bool) {
        if let Some(peer) = self.peers.get_mut(&Who::Live(conn)) {
            (peer.is_server, peer.is_ordered) = (is_server, is_ordered);
        }
    }

    /// Returns true if a client without the capability is sent such a route although it announces the route itself.
    pub(crate) fn echoes(&self, route: &Route) -> bool {
        match self.echo {
            Echo::LoadBalancers => route.next_hop.kind == NextHopKind::LoadBalancer,
            Echo::All => true,
            _ => false,
        }
    }

    /// Returns true if what `who` announces is for a subscriber.
    fn is_for(&self, (s, subscriber): (Who, &Peer), (who, peer): (Who, &Peer), route: &Route) -> bool {
        (who != s || (self.echoes(route) && !peer.is_ordered && !peer.is_server))
            && !(peer.is_server && subscriber.is_server)
    }

    pub(crate) fn is_server(&self, conn: ConnId) -> bool {
        self.peers.get(&Who::Live(conn)).is_some_and(|peer| peer.is_server)
    }

    /// Opens the session: departures before this are older.
    pub(crate) fn established(&mut self, conn: ConnId) {
        self.moment += 1;
        if let Some(peer) = self.peers.get_mut(&Who::Live(conn)) {
            peer.since = self.moment;
        }
    }

    /// Ends a session at once. Returns the routes that it announced.
    pub(crate) fn end(&mut self, who: Who) -> Routes {
        self.count_what_stays(who);
        let Some(peer) = self.peers.remove(&who) else { return Routes::new() };
        let is_again = |(other, departed): (&Who, &Peer)| matches!(other, Who::Departed(_)) && peer.is_again(departed);
        if matches!(who, Who::Departed(_)) && self.peers.iter().any(is_again) {
            self.reached.count(Situation::ExpiresBesideItself);
        }
        peer.announces
    }

    /// Ends a session with a restart time: its routes stay, as those of a departed peer.
    pub(crate) fn depart(&mut self, conn: ConnId) -> Routes {
        self.count_what_stays(Who::Live(conn));
        let Some(mut peer) = self.peers.remove(&Who::Live(conn)) else { return Routes::new() };
        self.moment += 1;
        peer.since = self.moment;
        peer.subscribed.clear();
        let routes = peer.announces.clone();
        self.peers.insert(Who::Departed(conn), peer);
        routes
    }

    /// Counts the routes of an ending session that another session of the same client announces as well.
    fn count_what_stays(&mut self, who: Who) {
        let Some(ends) = self.peers.get(&who).filter(|_| matches!(who, Who::Live(_))) else { return };
        for (other, peer) in &self.peers {
            if matches!(other, Who::Live(_)) && *other != who && peer.is_again(ends) {
                for _ in peer.announces.intersection(&ends.announces) {
                    self.reached.count(match ends.names() {
                        Some(_) => Situation::NamesakeStays,
                        None => Situation::NeighbourStays,
                    });
                }
            }
        }
    }

    pub(crate) fn announce(&mut self, who: Who, route: Route) {
        let Some(peer) = self.peers.get_mut(&who) else { return };
        peer.said.insert(route);
        let is_permitted = peer.may_announce(self.policy, &route);
        if self.policy >= policies::FIRST_BY_NAME && who != Who::Own {
            self.reached.count(if is_permitted { Situation::PermittedByName } else { Situation::DeniedByName });
        }
        if !is_permitted {
            return;
        }
        peer.announces.insert(route);
        let announcer =
            Peer { since: peer.since, from: peer.from, credentials: peer.credentials.clone(), ..Peer::default() };
        for (departed, peer) in &mut self.peers {
            if !matches!(departed, Who::Departed(_)) || !peer.announces.contains(&route) {
                continue;
            }
            let is_again = announcer.is_again(peer);
            if is_again && peer.since >= announcer.since {
                self.reached.count(Situation::NotTakenOverByOlder);
            } else if is_again {
                peer.announces.remove(&route);
                self.reached.count(match (peer.names().is_some(), peer.from == announcer.from) {
                    (false, _) => Situation::TakenOverByAddress,
                    (true, true) => Situation::TakenOverByName,
                    (true, false) => Situation::TakenOverFromElsewhere,
                });
            } else if peer.from == announcer.from {
                self.reached.count(Situation::NotTakenOverByNeighbour);
            }
        }
    }

    pub(crate) fn withdraw(&mut self, who: Who, route: &Route) {
        if let Some(peer) = self.peers.get_mut(&who) {
            peer.announces.remove(route);
            peer.said.remove(route);
        }
    }

    /// Adds a route that a dialled server announces. Returns true if the server has not announced it yet.
    pub(crate) fn learn(&mut self, server: PeerId, route: Route) -> bool {
        let peer = self.peers.entry(Who::Server(server)).or_insert_with(|| Peer { is_server: true, ..Peer::default() });
        peer.announces.insert(route)
    }

    /// Removes a route of a dialled server.
    pub(crate) fn unlearn(&mut self, server: PeerId, route: &Route) {
        if let Some(peer) = self.peers.get_mut(&Who::Server(server)) {
            peer.announces.remove(route);
        }
    }

    /// Returns true if this changes S(p).
    pub(crate) fn subscribe(&mut self, who: Who, vni: Vni) -> bool {
        let Some(peer) = self.peers.get_mut(&who) else { return false };
        peer.asked.insert(vni);
        peer.may_subscribe(self.policy, vni) && peer.subscribed.insert(vni)
    }

    /// Returns true if the peer had asked for the subscription.
    pub(crate) fn unsubscribe(&mut self, who: Who, vni: Vni) -> bool {
        let Some(peer) = self.peers.get_mut(&who) else { return false };
        peer.subscribed.remove(&vni);
        peer.asked.remove(&vni)
    }

    /// Returns the routes that the peer announced in a VNI.
    pub(crate) fn said(&self, who: Who, vni: Vni) -> Routes {
        self.peers.get(&who).into_iter().flat_map(|p| &p.said).filter(|r| r.vni == vni).copied().collect()
    }

    /// Sets another policy. Returns the routes that it denies, and the departed peers that it denies.
    pub(crate) fn set_policy(&mut self, policy: u8) -> (Routes, Vec<ConnId>) {
        self.policy = policy;
        let (mut out, mut gone) = (Routes::new(), Vec::new());
        for (who, peer) in &mut self.peers {
            let Some(known_by) = &peer.credentials else { continue };
            let before = out.len();
            out.extend(peer.announces.extract_if(.., |route| !policies::may_announce(policy, known_by, route)));
            let has_names = known_by.names.as_ref().is_some_and(|names| !names.is_empty());
            if policy >= policies::FIRST_BY_NAME && matches!(who, Who::Departed(_)) && has_names && out.len() > before {
                self.reached.count(Situation::RetainedDeniedByName);
            }
            if let Who::Departed(conn) = who
                && !policies::admits(policy, known_by)
            {
                gone.push(*conn);
            }
        }
        (out, gone)
    }

    /// Returns true if the table contains exactly those routes of a connected peer that are permitted. `greeted`: its
    /// HELLO has arrived.
    pub(crate) fn is_settled(&self, conn: ConnId, greeted: bool) -> bool {
        let Some(peer) = self.peers.get(&Who::Live(conn)) else { return true };
        let is_in = peer.credentials.as_ref().is_none_or(|who| policies::admits(self.policy, who));
        let announces = peer.said.iter().filter(|r| peer.may_announce(self.policy, r));
        let subscribed = peer.asked.iter().filter(|vni| peer.may_subscribe(self.policy, **vni));
        (is_in || !greeted) && announces.eq(&peer.announces) && subscribed.eq(&peer.subscribed)
    }

    pub(crate) fn subscribed(&self, who: Who) -> BTreeSet<Vni> {
        self.peers.get(&who).map(|p| p.subscribed.clone()).unwrap_or_default()
    }

    pub(crate) fn is_subscribed(&self, who: Who, vni: Vni) -> bool {
        self.peers.get(&who).is_some_and(|p| p.subscribed.contains(&vni))
    }

    /// Returns A(p).
    pub(crate) fn announced(&self, who: Who) -> Routes {
        self.peers.get(&who).map(|p| p.announces.clone()).unwrap_or_default()
    }

    /// Returns the routes that any peer or the node announces in the VNI.
    pub(crate) fn table(&self, vni: Vni) -> Routes {
        self.peers.values().flat_map(|p| &p.announces).filter(|r| r.vni == vni).copied().collect()
    }

    /// Returns the routes that others than the node itself announce in the VNI.
    pub(crate) fn of_others(&self, vni: Vni) -> Routes {
        let others = self.peers.iter().filter(|(who, _)| **who != Who::Own);
        others.flat_map(|(_, p)| &p.announces).filter(|r| r.vni == vni).copied().collect()
    }

    /// Returns View(s).
    pub(crate) fn view(&self, s: Who) -> Routes {
        let Some(subscriber) = self.peers.get(&s) else { return Routes::new() };
        let mut view = Routes::new();
        for (who, peer) in &self.peers {
            let is_seen =
                |r: &&Route| subscriber.subscribed.contains(&r.vni) && self.is_for((s, subscriber), (*who, peer), r);
            view.extend(peer.announces.iter().filter(is_seen));
        }
        view
    }

    /// Returns true if View(s) contains a next hop that `accept` accepts.
    fn sees_some(&self, s: Who, vni: Vni, mut accept: impl FnMut(&Route) -> bool) -> bool {
        let Some(subscriber) = self.peers.get(&s) else { return false };
        subscriber.subscribed.contains(&vni)
            && self.peers.iter().any(|(who, peer)| {
                let is_seen = |r: &Route| r.vni == vni && accept(r) && self.is_for((s, subscriber), (*who, peer), r);
                peer.announces.iter().any(is_seen)
            })
    }

    pub(crate) fn sees(&self, s: Who, route: &Route) -> bool {
        self.sees_some(s, route.vni, |r| r == route)
    }

    pub(crate) fn sees_destination(&self, s: Who, vni: Vni, prefix: &Prefix) -> bool {
        self.sees_some(s, vni, |r| r.prefix == *prefix)
    }

    /// Returns the announcers of the route.
    pub(crate) fn announcers(&self, route: &Route) -> BTreeSet<Who> {
        self.peers.iter().filter(|(_, p)| p.announces.contains(route)).map(|(who, _)| *who).collect()
    }
}
