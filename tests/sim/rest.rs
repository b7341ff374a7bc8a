//! The comparison at rest: once no bytes are in flight and every restart time is over, the state of each process equals
//! what its neighbours want it to have.

use std::collections::BTreeSet;
use std::time::Duration;

use metalbond::{Command, Input, Route, SessionState, Vni};

use super::accepted::Accepted;
use super::dialled::Dialled;
use super::host::{Host, Kind, Life};
use super::model::{Routes, Who};
use super::ops;
use super::seat::Seat;
use super::world::{Conn, World};

impl World {
    /// Runs until every timer for something lost has expired: hold time, stale time with and without a session, restart
    /// time, convergence time.
    pub(crate) fn come_to_rest(&mut self) {
        for path in self.paths.values_mut() {
            path.window = 1 << 20;
            path.dribbles = [false; 2];
        }
        (0..self.hosts.len()).for_each(|host| self.resume(host));
        for host in &mut self.hosts {
            (host.reads, host.doom) = (true, None);
            if let Life::Node(seat) = &mut host.life {
                seat.deaf = false;
                seat.clock.catch_up(self.now);
                // An iteration, so that the application reads the remaining changes.
                seat.inbox.push_back(Input::Tick);
                // Routes that were refused show now.
                seat.inbox.push_back(Input::Command(Command::SetPolicy(None)));
            }
        }
        self.advance(Duration::from_secs(if self.is_hasty { 90 } else { 240 }));
    }

    pub(crate) fn check_at_rest(&self) {
        for (i, host) in self.hosts.iter().enumerate() {
            if let Life::Node(seat) = &host.life {
                check_wants(host, seat);
                self.check_table(seat);
                self.check_servers(i, host, seat);
                self.check_learned(i, host, seat);
            }
        }
        self.check_sessions();
        self.check_intents();
    }

    /// Compares open sessions only, which holds whenever nothing is in flight.
    pub(crate) fn check_sessions(&self) {
        self.conns.iter().filter(|c| c.is_connected()).for_each(|c| self.check_session(c));
    }

    /// Compares what a server was sent with what the client wants it to know.
    fn check_session(&self, conn: &Conn) {
        let Some(server) = self.seat(conn.hosts[1]) else { return };
        let who = conn.ids[1].unwrap();
        let Some(accepted) = server.watch.accepted.get(&who) else { return };
        if !accepted.is_established() {
            return;
        }
        let model = &server.watch.model;
        let client = &self.hosts[conn.hosts[0]];
        let (wants, announces) = match &client.life {
            Life::Node(seat) => (&seat.watch.wants, seat.watch.own()),
            Life::Raw(raw) => (raw.wants(), raw.announces()),
            Life::Off { .. } => return,
        };
        // After cuts in one direction only, the two ends may disagree whether there is a session.
        if self.is_silent(conn) {
            return;
        }
        assert_eq!(model.announced(Who::Live(who)), *announces, "A(p) at the server (left), at the client (right)");
        let subscribed = model.subscribed(Who::Live(who));
        if conn.is_reference {
            // The session may stay subscribed to a VNI without a subscription of the application, and filter it.
            assert!(subscribed.is_superset(wants), "S(p) at the server: {subscribed:?}, at the client: {wants:?}");
        } else {
            assert_eq!(subscribed, *wants, "S(p) at the server (left), at the client (right)");
        }
        assert_eq!(accepted.sent, model.view(Who::Live(who)), "sent to the client (left), View(s) (right)");
        if let Life::Raw(raw) = &client.life {
            let mut view = model.view(Who::Live(who));
            view.retain(|r| raw.is_sure_of(r.vni));
            assert_eq!(raw.held(), view, "the table of a client without the capability (left), View(s) (right)");
        }
    }

