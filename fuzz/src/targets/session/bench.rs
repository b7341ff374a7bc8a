//! The node on its bench: carries operations out on it, and compares it with the model whenever a turn has ended.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use metalbond::{
    Action, Announcer, CloseReason, Command, Config, ConnId, Input, Instant, PeerId, Route, SessionState, TransportEnd,
    Vni,
};

use super::Seen;
use super::far::{Far, State};
use super::op::{self, Op};
use crate::sim::model::{Model, Routes, Who};
use crate::sim::ops;
use crate::sim::rig::Rig;
use crate::sim::seat::{Event, Recording};
use crate::sim::wire::{Hello, Msg, encode, encode_all, frame};

/// Connections that one case may have, those that are over left out if need be; and routes that come in bursts.
const MAX_CONNS: usize = 24;
const MAX_BURSTS: usize = 4096;
/// Tables up to this size are compared at each turn, others at the end.
const SMALL: usize = 200;
/// When so much has happened, no more time passes.
const MAX_EVENTS: usize = 4000;
const STEPS_MS: [u64; 12] = [0, 1, 40, 249, 251, 600, 3000, 9000, 14_000, 61_000, 10_000_000, 1 << 52];

pub(super) struct Bench {
    rig: Rig,
    config: Config,
    fars: Vec<Far>,
    model: Model,
    graces: Vec<(ConnId, Instant)>,
    vnis: BTreeSet<Vni>,
    /// What an embedder has made of the changes.
    installed: Routes,
    back: Duration,
    bursts: usize,
    events_seen: usize,
    transitions_seen: usize,
    closing: bool,
    pub(super) seen: Seen,
}

impl Bench {
    pub(super) fn new(config: Config) -> Self {
        let mut rig = Rig::new(config.clone());
        // Its peers may send garbage.
        rig.seat.is_watched = false;
        Self {
            rig,
            config,
            fars: Vec::new(),
            model: Model::new(),
            graces: Vec::new(),
            vnis: ops::vnis().collect(),
            installed: Routes::new(),
            back: Duration::ZERO,
            bursts: 0,
            events_seen: 0,
            transitions_seen: 0,
            closing: false,
            seen: Seen::default(),
        }
    }

    /// `goes_on`: more is fed before the node is polled.
    pub(super) fn act(&mut self, op: Op<'_>, goes_on: bool) {
        match op {
            Op::Accept => drop(self.accept(goes_on)),
            Op::Connect(n) => {
                if let Some(conn) = self.take_dial(n) {
                    self.connect(conn, goes_on);
                }
            }
            Op::FailDial(n) => {
                if let Some(conn) = self.take_dial(n) {
                    self.feed(Input::DialFailed { conn, why: "refused".into() }, goes_on);
                }
            }
            Op::Say(n, msg) => self.say(n, &encode(&msg), goes_on),
            Op::Dribble(n, msg) => encode(&msg).iter().for_each(|b| self.say(n, &[*b], goes_on)),
            Op::Raw(n, bytes) => self.say(n, bytes, goes_on),
            Op::Frame(n, kind, payload) => self.say(n, &frame(kind, payload), goes_on),
            Op::Burst(n, on, count, from) => self.burst(n, on, count, from, goes_on),
            Op::Stall(n) => {
                if let Some(far) = self.far(n) {
                    far.is_stalled = true;
                    let conn = far.conn;
                    self.rig.stall(conn);
                }
            }
            Op::Resume(n) => {
                if let Some(far) = self.far(n) {
                    far.is_stalled = false;
                    let conn = far.conn;
                    self.rig.resume(conn);
                    self.turn_ended();
                }
            }
            Op::End(n, how) => {
                let end =
                    [TransportEnd::Eof, TransportEnd::Reset, TransportEnd::TimedOut, TransportEnd::Error("!".into())];
                if let Some(conn) = self.far(n).map(|far| far.conn) {
                    self.feed(Input::Closed { conn, end: end[usize::from(how % 4)].clone() }, goes_on);
                }
            }
            Op::Advance(_) if self.events_seen > MAX_EVENTS => {}
            Op::Advance(n) => {
                self.advance(Duration::from_millis(STEPS_MS[usize::from(n % 10)]));
            }
            Op::Oversleep(n) => {
                self.rig.now += Duration::from_millis(STEPS_MS[usize::from(n) % STEPS_MS.len()]);
                self.feed(Input::Tick, goes_on);
            }
            Op::RunBack(n) => self.back = Duration::from_millis(STEPS_MS[usize::from(n % 10)]),
            Op::Command(a, b, c) => self.command(a, b, c, goes_on),
            Op::Stray(n, what) => self.stray(n, what, goes_on),
            Op::Deafen => self.rig.seat.deaf = true,
            Op::Hear => {
                self.rig.seat.deaf = false;
                self.feed(Input::Tick, false);
            }
            Op::Join(hello) => {
                if let Some(conn) = self.accept(true) {
                    self.open(conn, hello, goes_on);
                }
            }
            Op::Reach(hello) => {
                if let Some(conn) = self.take_dial(0) {
                    self.connect(conn, false);
                    self.open(conn, hello, goes_on);
                }
            }
        }
    }

