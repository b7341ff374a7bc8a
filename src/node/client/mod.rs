//! The node as a client: the servers that are configured, and the connections that it dials to them.
//!
//! Invariant: a connection's server names the connection, and a server has one connection at most.

mod back_off;
mod barriers;
mod dialled;
mod peer;
mod stale;
mod subscriptions;
mod upstream;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::ops::Bound;

use bytes::Bytes;
use smallvec::SmallVec;

use super::background::Job;
use super::conn::Conn;
use super::discard::Discarded;
use super::info::seconds;
use super::owners::Subscribers;
use super::totals::Totals;
use super::{Action, Close, Common, PeerInfo, SessionInfo, ShortRestartTime, Shutdown, Transition, Transmit};
use crate::rib::{OriginId, SubscriberId, Viewer};
use crate::session::{Role, Step};
use crate::splitmix::SplitMix64;
use crate::wire::Hello;
use crate::{Announcer, CloseReason, Config, ConnId, PeerId, PeerLimit, SessionState, Vni};
use dialled::Dialled;
use peer::Peer;
use stale::{Phase, Sessions, StaleTime};
pub(super) use subscriptions::Subscriptions;
use upstream::Upstream;

#[derive(Debug)]
pub(super) struct Client {
    peers: BTreeMap<PeerId, Peer>,
    conns: BTreeMap<ConnId, Box<Dialled>>,
    subscribers: Subscribers,
    /// What was counted for servers that are not configured any more, by endpoint.
    removed: Totals<Arc<str>>,
    next_conn: u64,
    next_peer: u32,
    random: SplitMix64,
}

