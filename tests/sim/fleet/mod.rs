//! A fleet: servers, and a thousand clients that all dial them. A queue of events drives it in virtual time. It has no
//! watcher, which would take too long for so many hosts: the comparison is made at rest.

mod process;
mod rest;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use metalbond::{ConnId, Input, Node, TransportEnd, Vni};

use super::model::Routes;
use super::raw::RawClient;

/// Each client subscribes to two of these VNIs, and to one that all share.
const VNIS: usize = 50;
const SHARED: Vni = Vni(999);
/// Data that was sent from or to cut-off hosts arrives within this time after the end of the cut.
const RETRANSMITS_MS: u64 = 1000;

enum Process {
    Off,
    Node(Box<Node>),
    Raw(Box<RawClient>),
}

struct Host {
    process: Process,
    inbox: VecDeque<Input>,
    wake: Option<Duration>,
    /// One-way latency to each server.
    latency: Duration,
    conns: BTreeMap<ConnId, usize>,
    raw_conn: Option<usize>,
    accepted: u64,
    dials: u32,
    wants: BTreeSet<Vni>,
    announces: Routes,
    /// The table that its application computes from the changes, and the number of changes.
    installed: Routes,
    changes: usize,
}

/// A connection. Index 0 is the client's end.
struct Conn {
    hosts: [usize; 2],
    ids: [ConnId; 2],
    open: [bool; 2],
}

enum Event {
    Wake(usize),
    /// A dial reaches the server.
    Syn(usize),
    Connected(usize),
    Refused(usize),
    /// Bytes, or the end, reach this end of a connection.
    Bytes(usize, usize, Bytes),
    End(usize, usize, TransportEnd),
}

pub(crate) struct Fleet {
    pub(crate) now: Duration,
    servers: usize,
    hosts: Vec<Host>,
    conns: Vec<Conn>,
    /// Ordered by time; events at the same time are in the order in which they were added.
    events: BTreeMap<(Duration, u64), Event>,
    added: u64,
    /// Servers to and from which nothing passes.
    cut_off: BTreeSet<usize>,
    kept_back: Vec<Event>,
    active: BTreeSet<usize>,
}

impl Fleet {
    /// Creates all hosts and starts their processes.
    pub(crate) fn new(servers: usize, clients: usize) -> Self {
        let mut fleet = Self {
            now: Duration::from_secs(1000),
            servers,
            hosts: (0..servers + clients).map(|n| process::host(n, servers)).collect(),
            conns: Vec::new(),
            events: BTreeMap::new(),
            added: 0,
            cut_off: BTreeSet::new(),
            kept_back: Vec::new(),
            active: BTreeSet::new(),
        };
        (0..servers + clients).for_each(|host| fleet.start(host));
        fleet
    }

    /// Resets every connection of the server, as a device in the network might do.
    pub(crate) fn reset_all(&mut self, server: usize) {
        for conn in 0..self.conns.len() {
            if self.conns[conn].hosts[1] == server {
                for end in [0, 1] {
                    self.add(self.latency(conn), Event::End(conn, end, TransportEnd::Reset));
                }
            }
        }
    }

    /// Cuts the server off: nothing passes to or from it any more, and no end of a connection sees that.
    pub(crate) fn cut_off(&mut self, server: usize) {
        self.cut_off.insert(server);
    }

