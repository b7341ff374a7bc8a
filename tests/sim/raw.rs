//! A client without our capability, played byte by byte: it says what the reference says and keeps to its intervals.
//! One that pipelines says all of it in one write.

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
    /// What the server's messages come to.
    held: Routes,
    /// VNIs left in this session: what was under way then may have come late.
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

    /// Whether it wants to be connected now. To be asked once.
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

    /// One segment, which must be whole frames: the reference parses each read from scratch.
    pub(crate) fn received(&mut self, now: Duration, segment: &[u8]) {
        self.heard_at = now;
        for msg in decode_all(segment) {
            match (msg, self.state) {
                (Msg::Hello(hello), State::HelloSent) => {
                    assert!(hello.is_server, "a server says so");
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
                // To one that pipelines, the sync may not come before the first answer either.
                (msg, state) => panic!("{msg:?} in {state:?}"),
            }
        }
    }

    pub(crate) fn subscribe(&mut self, vni: Vni) {
        self.wants.insert(vni);
        self.say_if_up(Msg::Subscribe(vni));
    }

    /// Takes its own announcements in the VNI along, as the protocol has it for such peers.
    pub(crate) fn unsubscribe(&mut self, vni: Vni) {
        if self.wants.remove(&vni) {
            self.announces.retain(|r| r.vni != vni);
            self.left.insert(vni);
        }
        self.say_if_up(Msg::Unsubscribe(vni));
    }

    /// A route with a martian next hop is said once, and not kept: no server takes it.
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

    /// Whether it gives its connection up.
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

    /// What it was told in this session and not told to forget, of the VNIs of which that can be told.
    pub(crate) fn held(&self) -> Routes {
        self.held.iter().filter(|r| self.is_sure_of(r.vni)).copied().collect()
    }

    pub(crate) fn is_sure_of(&self, vni: Vni) -> bool {
        !self.left.contains(&vni)
    }

    /// As if it had just heard something.
    pub(crate) fn is_content(&mut self, now: Duration) {
        self.heard_at = now;
    }

    fn say_if_up(&mut self, msg: Msg) {
        let said_all = self.pipelines && matches!(self.state, State::HelloSent | State::KeepaliveSent);
        if said_all || self.state == State::Established {
            self.say(msg);
        }
    }

    /// Subscriptions before announcements, as the reference has it.
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