    fn far(&mut self, n: u8) -> Option<&mut Far> {
        let len = self.fars.len();
        (len > 0).then(|| &mut self.fars[usize::from(n) % len])
    }

    fn accept(&mut self, goes_on: bool) -> Option<ConnId> {
        if self.fars.iter().filter(|far| far.state != State::Over).count() >= MAX_CONNS {
            return None;
        }
        let conn = self.rig.seat.next_conn();
        if !self.closing {
            self.fars.push(Far::new(conn));
            self.model.join(conn);
        }
        self.feed(Input::Accepted { conn, remote: "[2001:db8::9]:1025".parse().unwrap() }, goes_on);
        Some(conn)
    }

    fn take_dial(&mut self, n: u8) -> Option<ConnId> {
        let len = self.rig.dials.len();
        (len > 0).then(|| self.rig.dials.remove(usize::from(n) % len)).flatten()
    }

    fn connect(&mut self, conn: ConnId, goes_on: bool) {
        if let Some(far) = self.fars.iter_mut().find(|far| far.conn == conn && far.state == State::Dialled) {
            far.state = State::Connected;
        }
        self.feed(Input::Connected { conn, remote: "[2001:db8::5]:4711".parse().unwrap() }, goes_on);
    }

    fn open(&mut self, conn: ConnId, hello: Hello, goes_on: bool) {
        if let Some(n) = self.fars.iter().position(|far| far.conn == conn) {
            self.say_as(n, &encode_all(&[Msg::Hello(hello), Msg::Keepalive]), goes_on);
        }
    }

    fn say(&mut self, n: u8, bytes: &[u8], goes_on: bool) {
        if !self.fars.is_empty() {
            self.say_as(usize::from(n) % self.fars.len(), bytes, goes_on);
        }
    }

    fn say_as(&mut self, n: usize, bytes: &[u8], goes_on: bool) {
        let conn = self.fars[n].conn;
        // Nothing comes before the connection is there.
        if self.fars[n].state == State::Dialled {
            return;
        }
        self.fars[n].say(&mut self.model, &mut self.vnis, bytes);
        self.feed(Input::Received { conn, bytes: Bytes::copy_from_slice(bytes) }, goes_on);
    }

    fn burst(&mut self, n: u8, on: bool, count: u8, from: u8, goes_on: bool) {
        let count = (usize::from(count) * 8).min(MAX_BURSTS - self.bursts);
        self.bursts += count;
        let routes = (0..count).map(|i| op::nth_route(u16::from(from) * 8 + i as u16));
        let msgs: Vec<_> = routes.map(|r| if on { Msg::Add(r) } else { Msg::Remove(r) }).collect();
        self.say(n, &encode_all(&msgs), goes_on);
    }

    fn command(&mut self, a: u8, b: u8, c: u8, goes_on: bool) {
        let route = op::route(b, c);
        let command = match a % 12 {
            0 | 11 => Command::AddPeer { endpoint: format!("s{}", b % 3).into() },
            1 => Command::RemovePeer(PeerId(u32::from(b % 6))),
            2 => Command::ResetPeer(PeerId(u32::from(b % 6))),
            3 => match self.far(b) {
                Some(far) => Command::ResetConn(far.conn),
                None => return,
            },
            4 => Command::Subscribe(ops::vni(b)),
            5 => Command::Unsubscribe(ops::vni(b)),
            6 => Command::Resync(ops::vni(b)),
            7 => Command::Announce(route),
            8 => Command::Withdraw(route),
            9 => Command::SetListening(b & 1 == 0),
            // Rarely: nothing happens after it.
            _ if c != 0 => return,
            _ => Command::Shutdown { cleanup: b & 1 == 0 },
        };
        self.closing |= matches!(command, Command::Shutdown { .. });
        self.feed(Input::Command(command), goes_on);
    }

