//! Conditions that must hold after an iteration when the node has no work left.

use std::collections::BTreeSet;

use metalbond::{Announcer, Limits, NextHop, Route, SessionState};

use super::bench::Bench;
use super::far::State;
use crate::sim::model::{Routes, Who};

impl Bench {
    pub(super) fn check(&mut self) {
        self.check_counts();
        self.check_limits();
        if !self.closing {
            self.check_taken();
            self.check_held();
            self.check_sent();
            self.check_learned();
        }
    }

    fn check_counts(&self) {
        let node = &self.rig.seat.node;
        let open: BTreeSet<_> = self.fars.iter().filter(|far| far.state != State::Over).map(|far| far.conn).collect();
        assert_eq!(node.sessions().map(|s| s.conn).collect::<BTreeSet<_>>(), open, "connections");
        for info in node.sessions() {
            let far = self.fars.iter().find(|far| far.conn == info.conn).unwrap();
            assert_eq!(info.state == SessionState::Established, far.is_open(), "{info:?}");
            if !info.conn.is_dialled() {
                assert_eq!(info.subscriptions, far.subscribed.len(), "{info:?}");
                assert_eq!(info.routes, node.announced_by(Announcer::Conn(info.conn)).count(), "{info:?}");
            }
        }
        for info in node.peers() {
            assert!(info.stale <= info.routes, "{info:?}");
            assert_eq!(info.routes, node.announced_by(Announcer::Peer(info.id)).count(), "{info:?}");
            assert_eq!(node.peer_state(info.id), Some(info.state));
        }
        assert_eq!(node.route_count(), node.vnis().map(|v| node.routes(v).count()).sum::<usize>());
    }

    /// Checks the limits of each client and of all clients together.
    fn check_limits(&self) {
        let (node, limits) = (&self.rig.seat.node, &self.config.limits);
        let accepted: Vec<_> = node.sessions().filter(|s| !s.conn.is_dialled()).collect();
        assert!(accepted.len() <= limits.connections);
        assert!(accepted.iter().all(|s| s.routes <= limits.routes_per_peer && s.subscriptions <= limits.vnis_per_peer));
        assert!(accepted.iter().map(|s| s.routes).sum::<usize>() <= limits.routes);
        assert!(accepted.iter().map(|s| s.subscriptions).sum::<usize>() <= limits.subscriptions);
        for vni in node.vnis() {
            for destination in node.destinations(vni) {
                let by_clients = |next_hop: &&NextHop| {
                    let route = Route { vni, prefix: destination.prefix, next_hop: **next_hop };
                    let clients =
                        node.announcers(&route).filter(|a| matches!(a, Announcer::Conn(_) | Announcer::Departed));
                    clients.count() > 0
                };
                assert!(destination.next_hops.iter().filter(by_clients).count() <= limits.next_hops);
            }
        }
    }

    /// Checks that the node has the routes that servers announce in the subscribed VNIs.
    fn check_taken(&self) {
        let node = &self.rig.seat.node;
        for peer in node.peers() {
            let Some(far) = self.fars.iter().find(|far| Some(far.conn) == peer.conn && far.is_open()) else { continue };
            let taken: Routes = node.announced_by(Announcer::Peer(peer.id)).collect();
            let stays = |r: &Route| node.is_subscribed(r.vni) && far.is_taken(r, &self.own);
            let missing = far.live.iter().find(|r| stays(r) && !taken.contains(r));
            assert_eq!(missing, None, "a route of {} is missing", far.conn);
            let extra = taken.iter().find(|r| peer.stale == 0 && !far.live.contains(r));
            assert_eq!(extra, None, "a route that {} does not announce", far.conn);
        }
    }

    /// Checks that routes of lost servers stay for the stale time, and no longer.
    pub(super) fn check_held(&mut self) {
        if !self.closing {
            self.seen.held += self.stale.check(&self.rig.seat.node);
        }
    }

    /// Checks that the table contains the peers' announcements, and that each subscriber was sent its view.
    fn check_sent(&mut self) {
        let node = &self.rig.seat.node;
        let mut of_servers = Routes::new();
        node.peers().for_each(|peer| of_servers.extend(node.announced_by(Announcer::Peer(peer.id))));
        // If the limit of all routes is exceeded, retained routes of departed clients are removed early.
        let go_early = self.config.limits.routes < Limits::default().routes;
        for (conn, _) in self.restart_times.iter().filter(|_| go_early) {
            let who = Who::Departed(*conn);
            for route in &self.model.announced(who) {
                if !node.announcers(route).any(|a| a == Announcer::Departed) {
                    self.model.withdraw(who, route);
                }
            }
        }
        self.vnis.extend(node.vnis());
        for vni in &self.vnis {
            let mut expected = self.model.table(*vni);
            expected.extend(of_servers.iter().filter(|r| r.vni == *vni));
            same("the table (left), announced (right)", &node.routes(*vni).collect(), &expected);
        }
        for far in &self.fars {
            let who = Who::Live(far.conn);
            if far.conn.is_dialled() || !far.is_open() {
                if far.is_open() && far.is_ordered && !far.is_stalled {
                    same("sent to a server (left), announced (right)", &far.sent, &node.announcements().collect());
                }
                continue;
            }
            let announced = node.announced_by(Announcer::Conn(far.conn)).collect();
            same("A(p) of the node (left), of the model (right)", &announced, &self.model.announced(who));
            let is_paced = self.config.pacing.is_some() && !far.is_ordered;
            if far.is_stalled || is_paced {
                continue;
            }
            let mut view = self.model.view(who);
            if !far.is_server {
                view.extend(of_servers.iter().filter(|r| far.subscribed.contains(&r.vni)));
            }
            same(format_args!("sent to {} (left), View(s) (right)", far.conn), &far.sent, &view);
        }
        for far in self.fars.iter().filter(|far| !far.is_stalled) {
            far.drained();
        }
    }

    /// Checks that learned routes are the announcements of others, and equal to the application's table.
    fn check_learned(&self) {
        let node = &self.rig.seat.node;
        let mut learned = Routes::new();
        for vni in node.subscribed_vnis() {
            let here: Routes = node.learned(vni).collect();
            let others = node.routes(vni).filter(|r| !node.is_announced(r)).collect();
            same("learned (left), announced by others (right)", &here, &others);
            learned.extend(here);
        }
        if !self.rig.seat.deaf {
            same("the application's table (left), learned (right)", &self.installed, &learned);
        }
    }
}

/// Checks that two sets are equal; prints the elements that only one of them has.
fn same(what: impl std::fmt::Display, left: &Routes, right: &Routes) {
    let [l, r] = [left.difference(right), right.difference(left)].map(|d| d.take(3).collect::<Vec<_>>());
    assert!(l.is_empty() && r.is_empty(), "{what}: only left {l:?}, only right {r:?}");
}
