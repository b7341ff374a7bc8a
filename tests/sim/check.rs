//! The watcher of one node: it reads everything that enters and leaves the node, keeps the model beside it, and panics
//! at the first violation.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use metalbond::{
    Action, ApiMisuse, CloseReason, Command, CommandError, Config, ConnId, Input, Instant, NextHop, Node, PeerId,
    Prefix, Reply, Route, RouteChange, SessionState, Transition, Transmit, TransmitMode, TransportEnd, Vni,
};

use super::accepted::{Accepted, Gone, Step};
use super::dialled::{Dialled, Meaning};
use super::model::{Model, Routes, Who};
use super::ops;
use super::policies;
use super::reached::Situation;
use super::servers::Servers;
use super::silence::{For, Silence};
use super::wire::{Msg, decode_all, encode_all, is_martian};

#[derive(Clone, Debug)]
pub(crate) struct Watch {
    config: Config,
    /// The exception for slow subscribers does not apply.
    strict: bool,
    silence: Silence,
    /// The latest time that was passed to the node.
    now: Instant,
    /// The time until which it must say that it is converging, and the time until which it may.
    converging: [Option<Instant>; 2],
    /// The servers that it dials, over all their sessions.
    servers: Servers,
    /// The configured servers.
    endpoints: BTreeMap<Box<str>, PeerId>,
    removed: BTreeSet<PeerId>,
    /// Bytes received on all connections that the node knew.
    bytes_in: u64,
    pub(crate) model: Model,
    announcers: BTreeMap<Route, BTreeSet<Who>>,
    pub(crate) accepted: BTreeMap<ConnId, Accepted>,
    pub(crate) dialled: BTreeMap<ConnId, Dialled>,
    restart_times: BTreeMap<ConnId, Instant>,
    pub(crate) wants: BTreeSet<Vni>,
    own: Routes,
    /// The table that an application computes from the changes.
    pub(crate) installed: Routes,
    /// Destinations that it has asked to be notified of again.
    again: BTreeSet<(Vni, Prefix)>,
    resyncing: BTreeSet<Vni>,
    learned: Routes,
    closing_since: Option<Instant>,
    /// Routes that count as announced until the node has removed them (it works in slices): those of ended sessions,
    /// and stale ones whose time is over.
    leaving: Routes,
    /// VNIs from which the application has unsubscribed, and whose routes the node may not have removed yet.
    dropping: BTreeSet<Vni>,
    /// The routes of `leaving` that the node may have after it has done all its work.
    doubtful: Routes,
}

impl Watch {
    pub(crate) fn new(config: Config, now: Instant, strict: bool) -> Self {
        let policy = policies::number(config.policy.as_ref());
        let (servers, echo) = (Servers::new(&config), config.echo);
        Self {
            config,
            strict,
            silence: Silence::new(now),
            now,
            converging: [None; 2],
            servers,
            endpoints: BTreeMap::new(),
            removed: BTreeSet::new(),
            bytes_in: 0,
            model: Model::under(policy, echo),
            announcers: BTreeMap::new(),
            accepted: BTreeMap::new(),
            dialled: BTreeMap::new(),
            restart_times: BTreeMap::new(),
            wants: BTreeSet::new(),
            own: Routes::new(),
            installed: Routes::new(),
            again: BTreeSet::new(),
            resyncing: BTreeSet::new(),
            learned: Routes::new(),
            closing_since: None,
            leaving: Routes::new(),
            dropping: BTreeSet::new(),
            doubtful: Routes::new(),
        }
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing_since.is_some()
    }