    pub(crate) fn reconnect(&mut self, server: usize) {
        self.cut_off.remove(&server);
        for event in std::mem::take(&mut self.kept_back) {
            let conn = conn_of(&event).expect("an event on a connection");
            let spread = Duration::from_millis(self.conns[conn].hosts[0] as u64 * 7919 % RETRANSMITS_MS);
            self.add(self.latency(conn) + spread, event);
        }
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            while let Some(host) = self.active.pop_first() {
                self.iterate(host);
            }
            let Some(next) = self.events.first_entry().filter(|e| e.key().0 <= until) else { break };
            self.now = next.key().0;
            while let Some(event) = self.events.first_entry().filter(|e| e.key().0 <= self.now) {
                let event = event.remove();
                self.occur(event);
            }
        }
        self.now = until;
    }

    fn add(&mut self, after: Duration, event: Event) {
        self.added += 1;
        self.events.insert((self.now + after, self.added), event);
    }

    fn latency(&self, conn: usize) -> Duration {
        self.hosts[self.conns[conn].hosts[0]].latency
    }

    fn end_of(&self, conn: usize, host: usize) -> usize {
        usize::from(self.conns[conn].hosts[0] != host)
    }

    fn occur(&mut self, event: Event) {
        if conn_of(&event).is_some_and(|conn| self.cut_off.contains(&self.conns[conn].hosts[1])) {
            return self.kept_back.push(event);
        }
        match event {
            Event::Wake(host) => drop(self.active.insert(host)),
            Event::Syn(conn) => self.on_syn(conn),
            Event::Connected(conn) => self.on_dialled(conn, true),
            Event::Refused(conn) => self.on_dialled(conn, false),
            Event::Bytes(conn, end, bytes) if self.conns[conn].open[end] => {
                let (host, id) = (self.conns[conn].hosts[end], self.conns[conn].ids[end]);
                let now = self.now;
                match &mut self.hosts[host].process {
                    Process::Raw(raw) => raw.received(now, &bytes),
                    _ => self.hosts[host].inbox.push_back(Input::Received { conn: id, bytes }),
                }
                self.active.insert(host);
            }
            // Sent by the system of a host that does not know the connection.
            Event::Bytes(conn, end, _) => self.add(self.latency(conn), Event::End(conn, 1 - end, TransportEnd::Reset)),
            Event::End(conn, end, how) => self.on_end(conn, end, how),
        }
    }

    fn on_syn(&mut self, conn: usize) {
        let (server, latency) = (self.conns[conn].hosts[1], self.latency(conn));
        let h = &mut self.hosts[server];
        if matches!(h.process, Process::Off) {
            return self.add(latency, Event::Refused(conn));
        }
        h.accepted += 1;
        let id = ConnId::accepted(h.accepted);
        h.conns.insert(id, conn);
        h.inbox.push_back(Input::Accepted { conn: id, remote: address(self.conns[conn].hosts[0]) });
        self.conns[conn].ids[1] = id;
        self.conns[conn].open[1] = true;
        self.active.insert(server);
        self.add(latency, Event::Connected(conn));
    }

    fn on_dialled(&mut self, conn: usize, succeeded: bool) {
        let Conn { hosts: [client, server], ids: [id, _], open: [is_open, _] } = self.conns[conn];
        if !is_open {
            // The client has given the connection up.
            return self.add(self.latency(conn), Event::End(conn, 1, TransportEnd::Reset));
        }
        let now = self.now;
        let h = &mut self.hosts[client];
        match (&mut h.process, succeeded) {
            (Process::Raw(raw), true) => raw.connected(now),
            (Process::Raw(raw), false) => raw.closed(now),
            (_, true) => h.inbox.push_back(Input::Connected { conn: id, remote: address(server) }),
            (_, false) => h.inbox.push_back(Input::DialFailed { conn: id, why: "refused".into() }),
        }
        if !succeeded {
            self.forget(conn, 0);
        }
        self.active.insert(client);
    }

    fn on_end(&mut self, conn: usize, end: usize, how: TransportEnd) {
        if !self.forget(conn, end) {
            return;
        }
        let (host, id) = (self.conns[conn].hosts[end], self.conns[conn].ids[end]);
        let now = self.now;
        match &mut self.hosts[host].process {
            Process::Raw(raw) => raw.closed(now),
            _ => self.hosts[host].inbox.push_back(Input::Closed { conn: id, end: how }),
        }
        self.active.insert(host);
    }

    /// Removes a connection from the process at one end. Returns false if it was removed already.
    fn forget(&mut self, conn: usize, end: usize) -> bool {
        let host = self.conns[conn].hosts[end];
        self.hosts[host].conns.remove(&self.conns[conn].ids[end]);
        self.hosts[host].raw_conn.take_if(|c| *c == conn);
        std::mem::take(&mut self.conns[conn].open[end])
    }

    /// Closes a connection at one end. The other end sees it after the latency.
    fn end(&mut self, conn: usize, end: usize, how: TransportEnd) {
        if self.forget(conn, end) {
            self.add(self.latency(conn), Event::End(conn, 1 - end, how));
        }
    }

    pub(crate) fn clients(&self) -> std::ops::Range<usize> {
        self.servers..self.hosts.len()
    }

    /// Returns the clients with the capability.
    pub(crate) fn nodes(&self) -> Vec<usize> {
        self.clients().filter(|client| !is_raw(*client, self.servers)).collect()
    }

    /// Sets the counts of dials and changes to zero.
    pub(crate) fn count_anew(&mut self) {
        self.hosts.iter_mut().for_each(|h| (h.dials, h.changes) = (0, 0));
    }

    /// Returns the largest number of dials of one of these clients since then.
    pub(crate) fn most_dials(&self, clients: &[usize]) -> u32 {
        clients.iter().map(|c| self.hosts[*c].dials).max().unwrap()
    }

    /// Returns the number of changes that the applications of these clients read.
    pub(crate) fn changes(&self, clients: &[usize]) -> usize {
        clients.iter().map(|c| self.hosts[*c].changes).sum()
    }
}

/// Returns true for clients without the capability: one client in ten.
fn is_raw(host: usize, servers: usize) -> bool {
    host >= servers && (host / 7).is_multiple_of(10)
}

/// Returns the event's connection, if the event passes through the network.
fn conn_of(event: &Event) -> Option<usize> {
    match event {
        Event::Wake(_) => None,
        Event::Syn(conn) | Event::Connected(conn) | Event::Refused(conn) => Some(*conn),
        Event::Bytes(conn, ..) | Event::End(conn, ..) => Some(*conn),
    }
}

fn address(host: usize) -> SocketAddr {
    (std::net::Ipv6Addr::from(0x2001_0db8_u128 << 96 | host as u128), 4711).into()
}
