//! The application's commands: checks them, remembers what is wanted, and has the servers told that are there.

use super::background::Job;
use super::timers::TimerKey;
use super::{Action, Close, Command, Node, Reply, Shutdown};
use crate::rib::OriginId;
use crate::{ApiMisuse, CloseReason, Limit, PeerId, Route, Vni};

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
            _ => Err(ApiMisuse::Closed),
        };
        self.common.actions.insert(0, Action::Reply(result));
    }

    fn obey(&mut self, command: Command) -> Result<Reply, ApiMisuse> {
        let Self { common, server, client, .. } = self;
        match command {
            Command::AddPeer { endpoint } => return self.add_peer(&endpoint).map(Reply::Peer),
            Command::RemovePeer(peer) => {
                client.remove_peer(common, peer).then_some(()).ok_or(ApiMisuse::NoSuchPeer)?;
            }
            Command::ResetPeer(peer) => client.reset_peer(common, peer).then_some(()).ok_or(ApiMisuse::NoSuchPeer)?,
            Command::ResetConn(conn) => self.close(conn, CloseReason::ResetRequested, Some(Close::Now)),
            Command::Subscribe(vni) => self.subscribe(vni)?,
            Command::Unsubscribe(vni) => self.unsubscribe(vni)?,
            Command::Resync(vni) => common.rib.tell_again(vni).then_some(()).ok_or(ApiMisuse::NotSubscribed)?,
            Command::Announce(route) => self.announce(&route)?,
            Command::Withdraw(route) => {
                if !common.own.withdraw(OriginId::LOCAL, &route) {
                    return Err(ApiMisuse::NoSuchRoute);
                }
                common.rib.withdraw(OriginId::LOCAL, &route);
            }
            Command::SetListening(listening) => common.listening.set(listening, common.clock.now()),
            Command::SetPolicy(policy) => server.set_policy(common, policy),
            Command::Shutdown { cleanup } => self.shut_down(cleanup),
        }
        Ok(Reply::Done)
    }

    fn add_peer(&mut self, endpoint: &str) -> Result<PeerId, ApiMisuse> {
        let Self { common, client, .. } = self;
        if client.has_peer(endpoint) {
            return Err(ApiMisuse::PeerExists);
        }
        if client.peer_count() >= common.config.peers_max {
            return Err(ApiMisuse::Limit(Limit::Peers));
        }
        client.add_peer(common, endpoint.into()).ok_or(ApiMisuse::Limit(Limit::Peers))
    }

    fn subscribe(&mut self, vni: Vni) -> Result<(), ApiMisuse> {
        let Self { common, client, .. } = self;
        if common.rib.is_wanted(vni) {
            return Err(ApiMisuse::AlreadySubscribed);
        }
        if common.rib.wanted().len() >= common.config.subscriptions_max {
            return Err(ApiMisuse::Limit(Limit::Subscriptions));
        }
        common.rib.want(vni);
        client.ask(common, vni);
        Ok(())
    }

    fn unsubscribe(&mut self, vni: Vni) -> Result<(), ApiMisuse> {
        let Self { common, client, .. } = self;
        if !common.rib.unwant(vni) {
            return Err(ApiMisuse::NotSubscribed);
        }
        common.jobs.push(Job::Drop { vni, from: u32::MAX });
        client.ask(common, vni);
        Ok(())
    }

    fn announce(&mut self, route: &Route) -> Result<(), ApiMisuse> {
        // Peers would drop such a route, and other implementations would try to install it.
        if let Some(why) = route.next_hop.martian() {
            return Err(ApiMisuse::MartianNextHop(why));
        }
        let Self { common, client, .. } = self;
        if common.own.route_count(OriginId::LOCAL) >= common.config.announcements_max
            && !common.own.is_announced(OriginId::LOCAL, route)
        {
            return Err(ApiMisuse::Limit(Limit::Announcements));
        }
        if !common.own.announce(OriginId::LOCAL, route) {
            return Err(ApiMisuse::AlreadyAnnounced);
        }
        common.rib.announce(OriginId::LOCAL, route);
        client.announced(common, route.vni);
        Ok(())
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