    /// Handles an input of the node and its actions. `due` is the time at which the node had asked to be called.
    pub(crate) fn input(&mut self, now: Instant, due: Option<Instant>, input: &Input, actions: &[Action]) {
        self.silence.advance(now, due);
        self.now = now;
        for action in actions {
            // The node ends such a session before it handles the input.
            if let Action::State(Transition { conn, reason: Some(CloseReason::PolicyChanged), .. }) = action {
                self.gone(now, *conn, true);
            }
        }
        match input {
            Input::Tick => {
                self.end_restart_times(now);
                self.end_stale_times(now);
            }
            Input::Accepted { conn, remote } => {
                self.accepted.insert(*conn, Accepted::new(*conn));
                self.model.join(*conn, *remote);
                self.silence.wait(*conn, For::Life, self.config.handshake_timeout);
            }
            Input::Identified { conn, names } => self.model.identify(*conn, names),
            Input::Connected { conn, .. } => {
                if let Some(dialled) = self.dialled.get_mut(conn) {
                    dialled.is_connected = true;
                    self.silence.wait(*conn, For::Life, self.config.handshake_timeout);
                }
            }
            Input::DialFailed { conn, .. } => {
                self.dialled.remove(conn);
            }
            Input::Received { conn, bytes } => {
                if self.accepted.contains_key(conn) || self.dialled.contains_key(conn) {
                    self.bytes_in += bytes.len() as u64;
                }
                let before = self.stage(*conn);
                self.received(*conn, bytes);
                self.sign_of_life(*conn, before);
            }
            Input::Sent { conn } => self.silence.written(*conn),
            Input::Window { .. } => {}
            Input::Closed { conn, end } => self.closed(now, *conn, end),
            Input::Command(command) => self.command(now, command, actions),
            other => panic!("the watcher does not know {other:?}"),
        }
        let replies = actions.iter().filter(|a| matches!(a, Action::Reply(_))).count();
        assert_eq!(replies, usize::from(matches!(input, Input::Command(_))), "number of replies to {input:?}");
        for action in actions {
            if let Action::State(t) = action
                && t.reason.is_some()
            {
                self.silence.end(t.conn, t.reason.as_ref());
                // The node says so again after a client with routes fell silent. The model leaves open which other
                // losses count as one.
                if !t.conn.is_dialled() {
                    let until = now + self.config.convergence_time;
                    let is_silent = matches!(t.reason, Some(CloseReason::HoldTime(_)))
                        && !self.model.announced(Who::Live(t.conn)).is_empty();
                    self.converging = [if is_silent { Some(until) } else { self.converging[0] }, Some(until)];
                }
            }
        }
        for action in actions {
            match action {
                Action::Dial { conn, peer, .. } => {
                    self.silence.wait(*conn, For::Life, self.config.handshake_timeout);
                    assert!(conn.is_dialled());
                    let dialled = Dialled::to(*peer);
                    let fresh = self.dialled.insert(*conn, dialled).is_none();
                    assert!(fresh, "{conn} is dialled twice");
                }
                Action::Close { conn, .. } => {
                    self.silence.end(*conn, None);
                    self.end(*conn);
                }
                Action::State(t) => assert_ne!(t.old, t.new, "a transition to the same state"),
                Action::Denied(_) | Action::MeasureWindow { .. } | Action::Reply(_) | Action::Terminated => {}
            }
        }
    }

    /// Checks that a server counts as synced only if it has sent all routes of the subscribed VNIs, and follows what
    /// that means for stale routes. Called at every step.
    pub(crate) fn follow_syncs(&mut self, node: &Node) {
        if self.is_closing() {
            return;
        }
        for peer in node.peers() {
            let dialled = peer.conn.and_then(|conn| self.dialled.get_mut(&conn));
            let Some(dialled) = dialled.filter(|dialled| dialled.is_established()) else {
                assert!(!peer.synced, "synced without a session: {peer:?}");
                continue;
            };
            let has_sent_all = dialled.has_sent_all(&self.wants);
            assert!(!peer.synced || has_sent_all, "synced too early: {peer:?}, {dialled:?}");
            if !dialled.is_ordered() || peer.synced == self.servers.is_synced(peer.id) {
                continue;
            }
            self.servers.set_synced(peer.id, peer.synced);
            if !peer.synced {
                continue;
            }
            let vnis = dialled.take_synced();
            // The table of a server that is converging may lack routes.
            if !dialled.may_lack_routes() {
                let gone = self.servers.completed(peer.id, &vnis, &dialled.live);
                self.no_longer_stale(gone);
            }
        }
    }

    fn end_stale_times(&mut self, now: Instant) {
        let gone = self.servers.expire(now);
        self.no_longer_stale(gone);
    }

    /// Removes stale routes whose time is over.
    fn no_longer_stale(&mut self, gone: Vec<(PeerId, Route)>) {
        for (server, route) in gone {
            let saw = self.seen_by(server, &route).0;
            self.model.unlearn(server, &route);
            self.left(&Routes::from([route]));
            for conn in saw {
                if !self.model.sees(Who::Live(conn), &route) {
                    self.model.reached.count(Situation::StaleEndsThroughServer);
                }
            }
        }
    }

