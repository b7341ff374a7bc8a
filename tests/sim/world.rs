//! The system: hosts and the connections between them in virtual time. `settle` does everything that can be done now,
//! `advance` jumps from deadline to deadline.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use metalbond::{Action, Close, CloseReason, Command, ConnId, Input, Reply, Transition, Transmit, TransportEnd};

use super::host::{Host, Kind, Life};
use super::link::{DOWN, Path, Pipe, UP};
use super::ops::{self, Chunking};
use super::reached::{Reached, Situation};
use super::rng::Rng;
use super::sabotage::Saboteur;
use super::seat::{Recording, Seat};
use super::wire::{Msg, decode_all, encode_all};

/// What a world consists of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) servers: usize,
    pub(crate) clients: [Kind; 4],
    /// True if servers pace what they send to legacy clients.
    pub(crate) pacing: bool,
    /// The perfect network: every peer is drained after each frame, so that the exception for slow peers does not
    /// apply.
    pub(crate) prompt: bool,
    pub(crate) seed: u64,
}

/// A connection; index 0 is the client's end, 1 the server's.
pub(crate) struct Conn {
    pub(crate) hosts: [usize; 2],
    pub(crate) ids: [Option<ConnId>; 2],
    /// When the TCP handshake is done; `None` afterwards.
    dialled_at: Option<Duration>,
    /// True for each end whose process still has the connection.
    pub(crate) open: [bool; 2],
    sending: [bool; 2],
    linger: [Option<Duration>; 2],
    pub(crate) pipes: [Pipe; 2],
    /// One of its hosts has lost power: nothing will ever pass again.
    pub(crate) dead: bool,
    /// The server is one without the capabilities: HELLOs arrive without them.
    pub(crate) is_reference: bool,
    /// True for each end whose HELLO was sent.
    greeted: [bool; 2],
}

impl Conn {
    /// Returns true if the processes of both ends have the connection.
    pub(crate) fn is_connected(&self) -> bool {
        self.open == [true; 2] && self.dialled_at.is_none() && !self.dead
    }
}

pub(crate) struct World {
    pub(crate) setup: Setup,
    /// True if lost routes stay for a tenth of the usual times, and KEEPALIVEs are rare: the world is soon at rest.
    pub(crate) is_hasty: bool,
    pub(crate) now: Duration,
    pub(crate) rng: Rng,
    pub(crate) hosts: Vec<Host>,
    pub(crate) paths: BTreeMap<(usize, usize), Path>,
    pub(crate) conns: Vec<Conn>,
    pub(crate) recordings: Vec<Recording>,
    /// The situations reached by processes that have ended.
    pub(crate) reached: Reached,
    pub(crate) saboteur: Option<Saboteur>,
}

impl World {
    pub(crate) fn new(setup: Setup) -> Self {
        Self::sabotaged(setup, None)
    }

    /// Returns a world whose servers are broken.
    pub(crate) fn sabotaged(setup: Setup, saboteur: Option<Saboteur>) -> Self {
        Self::of(setup, &setup.clients, saboteur, false)
    }

    /// Returns a world with these clients instead of the setup's.
    pub(crate) fn of(setup: Setup, clients: &[Kind], saboteur: Option<Saboteur>, is_hasty: bool) -> Self {
        let chunking = if setup.prompt { Chunking::Frames } else { Chunking::Merged };
        let kinds = (0..setup.servers).map(|_| Kind::Server).chain(clients.iter().copied());
        let hosts: Vec<Host> = kinds.map(|kind| Host::new(kind, setup.servers)).collect();
        let pairs = (0..hosts.len()).flat_map(|c| (0..setup.servers).map(move |s| (c, s)));
        let mut world = Self {
            setup,
            is_hasty,
            now: Duration::from_secs(1000),
            rng: Rng::new(setup.seed),
            hosts,
            paths: pairs.map(|pair| (pair, Path::new(chunking))).collect(),
            conns: Vec::new(),
            recordings: Vec::new(),
            reached: Reached::default(),
            saboteur,
        };
        (0..world.hosts.len()).for_each(|host| world.start(host, true));
        world.settle();
        world
    }