impl Client {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            peers: BTreeMap::new(),
            conns: BTreeMap::new(),
            subscribers: Subscribers::default(),
            removed: Totals::new(config.peers_max),
            next_conn: 0,
            next_peer: 0,
            random: SplitMix64::new(config.seed),
        }
    }

    /// Returns whether there is no connection.
    pub(super) fn is_empty(&self) -> bool {
        self.conns.is_empty()
    }

    pub(super) fn has_conn(&self, id: ConnId) -> bool {
        self.conns.contains_key(&id)
    }

    pub(super) fn peer_count(&self) -> usize {
        self.peers.len()
    }

    pub(super) fn has_peer(&self, endpoint: &str) -> bool {
        self.peers.values().any(|peer| **peer.endpoint() == *endpoint)
    }

    /// Adds a server and dials it. Returns `None` if no id is left: an id is never used twice.
    pub(super) fn add_peer(&mut self, common: &mut Common, endpoint: Arc<str>) -> Option<PeerId> {
        let id = PeerId(self.next_peer);
        self.next_peer = self.next_peer.checked_add(1)?;
        let origin = common.rib.add_dialled_origin();
        common.origins.set(origin, Announcer::Peer(id));
        let stale_time = StaleTime::of_new_peer(common.clock.now(), &common.config, self.open_sessions());
        let total = self.removed.enter(&endpoint);
        self.peers.insert(id, Peer::new(id, endpoint, origin, stale_time, total));
        self.dial(common, id, SessionState::Closed);
        Some(id)
    }

    /// Removes a server, and its routes. Returns whether there was one.
    pub(super) fn remove_peer(&mut self, common: &mut Common, id: PeerId) -> bool {
        let Some(peer) = self.peers.get(&id) else { return false };
        match peer.conn() {
            Some(conn) => self.close(common, conn, CloseReason::Removed, Some(Close::Now)),
            None => {
                common.states.move_to(SessionState::Retry, SessionState::Closed);
                let mut transition = Transition::new(peer.last_conn(), SessionState::Retry, SessionState::Closed);
                (transition.peer, transition.reason) = (Some(peer.name()), Some(CloseReason::Removed));
                common.actions.push(Action::State(transition));
            }
        }
        if let Some(mut peer) = self.peers.remove(&id) {
            peer.clear_timer(&mut common.timers);
            self.removed.keep(peer.endpoint().clone(), peer.total(), common.clock.now());
            common.rib.mark_stale(peer.origin());
            common.origins.set(peer.origin(), Announcer::Departed);
            common.jobs.push(Job::Release(peer.origin()));
        }
        true
    }

    /// Closes a server's connection, if any, and dials it again at once. Returns whether there is such a server.
    pub(super) fn reset_peer(&mut self, common: &mut Common, id: PeerId) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        match peer.conn() {
            Some(conn) => self.close(common, conn, CloseReason::ResetRequested, Some(Close::Now)),
            None => {
                peer.dial_at(Some(common.clock.now()));
                self.set_peer_timer(common, id);
            }
        }
        true
    }

    fn dial(&mut self, common: &mut Common, id: PeerId, old: SessionState) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let conn_id = ConnId::dialled(self.next_conn);
        self.next_conn += 1;
        peer.dialling(conn_id);
        common.actions.push(Action::Dial { conn: conn_id, peer: id, endpoint: peer.endpoint().clone() });
        let mut conn = Conn::new(conn_id, Role::Dialler, None, common);
        conn.begin_counting(old, common);
        let transition = conn.transition(old, common);
        common.actions.push(Action::State(Transition { peer: Some(peer.name()), ..transition }));
        self.conns.insert(conn_id, Box::new(Dialled::new(conn, id)));
    }

    /// Notes that a dial has succeeded.
    pub(super) fn connected(&mut self, common: &mut Common, id: ConnId, remote: SocketAddr) {
        let Some(dialled) = self.conns.get_mut(&id) else { return };
        let conn = dialled.conn_mut();
        if conn.session().state() != SessionState::Connecting {
            return;
        }
        conn.connected(remote, common);
        self.transition(common, id, SessionState::Connecting);
    }

    /// Notes the names in a connection's certificate.
    pub(super) fn identified(&mut self, id: ConnId, names: Arc<[crate::PeerName]>) {
        if let Some(dialled) = self.conns.get_mut(&id) {
            dialled.conn_mut().identify(names);
        }
    }

    /// Carries out what a server says. A function of its own, as the server's is.
    #[inline(never)]
    pub(super) fn received(&mut self, common: &mut Common, id: ConnId, bytes: &Bytes) {
        let Some(dialled) = self.conns.get_mut(&id) else { return };
        dialled.conn_mut().hear(bytes.len(), common);
        common.jobs.received(bytes.len());
        let mut input = &bytes[..];
        while let Some(dialled) = self.conns.get_mut(&id) {
            let old = dialled.conn().session().state();
            match dialled.receive(&mut common.rib, &mut input) {
                Ok(None) => break,
                Ok(Some(step)) => self.step(common, id, old, step),
                Err(reason) => return self.close(common, id, reason, Some(Close::Now)),
            }
        }
        self.check_limits(common, id);
        if let Some(dialled) = self.conns.get_mut(&id) {
            dialled.conn_mut().count_up(&mut common.statistics);
        }
    }

    fn step(&mut self, common: &mut Common, id: ConnId, old: SessionState, step: Step) {
        match step {
            Step::Hello(_) => {
                if let Some(dialled) = self.conns.get_mut(&id) {
                    dialled.conn_mut().greeted(common);
                }
                self.transition(common, id, old);
            }
            Step::Established => self.established(common, id, old),
            Step::Keepalive => self.keepalive(common, id),
            // A node sends nothing that it has learned to the servers that it dials.
            Step::Subscribe(_) | Step::Unsubscribe(_) => {}
            // Handled where they are read.
            Step::Update(_) | Step::InvalidUpdate | Step::Unknown => {}
        }
    }

    fn established(&mut self, common: &mut Common, id: ConnId, old: SessionState) {
        let now = common.clock.now();
        let Some(dialled) = self.conns.get_mut(&id) else { return };
        let Some(peer) = self.peers.get_mut(&dialled.peer()) else { return };
        let subscriber = common.own.add_subscriber(Viewer::ANYBODY);
        self.subscribers.set(subscriber, id);
        let is_ordered = dialled.conn().session().is_ordered();
        dialled.open(Upstream::open(peer.origin(), subscriber, is_ordered, &mut common.own));
        dialled.conn_mut().step_timers(common);
        for peer in self.peers.values_mut() {
            peer.any_opens(now);
        }
        if let Some(peer) = self.peers.get_mut(&dialled.peer()) {
            peer.opens(now);
        }
        self.transition(common, id, old);
        self.check_synced(common, id);
        self.set_peer_timers(common);
    }

    fn keepalive(&mut self, common: &mut Common, id: ConnId) {
        let Some(dialled) = self.conns.get_mut(&id) else { return };
        let (Some(upstream), conn) = dialled.upstream_mut() else { return };
        if upstream.answer() {
            return self.close(common, id, CloseReason::Shutdown, Some(Close::Linger));
        }
        conn.mark_ready(&mut common.ready);
        self.check_synced(common, id);
    }

    /// Checks whether a server has sent all routes of all wanted VNIs. If so, stale routes are removed that it does not have.
    fn check_synced(&mut self, common: &mut Common, id: ConnId) {
        let Some(dialled) = self.conns.get_mut(&id) else { return };
        let by = dialled.peer();
        let Some(&hello) = dialled.conn().session().hello() else { return };
        let (Some(upstream), _) = dialled.upstream_mut() else { return };
        let Some(peer) = self.peers.get_mut(&by) else { return };
        if !hello.ordered
            || peer.is_synced()
            || !upstream.subscriptions().is_synced(|from| common.rib.next_wanted(from))
        {
            return;
        }
        let vnis = upstream.subscriptions().take_synced();
        // The table of a server that is converging may be incomplete: what is stale is removed when its time is over.
        peer.syncs(!hello.converging);
        if !hello.converging {
            common.jobs.push(Job::SweepStale { peer: by, epoch: peer.epoch() });
            self.contradict_others(common, by, vnis);
        } else {
            common.jobs.discard(Discarded::Vnis(vnis));
        }
        self.set_peer_timers(common);
    }

    /// Removes stale routes of other servers in the VNIs of which a server has just sent all routes, and not these.
    fn contradict_others(&mut self, common: &mut Common, by: PeerId, vnis: BTreeSet<Vni>) {
        if vnis.is_empty() {
            return;
        }
        let vnis = Arc::new(vnis);
        for (&peer, other) in self.peers.iter().filter(|(peer, _)| **peer != by) {
            let from = common.rib.stale_count(other.origin());
            if from > 0 {
                common.jobs.push(Job::Contradict { peer, by, vnis: vnis.clone(), from });
            }
        }
        common.jobs.discard_shared(vnis);
    }

    /// Notes that a connection's transmit was written.
    pub(super) fn sent(&mut self, common: &mut Common, id: ConnId) {
        if let Some(dialled) = self.conns.get_mut(&id) {
            dialled.conn_mut().sent(&mut common.ready);
        }
    }

    /// Handles a connection's deadline.
    pub(super) fn due(&mut self, common: &mut Common, id: ConnId) {
        if let Some(dialled) = self.conns.get_mut(&id)
            && let Err(reason) = dialled.conn_mut().due(common)
        {
            self.close(common, id, reason, Some(Close::Now));
        }
    }

    /// Handles a server's deadline: its next dial, or the end of its stale time.
    pub(super) fn peer_due(&mut self, common: &mut Common, id: PeerId) {
        let (now, sessions) = (common.clock.now(), self.open_sessions());
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let phase = phase(peer, &self.conns);
        if peer.due(phase, sessions, &common.config, now) && common.rib.stale_count(peer.origin()) > 0 {
            common.jobs.push(Job::SweepStale { peer: id, epoch: peer.epoch() });
        }
        if peer.is_dial_due(now) {
            self.dial(common, id, SessionState::Retry);
        }
        self.set_peer_timer(common, id);
    }

    /// Marks the connection of a subscriber that was woken as ready.
    pub(super) fn wake(&mut self, common: &mut Common, stamp: u64, budget: &mut usize) {
        let Self { conns, subscribers, .. } = self;
        let Common { own, ready, .. } = common;
        own.wake(stamp, budget, |subscriber| {
            if let Some(dialled) = subscribers.get(subscriber).and_then(|id| conns.get_mut(&id)) {
                dialled.conn_mut().mark_ready(ready);
            }
        });
    }

    /// Closes the connection of a server that reads this node's own routes too slowly.
    pub(super) fn close_slow(&mut self, common: &mut Common, subscriber: SubscriberId) {
        if let Some(id) = self.subscribers.get(subscriber) {
            self.close(common, id, CloseReason::TooSlow, Some(Close::Now));
        }
    }

    /// Returns the next transmit of a connection that is ready, if it has something to send.
    pub(super) fn next_transmit(&mut self, common: &mut Common, id: ConnId, steps: &mut usize) -> Option<Transmit> {
        let dialled = self.conns.get_mut(&id)?;
        let (upstream, conn) = dialled.upstream_mut();
        let mut frames = conn.begin_frames(|theirs| Hello {
            keepalive: common.config.keepalive_secs().min(theirs.map_or(u32::MAX, |hello| hello.keepalive)),
            is_server: common.listening.is_on(),
            ordered: true,
            converging: common.is_converging(),
            restart_time: common.config.restart_time_secs(),
        });
        let keepalives = conn.put_keepalives(&mut frames);
        if let Some(upstream) = upstream {
            upstream.keepalives_sent(keepalives);
            upstream.fill(&mut frames, steps, common);
            // VNIs that were to be asked for may be wanted no longer.
            self.check_synced(common, id);
        }
        self.conns.get_mut(&id)?.conn_mut().end_frames(frames, *steps, common)
    }

    /// Ends a connection. `how`: what the driver is to do, unless it ended the connection itself.
    pub(super) fn close(&mut self, common: &mut Common, id: ConnId, reason: CloseReason, how: Option<Close>) {
        let Some(mut dialled) = self.conns.remove(&id) else { return };
        let conn = dialled.conn_mut();
        conn.clear_timer(&mut common.timers);
        conn.count_up(&mut common.statistics);
        common.statistics.closed(&reason);
        common.actions.extend(how.map(|how| Action::Close { conn: id, how }));
        if let Some(upstream) = dialled.upstream() {
            common.own.remove_subscriber(upstream.subscriber());
        }
        let peer = self.peers.get(&dialled.peer()).map(Peer::name);
        let new = self.lost(common, &dialled, &reason);
        let transition = dialled.conn().end(new, reason, common);
        common.actions.push(Action::State(Transition { peer, ..transition }));
        if let Some(upstream) = dialled.into_upstream() {
            common.jobs.discard(Discarded::Subscriptions(Box::new(upstream.into_subscriptions())));
        }
    }

    /// Closes the connections that `is_to_close` names by their session.
    fn close_some(&mut self, common: &mut Common, is_to_close: impl Fn(&Dialled) -> bool) {
        let ids: Vec<_> = self.conns.iter().filter(|(_, dialled)| is_to_close(dialled)).map(|(id, _)| *id).collect();
        for id in ids {
            self.close(common, id, CloseReason::Shutdown, Some(Close::Now));
        }
    }

    /// Closes all connections: the node ends.
    pub(super) fn close_all(&mut self, common: &mut Common) {
        self.close_some(common, |_| true);
    }

    /// Begins to leave for good: closes the connections to servers that cannot prove that they have read the withdrawals, and dials none again.
    pub(super) fn leave(&mut self, common: &mut Common) {
        self.close_some(common, |dialled| !dialled.upstream().is_some_and(Upstream::is_ordered));
        for peer in self.peers.values_mut() {
            peer.dial_at(None);
        }
    }

    /// Notes that a connection is lost, and decides when its server is dialled again. Returns the server's state from now on.
    fn lost(&mut self, common: &mut Common, dialled: &Dialled, reason: &CloseReason) -> SessionState {
        let (now, chance, id) = (common.clock.now(), self.random.next(), dialled.peer());
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.disconnects();
        }
        let sessions = self.open_sessions();
        let Some(peer) = self.peers.get_mut(&id) else { return SessionState::Closed };
        let (counters, is_established) = (dialled.conn().counters(), dialled.conn().session().is_established());
        peer.ended(common, counters, reason, is_established, sessions);
        let is_retried = common.shutdown == Shutdown::No && *reason != CloseReason::Removed;
        if is_retried {
            peer.retries(reason, now, &common.config, chance);
        }
        if is_established {
            self.set_peer_timers(common);
        } else {
            self.set_peer_timer(common, id);
        }
        if is_retried { SessionState::Retry } else { SessionState::Closed }
    }

    /// Closes a server's connection if the server announces more than it may.
    fn check_limits(&mut self, common: &mut Common, id: ConnId) {
        let Some(origin) = self.conns.get(&id).and_then(|dialled| dialled.upstream()).map(Upstream::origin) else {
            return;
        };
        let (routes, max) = (common.rib.route_count(origin), common.config.limits.routes);
        // Stale routes are kept by this node's own wish, as long as they do not pile up.
        let fresh = routes - common.rib.stale_count(origin);
        if fresh > max || routes > max.saturating_mul(2) {
            let reason = CloseReason::Limit { limit: PeerLimit::Routes, max: max as u64 };
            self.close(common, id, reason, Some(Close::Now));
        }
    }

    /// Has the servers asked for a VNI, or no longer asked for it: it has changed whether it is wanted.
    pub(super) fn ask(&mut self, common: &mut Common, vni: Vni) {
        let (is_wanted, is_announced_in) = (common.rib.is_wanted(vni), common.own.has_routes(vni));
        let mut locked = Vec::new();
        for (&id, dialled) in &mut self.conns {
            let peer = dialled.peer();
            let (Some(upstream), conn) = dialled.upstream_mut() else { continue };
            if !upstream.subscriptions().look_at(vni, is_wanted, is_announced_in) {
                locked.push(id);
                continue;
            }
            if is_wanted && let Some(peer) = self.peers.get_mut(&peer) {
                peer.subscribes();
            }
            conn.mark_ready(&mut common.ready);
        }
        // A sync that begins stops the time of stale routes.
        self.set_peer_timers(common);
        for conn in locked {
            self.close(common, conn, CloseReason::Resubscribe, Some(Close::Now));
        }
    }

    /// Has the servers sent a route that this node announces.
    pub(super) fn announced(&mut self, common: &mut Common, vni: Vni) {
        for peer in self.peers.values() {
            if let Some(dialled) = peer.conn().and_then(|conn| self.conns.get_mut(&conn))
                && let (Some(upstream), conn) = dialled.upstream_mut()
                && upstream.announced(&mut common.own, vni)
            {
                conn.mark_ready(&mut common.ready);
            }
        }
    }

    /// Notes that routes of a VNI are removed that is not subscribed to any more: the servers may be asked for it again.
    pub(super) fn dropped(&mut self, common: &mut Common, vni: Vni) {
        for dialled in self.conns.values_mut() {
            if let (Some(upstream), conn) = dialled.upstream_mut() {
                upstream.subscriptions().dropped(vni);
                conn.mark_ready(&mut common.ready);
            }
        }
    }

    /// Marks all connections as ready: the KEEPALIVE that ends a session may be due.
    pub(super) fn mark_all_ready(&mut self, common: &mut Common) {
        for dialled in self.conns.values_mut() {
            dialled.conn_mut().mark_ready(&mut common.ready);
        }
    }

    /// Returns a server's origin.
    pub(super) fn origin(&self, id: PeerId) -> Option<OriginId> {
        self.peers.get(&id).map(Peer::origin)
    }

    /// Returns a server's origin, if it has lost no session since the one of this number.
    pub(super) fn origin_to_sweep(&self, id: PeerId, epoch: u64) -> Option<OriginId> {
        self.peers.get(&id).filter(|peer| peer.epoch() == epoch).map(Peer::origin)
    }

    /// Returns the origins of servers whose updates of a VNI are carried out although it is not wanted.
    pub(super) fn origins_kept(&self, vni: Vni) -> SmallVec<[OriginId; 4]> {
        let upstreams = self.conns.values().filter_map(|dialled| dialled.upstream());
        upstreams.filter(|upstream| upstream.is_filtered(vni)).map(Upstream::origin).collect()
    }

    /// Reports a change of a session's state.
    fn transition(&mut self, common: &mut Common, id: ConnId, old: SessionState) {
        let Some(dialled) = self.conns.get_mut(&id) else { return };
        let peer = self.peers.get(&dialled.peer()).map(Peer::name);
        let transition = dialled.conn_mut().transition(old, common);
        let restart_time = short_restart_time(dialled, &common.config);
        common.actions.push(Action::State(Transition { peer, restart_time, ..transition }));
    }

    fn set_peer_timer(&mut self, common: &mut Common, id: PeerId) {
        let sessions = self.open_sessions();
        if let Some(peer) = self.peers.get_mut(&id) {
            let phase = phase(peer, &self.conns);
            peer.set_timer(phase, sessions, &common.config, &mut common.timers);
        }
    }

    /// Sets the timers of all servers: how long stale routes of one stay may depend on another's session.
    fn set_peer_timers(&mut self, common: &mut Common) {
        let sessions = self.open_sessions();
        for peer in self.peers.values_mut() {
            let phase = phase(peer, &self.conns);
            peer.set_timer(phase, sessions, &common.config, &mut common.timers);
        }
    }

    /// Returns which sessions with servers are open.
    fn open_sessions(&self) -> Sessions {
        Sessions::of(self.peers.values().map(|peer| phase(peer, &self.conns)))
    }

    /// Returns whether the application may remove what it adopted; see [`Node::may_remove_adopted`](crate::Node::may_remove_adopted).
    pub(super) fn may_remove_adopted(&self) -> bool {
        // A server that was converging has converged when its stale time is over.
        let is_complete = |peer: &Peer| peer.is_synced() && peer.stale_time().is_none();
        let has_complete = self.peers.values().any(is_complete);
        let may = |peer: &Peer| match (peer.stale_time(), phase(peer, &self.conns)) {
            (_, Phase::Syncing) => false,
            (None, _) => true,
            // It has sent all that it has, and another server all that there is.
            (Some(_), Phase::Settled) => has_complete && peer.is_synced(),
            (Some(time), Phase::Away) => has_complete && !time.is_first_dial(),
        };
        !self.peers.is_empty() && self.peers.values().all(may)
    }

    /// Returns where the session with a server stands. `None`: there is no such server.
    pub(super) fn peer_state(&self, id: PeerId) -> Option<SessionState> {
        let peer = self.peers.get(&id)?;
        Some(match peer.conn().and_then(|conn| self.conns.get(&conn)) {
            Some(dialled) => dialled.conn().session().state(),
            None if peer.is_waiting() => SessionState::Retry,
            None => SessionState::Closed,
        })
    }

    /// Returns snapshots of the servers after `last`, in the order of their ids; without `last`, of all.
    pub(super) fn peers<'a>(&'a self, common: &'a Common, last: Option<PeerId>) -> impl Iterator<Item = PeerInfo> + 'a {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        self.peers.range((from, Bound::Unbounded)).map(|(_, peer)| self.peer_info(peer, common))
    }

    /// Returns a snapshot of one server.
    pub(super) fn peer(&self, common: &Common, id: PeerId) -> Option<PeerInfo> {
        self.peers.get(&id).map(|peer| self.peer_info(peer, common))
    }

    /// Returns a snapshot of one connection.
    pub(super) fn session(&self, common: &Common, id: ConnId) -> Option<SessionInfo> {
        self.conns.get(&id).map(|dialled| session_info(dialled, common))
    }

    /// Returns the subscriber of a connection, from ESTABLISHED on.
    pub(super) fn subscriber(&self, id: ConnId) -> Option<SubscriberId> {
        self.conns.get(&id)?.upstream().map(Upstream::subscriber)
    }

    fn peer_info(&self, peer: &Peer, common: &Common) -> PeerInfo {
        let mut counters = *peer.past();
        if let Some(dialled) = peer.conn().and_then(|conn| self.conns.get(&conn)) {
            counters.add(dialled.conn().counters());
        }
        let super::Peer { id, endpoint } = peer.name();
        PeerInfo {
            id,
            endpoint,
            state: self.peer_state(id).unwrap_or(SessionState::Closed),
            conn: peer.conn(),
            synced: peer.is_synced(),
            routes: common.rib.route_count(peer.origin()),
            stale: common.rib.stale_count(peer.origin()),
            dials: peer.dials(),
            sessions: peer.sessions(),
            last_close: peer.last_close().cloned(),
            counters,
        }
    }

    /// Returns snapshots of the connections after `last`, in the order of their ids; without `last`, of all.
    pub(super) fn sessions<'a>(
        &'a self,
        common: &'a Common,
        last: Option<ConnId>,
    ) -> impl Iterator<Item = SessionInfo> + 'a {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        self.conns.range((from, Bound::Unbounded)).map(|(_, dialled)| session_info(dialled, common))
    }
}

