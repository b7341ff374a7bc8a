//! Stale routes of lost servers: which of them the node has to keep until when, and when all of them must be removed.
//! Where the node may know better, it does not have to keep anything, so that these checks never demand too much.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use metalbond::{Announcer, Config, Instant, Node, PeerId, Route, Vni};

use super::far::Far;
use crate::sim::model::Routes;

#[derive(Debug)]
pub(super) struct StaleRoutes {
    /// How long stale routes stay without a session.
    away: Option<Duration>,
    /// How long stale routes stay with a session that can't show which of them are gone.
    in_session: Duration,
    peers: BTreeMap<PeerId, Server>,
    /// Servers that have synced since the node was last at rest. Routes that they do not announce may still be being
    /// withdrawn.
    sweeping: BTreeSet<PeerId>,
}

/// The state of one configured peer.
#[derive(Debug, Default)]
struct Server {
    /// Routes that it announced in ended sessions, without those that were withdrawn since, and how long each has to
    /// stay.
    kept: BTreeMap<Route, Clock>,
    /// When all of its stale routes must be removed.
    gone_by: Option<Clock>,
    was_synced: bool,
    phase: Phase,
}

/// The phase of a peer's session.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Phase {
    #[default]
    Away,
    Syncing,
    Settled,
}

/// How long routes of a session stay after its end.
#[derive(Clone, Copy, Default, Debug)]
struct Clock {
    is_over: bool,
    /// The remaining time without a session.
    left: Option<Duration>,
    /// The time since when `left` runs.
    passes_since: Option<Instant>,
    /// When the first session with this server opened since then.
    opened: Option<Instant>,
    /// When the first session with any server opened since then.
    any_opened: Option<Instant>,
}

impl Clock {
    fn opens(&mut self, now: Instant) {
        self.opened.get_or_insert(now);
        if let (Some(since), Some(left)) = (self.passes_since.take(), &mut self.left) {
            *left = left.saturating_sub(now.saturating_since(since));
        }
    }

    fn is_over(&self, now: Instant, phase: Phase, others: &[Phase], in_session: Duration) -> bool {
        let end = match (phase, self.left) {
            (Phase::Syncing, _) => None,
            (Phase::Settled, _) => self.opened.map(|at| at + in_session),
            (Phase::Away, Some(left)) => self.passes_since.map(|at| at + left),
            (Phase::Away, None) if others.contains(&Phase::Syncing) || !others.contains(&Phase::Settled) => None,
            (Phase::Away, None) => self.any_opened.map(|at| at + in_session),
        };
        self.is_over || end.is_some_and(|at| at <= now)
    }
}

impl Server {
    fn clocks(&mut self) -> impl Iterator<Item = &mut Clock> {
        self.kept.values_mut().chain(&mut self.gone_by)
    }
}

impl StaleRoutes {
    pub(super) fn new(config: &Config) -> Self {
        let (away, in_session) = (config.stale_time, config.session_stale_time);
        Self { away, in_session, peers: BTreeMap::new(), sweeping: BTreeSet::new() }
    }

    fn phases(&self) -> Vec<Phase> {
        self.peers.values().map(|server| server.phase).collect()
    }

    /// Removes routes that do not have to be kept any more, in the state before the next event.
    fn expire(&mut self, now: Instant) {
        let (phases, in_session) = (self.phases(), self.in_session);
        for server in self.peers.values_mut() {
            let phase = server.phase;
            server.kept.retain(|_, clock| !clock.is_over(now, phase, &phases, in_session));
        }
    }

    /// Handles the opening of a session.
    pub(super) fn opened(&mut self, far: &Far, node: &Node) {
        let (Some(peer), now) = (far.peer, node.now()) else { return };
        self.expire(now);
        let server = self.peers.entry(peer).or_default();
        let is_synced = node.peers().any(|info| info.id == peer && info.synced);
        server.phase = if far.is_ordered && !is_synced { Phase::Syncing } else { Phase::Settled };
        server.clocks().for_each(|clock| clock.opens(now));
        for clock in self.peers.values_mut().flat_map(Server::clocks) {
            clock.any_opened.get_or_insert(now);
        }
    }

