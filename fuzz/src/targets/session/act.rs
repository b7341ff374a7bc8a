//! Performs operations on the bench.

use std::net::Ipv6Addr;
use std::time::Duration;

use bytes::Bytes;
use metalbond::{Command, ConnId, Input, PeerId, TransportEnd};

use super::bench::Bench;
use super::far::{Far, State};
use super::op::{self, Op};
use crate::sim::ops;
use crate::sim::wire::{Hello, Msg, encode, encode_all, frame};

/// Maximum number of open connections.
const MAX_CONNS: usize = 24;
/// Maximum number of routes that all bursts may send together.
const MAX_BURSTS: usize = 4096;
/// After this many events, time no longer passes.
const MAX_EVENTS: usize = 4000;
const STEPS_MS: [u64; 12] = [0, 1, 40, 249, 251, 600, 3000, 9000, 14_000, 61_000, 10_000_000, 1 << 52];

impl Bench {
    /// Performs an operation. With `goes_on`, more inputs follow before the node is polled.
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
        // One of three hosts, in rotation.
        let host = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, self.fars.len() as u16 % 3);
        let conn = self.rig.seat.next_conn();
        if !self.closing {
            self.fars.push(Far::new(conn, None));
            self.model.join(conn, (host, 1025).into());
        }
        self.feed(Input::Accepted { conn, remote: (host, 1025).into() }, goes_on);
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
        // Nothing can arrive before the connection is established.
        if self.fars[n].state == State::Dialled {
            return;
        }
        self.fars[n].say(&mut self.model, &mut self.stale, &mut self.vnis, bytes);
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
            // Rare, because nothing happens after it.
            _ if c != 0 => return,
            _ => Command::Shutdown { cleanup: b & 1 == 0 },
        };
        if let Command::Unsubscribe(vni) = command {
            self.stale.unsubscribe(vni);
            for far in &mut self.fars {
                far.uncertain.insert(vni);
            }
        }
        self.closing |= matches!(command, Command::Shutdown { .. });
        self.feed(Input::Command(command), goes_on);
    }

    fn stray(&mut self, n: u8, what: u8, goes_on: bool) {
        let Some((conn, state)) = self.far(n).map(|far| (far.conn, far.state)) else { return };
        let (stranger, remote) = (ConnId::accepted(1 << 40), "[::1]:1".parse().unwrap());
        let input = match what % 8 {
            0 if what >= 128 => {
                let (window, unacknowledged) = (u32::from(what) << (n % 25), u32::from(n) << (what / 8 % 25));
                Input::Window { conn, window, unacknowledged }
            }
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
}
