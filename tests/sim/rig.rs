//! One node under test. The test plays its peers, message by message or byte by byte. Time passes when the test says
//! so. Bytes that the node sends are written at once, except to peers that stall.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use metalbond::{
    Action, Close, CloseReason, Command, CommandError, Config, ConnId, Denial, Input, PeerId, Reply, Route,
    SessionState, Transition, TransmitMode, TransportEnd, Vni,
};

use super::model::Routes;
use super::seat::{Event, Seat};
use super::window::Reader;
use super::wire::{Hello, Msg, ORDERED, decode_all, encode_all};

pub(crate) struct Rig {
    pub(crate) seat: Seat,
    pub(crate) now: Duration,
    pub(crate) dials: VecDeque<ConnId>,
    pub(crate) closed: BTreeMap<ConnId, Close>,
    pub(crate) transitions: Vec<Transition>,
    pub(crate) refusals: Vec<Denial>,
    pub(crate) terminated: bool,
    out: BTreeMap<ConnId, Vec<Bytes>>,
    stalled: BTreeSet<ConnId>,
    unwritten: BTreeSet<ConnId>,
    replies: VecDeque<Result<Reply, CommandError>>,
    events_seen: usize,
    /// Peers whose windows can be measured.
    readers: BTreeMap<ConnId, Reader>,
    measurements: VecDeque<ConnId>,
}

/// The HELLO of a client with the capability.
pub(crate) const OURS: Hello = Hello { keepalive: 5, is_server: false, capabilities: ORDERED, restart_time: 10 };
/// The same without a restart time.
pub(crate) const NO_RESTART_TIME: Hello = Hello { restart_time: 0, ..OURS };
/// The HELLO of a client of the reference.
pub(crate) const LEGACY: Hello = Hello { keepalive: 5, is_server: false, capabilities: 0, restart_time: 0 };
/// The HELLO of a server with the capability.
pub(crate) const OUR_SERVER: Hello = Hello { keepalive: 5, is_server: true, capabilities: ORDERED, restart_time: 0 };
/// The HELLO of a server of the reference.
pub(crate) const LEGACY_SERVER: Hello = Hello { capabilities: 0, ..OUR_SERVER };

impl Rig {
    pub(crate) fn new(config: Config) -> Self {
        let now = Duration::from_secs(7);
        Self {
            seat: Seat::new(config, now, false, None),
            now,
            dials: VecDeque::new(),
            closed: BTreeMap::new(),
            transitions: Vec::new(),
            refusals: Vec::new(),
            terminated: false,
            out: BTreeMap::new(),
            stalled: BTreeSet::new(),
            unwritten: BTreeSet::new(),
            replies: VecDeque::new(),
            events_seen: 0,
            readers: BTreeMap::new(),
            measurements: VecDeque::new(),
        }
    }

    /// Returns a listening node, after its convergence time.
    pub(crate) fn server() -> Self {
        Self::server_with(Config { pacing: None, ..Config::default() })
    }

    pub(crate) fn server_with(config: Config) -> Self {
        let mut rig = Self::new(config);
        rig.command(Command::SetListening(true)).unwrap();
        rig.advance_secs(61);
        rig
    }

    /// Returns a server whose peers may send garbage.
    pub(crate) fn unwatched() -> Self {
        let mut rig = Self::server();
        rig.seat.is_watched = false;
        rig
    }

    /// Returns a client that dials one server. The test calls `Rig::connect` next.
    pub(crate) fn client(config: Config) -> Self {
        let mut rig = Self::new(config);
        rig.add_peer("s0");
        rig
    }