    fn stray(&mut self, n: u8, what: u8, goes_on: bool) {
        let Some((conn, state)) = self.far(n).map(|far| (far.conn, far.state)) else { return };
        let (stranger, remote) = (ConnId::accepted(1 << 40), "[::1]:1".parse().unwrap());
        let input = match what % 8 {
            0 => Input::Sent { conn },
            1 if state != State::Over => Input::Accepted { conn, remote },
            2 if state != State::Dialled => Input::Connected { conn, remote },
            3 if !self.rig.dials.contains(&conn) => Input::DialFailed { conn, why: "?".into() },
            4 => Input::Received { conn: stranger, bytes: Bytes::from_static(b"\x01\x00\x00\x02") },
            5 => Input::Closed { conn: stranger, end: TransportEnd::Eof },
            6 => Input::Sent { conn: stranger },
            7 if state != State::Dialled => Input::Received { conn, bytes: Bytes::new() },
            _ => return,
        };
        self.feed(input, goes_on);
    }

    fn feed(&mut self, input: Input, goes_on: bool) {
        let back = std::mem::take(&mut self.back);
        if goes_on || !back.is_zero() {
            let now = self.rig.now;
            self.rig.now = now.saturating_sub(back);
            self.rig.feed_within_turn(input);
            self.rig.now = now;
            self.follow();
        } else {
            self.rig.feed(input);
            self.turn_ended();
        }
    }

    /// Time passes, and the node is woken whenever it wants to be.
    fn advance(&mut self, time: Duration) {
        let until = self.rig.now + time;
        while let Some(due) = self.rig.seat.timeout().filter(|t| *t <= until) {
            self.rig.now = self.rig.now.max(due);
            self.feed(Input::Tick, false);
        }
        self.rig.now = until;
    }

    /// Takes note of what the node did.
    fn follow(&mut self) {
        for event in &self.rig.seat.recording.events[self.events_seen..] {
            match event {
                Event::Input(_, _, actions) => {
                    for action in actions.iter() {
                        if let Action::Dial { conn, .. } = action {
                            self.fars.push(Far::new(*conn));
                        }
                    }
                }
                Event::Turn { changes, .. } => {
                    self.seen.changes += changes.len();
                    for change in changes {
                        let (vni, prefix) = (change.vni, change.prefix);
                        self.installed.retain(|r| (r.vni, r.prefix) != (vni, prefix));
                        let has = change.next_hops().iter().map(|&next_hop| Route { vni, prefix, next_hop });
                        self.installed.extend(has);
                    }
                }
            }
        }
        self.events_seen = self.rig.seat.recording.events.len();
        let now = self.rig.seat.node.now();
        for n in self.transitions_seen..self.rig.transitions.len() {
            let t = &self.rig.transitions[n];
            assert_ne!(t.old, t.new, "a transition that is none");
            if t.new == SessionState::Established {
                *(if t.conn.is_dialled() { &mut self.seen.dialled } else { &mut self.seen.accepted }) += 1;
            }
            if let (Some(reason), conn) = (t.reason.clone(), t.conn) {
                self.over(now, conn, reason);
            }
        }
        self.transitions_seen = self.rig.transitions.len();
        while self.fars.len() > MAX_CONNS
            && let Some(n) = self.fars.iter().position(|far| far.state == State::Over)
        {
            self.fars.remove(n);
        }
        for far in &self.fars {
            assert!(far.broken.is_none() || far.state == State::Over, "{} goes on after {:?}", far.conn, far.broken);
        }
    }

    fn over(&mut self, now: Instant, conn: ConnId, reason: CloseReason) {
        let Some(far) = self.fars.iter_mut().find(|far| far.conn == conn && far.state != State::Over) else { return };
        far.state = State::Over;
        if matches!(reason, CloseReason::Decode(_) | CloseReason::Misbehaved(_)) || far.broken.is_some() {
            assert_eq!(Some(&reason), far.broken.as_ref(), "why {conn} is closed");
            self.seen.misbehaved += 1;
        }
        let host_stands = matches!(
            reason,
            CloseReason::Transport(TransportEnd::Eof | TransportEnd::Reset) | CloseReason::ResetRequested
        );
        let grace = far.restart_time.min(self.config.restart_time_max);
        if host_stands && grace > 0 && !conn.is_dialled() {
            self.model.depart(conn);
            self.graces.push((conn, now + Duration::from_secs(grace.into())));
        } else {
            self.model.end(Who::Live(conn));
        }
    }

