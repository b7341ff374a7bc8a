//! What the node keeps of the servers that it lost: which routes have to stay, until when; and when none may be left.
//! Where the node may know better it has to keep nothing, so that what is asked of it here is never too much.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use metalbond::{Announcer, Instant, Node, PeerId, Route, Vni};

use super::far::Far;
use crate::sim::model::Routes;

#[derive(Debug)]
pub(super) struct Holds {
    /// The hold time.
    time: Duration,
    peers: BTreeMap<PeerId, Hold>,
    /// Whose sync has ended since the node was last at rest: what that contradicts may still be being withdrawn.
    sweeping: BTreeSet<PeerId>,
}

/// Of one configured peer.
#[derive(Debug, Default)]
struct Hold {
    /// What it announced in sessions that are over and nobody has contradicted since, and until when it stays.
    kept: BTreeMap<Route, Instant>,
    /// When everything stale has to be gone.
    gone_by: Option<Instant>,
    /// Since then a session is syncing, and for so long these times stand still.
    suspended: Option<Instant>,
    was_synced: bool,
}

impl Hold {
    fn resume(&mut self, now: Instant) {
        if let Some(since) = self.suspended.take() {
            let times = self.kept.values_mut().chain(&mut self.gone_by);
            times.for_each(|at| *at = *at + now.saturating_since(since));
        }
    }
}

impl Holds {
    pub(super) fn new(time: Duration) -> Self {
        Self { time, peers: BTreeMap::new(), sweeping: BTreeSet::new() }
    }

    /// A session is open.
    pub(super) fn opened(&mut self, far: &Far, node: &Node) {
        // Others never say when they have told all.
        if let Some(peer) = far.peer.filter(|_| far.is_ordered) {
            self.peers.entry(peer).or_default().suspended = Some(node.now());
        }
    }

    /// A session that was open is over. `own`: what the node ever announced.
    pub(super) fn lost(&mut self, far: &Far, own: &Routes, node: &Node) {
        let (Some(peer), now) = (far.peer, node.now()) else { return };
        let hold = self.peers.entry(peer).or_default();
        hold.resume(now);
        // Only what is new begins a new hold time for all: a server that says nothing of what it said keeps nothing alive.
        if !far.live.is_empty() || !far.uncertain.is_empty() {
            hold.gone_by = Some(now + self.time);
        }
        if self.sweeping.iter().all(|by| *by == peer) {
            let kept = far.live.iter().filter(|r| node.is_subscribed(r.vni) && far.is_taken(r, own));
            hold.kept.extend(kept.map(|route| (*route, now + self.time)));
        }
    }

    /// A live server says that the route is gone.
    pub(super) fn removed(&mut self, route: &Route) {
        for hold in self.peers.values_mut() {
            hold.kept.remove(route);
        }
    }

    /// A live server, which announces `live`, may have told all.
    pub(super) fn contradict(&mut self, by: Option<PeerId>, live: &Routes) {
        let Some(by) = by else { return };
        self.sweeping.insert(by);
        self.peers.values_mut().for_each(|hold| hold.kept.retain(|route, _| live.contains(route)));
    }

    pub(super) fn unsubscribe(&mut self, vni: Vni) {
        self.peers.values_mut().for_each(|hold| hold.kept.retain(|route, _| route.vni != vni));
    }

    /// Follows which peers there are, and whose sync has ended: with an answer, or as nothing is left to be asked for.
    pub(super) fn follow(&mut self, node: &Node, fars: &[Far]) {
        self.peers.retain(|id, _| node.peer_state(*id).is_some());
        for peer in node.peers() {
            let hold = self.peers.entry(peer.id).or_default();
            let was_synced = std::mem::replace(&mut hold.was_synced, peer.synced);
            if peer.synced
                && !was_synced
                && let Some(far) = fars.iter().find(|far| Some(far.conn) == peer.conn)
            {
                hold.resume(node.now());
                // The table of one that is warming may be incomplete: what is stale stays for the rest of its time.
                if !far.is_warming {
                    hold.gone_by = Some(node.now());
                    self.contradict(far.peer, &far.live);
                }
            }
        }
    }

    /// The node has nothing left to do.
    pub(super) fn rest(&mut self) {
        self.sweeping.clear();
    }

    /// Compares with the node at rest. Returns how many routes stay.
    pub(super) fn check(&self, node: &Node) -> usize {
        let mut staying = 0;
        for peer in node.peers() {
            let Some(hold) = self.peers.get(&peer.id) else { continue };
            let now = hold.suspended.unwrap_or(node.now());
            let there: Routes = node.announced_by(Announcer::Peer(peer.id)).collect();
            for (route, _) in hold.kept.iter().filter(|(_, until)| **until > now) {
                assert!(there.contains(route), "not kept for the hold time: {route} of {}, {hold:?}", peer.endpoint);
                staying += 1;
            }
            let is_over = hold.gone_by.is_some_and(|at| at <= now);
            assert!(!is_over || peer.stale == 0, "kept beyond the hold time: {peer:?}, {hold:?}");
        }
        staying
    }
}