    /// Compares with what follows from the applications' subscriptions and announcements and from the open sessions
    /// alone, without anything that a node has sent. Does nothing while two ends disagree whether there is a session.
    fn check_intents(&self) {
        if self.conns.iter().any(|conn| !self.is_session(conn) && [0, 1].iter().any(|end| self.is_open_at(conn, *end)))
        {
            return;
        }
        for (i, host) in self.hosts.iter().enumerate() {
            let Life::Node(seat) = &host.life else { continue };
            let mut others: Routes = self.accepted_by(i).flat_map(|x| self.announces(x)).copied().collect();
            others.extend(self.dialled_by(i).flat_map(|conn| self.taken(conn)));
            let table: Routes = ops::vnis().flat_map(|vni| seat.node.routes(vni).collect::<Vec<_>>()).collect();
            assert_eq!(
                table,
                &others | &host.announces,
                "the table of host {i} (left), what is announced to it (right)"
            );
            others.retain(|r| host.wants.contains(&r.vni) && !host.announces.contains(r));
            let installed = &seat.watch.installed;
            assert_eq!(*installed, others, "the application of host {i} (left), what is announced to it (right)");
        }
        for conn in self.conns.iter().filter(|conn| self.is_session(conn)) {
            let [host, server] = conn.hosts;
            let Some(id) = conn.ids[1].filter(|_| self.seat(server).is_some()) else { continue };
            let watch = &self.seat(server).expect("a process, as was just seen").watch;
            let subscribed = watch.model.subscribed(Who::Live(id));
            let mut given = self.given(server, host, watch.accepted[&id].is_ordered());
            given.retain(|r| subscribed.contains(&r.vni));
            let sent = &watch.accepted[&id].sent;
            assert_eq!(*sent, given, "sent by server {server} to host {host} (left), what others announce (right)");
        }
    }

    /// Returns true if the process at this end has the connection, with an open session.
    fn is_open_at(&self, conn: &Conn, end: usize) -> bool {
        let Some(id) = conn.ids[end].filter(|_| conn.open[end]) else { return false };
        self.seat(conn.hosts[end]).is_some_and(|seat| match end {
            0 => seat.watch.dialled.get(&id).is_some_and(Dialled::is_established),
            _ => seat.watch.accepted.get(&id).is_some_and(Accepted::is_established),
        })
    }

    fn is_session(&self, conn: &Conn) -> bool {
        let is_raw = self.hosts[conn.hosts[0]].kind.is_raw();
        conn.is_connected() && !self.is_silent(conn) && self.is_open_at(conn, 1) && (is_raw || self.is_open_at(conn, 0))
    }

    /// Returns the hosts that have a session with this one, which they dialled.
    fn accepted_by(&self, host: usize) -> impl Iterator<Item = usize> {
        self.conns.iter().filter(move |conn| conn.hosts[1] == host && self.is_session(conn)).map(|conn| conn.hosts[0])
    }

    /// Returns the sessions that this host dialled, with a process that sees what the host says.
    fn dialled_by(&self, host: usize) -> impl Iterator<Item = &Conn> {
        self.conns.iter().filter(move |conn| conn.hosts[0] == host && self.is_session(conn))
    }

    fn announces(&self, host: usize) -> &Routes {
        match &self.hosts[host].life {
            Life::Raw(raw) => raw.announces(),
            _ => &self.hosts[host].announces,
        }
    }

    /// Returns the routes that a server has to send to a host, with or without the capability, if that subscribes to all
    /// VNIs.
    fn given(&self, server: usize, to: usize, is_ordered: bool) -> Routes {
        let listens = |host: usize| matches!(self.hosts[host].kind, Kind::Server | Kind::Listening);
        let mut given = self.hosts[server].announces.clone();
        for other in self.accepted_by(server).filter(|other| *other != to && !(listens(*other) && listens(to))) {
            given.extend(self.announces(other));
        }
        if let Some(seat) = self.seat(server).filter(|_| !is_ordered && !listens(to)) {
            given.extend(self.announces(to).iter().filter(|route| seat.watch.model.echoes(route)));
        }
        if !listens(to) {
            given.extend(self.dialled_by(server).flat_map(|conn| self.taken(conn)));
        }
        given
    }