    /// Handles a refused command, which has changed nothing.
    pub(crate) fn refused(&mut self) {
        self.model.reached.count(Situation::CommandRefused);
    }

    /// Returns the progress of a session's handshake, and its KEEPALIVE interval.
    fn stage(&self, conn: ConnId) -> (Option<u32>, bool) {
        let accepted = self.accepted.get(&conn).map(|a| (a.hello, a.is_established()));
        let dialled = self.dialled.get(&conn).map(|d| (d.hello, d.is_established()));
        let (hello, is_established) = accepted.or(dialled).unwrap_or_default();
        (hello.map(|h| h.keepalive.min(self.config.keepalive.as_secs() as u32)), is_established)
    }

    /// Handles received bytes: in an open session each of them is a sign of life, before that only what advances the
    /// handshake is.
    fn sign_of_life(&mut self, conn: ConnId, before: (Option<u32>, bool)) {
        match self.stage(conn) {
            (Some(interval), true) => self.silence.wait(conn, For::Life, Duration::from_secs(interval.into()) * 5 / 2),
            after if after != before => self.silence.wait(conn, For::Life, self.config.handshake_timeout),
            _ => {}
        }
    }

    fn received(&mut self, conn: ConnId, bytes: &[u8]) {
        if let Some(dialled) = self.dialled.get_mut(&conn) {
            dialled.input.push(bytes);
            while let Some((msg, _)) = self.dialled.get_mut(&conn).and_then(|dialled| dialled.input.next()) {
                self.receive(conn, &msg);
            }
            return;
        }
        let Some(accepted) = self.accepted.get_mut(&conn) else { return };
        accepted.input.push(bytes);
        let msgs = accepted.input.all();
        for msg in msgs {
            self.heard(conn, &msg);
        }
    }

    /// Handles a message from a server.
    fn receive(&mut self, conn: ConnId, msg: &Msg) {
        let Some(dialled) = self.dialled.get_mut(&conn) else { return };
        let server = dialled.peer.expect("a connection that was dialled");
        let was_established = dialled.is_established();
        let meaning = dialled.step(msg, &self.own);
        let is_ordered = dialled.is_ordered();
        if !was_established && dialled.is_established() {
            self.servers.opened(self.now, server, is_ordered);
            if !is_ordered {
                self.model.reached.count(Situation::OfReference);
            }
        }
        match meaning {
            Meaning::Nothing => {}
            Meaning::Announced(route) => {
                self.servers.announced(server, &route);
                if self.model.learn(server, route) {
                    self.touched(&Routes::from([route]));
                    self.count_passed_on(server, &route, is_ordered);
                }
            }
            Meaning::Withdrawn(route) => {
                let (saw, _) = self.seen_by(server, &route);
                self.model.unlearn(server, &route);
                for other in self.servers.withdrawn(&route) {
                    self.model.unlearn(other, &route);
                }
                self.touched(&Routes::from([route]));
                for conn in saw {
                    if !self.model.sees(Who::Live(conn), &route) {
                        self.model.reached.count(Situation::WithdrawnThroughServer);
                    }
                }
            }
        }
    }

    /// Returns the clients that see a route only because this server announces it, and the servers with a session that
    /// subscribe to its VNI and do not see it.
    fn seen_by(&self, server: PeerId, route: &Route) -> (Vec<ConnId>, Vec<ConnId>) {
        if self.accepted.is_empty() || self.model.announcers(route) != BTreeSet::from([Who::Server(server)]) {
            return Default::default();
        }
        let subscribers = self.accepted.keys().filter(|conn| self.model.is_subscribed(Who::Live(**conn), route.vni));
        subscribers.copied().partition(|conn| self.model.sees(Who::Live(*conn), route))
    }

    /// Counts which of the node's peers see a route that a server has just announced.
    fn count_passed_on(&mut self, server: PeerId, route: &Route, is_ordered: bool) {
        let is_twice = |who: &Who| matches!(who, Who::Live(conn) if self.model.is_server(*conn));
        if self.model.announcers(route).iter().any(is_twice) {
            self.model.reached.count(Situation::ServerBothWays);
        }
        let (clients, servers) = self.seen_by(server, route);
        let is_wanted = self.wants.contains(&route.vni);
        for _ in clients {
            self.model.reached.count(match (is_ordered, is_wanted) {
                (true, _) => Situation::SeenThroughServer,
                (false, true) => Situation::SeenThroughReference,
                (false, false) => Situation::FilteredSeenThroughServer,
            });
        }
        servers.iter().for_each(|_| self.model.reached.count(Situation::HiddenFromServer));
    }