    pub(crate) fn advance(&mut self, time: Duration) {
        let until = self.now + time;
        self.settle();
        while let Some(next) = self.next_event().filter(|t| *t <= until) {
            self.now = self.now.max(next);
            self.settle();
        }
        self.now = until;
    }

    /// Does everything that can be done now.
    pub(crate) fn settle(&mut self) {
        for _ in 0..100_000 {
            let moved = self.move_bytes();
            let iterated = self.run_iterations(false);
            if !moved && !iterated && !self.run_iterations(true) {
                return;
            }
        }
        panic!("the world does not come to rest");
    }

    fn next_event(&self) -> Option<Duration> {
        let hosts = self.hosts.iter().filter(|h| !h.paused).filter_map(|h| match &h.life {
            Life::Node(seat) => seat.timeout(),
            Life::Raw(raw) => Some(raw.next_deadline()),
            Life::Off { .. } => None,
        });
        let conns = self.conns.iter().filter(|c| !c.dead).flat_map(|c| {
            let path = &self.paths[&(c.hosts[0], c.hosts[1])];
            let reachable = path.silent == [false; 2] && !self.has_no_power(c.hosts[1]);
            let dialled = c.dialled_at.filter(|_| reachable);
            let arrivals =
                [UP, DOWN].map(|d| c.pipes[d].next_arrival().filter(|_| !path.silent[d] && self.reads(c, d)));
            let departures = [UP, DOWN].map(|d| c.pipes[d].next_departure());
            arrivals.into_iter().chain(departures).chain(c.linger).chain([dialled]).flatten()
        });
        // What is due but could not be done (on a paused host) is no event.
        hosts.chain(conns).filter(|t| *t > self.now).min()
    }

    fn has_no_power(&self, host: usize) -> bool {
        matches!(self.hosts[host].life, Life::Off { power: false })
    }

    /// Returns true if a process or system reads bytes in this direction.
    fn reads(&self, conn: &Conn, direction: usize) -> bool {
        let end = 1 - direction;
        let host = &self.hosts[conn.hosts[end]];
        !conn.open[end] || (host.reads && !host.paused)
    }

    fn move_bytes(&mut self) -> bool {
        let mut moved = false;
        for i in 0..self.conns.len() {
            moved |= self.finish_dial(i);
            for end in [0, 1] {
                moved |= self.write(i, end);
            }
        }
        self.conns.retain(|c| c.open != [false; 2]);
        if moved {
            return true;
        }
        let first = self.rng.next() as usize;
        for n in 0..self.conns.len() {
            let i = (first + n) % self.conns.len();
            for end in [0, 1] {
                moved |= self.read(i, end);
                if moved && self.setup.prompt {
                    return true;
                }
            }
        }
        moved
    }

    fn finish_dial(&mut self, i: usize) -> bool {
        let conn = &self.conns[i];
        let [client, server] = conn.hosts;
        let path = &self.paths[&(client, server)];
        let due = conn.dialled_at.is_some_and(|at| at <= self.now) && !conn.dead;
        if !due || path.silent != [false; 2] || self.has_no_power(server) || !conn.open[0] {
            return false;
        }
        self.conns[i].dialled_at = None;
        let has_old = |conn: &Conn| conn.hosts == [client, server] && conn.open[1];
        let is_back_early = self.conns.iter().any(has_old);
        let remote = ops::address(client, self.hosts[client].address);
        let [names, names_of_server] = [client, server].map(|host| ops::names(host, self.hosts[host].names));
        let listens = match &mut self.hosts[server].life {
            Life::Node(seat) if !seat.watch.is_closing() => {
                let id = seat.next_conn();
                self.conns[i].ids[1] = Some(id);
                self.conns[i].open[1] = true;
                seat.inbox.push_back(Input::Accepted { conn: id, remote });
                seat.inbox.extend(names.map(|names| Input::Identified { conn: id, names }));
                true
            }
            _ => false,
        };
        self.conns[i].open[0] = listens;
        self.conns[i].is_reference = self.hosts[server].is_reference;
        if is_back_early && listens {
            self.reached.count(Situation::BackBeforeLoss);
        }
        let now = self.now;
        let id = self.conns[i].ids[0];
        match (&mut self.hosts[client].life, id) {
            (Life::Node(seat), Some(conn)) if listens => {
                seat.inbox.push_back(Input::Connected { conn, remote: ops::address(server, 0) });
                seat.inbox.extend(names_of_server.map(|names| Input::Identified { conn, names }));
            }
            (Life::Node(seat), Some(conn)) => seat.inbox.push_back(Input::DialFailed { conn, why: "refused".into() }),
            (Life::Raw(raw), _) if listens => raw.connected(now),
            (Life::Raw(raw), _) => raw.closed(now),
            _ => {}
        }
        true
    }