    /// Handles the end of an open session. `own` contains all routes that the node has ever announced.
    pub(super) fn lost(&mut self, far: &Far, own: &Routes, node: &Node) {
        let (Some(peer), now) = (far.peer, node.now()) else { return };
        self.expire(now);
        let server = self.peers.entry(peer).or_default();
        server.phase = Phase::Away;
        server.clocks().for_each(|clock| clock.passes_since = Some(now));
        let any_open = self.phases().iter().any(|phase| *phase != Phase::Away);
        let any_opened = any_open.then_some(now);
        let clock = Clock { left: self.away, passes_since: Some(now), any_opened, ..Clock::default() };
        let server = self.peers.entry(peer).or_default();
        // Only new routes start a new time: a server that does not announce its old routes again does not keep them.
        if !far.live.is_empty() || !far.uncertain.is_empty() {
            server.gone_by = Some(clock);
        }
        if self.sweeping.iter().all(|by| *by == peer) {
            let kept = far.live.iter().filter(|r| node.is_subscribed(r.vni) && far.is_taken(r, own));
            server.kept.extend(kept.map(|route| (*route, clock)));
        }
    }

    /// Handles a withdrawal by a live server.
    pub(super) fn removed(&mut self, route: &Route) {
        for server in self.peers.values_mut() {
            server.kept.remove(route);
        }
    }

    /// Handles the sync of a live server that announces `live`, after which it may have sent everything.
    pub(super) fn contradict(&mut self, by: Option<PeerId>, live: &Routes) {
        let Some(by) = by else { return };
        self.sweeping.insert(by);
        self.peers.values_mut().for_each(|server| server.kept.retain(|route, _| live.contains(route)));
    }

    pub(super) fn unsubscribe(&mut self, vni: Vni) {
        self.peers.values_mut().for_each(|server| server.kept.retain(|route, _| route.vni != vni));
    }

    /// Follows the node's list of peers and which of them are synced: by an End-of-RIB, or because there is no
    /// subscription left.
    pub(super) fn follow(&mut self, node: &Node, fars: &[Far]) {
        self.expire(node.now());
        self.peers.retain(|id, _| node.peer_state(*id).is_some());
        for peer in node.peers() {
            let server = self.peers.entry(peer.id).or_default();
            let was_synced = std::mem::replace(&mut server.was_synced, peer.synced);
            if let Some(far) = fars.iter().find(|far| Some(far.conn) == peer.conn && far.is_ordered) {
                if server.phase != Phase::Away {
                    server.phase = if peer.synced { Phase::Settled } else { Phase::Syncing };
                }
                // The table of a converging server may be incomplete, so stale routes stay for the remaining time.
                if peer.synced && !was_synced && !far.is_converging {
                    self.sent_all(far);
                }
            }
        }
    }

    fn sent_all(&mut self, far: &Far) {
        if let Some(server) = far.peer.and_then(|peer| self.peers.get_mut(&peer)) {
            server.gone_by = Some(Clock { is_over: true, ..Clock::default() });
        }
        self.contradict(far.peer, &far.live);
    }

    /// Notes that the node has no work left.
    pub(super) fn rest(&mut self) {
        self.sweeping.clear();
    }

    /// Compares with the node at rest. Returns the number of routes that have to stay.
    pub(super) fn check(&self, node: &Node) -> usize {
        let (now, phases) = (node.now(), self.phases());
        let is_over = |server: &Server, clock: &Clock| clock.is_over(now, server.phase, &phases, self.in_session);
        let mut staying = 0;
        for peer in node.peers() {
            let Some(server) = self.peers.get(&peer.id) else { continue };
            let there: Routes = node.announced_by(Announcer::Peer(peer.id)).collect();
            for (route, _) in server.kept.iter().filter(|(_, clock)| !is_over(server, clock)) {
                assert!(there.contains(route), "removed before its time: {route} of {}, {server:?}", peer.endpoint);
                staying += 1;
            }
            let has_to_be_gone = server.gone_by.is_some_and(|clock| is_over(server, &clock));
            assert!(!has_to_be_gone || peer.stale == 0, "stale routes kept after their time: {peer:?}, {server:?}");
        }
        staying
    }
}