fn session_info(dialled: &Dialled, common: &Common) -> SessionInfo {
    let (conn, upstream) = (dialled.conn(), dialled.upstream());
    let hello = conn.session().hello();
    SessionInfo {
        peer: Some(dialled.peer()),
        routes: upstream.map_or(0, |upstream| common.rib.route_count(upstream.origin())),
        restart_time: hello.map(|hello| hello.restart_time).filter(|granted| *granted > 0).map(seconds),
        ..SessionInfo::of(conn, &common.config)
    }
}

/// Returns where the session with a server stands.
fn phase(peer: &Peer, conns: &BTreeMap<ConnId, Box<Dialled>>) -> Phase {
    peer.phase(peer.conn().and_then(|conn| conns.get(&conn)).map(|dialled| &**dialled))
}

/// Returns whether a server whose session has just opened retains this node's routes for a shorter time than it was asked to, or does not say
/// for how long.
fn short_restart_time(dialled: &Dialled, config: &Config) -> Option<ShortRestartTime> {
    let session = dialled.conn().session();
    let granted = session.hello().filter(|_| session.is_established())?.restart_time;
    let is_shorter = granted < config.restart_time_secs();
    is_shorter
        .then_some(ShortRestartTime { asked: config.restart_time, granted: (granted > 0).then(|| seconds(granted)) })
}