    /// Returns the routes that a host has to take from a server that it dialled.
    fn taken(&self, conn: &Conn) -> Routes {
        let [host, server] = conn.hosts;
        let mut taken = self.given(server, host, !conn.is_reference);
        let id = conn.ids[0].expect("a node's connection");
        if let Some(dialled) = self.seat(host).and_then(|seat| seat.watch.dialled.get(&id)) {
            let wants = &self.hosts[host].wants;
            let takes = |r: &Route| wants.contains(&r.vni) || dialled.filters(r.vni);
            taken.retain(|r| takes(r) && !dialled.echoes.contains(r));
        }
        taken
    }

    fn is_silent(&self, conn: &Conn) -> bool {
        self.paths[&(conn.hosts[0], conn.hosts[1])].silent != [false; 2]
    }

    fn check_table(&self, seat: &Seat) {
        let mut vnis = BTreeSet::new();
        for vni in ops::vnis() {
            let table: Routes = seat.node.routes(vni).collect();
            let expected = seat.watch.model.table(vni);
            assert_eq!(table, expected, "the table (left) is not what peers announce (right)");
            assert_eq!(seat.node.routes(vni).count(), table.len(), "a route twice in the table");
            if !table.is_empty() {
                vnis.insert(vni);
            }
        }
        assert_eq!(seat.node.vnis().collect::<BTreeSet<_>>(), vnis);
    }

    /// Checks that every reachable server is connected and synced.
    fn check_servers(&self, i: usize, host: &Host, seat: &Seat) {
        for (server, id) in &host.peers {
            let info = seat.node.peers().find(|p| p.id == *id).expect("a configured peer");
            assert_eq!(seat.node.peer_state(*id), Some(info.state));
            let reachable = self.seat(*server).is_some() && self.paths[&(i, *server)].silent == [false; 2];
            assert_eq!(info.state == SessionState::Established, reachable, "{info:?}");
            // A server without the capabilities cannot say that it has sent everything.
            let is_reference = self.conns.iter().any(|c| c.hosts == [i, *server] && c.is_connected() && c.is_reference);
            assert_eq!(info.synced, reachable && !is_reference, "{info:?}");
            assert_eq!(info.stale, 0, "{info:?}");
        }
        assert_eq!(seat.node.peers().count(), host.peers.len());
    }

    fn check_learned(&self, i: usize, host: &Host, seat: &Seat) {
        let learned: Routes = ops::vnis().flat_map(|v| seat.node.learned(v).collect::<Vec<_>>()).collect();
        let mut expected = Routes::new();
        for conn in self.conns.iter().filter(|c| c.hosts[0] == i && c.is_connected() && !self.is_silent(c)) {
            if let Some(server) = self.seat(conn.hosts[1]) {
                let view = server.watch.model.view(Who::Live(conn.ids[1].unwrap()));
                let echoes = conn.ids[0].and_then(|id| seat.watch.dialled.get(&id)).map(|dialled| &dialled.echoes);
                let is_learned =
                    |r: &Route| host.wants.contains(&r.vni) && echoes.is_none_or(|echoes| !echoes.contains(r));
                expected.extend(view.into_iter().filter(is_learned));
            }
        }
        for vni in &host.wants {
            expected.extend(seat.watch.model.of_others(*vni));
        }
        expected.retain(|r| !host.announces.contains(r));
        assert_eq!(learned, expected, "learned by host {i} (left), its view (right)");
        assert_eq!(seat.watch.installed, expected, "the application of host {i} (left), its view (right)");
    }
}

/// Checks that the node has stored what its application asked for.
fn check_wants(host: &Host, seat: &Seat) {
    assert_eq!(seat.node.subscribed_vnis().collect::<BTreeSet<Vni>>(), host.wants);
    assert_eq!(seat.node.announcements().collect::<Routes>(), host.announces);
    assert!(host.wants.iter().all(|v| seat.node.is_subscribed(*v)));
    assert!(host.announces.iter().all(|r| seat.node.is_announced(r)));
}
