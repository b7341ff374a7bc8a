//! What the embedder wants: noted at once, told to whom it concerns when they are there.

use alloc::sync::Arc;

use super::jobs::Job;
use super::peer::Peer;
use super::stale::StaleTime;
use super::timers::TimerKey;
use super::upstream::Wire;
use super::{Action, Close, Command, Node, Reply, Shutdown};
use crate::rib::OriginId;
use crate::{Announcer, ApiMisuse, CloseReason, CommandError, Limit, PeerId, Route, SessionState, Vni};

impl Node {
    pub(super) fn command(&mut self, command: Command) {
        let result = match (self.shutdown, &command) {
            (Shutdown::No, _) => self.obey(command),
            // Whoever asks a second time is in a hurry.
            (Shutdown::Cleanup, Command::Shutdown { cleanup: false }) => {
                self.terminate();
                Ok(Reply::Done)
            }
            _ => Err(CommandError::Closed),
        };
        // The reply goes before what follows from the command.
        self.actions.insert(0, Action::Reply(result));
    }

    fn obey(&mut self, command: Command) -> Result<Reply, CommandError> {
        match command {
            Command::AddPeer { endpoint } => return self.add_peer(endpoint.into()).map(Reply::Peer),
            Command::RemovePeer(peer) => return Ok(Reply::Changed(self.remove_peer(peer))),
            Command::ResetPeer(peer) => self.reset_peer(peer)?,
            Command::ResetConn(conn) => self.close(conn, CloseReason::ResetRequested, Some(Close::Now)),
            Command::Subscribe(vni) => return self.subscribe(vni).map(Reply::Changed),
            Command::Unsubscribe(vni) => return Ok(Reply::Changed(self.unsubscribe(vni))),
            Command::Resync(vni) => self.rib.tell_again(vni).then_some(()).ok_or(ApiMisuse::NotSubscribed)?,
            Command::Announce(route) => return self.announce(&route).map(Reply::Changed),
            Command::Withdraw(route) => {
                let is_announced = self.own.withdraw(OriginId::LOCAL, &route);
                if is_announced {
                    self.rib.withdraw(OriginId::LOCAL, &route);
                }
                return Ok(Reply::Changed(is_announced));
            }
            Command::SetListening(listening) => {
                self.is_listening = listening;
                if listening {
                    self.warming_since.get_or_insert(self.clock.now());
                }
            }
            Command::SetPolicy(policy) => self.set_policy(policy),
            Command::Shutdown { cleanup } => self.shut_down(cleanup),
        }
        Ok(Reply::Done)
    }

    fn add_peer(&mut self, endpoint: Arc<str>) -> Result<PeerId, CommandError> {
        if self.peers.values().any(|peer| peer.endpoint == endpoint) {
            return Err(ApiMisuse::PeerExists.into());
        }
        if self.peers.len() >= self.config.peers_max {
            return Err(CommandError::Limit(Limit::Peers));
        }
        // An id is never used twice: after 2^32 peers there are none left.
        let id = PeerId(self.next_peer);
        self.next_peer = self.next_peer.checked_add(1).ok_or(CommandError::Limit(Limit::Peers))?;
        let origin = self.rib.add_dialled_origin();
        self.origins.set(origin, Announcer::Peer(id));
        let stale_time = StaleTime::of_new_peer(self.clock.now(), &self.config, self.open_sessions());
        let total = self.removed.enter(&endpoint);
        self.peers.insert(id, Peer::new(endpoint, origin, stale_time, total));
        self.dial(id, SessionState::Closed);
        Ok(id)
    }

    fn reset_peer(&mut self, id: PeerId) -> Result<(), ApiMisuse> {
        let now = self.clock.now();
        let peer = self.peers.get_mut(&id).ok_or(ApiMisuse::NoSuchPeer)?;
        match peer.conn {
            Some(conn) => self.close(conn, CloseReason::ResetRequested, Some(Close::Now)),
            None => {
                peer.dial_at = Some(now);
                self.set_peer_timer(id);
            }
        }
        Ok(())
    }

