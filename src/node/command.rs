//! The application's commands: checks them, remembers what is wanted, and passes it on to the sessions with servers.

use super::background::Job;
use super::timers::TimerKey;
use super::{Action, Close, Command, Node, Reply, Shutdown};
use crate::rib::OriginId;
use crate::{ApiMisuse, CloseReason, CommandError, Limit, PeerId, Route, Vni};

impl Node {
    /// Carries out a command. Its reply goes before what follows from it.
    pub(super) fn command(&mut self, command: Command) {
        let result = match (self.common.shutdown, &command) {
            (Shutdown::No, _) => self.obey(command),
            // A second command without `cleanup` cuts the shutdown short.
            (Shutdown::Cleanup, Command::Shutdown { cleanup: false }) => {
                self.terminate();
                Ok(Reply::Done)
            }
            _ => Err(CommandError::Closed),
        };
        self.common.actions.insert(0, Action::Reply(result));
    }

    fn obey(&mut self, command: Command) -> Result<Reply, CommandError> {
        let Self { common, server, client, .. } = self;
        match command {
            Command::AddPeer { endpoint } => return self.add_peer(&endpoint).map(Reply::Peer),
            Command::RemovePeer(peer) => return Ok(Reply::Changed(client.remove_peer(common, peer))),
            Command::ResetPeer(peer) => client.reset_peer(common, peer).then_some(()).ok_or(ApiMisuse::NoSuchPeer)?,
            Command::ResetConn(conn) => self.close(conn, CloseReason::ResetRequested, Some(Close::Now)),
            Command::Subscribe(vni) => return self.subscribe(vni).map(Reply::Changed),
            Command::Unsubscribe(vni) => return Ok(Reply::Changed(self.unsubscribe(vni))),
            Command::Resync(vni) => common.rib.report_again(vni).then_some(()).ok_or(ApiMisuse::NotSubscribed)?,
            Command::Announce(route) => return self.announce(&route).map(Reply::Changed),
            Command::Withdraw(route) => {
                let is_announced = common.own.withdraw(OriginId::LOCAL, &route);
                if is_announced {
                    common.rib.withdraw(OriginId::LOCAL, &route);
                }
                return Ok(Reply::Changed(is_announced));
            }
            Command::SetListening(listening) => common.listening.set(listening, common.clock.now()),
            Command::SetPolicy(policy) => server.set_policy(common, policy),
            Command::Shutdown { cleanup } => self.shut_down(cleanup),
        }
        Ok(Reply::Done)
    }

    fn add_peer(&mut self, endpoint: &str) -> Result<PeerId, CommandError> {
        let Self { common, client, .. } = self;
        if client.has_peer(endpoint) {
            return Err(ApiMisuse::PeerExists.into());
        }
        if client.peer_count() >= common.config.peers_max {
            return Err(CommandError::Limit(Limit::Peers));
        }
        client.add_peer(common, endpoint.into()).ok_or(CommandError::Limit(Limit::Peers))
    }

    /// Subscribes to a VNI. Returns false if the node is subscribed already.
    fn subscribe(&mut self, vni: Vni) -> Result<bool, CommandError> {
        let Self { common, client, .. } = self;
        if common.rib.is_wanted(vni) {
            return Ok(false);
        }
        if common.rib.wanted().len() >= common.config.subscriptions_max {
            return Err(CommandError::Limit(Limit::Subscriptions));
        }
        common.rib.want(vni);
        client.ask(common, vni);
        Ok(true)
    }

    /// Unsubscribes from a VNI. Returns false if the node is not subscribed.
    fn unsubscribe(&mut self, vni: Vni) -> bool {
        let Self { common, client, .. } = self;
        if !common.rib.unwant(vni) {
            return false;
        }
        common.jobs.push(Job::Drop { vni, from: u32::MAX });
        client.ask(common, vni);
        true
    }

    /// Announces a route of this node's own. Returns false if the node announces it already.
    fn announce(&mut self, route: &Route) -> Result<bool, CommandError> {
        // Peers would drop such a route, and other implementations would try to install it.
        if let Some(why) = route.next_hop.martian() {
            return Err(ApiMisuse::MartianNextHop(why).into());
        }
        let Self { common, client, .. } = self;
        if common.own.route_count(OriginId::LOCAL) >= common.config.announcements_max
            && !common.own.is_announced(OriginId::LOCAL, route)
        {
            return Err(CommandError::Limit(Limit::Announcements));
        }
        if !common.own.announce(OriginId::LOCAL, route) {
            return Ok(false);
        }
        common.rib.announce(OriginId::LOCAL, route);
        client.announced(common, route.vni);
        Ok(true)
    }

    fn shut_down(&mut self, cleanup: bool) {
        let Self { common, server, client, .. } = self;
        common.shutdown = Shutdown::Cleanup;
        if !cleanup {
            return self.terminate();
        }
        server.close_all(common);
        client.leave(common);
        if client.is_empty() {
            return self.terminate();
        }
        common.own.mark_stale(OriginId::LOCAL);
        common.rib.mark_stale(OriginId::LOCAL);
        common.jobs.push(Job::Leave);
        common.timers.once(TimerKey::Shutdown, common.clock.now() + common.config.shutdown_timeout);
    }
}
