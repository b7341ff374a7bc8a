//! A client without the capability, simulated byte by byte: it sends what the reference sends and keeps to its
//! intervals. A pipelining client sends everything in one write.

use std::collections::BTreeSet;
use std::time::Duration;

use metalbond::{Route, Vni};

use super::model::Routes;
use super::wire::{Frames, Hello, Msg, decode_all, encode, is_martian};

const INTERVAL: Duration = Duration::from_secs(5);
const REDIAL: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Down { redial_at: Duration },
    Dialling,
    HelloSent,
    KeepaliveSent,
    Established,
}

#[derive(Clone, Debug)]
pub(crate) struct RawClient {
    pipelines: bool,
    state: State,
    wants: BTreeSet<Vni>,
    announces: Routes,
    frames: Frames,
    out: Vec<u8>,
    interval: Duration,
    keepalive_at: Duration,
    heard_at: Duration,
    /// The table that follows from the server's messages.
    held: Routes,
    /// VNIs unsubscribed in this session: routes in flight at that time may have arrived late.
    left: BTreeSet<Vni>,
}

impl RawClient {
    pub(crate) fn new(now: Duration, pipelines: bool, wants: BTreeSet<Vni>, announces: Routes) -> Self {
        Self {
            pipelines,
            state: State::Down { redial_at: now },
            wants,
            announces,
            frames: Frames::default(),
            out: Vec::new(),
            interval: INTERVAL,
            keepalive_at: now,
            heard_at: now,
            held: Routes::new(),
            left: BTreeSet::new(),
        }
    }

    pub(crate) fn is_established(&self) -> bool {
        self.state == State::Established
    }

    /// Returns true if the client wants to connect now, and marks the dial as started.
    pub(crate) fn dials(&mut self, now: Duration) -> bool {
        let due = matches!(self.state, State::Down { redial_at } if redial_at <= now);
        if due {
            self.state = State::Dialling;
            self.heard_at = now;
        }
        due
    }

    pub(crate) fn connected(&mut self, now: Duration) {
        self.frames = Frames::default();
        self.interval = INTERVAL;
        self.state = State::HelloSent;
        self.heard_at = now;
        self.say(Msg::Hello(Hello { keepalive: 5, ..Hello::default() }));
        if self.pipelines {
            self.say(Msg::Keepalive);
            self.keepalive_at = now + self.interval;
            self.say_all();
        }
    }

    pub(crate) fn closed(&mut self, now: Duration) {
        self.out.clear();
        self.held.clear();
        self.left.clear();
        self.state = State::Down { redial_at: now + REDIAL };
    }

    /// Handles one segment, which must contain whole frames: the reference parses each read from scratch.
    pub(crate) fn received(&mut self, now: Duration, segment: &[u8]) {
        self.heard_at = now;
        for msg in decode_all(segment) {
            match (msg, self.state) {
                (Msg::Hello(hello), State::HelloSent) => {
                    assert!(hello.is_server, "a server's HELLO has is_server");
                    self.interval = INTERVAL.min(Duration::from_secs(hello.keepalive.into()));
                    self.state = State::KeepaliveSent;
                    self.keepalive_at = now + self.interval;
                    if !self.pipelines {
                        self.say(Msg::Keepalive);
                    }
                }
                (Msg::Keepalive, State::KeepaliveSent) => {
                    self.state = State::Established;
                    if !self.pipelines {
                        self.say_all();
                    }
                }
                (Msg::Add(route), State::Established) => drop(self.held.insert(route)),
                (Msg::Remove(route), State::Established) => drop(self.held.remove(&route)),
                (Msg::Keepalive, State::Established) => {}
                // A pipelining client must not be synced before the first answer either.
                (msg, state) => panic!("{msg:?} in {state:?}"),
            }
        }
    }

    pub(crate) fn subscribe(&mut self, vni: Vni) {
        self.wants.insert(vni);
        self.say_if_up(Msg::Subscribe(vni));
    }

    /// Also withdraws the client's own announcements in the VNI, as the protocol defines for such peers.
    pub(crate) fn unsubscribe(&mut self, vni: Vni) {
        if self.wants.remove(&vni) {
            self.announces.retain(|r| r.vni != vni);
            self.left.insert(vni);
        }
        self.say_if_up(Msg::Unsubscribe(vni));
    }

    /// Announces a route. One with a martian next hop is sent once and not kept, because no server accepts it.
    pub(crate) fn announce(&mut self, route: Route) {
        if is_martian(&route) {
            return self.say_if_up(Msg::Add(route));
        }
        self.announces.insert(route);
        self.say_if_up(Msg::Add(route));
    }

    pub(crate) fn withdraw(&mut self, route: Route) {
        self.announces.remove(&route);
        self.say_if_up(Msg::Remove(route));
    }

    /// Returns true if it gives its connection up.
    pub(crate) fn tick(&mut self, now: Duration) -> bool {
        if matches!(self.state, State::Down { .. }) {
            return false;
        }
        if self.heard_at + self.interval * 5 / 2 <= now {
            return true;
        }
        if matches!(self.state, State::KeepaliveSent | State::Established) && self.keepalive_at <= now {
            self.keepalive_at = now + self.interval;
            self.say(Msg::Keepalive);
        }
        false
    }

    pub(crate) fn next_deadline(&self) -> Duration {
        let silence = self.heard_at + self.interval * 5 / 2;
        match self.state {
            State::Down { redial_at } => redial_at,
            State::Dialling | State::HelloSent => silence,
            State::KeepaliveSent | State::Established => silence.min(self.keepalive_at),
        }
    }

    pub(crate) fn take_out(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    pub(crate) fn wants(&self) -> &BTreeSet<Vni> {
        &self.wants
    }

    pub(crate) fn announces(&self) -> &Routes {
        &self.announces
    }

    /// Returns the routes that it was sent in this session and that were not removed, of the VNIs in which they are
    /// known.
    pub(crate) fn held(&self) -> Routes {
        self.held.iter().filter(|r| self.is_sure_of(r.vni)).copied().collect()
    }

    pub(crate) fn is_sure_of(&self, vni: Vni) -> bool {
        !self.left.contains(&vni)
    }

    /// Behaves as if it had just received something.
    pub(crate) fn is_content(&mut self, now: Duration) {
        self.heard_at = now;
    }

    fn say_if_up(&mut self, msg: Msg) {
        let said_all = self.pipelines && matches!(self.state, State::HelloSent | State::KeepaliveSent);
        if said_all || self.state == State::Established {
            self.say(msg);
        }
    }

    /// Sends subscriptions before announcements, as the reference does.
    fn say_all(&mut self) {
        for vni in self.wants.clone() {
            self.say(Msg::Subscribe(vni));
        }
        for route in self.announces.clone() {
            self.say(Msg::Add(route));
        }
    }

    fn say(&mut self, msg: Msg) {
        self.out.extend(encode(&msg));
    }
}