    fn heard(&mut self, conn: ConnId, msg: &Msg) {
        let Some(accepted) = self.accepted.get_mut(&conn) else { return };
        if accepted.step(msg) == Step::Broken {
            return;
        }
        let who = Who::Live(conn);
        match *msg {
            Msg::Hello(hello) => {
                accepted.is_greeted_converging = self.converging[0].is_some_and(|until| self.now < until);
                self.model.greet(conn, hello.is_server, hello.ordered());
            }
            Msg::Subscribe(vni) => {
                if self.model.subscribe(who, vni) {
                    accepted.subscribed(&self.model, vni);
                }
            }
            Msg::Unsubscribe(vni) => {
                if !self.model.unsubscribe(who, vni) {
                    return;
                }
                accepted.unsubscribed(vni);
                if !accepted.is_ordered() {
                    let routes = self.model.said(who, vni);
                    routes.iter().for_each(|r| self.model.withdraw(who, r));
                    self.left(&routes);
                }
            }
            // Such a route is invalid and has no effect.
            Msg::Add(route) | Msg::Remove(route) if is_martian(&route) => {}
            Msg::Add(route) => {
                self.model.announce(who, route);
                self.touched(&Routes::from([route]));
            }
            Msg::Remove(route) => {
                self.model.withdraw(who, &route);
                self.touched(&Routes::from([route]));
            }
            Msg::Keepalive if accepted.keepalives == 1 => self.model.established(conn),
            Msg::Keepalive | Msg::Unknown(_) => {}
        }
    }

    fn touched(&mut self, routes: &Routes) {
        for route in routes {
            let now = self.model.announcers(route);
            let really = self.announcers.get(route) != Some(&now);
            let gone = now.is_empty().then_some(match self.leaving.contains(route) {
                true => Gone::Perhaps,
                false => Gone::Surely,
            });
            for accepted in self.accepted.values_mut() {
                accepted.touched(&self.model, route, really, gone);
            }
            self.announcers.insert(*route, now);
        }
    }

    fn closed(&mut self, now: Instant, conn: ConnId, end: &TransportEnd) {
        let host_stands = matches!(end, TransportEnd::Eof | TransportEnd::Reset);
        self.gone(now, conn, host_stands);
    }

    fn gone(&mut self, now: Instant, conn: ConnId, host_stands: bool) {
        let asked = self.accepted.get(&conn).and_then(|a| a.hello).map_or(0, |h| h.restart_time);
        let restart_time = asked.min(self.config.restart_time_max.as_secs() as u32);
        if host_stands && restart_time > 0 && self.accepted.remove(&conn).is_some() {
            let routes = self.model.depart(conn);
            self.restart_times.insert(conn, now + Duration::from_secs(restart_time.into()));
            self.touched(&routes);
        } else {
            self.end(conn);
        }
    }

    fn end(&mut self, conn: ConnId) {
        if let Some(dialled) = self.dialled.remove(&conn) {
            let server = dialled.peer.filter(|peer| dialled.is_established() && !self.removed.contains(peer));
            if let Some(server) = server {
                self.lost(server, &dialled);
            }
        }
        if self.accepted.remove(&conn).is_some() {
            let routes = self.model.end(Who::Live(conn));
            self.left(&routes);
        }
    }

    /// Handles the loss of a session with a server: its routes are stale from now on.
    fn lost(&mut self, server: PeerId, dialled: &Dialled) {
        self.servers.lost(self.now, server, &dialled.live);
        for route in &dialled.live {
            let stay = self.seen_by(server, route).0;
            stay.iter().for_each(|_| self.model.reached.count(Situation::StaleSeenThroughServer));
        }
        // The session no longer protects them from an unsubscription whose routes the node has not all removed yet.
        for vni in self.dropping.clone().into_iter().filter(|vni| dialled.filters(*vni)) {
            self.drop_routes(vni);
        }
    }

    /// Removes the routes of servers in a VNI from which the application has unsubscribed, except for those of servers
    /// whose sessions stay subscribed to it.
    fn drop_routes(&mut self, vni: Vni) {
        let kept: BTreeSet<PeerId> = self.dialled.values().filter(|d| d.filters(vni)).filter_map(|d| d.peer).collect();
        self.servers.unsubscribed(vni, &kept);
        let ids: Vec<PeerId> = self.endpoints.values().copied().filter(|id| !kept.contains(id)).collect();
        for id in ids {
            let routes: Routes =
                self.model.announced(Who::Server(id)).into_iter().filter(|route| route.vni == vni).collect();
            routes.iter().for_each(|route| self.model.unlearn(id, route));
            self.left(&routes);
        }
    }