    /// Subscribes to a VNI. Returns false if the node is subscribed already.
    fn subscribe(&mut self, vni: Vni) -> Result<bool, CommandError> {
        if self.rib.is_wanted(vni) {
            return Ok(false);
        }
        if self.rib.wanted().len() >= self.config.subscriptions_max {
            return Err(CommandError::Limit(Limit::Subscriptions));
        }
        self.rib.want(vni);
        self.ask_servers(vni);
        Ok(true)
    }

    /// Unsubscribes from a VNI. Returns false if the node is not subscribed.
    fn unsubscribe(&mut self, vni: Vni) -> bool {
        if !self.rib.unwant(vni) {
            return false;
        }
        if !self.jobs.iter().any(|job| job.drops(vni)) {
            self.jobs.push_back(Job::Drop { vni, from: u32::MAX });
        }
        self.ask_servers(vni);
        true
    }

    /// Whether a VNI is wanted has changed.
    fn ask_servers(&mut self, vni: Vni) {
        let wanted = self.rib.is_wanted(vni);
        let mut locked = alloc::vec::Vec::new();
        for conn in self.conns.values_mut() {
            let Some(upstream) = &mut conn.upstream else { continue };
            let is_legacy = !conn.session.is_ordered();
            match upstream.wire(vni) {
                Some(Wire::Spent | Wire::Unwanted) if wanted && is_legacy => {
                    locked.push(conn.id);
                    continue;
                }
                Some(Wire::Subscribed { .. }) if !wanted && is_legacy && self.own.has_routes(vni) => {
                    upstream.set_wire(vni, Wire::Filtered);
                }
                Some(Wire::Subscribed { .. }) if !wanted => upstream.set_wire(vni, Wire::Unwanted),
                _ => {}
            }
            upstream.todo.insert(vni);
            if wanted && let Some(peer) = conn.peer.and_then(|peer| self.peers.get_mut(&peer)) {
                peer.synced = false;
            }
            conn.mark_ready(&mut self.ready);
        }
        // A sync that begins stops the time of stale routes.
        self.set_peer_timers();
        for conn in locked {
            self.close(conn, CloseReason::Resubscribe, Some(Close::Now));
        }
    }

    /// Announces a route of this node's own. Returns false if the node announces it already.
    fn announce(&mut self, route: &Route) -> Result<bool, CommandError> {
        // Peers would drop it, and other implementations would try to install it.
        if let Some(why) = route.next_hop.martian() {
            return Err(ApiMisuse::MartianNextHop(why).into());
        }
        if self.own.route_count(OriginId::LOCAL) >= self.config.announcements_max
            && !self.own.is_announced(OriginId::LOCAL, route)
        {
            return Err(CommandError::Limit(Limit::Announcements));
        }
        if !self.own.announce(OriginId::LOCAL, route) {
            return Ok(false);
        }
        self.rib.announce(OriginId::LOCAL, route);
        for peer in self.peers.values() {
            let conn = peer.conn.and_then(|conn| self.conns.get_mut(&conn));
            if let Some(conn) = conn
                && let Some(subscriber) = conn.subscriber
                && self.own.subscribe(subscriber, route.vni)
            {
                conn.mark_ready(&mut self.ready);
            }
        }
        Ok(true)
    }

    fn shut_down(&mut self, cleanup: bool) {
        self.shutdown = Shutdown::Cleanup;
        if !cleanup {
            return self.terminate();
        }
        // Only a server that answers in order can say that it has read the farewell.
        let stays =
            |conn: &super::Conn| conn.upstream.is_some() && conn.session.is_established() && conn.session.is_ordered();
        let others: alloc::vec::Vec<_> = self.conns.values().filter(|conn| !stays(conn)).map(|conn| conn.id).collect();
        for conn in others {
            self.close(conn, CloseReason::Shutdown, Some(Close::Now));
        }
        if self.conns.is_empty() {
            return self.terminate();
        }
        for peer in self.peers.values_mut() {
            peer.dial_at = None;
        }
        self.own.mark_stale(OriginId::LOCAL);
        self.rib.mark_stale(OriginId::LOCAL);
        self.jobs.push_back(Job::Leave);
        self.timers.once(TimerKey::Shutdown, self.clock.now() + self.config.shutdown_timeout);
    }
}