    fn write(&mut self, i: usize, end: usize) -> bool {
        let conn = &mut self.conns[i];
        if conn.dead || conn.dialled_at.is_some() {
            return false;
        }
        let path = &self.paths[&(conn.hosts[0], conn.hosts[1])];
        let is_read = !conn.open[1 - end] || self.hosts[conn.hosts[1 - end]].reads;
        let mut moved = conn.pipes[end].pump(self.now, path, end, is_read);
        if conn.linger[end].is_some_and(|until| until <= self.now) {
            conn.linger[end] = None;
            conn.pipes[end].close(false);
            moved = true;
        }
        if conn.sending[end] && conn.pipes[end].is_written() {
            conn.sending[end] = false;
            moved = true;
            if let (true, Some(id), Life::Node(seat)) =
                (conn.open[end], conn.ids[end], &mut self.hosts[conn.hosts[end]].life)
            {
                seat.inbox.push_back(Input::Sent { conn: id });
            }
        }
        moved
    }

    fn read(&mut self, i: usize, end: usize) -> bool {
        let conn = &mut self.conns[i];
        let path = &self.paths[&(conn.hosts[0], conn.hosts[1])];
        let direction = 1 - end;
        let host = &mut self.hosts[conn.hosts[end]];
        if conn.dead || conn.dialled_at.is_some() || path.silent[direction] {
            return false;
        }
        let pipe = &mut conn.pipes[direction];
        if !conn.open[end] {
            let there = pipe.is_readable(self.now);
            pipe.discard(self.now);
            return there;
        }
        if host.paused || !host.reads {
            return false;
        }
        if let Some(bytes) = pipe.read(self.now, path.chunking, &mut self.rng) {
            match (&mut host.life, conn.ids[end]) {
                (Life::Node(seat), Some(conn)) => seat.inbox.push_back(Input::Received { conn, bytes }),
                (Life::Raw(raw), _) => raw.received(self.now, &bytes),
                _ => {}
            }
            return true;
        }
        let Some(how) = pipe.take_end(self.now) else { return false };
        conn.open[end] = false;
        conn.pipes[end].close(false);
        match (&mut host.life, conn.ids[end]) {
            (Life::Node(seat), Some(conn)) => seat.inbox.push_back(Input::Closed { conn, end: how }),
            (Life::Raw(raw), _) => raw.closed(self.now),
            _ => {}
        }
        true
    }

    /// Runs an iteration of every process. Timeouts are handled only once everything else is done.
    fn run_iterations(&mut self, timeouts: bool) -> bool {
        let mut busy = false;
        for host in 0..self.hosts.len() {
            if self.hosts[host].paused {
                continue;
            }
            busy |= match &self.hosts[host].life {
                Life::Node(seat) => {
                    let due = timeouts && seat.timeout().is_some_and(|t| t <= self.now);
                    (due || !seat.inbox.is_empty()) && self.node_turn(host, due)
                }
                Life::Raw(_) => self.raw_turn(host),
                Life::Off { .. } => false,
            };
        }
        busy
    }