    fn end_restart_times(&mut self, now: Instant) {
        let over: Vec<ConnId> =
            self.restart_times.iter().filter(|(_, until)| **until <= now).map(|(c, _)| *c).collect();
        for conn in over {
            self.restart_times.remove(&conn);
            let routes = self.model.end(Who::Departed(conn));
            self.left(&routes);
        }
    }

    fn left(&mut self, routes: &Routes) {
        self.leaving.extend(routes);
        self.touched(routes);
    }

    fn command(&mut self, now: Instant, command: &Command, actions: &[Action]) {
        let reply = actions.iter().find_map(|a| match a {
            Action::Reply(reply) => Some(*reply),
            _ => None,
        });
        let changed = |is_changed| Some(Ok(Reply::Changed(is_changed)));
        if self.is_closing() {
            let closed = Some(Err(CommandError::Closed));
            assert!(reply == closed || matches!(command, Command::Shutdown { .. } | Command::ResetConn(_)));
            return;
        }
        match command {
            Command::Subscribe(vni) => {
                if !self.wants.contains(vni) {
                    self.count_filtered(*vni, Situation::WantsFilteredVni);
                }
                assert_eq!(reply, changed(self.wants.insert(*vni)));
            }
            Command::Unsubscribe(vni) => {
                let was_subscribed = self.wants.remove(vni);
                assert_eq!(reply, changed(was_subscribed));
                if was_subscribed {
                    self.dialled.values_mut().for_each(|d| d.left(*vni, &self.own));
                    self.count_filtered(*vni, Situation::FiltersVni);
                    self.drop_routes(*vni);
                    self.dropping.insert(*vni);
                }
            }
            Command::Resync(vni) => {
                let is_subscribed = self.wants.contains(vni);
                let misuse = || ApiMisuse::NotSubscribed.into();
                assert_eq!(reply, Some(is_subscribed.then_some(Reply::Done).ok_or_else(misuse)));
                if is_subscribed {
                    let all = self.installed.iter().filter(|r| r.vni == *vni);
                    self.again.extend(all.map(|r| (r.vni, r.prefix)));
                    self.resyncing.insert(*vni);
                }
            }
            Command::Announce(route) if is_martian(route) => {
                assert!(
                    matches!(reply, Some(Err(CommandError::Misuse(ApiMisuse::MartianNextHop(_))))),
                    "{reply:?} to {command:?}"
                );
            }
            Command::Announce(route) => {
                let fresh = self.own.insert(*route);
                assert_eq!(reply, changed(fresh));
                self.own_changed(route, fresh);
            }
            Command::Withdraw(route) => {
                let was = self.own.remove(route);
                assert_eq!(reply, changed(was));
                for _ in self.dialled.values().filter(|d| was && d.echoes.contains(route)) {
                    self.model.reached.count(Situation::LacksEchoed);
                }
                self.own_changed(route, was);
            }
            Command::SetPolicy(policy) => {
                let (out, gone) = self.model.set_policy(policies::number(policy.as_ref()));
                self.left(&out);
                for conn in gone {
                    self.restart_times.remove(&conn);
                    let routes = self.model.end(Who::Departed(conn));
                    self.left(&routes);
                }
            }
            Command::AddPeer { endpoint } => match reply {
                Some(Ok(Reply::Peer(id))) => {
                    let before = self.endpoints.insert(endpoint.clone(), id);
                    assert_eq!(before, None, "{endpoint} is configured twice");
                }
                _ => {
                    assert_eq!(reply, Some(Err(ApiMisuse::PeerExists.into())));
                    assert!(self.endpoints.contains_key(endpoint), "{endpoint} is not configured");
                }
            },
            Command::ResetPeer(peer) => {
                let is_known = self.endpoints.values().any(|id| id == peer);
                let misuse = || ApiMisuse::NoSuchPeer.into();
                assert_eq!(reply, Some(is_known.then_some(Reply::Done).ok_or_else(misuse)));
            }
            Command::RemovePeer(peer) => {
                self.endpoints.retain(|_, id| id != peer);
                self.removed.insert(*peer);
                self.servers.remove(*peer);
                let routes = self.model.end(Who::Server(*peer));
                self.left(&routes);
            }
            Command::SetListening(true) => {
                self.converging = [Some(now + self.config.convergence_time); 2];
            }
            Command::SetListening(false) => self.converging[0] = None,
            Command::ResetConn(conn) => self.gone(now, *conn, true),
            Command::Shutdown { .. } => self.closing_since = Some(now),
            _ => {}
        }
    }

