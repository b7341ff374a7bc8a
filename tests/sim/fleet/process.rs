//! The processes of a fleet: how they start and stop, and what they do in an iteration.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use metalbond::{Action, Command, Config, ConnId, Input, Instant, Node, Route, TransportEnd, Vni};

use super::{Conn, Event, Fleet, Host, Process, SHARED, VNIS, is_raw};
use crate::sim::model::Routes;
use crate::sim::raw::RawClient;
use crate::sim::rig::route_in;

impl Fleet {
    /// Starts a new process, with the same subscriptions and announcements as the last one.
    pub(crate) fn start(&mut self, host: usize) {
        let (now, servers) = (self.now, self.servers);
        let h = &mut self.hosts[host];
        (h.wake, h.dials) = (None, 0);
        self.active.insert(host);
        if is_raw(host, servers) {
            let raw = RawClient::new(now, false, h.wants.clone(), h.announces.clone());
            h.process = Process::Raw(Box::new(raw));
            return;
        }
        let config = Config { seed: now.as_millis() as u64 ^ (host as u64) << 32, ..Config::default() };
        h.process = Process::Node(Box::new(Node::new(config, Instant::from_epoch(now)).unwrap()));
        let mut say = |command| h.inbox.push_back(Input::Command(command));
        if host < servers {
            return say(Command::SetListening(true));
        }
        h.wants.iter().for_each(|vni| say(Command::Subscribe(*vni)));
        h.announces.iter().for_each(|route| say(Command::Announce(*route)));
        (0..servers).for_each(|s| say(Command::AddPeer { endpoint: s.to_string().into() }));
    }

    /// Kills the process. Its system resets its connections.
    pub(crate) fn kill(&mut self, host: usize) {
        let h = &mut self.hosts[host];
        h.process = Process::Off;
        h.inbox.clear();
        let conns = std::mem::take(&mut h.conns).into_values().chain(h.raw_conn.take());
        for conn in conns.collect::<Vec<_>>() {
            self.end(conn, self.end_of(conn, host), TransportEnd::Reset);
        }
    }

    pub(super) fn iterate(&mut self, host: usize) {
        let now = Instant::from_epoch(self.now);
        if let Process::Raw(_) = self.hosts[host].process {
            return self.raw_turn(host);
        }
        loop {
            let Host { process: Process::Node(node), inbox, .. } = &mut self.hosts[host] else { return };
            let input =
                inbox.pop_front().or_else(|| node.poll_timeout().is_some_and(|at| at <= now).then_some(Input::Tick));
            let Some(input) = input else { break };
            for action in node.handle_input(now, input) {
                self.act(host, action);
            }
            let Host { process: Process::Node(node), inbox, installed, changes, .. } = &mut self.hosts[host] else {
                return;
            };
            // Polled at the end of the iteration, after all inputs are handled.
            if !inbox.is_empty() {
                continue;
            }
            let transmits: Vec<_> = std::iter::from_fn(|| node.poll_transmit()).collect();
            inbox.extend(transmits.iter().map(|t| Input::Sent { conn: t.conn }));
            while let Some(change) = node.poll_change() {
                let route = |next_hop| Route { vni: change.vni, prefix: change.prefix, next_hop };
                installed.retain(|r| !change.removed().iter().any(|hop| *r == route(*hop)));
                installed.extend(change.added().iter().map(|hop| route(*hop)));
                *changes += 1;
            }
            for transmit in transmits {
                if let Some(&conn) = self.hosts[host].conns.get(&transmit.conn) {
                    let (latency, far) = (self.latency(conn), 1 - self.end_of(conn, host));
                    transmit.chunks.into_iter().for_each(|bytes| self.add(latency, Event::Bytes(conn, far, bytes)));
                }
            }
        }
        let Process::Node(node) = &self.hosts[host].process else { return };
        let next = node.poll_timeout().map(Instant::since_epoch);
        self.wake_at(host, next);
    }

    fn wake_at(&mut self, host: usize, next: Option<Duration>) {
        let wake = self.hosts[host].wake.filter(|at| *at > self.now);
        if let Some(next) = next.filter(|next| wake.is_none_or(|at| *next < at)) {
            self.hosts[host].wake = Some(next);
            self.add(next.saturating_sub(self.now), Event::Wake(host));
        }
    }

    fn act(&mut self, host: usize, action: Action) {
        match action {
            Action::Dial { conn, endpoint, .. } => drop(self.dial(host, conn, endpoint.parse().unwrap())),
            Action::Close { conn, .. } => {
                if let Some(&conn) = self.hosts[host].conns.get(&conn) {
                    self.end(conn, self.end_of(conn, host), TransportEnd::Eof);
                }
            }
            Action::Reply(reply) => drop(reply.unwrap()),
            Action::State(_) | Action::Denied(_) | Action::MeasureWindow { .. } | Action::Terminated => {}
        }
    }

    fn dial(&mut self, host: usize, id: ConnId, server: usize) -> usize {
        let conn = self.conns.len();
        self.conns.push(Conn { hosts: [host, server], ids: [id, ConnId::accepted(0)], open: [true, false] });
        self.hosts[host].conns.insert(id, conn);
        self.hosts[host].dials += 1;
        self.add(self.hosts[host].latency, Event::Syn(conn));
        conn
    }

    fn raw_turn(&mut self, host: usize) {
        let now = self.now;
        let h = &mut self.hosts[host];
        let Process::Raw(raw) = &mut h.process else { return };
        let (dials, gives_up, out) = (raw.dials(now), raw.tick(now), raw.take_out());
        if gives_up {
            raw.closed(now);
        }
        let conn = h.raw_conn;
        if let (Some(conn), false) = (conn, out.is_empty()) {
            self.add(self.latency(conn), Event::Bytes(conn, 1, out.into()));
        }
        if let (Some(conn), true) = (conn, gives_up) {
            self.end(conn, 0, TransportEnd::Eof);
        }
        if dials {
            let id = ConnId::accepted(self.conns.len() as u64);
            let conn = self.dial(host, id, host % self.servers);
            self.hosts[host].raw_conn = Some(conn);
        }
        let Process::Raw(raw) = &self.hosts[host].process else { return };
        let next = raw.next_deadline();
        self.wake_at(host, Some(next));
    }
}

/// Returns the nth host, without a process.
pub(super) fn host(n: usize, servers: usize) -> Host {
    let (mut wants, mut announces) = (BTreeSet::new(), Routes::new());
    if let Some(client) = n.checked_sub(servers) {
        let [vni, next] = [client, client + 1].map(|c| Vni((c % VNIS) as u32));
        wants = BTreeSet::from([vni, next, SHARED]);
        // Two addresses of its own, and one that the other clients in its VNI also announce.
        let (own, hypervisor) = ((client / VNIS) as u8, client as u16);
        announces.extend([own, own + 100, 255].map(|n| route_in(vni.0, n, hypervisor)));
        announces.extend((client < 20).then(|| route_in(SHARED.0, own, hypervisor)));
    }
    Host {
        process: Process::Off,
        inbox: VecDeque::new(),
        wake: None,
        latency: Duration::from_micros(300 + n as u64 * 977 % 20_000),
        conns: BTreeMap::new(),
        raw_conn: None,
        accepted: 0,
        dials: 0,
        wants,
        announces,
        installed: Routes::new(),
        changes: 0,
    }
}