    fn node_turn(&mut self, host: usize, due: bool) -> bool {
        let Life::Node(seat) = &mut self.hosts[host].life else { return false };
        let there = seat.inbox.len();
        let n = if self.setup.prompt { 1 } else { self.rng.up_to(there) };
        for _ in 0..n.min(there) {
            self.feed_next(host);
        }
        if due {
            self.feed(host, Input::Tick);
        }
        if self.is_doomed(host) {
            self.stop(host, true);
            return true;
        }
        if let Life::Node(seat) = &mut self.hosts[host].life {
            for transmit in seat.drain() {
                self.send(host, transmit);
            }
        }
        let due = self.seat(host).and_then(Seat::timeout).is_some_and(|t| t <= self.now);
        // In a perfect network the remaining work is done before anything else happens.
        !(due && self.setup.prompt) || self.node_turn(host, true)
    }

    /// Returns true if the process dies in this iteration.
    fn is_doomed(&mut self, host: usize) -> bool {
        let doom = &mut self.hosts[host].doom;
        *doom = doom.and_then(|n| n.checked_sub(1));
        *doom == Some(0) && matches!(self.hosts[host].life, Life::Node(_))
    }

    fn feed_next(&mut self, host: usize) {
        if let Life::Node(seat) = &mut self.hosts[host].life
            && let Some(input) = seat.inbox.pop_front()
        {
            self.feed(host, input);
        }
    }

    fn feed(&mut self, host: usize, input: Input) {
        let now = self.now;
        let Life::Node(seat) = &mut self.hosts[host].life else { return };
        let added = match &input {
            Input::Command(Command::AddPeer { endpoint }) => server_of(endpoint),
            _ => None,
        };
        for action in seat.feed(now, input) {
            match action {
                Action::Dial { conn, endpoint, .. } => self.dial(host, Some(conn), server_of(&endpoint).unwrap()),
                Action::Close { conn, how } => self.close_by_id(host, conn, how),
                Action::Reply(Ok(Reply::Peer(id))) => {
                    self.hosts[host].peers.insert(added.unwrap(), id);
                }
                Action::State(Transition { reason: Some(reason), .. }) => {
                    let is_fault = matches!(
                        reason,
                        CloseReason::Decode(_) | CloseReason::Misbehaved(_) | CloseReason::Limit { .. }
                    );
                    assert!(!is_fault, "host {host} closes a peer for a fault: {reason}");
                }
                Action::MeasureWindow { conn } => self.measure(host, conn),
                Action::Denied(_) | Action::Reply(_) | Action::State(_) => {}
                Action::Terminated => self.terminated(host),
            }
        }
    }

    /// Answers a node that asks for a window: every other host can measure.
    fn measure(&mut self, host: usize, id: ConnId) {
        let Some((i, end)) = self.find(host, id).filter(|_| host.is_multiple_of(2)) else { return };
        let unread = self.conns[i].pipes[end].waiting();
        assert!(unread < 65_535, "{unread} bytes wait for a client of the reference");
        let (window, unacknowledged) = (65_536 - unread as u32, self.conns[i].pipes[end].unwritten() as u32);
        let Life::Node(seat) = &mut self.hosts[host].life else { return };
        seat.inbox.push_front(Input::Window { conn: id, window, unacknowledged });
    }

    fn terminated(&mut self, host: usize) {
        if let Life::Node(seat) = &self.hosts[host].life {
            assert_eq!(seat.node.sessions().count(), 0, "terminated with a session");
            assert!(seat.watch.accepted.is_empty() && seat.watch.dialled.is_empty(), "terminated with a connection");
        }
        // Connections that the node was not notified about yet.
        self.stop(host, true);
    }