    pub(crate) fn add_peer(&mut self, endpoint: &str) -> PeerId {
        match self.command(Command::AddPeer { endpoint: endpoint.into() }) {
            Ok(Reply::Peer(id)) => id,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn command(&mut self, command: Command) -> Result<Reply, CommandError> {
        self.feed(Input::Command(command));
        self.replies.pop_front().expect("a reply")
    }

    pub(crate) fn subscribe(&mut self, vni: u32) {
        self.command(Command::Subscribe(Vni(vni))).unwrap();
    }

    pub(crate) fn unsubscribe(&mut self, vni: u32) {
        self.command(Command::Unsubscribe(Vni(vni))).unwrap();
    }

    pub(crate) fn announce(&mut self, route: Route) {
        self.command(Command::Announce(route)).unwrap();
    }

    pub(crate) fn withdraw(&mut self, route: Route) {
        self.command(Command::Withdraw(route)).unwrap();
    }

    /// Accepts a connection. The peer has sent nothing yet.
    pub(crate) fn accept(&mut self) -> ConnId {
        self.accept_from("2001:db8::9".parse().unwrap())
    }

    pub(crate) fn accept_from(&mut self, addr: IpAddr) -> ConnId {
        self.accept_at((addr, 1025).into())
    }

    pub(crate) fn accept_at(&mut self, remote: SocketAddr) -> ConnId {
        let conn = self.seat.next_conn();
        self.feed(Input::Accepted { conn, remote });
        conn
    }

    /// Accepts a client, which opens its session.
    pub(crate) fn join(&mut self, hello: Hello) -> ConnId {
        self.join_from("2001:db8::9".parse().unwrap(), hello)
    }

    pub(crate) fn join_from(&mut self, addr: IpAddr, hello: Hello) -> ConnId {
        let conn = self.accept_from(addr);
        self.open(conn, hello);
        conn
    }

    /// Accepts a client whose window can be measured, which opens its session.
    pub(crate) fn join_reading(&mut self, hello: Hello, reader: Reader) -> ConnId {
        let conn = self.accept_from("2001:db8::9".parse().unwrap());
        self.readers.insert(conn, reader);
        self.open(conn, hello);
        conn
    }

    /// Accepts a client from this address and port, which shows a certificate with these names, if any, and opens its
    /// session.
    pub(crate) fn join_named(&mut self, remote: &str, names: Option<&[&str]>, hello: Hello) -> ConnId {
        let conn = self.accept_at(remote.parse().unwrap());
        if let Some(names) = names {
            let names = names.iter().map(|name| name.parse().unwrap()).collect();
            self.feed(Input::Identified { conn, names });
        }
        self.open(conn, hello);
        conn
    }

    /// Opens a client's session.
    pub(crate) fn open(&mut self, conn: ConnId, hello: Hello) {
        self.say(conn, &[Msg::Hello(hello)]);
        self.say(conn, &[Msg::Keepalive]);
        let heard = self.heard(conn);
        assert!(matches!(heard[..], [Msg::Hello(_), Msg::Keepalive]), "{heard:?}");
    }

    /// Lets time pass until a dial is in progress.
    pub(crate) fn await_dial(&mut self) {
        while self.dials.is_empty() {
            self.advance(Duration::from_millis(10));
        }
    }

    /// Lets the oldest dial succeed.
    pub(crate) fn connect(&mut self) -> ConnId {
        let conn = self.dials.pop_front().expect("a dial");
        self.feed(Input::Connected { conn, remote: "[2001:db8::5]:4711".parse().unwrap() });
        conn
    }

    /// Lets the oldest dial reach a server, which opens the session. Returns what the server received in the session so
    /// far.
    pub(crate) fn reach(&mut self, hello: Hello) -> (ConnId, Vec<Msg>) {
        let conn = self.connect();
        assert!(matches!(self.heard(conn)[..], [Msg::Hello(_)]));
        self.say(conn, &[Msg::Hello(hello)]);
        assert_eq!(self.heard(conn), [Msg::Keepalive]);
        self.say(conn, &[Msg::Keepalive]);
        let heard = self.heard(conn);
        (conn, heard)
    }

    /// Sends messages of the peer in one write.
    pub(crate) fn say(&mut self, conn: ConnId, msgs: &[Msg]) {
        self.say_bytes(conn, &encode_all(msgs));
    }

    pub(crate) fn say_bytes(&mut self, conn: ConnId, bytes: &[u8]) {
        self.feed(Input::Received { conn, bytes: Bytes::copy_from_slice(bytes) });
    }

    /// Takes the bytes that the peer was sent since the last call.
    pub(crate) fn heard_bytes(&mut self, conn: ConnId) -> Vec<u8> {
        self.out.remove(&conn).unwrap_or_default().concat()
    }

    pub(crate) fn heard(&mut self, conn: ConnId) -> Vec<Msg> {
        decode_all(&self.heard_bytes(conn))
    }

    /// Takes the messages that the peer was sent since the last call, without KEEPALIVEs.
    pub(crate) fn heard_routes(&mut self, conn: ConnId) -> Vec<Msg> {
        let mut msgs = self.heard(conn);
        msgs.retain(|m| *m != Msg::Keepalive);
        msgs
    }

    /// Returns the model of how a peer reads.
    pub(crate) fn reader(&mut self, conn: ConnId) -> &mut Reader {
        self.readers.get_mut(&conn).expect("the peer has a reader")
    }

    /// Has a peer's window no longer measured.
    pub(crate) fn forget_reader(&mut self, conn: ConnId) {
        self.readers.remove(&conn);
    }

    /// Lets the peer stop reading.
    pub(crate) fn stall(&mut self, conn: ConnId) {
        self.stalled.insert(conn);
    }

    pub(crate) fn resume(&mut self, conn: ConnId) {
        self.stalled.remove(&conn);
        if self.unwritten.remove(&conn) {
            self.feed(Input::Sent { conn });
        }
    }

    pub(crate) fn end(&mut self, conn: ConnId, end: TransportEnd) {
        self.feed(Input::Closed { conn, end });
    }

    pub(crate) fn advance_secs(&mut self, secs: u64) {
        self.advance(Duration::from_secs(secs));
    }

    pub(crate) fn advance(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.seat.timeout().filter(|t| *t <= until) {
            self.now = self.now.max(due);
            self.feed(Input::Tick);
        }
        self.now = until;
    }

    /// Lets time pass while each of these peers shows signs of life, and answers as a server would.
    pub(crate) fn live(&mut self, secs: u64, conns: &[ConnId]) {
        for _ in 0..secs {
            self.advance_secs(1);
            for conn in conns {
                self.say(*conn, &[Msg::Keepalive]);
            }
        }
    }

    /// Answers every KEEPALIVE that a server has received. Returns the other messages that it has received.
    pub(crate) fn answer(&mut self, conn: ConnId) -> Vec<Msg> {
        let mut others = Vec::new();
        loop {
            let heard = self.heard(conn);
            if heard.is_empty() {
                return others;
            }
            for msg in heard {
                match msg {
                    Msg::Keepalive => self.say(conn, &[Msg::Keepalive]),
                    msg => others.push(msg),
                }
            }
        }
    }

    /// Lets time pass while these servers answer every KEEPALIVE.
    pub(crate) fn serve(&mut self, secs: u64, conns: &[ConnId]) {
        for _ in 0..secs {
            self.advance_secs(1);
            for conn in conns {
                let others = self.answer(*conn);
                assert_eq!(others, [], "only KEEPALIVEs are expected");
            }
        }
    }

    /// Takes the changes of learned routes since the last call: added ones are `true`.
    pub(crate) fn changes(&mut self) -> Vec<(bool, Route)> {
        let mut out = Vec::new();
        let events = &self.seat.recording.events;
        for event in &events[self.events_seen..] {
            let Event::Iteration { changes, .. } = event else { continue };
            for c in changes {
                let route = |next_hop| Route { vni: c.vni, prefix: c.prefix, next_hop };
                out.extend(c.added().iter().map(|h| (true, route(*h))));
                out.extend(c.removed().iter().map(|h| (false, route(*h))));
            }
        }
        self.events_seen = events.len();
        out
    }

    pub(crate) fn learned(&self, vni: u32) -> Routes {
        self.seat.node.learned(Vni(vni)).collect()
    }

    pub(crate) fn table(&self, vni: u32) -> Routes {
        self.seat.node.routes(Vni(vni)).collect()
    }

    pub(crate) fn is_open(&self, conn: ConnId) -> bool {
        self.seat.node.sessions().any(|s| s.conn == conn && s.state == SessionState::Established)
    }

    /// Returns why the connection ended.
    pub(crate) fn reason(&self, conn: ConnId) -> Option<CloseReason> {
        self.transitions.iter().rev().find(|t| t.conn == conn).and_then(|t| t.reason.clone())
    }

    /// Feeds an input in an iteration of its own; ticks that are due follow at once.
    pub(crate) fn feed(&mut self, input: Input) {
        let mut queue = VecDeque::from([input]);
        for _ in 0..1_000_000 {
            let due = self.seat.timeout().is_some_and(|t| t <= self.now);
            let Some(input) = queue.pop_front().or(due.then_some(Input::Tick)) else { return };
            let actions = self.seat.feed(self.now, input);
            actions.into_iter().for_each(|a| self.act(a));
            while let Some(conn) = self.measurements.pop_front() {
                if let Some(reader) = self.readers.get_mut(&conn) {
                    let (window, unacknowledged) = reader.measure(self.now);
                    queue.push_front(Input::Window { conn, window, unacknowledged });
                }
            }
            for transmit in self.seat.drain() {
                let (conn, len) = (transmit.conn, transmit.len());
                assert!(len > 0 && !self.closed.contains_key(&conn));
                if transmit.mode == TransmitMode::Segments {
                    transmit.chunks.iter().for_each(|c| drop(decode_all(c)));
                }
                if let Some(reader) = self.readers.get_mut(&conn) {
                    reader.write(len as u64, self.now);
                }
                self.out.entry(conn).or_default().extend(transmit.chunks);
                if self.stalled.contains(&conn) {
                    self.unwritten.insert(conn);
                } else {
                    queue.push_back(Input::Sent { conn });
                }
            }
        }
        panic!("the node does not come to rest");
    }

    /// Feeds an input within an iteration: nothing is polled yet.
    pub(crate) fn feed_within_turn(&mut self, input: Input) {
        let actions = self.seat.feed(self.now, input);
        actions.into_iter().for_each(|a| self.act(a));
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Dial { conn, .. } => self.dials.push_back(conn),
            Action::Close { conn, how } => {
                self.dials.retain(|c| *c != conn);
                self.unwritten.remove(&conn);
                let again = self.closed.insert(conn, how);
                assert!(again.is_none(), "{conn} is closed twice");
            }
            Action::State(transition) => self.transitions.push(transition),
            Action::Denied(refusal) => self.refusals.push(*refusal),
            Action::Reply(reply) => self.replies.push_back(reply),
            Action::MeasureWindow { conn } => self.measurements.push_back(conn),
            Action::Terminated => self.terminated = true,
        }
    }
}

/// Returns a route for scenarios: `10.0.0.n/32` in VNI 23 via the hypervisor with this number.
pub(crate) fn route(n: u8, hypervisor: u16) -> Route {
    route_in(23, n, hypervisor)
}

pub(crate) fn route_in(vni: u32, n: u8, hypervisor: u16) -> Route {
    let hypervisor = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, hypervisor);
    Route {
        vni: Vni(vni),
        prefix: format!("10.0.0.{n}/32").parse().unwrap(),
        next_hop: metalbond::NextHop::standard(hypervisor.into()),
    }
}