    /// Counts the sessions with servers without the capabilities that stay subscribed to this VNI, or did so until now.
    fn count_filtered(&mut self, vni: Vni, situation: Situation) {
        for _ in self.dialled.values().filter(|d| d.filters(vni)) {
            self.model.reached.count(situation);
        }
    }

    fn own_changed(&mut self, route: &Route, really: bool) {
        if !really {
            return;
        }
        if self.own.contains(route) {
            self.model.announce(Who::Own, *route);
        } else {
            self.model.withdraw(Who::Own, route);
        }
        let is_announced = self.own.contains(route);
        self.dialled.values_mut().for_each(|d| d.touched(route, is_announced));
        self.touched(&Routes::from([*route]));
    }

    /// Checks bytes that the node sends.
    pub(crate) fn transmit(&mut self, transmit: &Transmit) {
        assert!((1..65_536).contains(&transmit.len()), "a transmit of {} bytes", transmit.len());
        self.silence.wait(transmit.conn, For::Room, self.config.send_hold_time);
        let mut msgs = Vec::new();
        for chunk in &transmit.chunks {
            let segment = transmit.mode == TransmitMode::Segments;
            assert!(!segment || chunk.len() <= 1208, "a segment of {} bytes", chunk.len());
            let decoded = decode_all(chunk);
            assert_eq!(encode_all(&decoded), chunk[..], "bytes that are not the canonical ones of {decoded:?}");
            for msg in &decoded {
                let (Msg::Add(route) | Msg::Remove(route)) = msg else { continue };
                assert!(!is_martian(route), "{msg:?}: no packet can be sent to this next hop");
            }
            msgs.extend(decoded);
        }
        let hello = if let Some(dialled) = self.dialled.get_mut(&transmit.conn) {
            dialled.transmit(&self.own, &self.wants, &msgs, self.strict, self.closing_since.is_some());
            dialled.hello
        } else if let Some(accepted) = self.accepted.get_mut(&transmit.conn) {
            accepted.transmit(&self.model, &self.leaving, &msgs, self.strict);
            let asked = accepted.hello.map_or(0, |hello| hello.restart_time);
            for msg in &msgs {
                if let Msg::Hello(hello) = msg {
                    let has_to = accepted.is_greeted_converging;
                    let may = self.converging[1].is_some_and(|until| self.now < until);
                    assert!(hello.converging() || !has_to, "the HELLO does not say that the server is converging");
                    assert!(!hello.converging() || may, "the HELLO says that the server is converging");
                    assert_eq!(
                        hello.restart_time,
                        asked.min(self.config.restart_time_max.as_secs() as u32),
                        "the restart time in the server's HELLO"
                    );
                }
            }
            accepted.hello
        } else {
            panic!("bytes for {}, which has ended", transmit.conn);
        };
        let legacy = hello.is_some_and(|h| !h.ordered());
        assert!(!legacy || transmit.mode == TransmitMode::Segments, "a stream to a peer that needs segments");
    }

    pub(crate) fn change(&mut self, change: &RouteChange) {
        let (vni, prefix) = (change.vni, change.prefix);
        let route = |next_hop: &NextHop| Route { vni, prefix, next_hop: *next_hop };
        let had: Routes = self.installed.extract_if(.., |r| (r.vni, r.prefix) == (vni, prefix)).collect();
        let has: Routes = change.next_hops().iter().map(route).collect();
        assert_eq!(has.len(), change.next_hops().len(), "a next hop twice in {change}");
        let [added, removed]: [Routes; 2] =
            [change.added(), change.removed()].map(|hops| hops.iter().map(route).collect());
        assert_eq!(removed, &had - &has, "the next hops that {change} removes");
        // A destination that is reported again is reported with all its next hops.
        let is_again = self.resyncing.contains(&vni) && added == has;
        if added == has {
            self.again.remove(&(vni, prefix));
        }
        assert!(is_again || added == &has - &had, "the next hops that {change} adds to {had:?}");
        assert!(is_again || !added.is_empty() || !removed.is_empty(), "a change without a difference");
        self.installed.extend(has);
    }