    fn raw_turn(&mut self, host: usize) -> bool {
        let now = self.now;
        let reads = self.hosts[host].reads;
        let Life::Raw(raw) = &mut self.hosts[host].life else { return false };
        if !reads {
            // This host does not notice either that it receives nothing.
            raw.is_content(now);
        }
        let (dials, gives_up, out) = (raw.dials(now), raw.tick(now), raw.take_out());
        if gives_up {
            raw.closed(now);
        }
        let server = host % self.setup.servers;
        let conn = self.conns.iter().position(|c| c.hosts[0] == host && c.open[0]);
        if let (Some(i), false) = (conn, out.is_empty()) {
            self.conns[i].pipes[UP].write([Bytes::from(out.clone())]);
        }
        if let (Some(i), true) = (conn, gives_up) {
            self.close(i, 0, Close::Now);
        }
        if dials {
            self.dial(host, None, server);
        }
        dials || gives_up || !out.is_empty()
    }

    fn dial(&mut self, host: usize, id: Option<ConnId>, server: usize) {
        let path = &self.paths[&(host, server)];
        let down = if self.hosts[host].kind.is_raw() { Pipe::of_segments() } else { Pipe::default() };
        self.conns.push(Conn {
            hosts: [host, server],
            ids: [id, None],
            dialled_at: Some(self.now + 2 * path.latency),
            open: [true, false],
            sending: [false; 2],
            linger: [None; 2],
            pipes: [Pipe::default(), down],
            dead: false,
            is_reference: false,
            greeted: [false; 2],
        });
    }

    fn find(&self, host: usize, id: ConnId) -> Option<(usize, usize)> {
        let end = usize::from(!id.is_dialled());
        let i = self.conns.iter().position(|c| c.hosts[end] == host && c.ids[end] == Some(id) && c.open[end])?;
        Some((i, end))
    }

    fn send(&mut self, host: usize, transmit: Transmit) {
        let Some((i, end)) = self.find(host, transmit.conn) else { return };
        let conn = &mut self.conns[i];
        conn.sending[end] = true;
        // The first transmit contains the HELLO.
        if conn.is_reference && !conn.greeted[end] {
            conn.pipes[end].write(transmit.chunks.iter().map(|chunk| without_capabilities(chunk)));
        } else {
            conn.pipes[end].write(transmit.chunks);
        }
        conn.greeted[end] = true;
    }

    fn close_by_id(&mut self, host: usize, id: ConnId, how: Close) {
        if let Some((i, end)) = self.find(host, id) {
            self.close(i, end, how);
        }
    }

    pub(crate) fn close(&mut self, i: usize, end: usize, how: Close) {
        let now = self.now;
        let conn = &mut self.conns[i];
        conn.open[end] = false;
        let latency = self.paths[&(conn.hosts[0], conn.hosts[1])].latency;
        match how {
            Close::Linger => {
                conn.pipes[end].close(true);
                conn.linger[end] = Some(now + Duration::from_secs(1));
            }
            // Unread input makes the system send RST.
            Close::Now if conn.pipes[1 - end].has_unread() => {
                conn.pipes[end].abort(now + latency, TransportEnd::Reset);
            }
            Close::Now => conn.pipes[end].close(false),
        }
    }

    pub(crate) fn command(&mut self, host: usize, command: Command) {
        if let Life::Node(seat) = &mut self.hosts[host].life {
            seat.inbox.push_back(Input::Command(command));
        }
    }

    /// Returns how often each situation was reached.
    pub(crate) fn reached(&self) -> Reached {
        let mut reached = self.reached.clone();
        for host in 0..self.hosts.len() {
            self.seat(host).into_iter().for_each(|seat| reached.add(&seat.watch.model.reached));
        }
        reached
    }

    pub(crate) fn seat(&self, host: usize) -> Option<&Seat> {
        match &self.hosts[host].life {
            Life::Node(seat) => Some(seat),
            _ => None,
        }
    }
}

/// Removes the capabilities from the HELLO in these messages.
fn without_capabilities(bytes: &[u8]) -> Bytes {
    let mut msgs = decode_all(bytes);
    for msg in &mut msgs {
        if let Msg::Hello(hello) = msg {
            (hello.capabilities, hello.restart_time) = (0, 0);
        }
    }
    encode_all(&msgs).into()
}

fn server_of(endpoint: &str) -> Option<usize> {
    endpoint.strip_prefix('s')?.parse().ok()
}