    fn turn_ended(&mut self) {
        self.follow();
        let node = &self.rig.seat.node;
        let now = node.now();
        let model = &mut self.model;
        self.graces.retain(|(conn, until)| {
            if *until <= now {
                model.end(Who::Departed(*conn));
            }
            *until > now
        });
        // The node itself.
        for route in model.announced(Who::Own).iter().filter(|r| !node.is_announced(r)).copied().collect::<Vec<_>>() {
            model.withdraw(Who::Own, &route);
        }
        node.announcements().for_each(|route| model.announce(Who::Own, route));
        for n in 0..self.fars.len() {
            let conn = self.fars[n].conn;
            let msgs = self.rig.heard(conn);
            let node = &self.rig.seat.node;
            for msg in &msgs {
                self.seen.told += usize::from(matches!(msg, Msg::Add(_) | Msg::Remove(_)));
                self.fars[n].hear(msg, |r| node.is_announced(r), |v| node.is_subscribed(v));
            }
        }
        // With time run back, the node has more to do than is due by the bench's clock.
        let is_done = self.rig.seat.node.poll_timeout().is_none_or(|at| at > now);
        let is_polled = matches!(self.rig.seat.recording.events.last(), Some(Event::Turn { .. }));
        if is_done && is_polled && self.rig.seat.node.route_count() <= SMALL {
            self.check();
        }
    }

    fn check(&mut self) {
        self.check_counts();
        if !self.closing {
            self.check_told();
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

    /// The table is what peers announce, and what each of them was told is its view.
    fn check_told(&mut self) {
        let node = &self.rig.seat.node;
        let mut of_servers = Routes::new();
        node.peers().for_each(|peer| of_servers.extend(node.announced_by(Announcer::Peer(peer.id))));
        // A server that announces a departed client's route takes it over.
        for (conn, _) in &self.graces {
            let who = Who::Departed(*conn);
            for route in self.model.announced(who).iter().filter(|r| of_servers.contains(r)) {
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
                    same("told to a server (left), announced (right)", &far.told, &node.announcements().collect());
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
            same(format_args!("what {} was told (left), View(s) (right)", far.conn), &far.told, &view);
        }
        for far in self.fars.iter().filter(|far| !far.is_stalled) {
            far.drained();
        }
    }

    /// What is learned is what others announce; and it is what the embedder made of the changes.
    fn check_learned(&self) {
        let node = &self.rig.seat.node;
        let mut learned = Routes::new();
        for vni in node.subscribed_vnis() {
            let here: Routes = node.learned(vni).collect();
            let others = node.routes(vni).filter(|r| !node.is_announced(r)).collect();
            same("learned (left), of others (right)", &here, &others);
            learned.extend(here);
        }
        if !self.rig.seat.deaf {
            same("what the changes make (left), learned (right)", &self.installed, &learned);
        }
    }

    /// Everybody reads, then everybody goes; nothing of them may stay.
    pub(super) fn finish(mut self) -> (Seen, Recording) {
        self.back = Duration::ZERO;
        self.rig.seat.deaf = false;
        for n in 0..self.fars.len() {
            self.fars[n].is_stalled = false;
            self.rig.resume(self.fars[n].conn);
        }
        self.feed(Input::Tick, false);
        self.check();
        let conns: Vec<_> = self.fars.iter().map(|far| far.conn).collect();
        for conn in conns {
            self.feed(Input::Closed { conn, end: TransportEnd::Eof }, false);
        }
        let peers: Vec<_> = self.rig.seat.node.peers().map(|peer| peer.id).collect();
        for peer in peers {
            self.feed(Input::Command(Command::RemovePeer(peer)), false);
        }
        self.advance(Duration::from_secs(200));
        self.check();
        let node = &self.rig.seat.node;
        if !self.closing {
            assert_eq!(node.route_count(), node.announcements().count(), "routes of nobody");
        }
        assert_eq!((node.sessions().count(), node.poll_timeout()), (0, None), "what is left to do");
        (self.seen, self.rig.seat.recording)
    }
}

/// That two sets are equal; says what only one of them has.
fn same(what: impl std::fmt::Display, left: &Routes, right: &Routes) {
    let [l, r] = [left.difference(right), right.difference(left)].map(|d| d.take(3).collect::<Vec<_>>());
    assert!(l.is_empty() && r.is_empty(), "{what}: only left {l:?}, only right {r:?}");
}