    /// Checks the counts that the node maintains against a visit of all its sessions and peers. Called at every step.
    pub(crate) fn check_counts(&self, node: &Node) {
        assert_eq!(node.counters().bytes_in, self.bytes_in, "bytes received on all connections");
        if self.is_closing() {
            return;
        }
        let accepted = node.sessions().filter(|session| session.peer.is_none()).map(|session| session.state);
        let states: Vec<_> = node.peers().map(|peer| peer.state).chain(accepted).collect();
        use SessionState::{Closed, Connecting, Established, HelloReceived, HelloSent, Retry};
        for state in [Connecting, HelloSent, HelloReceived, Established, Retry, Closed] {
            assert_eq!(node.peer_count(state), states.iter().filter(|other| **other == state).count(), "{state}");
        }
    }

    /// Checks the reverse of [`follow_syncs`](Self::follow_syncs), for servers to which nothing is left to send.
    fn check_unsynced(&self, node: &Node, credit: impl Fn(ConnId) -> bool) {
        for peer in node.peers().filter(|peer| !peer.synced) {
            let dialled = peer.conn.filter(|conn| credit(*conn)).and_then(|conn| self.dialled.get(&conn));
            let has_sent_all = dialled.is_some_and(|dialled| dialled.has_sent_all(&self.wants));
            assert!(!has_sent_all, "the node has not noticed the end of the sync: {peer:?}, {dialled:?}");
        }
    }

    /// Checks the node after it has drained, when no timeout is due. `credit` is true for connections without a
    /// transmit in flight.
    pub(crate) fn turn_ended(&mut self, now: Instant, node: &Node, deaf: bool, credit: impl Fn(ConnId) -> bool) {
        self.doubtful = self.servers.turn_ended();
        self.leaving.clone_from(&self.doubtful);
        self.dropping.clear();
        self.silence.check();
        if let Some(since) = self.closing_since {
            let late = now.saturating_since(since) > self.config.shutdown_timeout;
            assert!(!late, "the shutdown takes longer than it may");
            return;
        }
        // The node has done all that is due.
        self.end_stale_times(now);
        for (conn, accepted) in &mut self.accepted {
            let is_settled = self.model.is_settled(*conn, accepted.hello.is_some());
            assert!(is_settled, "{conn} is not held to the policy");
            // Whether a paced subscriber is up to date depends on the clock, not on the iteration.
            let paced = self.config.pacing.is_some() && !accepted.is_ordered();
            if credit(*conn) && !paced {
                accepted.drained(&self.model, &self.doubtful);
            }
        }
        for (conn, dialled) in &mut self.dialled {
            if credit(*conn) {
                dialled.drained(&self.own, &self.wants);
            }
        }
        self.check_unsynced(node, credit);
        self.check_learned(node);
        if !deaf {
            assert_eq!(self.installed, self.learned, "the application's table (left) is not the learned one (right)");
            assert!(self.again.is_empty(), "not reported again: {:?}", self.again);
            self.resyncing.clear();
        }
    }

    fn check_learned(&mut self, node: &Node) {
        for dialled in self.dialled.values().filter(|dialled| dialled.is_established()) {
            let situation = match dialled.is_ordered() {
                true if !dialled.has_sent_all(&self.wants) => continue,
                true => Situation::StaysWhileConverging,
                false => Situation::StaysWithReference,
            };
            for _ in 0..self.servers.count_fresh(dialled.peer.expect("a connection that was dialled")) {
                self.model.reached.count(situation);
            }
        }
        let mut expected: Routes = self.wants.iter().flat_map(|vni| self.model.of_others(*vni)).collect();
        expected.retain(|r| !self.own.contains(r));
        self.learned = ops::vnis().flat_map(|v| node.learned(v).collect::<Vec<_>>()).collect();
        let missing: Vec<_> = expected.difference(&self.learned).collect();
        assert!(missing.is_empty(), "not learned: {missing:?}");
        let extra: Vec<_> = self.learned.difference(&expected).filter(|r| !self.doubtful.contains(*r)).collect();
        assert!(extra.is_empty(), "learned without an announcer: {extra:?}");
    }

    pub(crate) fn own(&self) -> &Routes {
        &self.own
    }
}
