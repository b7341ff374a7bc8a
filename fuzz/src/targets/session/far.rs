//! The far end of a connection, as the node has to see it: what its bytes mean, what follows from them, and what it was
//! told. Takes bytes apart with the core's decoder, which target `frames` checks.

use std::collections::BTreeSet;

use metalbond::wire::{Decoded, Deframer, Message, UpdateAction};
use metalbond::{CloseReason, ConnId, MessageType, PeerMisbehaved, Route, Vni};

use crate::sim::model::{Model, Routes, Who};
use crate::sim::wire::Msg;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// A dial that is under way.
    Dialled,
    Connected,
    Greeted,
    Open,
    Over,
}

#[derive(Debug)]
pub(super) struct Far {
    pub(super) conn: ConnId,
    pub(super) state: State,
    pub(super) is_ordered: bool,
    pub(super) is_server: bool,
    pub(super) restart_time: u32,
    deframer: Deframer,
    keepalives: u32,
    pub(super) is_stalled: bool,
    /// What it heard.
    hellos: u32,
    answers: u32,
    pub(super) told: Routes,
    pub(super) subscribed: BTreeSet<Vni>,
    /// How the node has to end it.
    pub(super) broken: Option<CloseReason>,
}

impl Far {
    pub(super) fn new(conn: ConnId) -> Self {
        let state = if conn.is_dialled() { State::Dialled } else { State::Connected };
        Self {
            conn,
            state,
            is_ordered: false,
            is_server: false,
            restart_time: 0,
            deframer: Deframer::default(),
            keepalives: 0,
            is_stalled: false,
            hellos: 0,
            answers: 0,
            told: Routes::new(),
            subscribed: BTreeSet::new(),
            broken: None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// The peer says these bytes. VNIs that come up are put into `vnis`.
    pub(super) fn say(&mut self, model: &mut Model, vnis: &mut BTreeSet<Vni>, mut bytes: &[u8]) {
        if self.broken.is_some() || matches!(self.state, State::Over | State::Dialled) {
            return;
        }
        loop {
            let decoded = match self.deframer.next(&mut bytes) {
                Ok(None) => return,
                Ok(Some(frame)) => Message::decode(frame).map(|decoded| (frame.kind, decoded)),
                Err(error) => Err(error),
            };
            let step = match decoded {
                Ok((kind, decoded)) => self.step(model, vnis, kind, decoded).map_err(CloseReason::Misbehaved),
                Err(error) => Err(CloseReason::Decode(error)),
            };
            if let Err(reason) = step {
                self.broken = Some(reason);
                return;
            }
        }
    }

    /// protocol.md, 'input | what we do'.
    fn step(
        &mut self,
        model: &mut Model,
        vnis: &mut BTreeSet<Vni>,
        kind: u8,
        decoded: Decoded,
    ) -> Result<(), PeerMisbehaved> {
        let who = Who::Live(self.conn);
        let is_client = !self.conn.is_dialled();
        match (self.state, decoded) {
            (State::Connected, Decoded::Message(Message::Hello(hello))) => {
                self.state = State::Greeted;
                (self.is_ordered, self.is_server) = (hello.ordered, hello.is_server);
                self.restart_time = hello.restart_time;
                model.set_server(self.conn, hello.is_server);
            }
            (State::Connected, _) => return Err(PeerMisbehaved::NotHelloFirst(kind)),
            (_, Decoded::Message(Message::Hello(_))) => return Err(PeerMisbehaved::SecondHello),
            (_, Decoded::Unknown(_)) => {}
            (State::Greeted, Decoded::Message(Message::Keepalive)) => {
                self.state = State::Open;
                self.keepalives = 1;
                model.established(self.conn);
            }
            (State::Greeted, Decoded::Message(message)) => return Err(PeerMisbehaved::BeforeKeepalive(message.kind())),
            (State::Greeted, Decoded::Impossible(_)) => {
                return Err(PeerMisbehaved::BeforeKeepalive(MessageType::Update));
            }
            (_, Decoded::Message(Message::Keepalive)) => self.keepalives += 1,
            (_, Decoded::Message(Message::Subscribe(vni))) if is_client => {
                model.subscribe(who, vni);
                self.subscribed.insert(vni);
            }
            (_, Decoded::Message(Message::Unsubscribe(vni))) if is_client => {
                if model.unsubscribe(who, vni) && !self.is_ordered {
                    let announced = model.announced(who);
                    announced.iter().filter(|r| r.vni == vni).for_each(|r| model.withdraw(who, r));
                }
                self.subscribed.remove(&vni);
                self.told.retain(|r| r.vni != vni);
            }
            (_, Decoded::Message(Message::Update(update))) if is_client => {
                vnis.insert(update.route.vni);
                match update.action {
                    UpdateAction::Add => model.announce(who, update.route),
                    UpdateAction::Remove => model.withdraw(who, &update.route),
                }
            }
            (_, Decoded::Message(Message::Update(update))) => drop(vnis.insert(update.route.vni)),
            (_, Decoded::Message(_) | Decoded::Impossible(_)) => {}
        }
        Ok(())
    }

    /// The node says this.
    pub(super) fn hear(&mut self, msg: &Msg, own: impl Fn(&Route) -> bool, wants: impl Fn(Vni) -> bool) {
        let is_client = !self.conn.is_dialled();
        assert!(self.hellos > 0 || matches!(msg, Msg::Hello(_)), "{msg:?} before HELLO");
        match msg {
            Msg::Hello(hello) => {
                assert!(!is_client || hello.is_server, "a server says so");
                assert!(hello.ordered() && hello.keepalive > 0);
                self.hellos += 1;
                assert_eq!(self.hellos, 1, "a second HELLO");
            }
            Msg::Keepalive => {
                self.answers += 1;
                assert!(!is_client || self.answers <= self.keepalives, "a KEEPALIVE unasked");
            }
            _ if is_client => {
                let (Msg::Add(route) | Msg::Remove(route)) = msg else { panic!("{msg:?} to a client") };
                assert!(self.keepalives > 0, "{msg:?} before the session is open");
                assert!(self.subscribed.contains(&route.vni), "{msg:?} in a VNI that was not asked for");
                match msg {
                    Msg::Add(route) => drop(self.told.insert(*route)),
                    _ => drop(self.told.remove(route)),
                }
            }
            Msg::Add(route) => {
                assert!(own(route), "ADD to a server of {route}, which is not its own");
                self.told.insert(*route);
            }
            Msg::Remove(route) => drop(self.told.remove(route)),
            Msg::Subscribe(vni) => {
                assert!(wants(*vni), "SUBSCRIBE to {vni}, which nobody wants");
                assert!(self.subscribed.insert(*vni), "SUBSCRIBE to {vni} twice");
            }
            Msg::Unsubscribe(vni) => {
                assert!(self.subscribed.remove(vni), "UNSUBSCRIBE from {vni}, which is not subscribed")
            }
            Msg::Unknown(_) => panic!("{msg:?} from a node"),
        }
    }

    /// The node has said all that it can.
    pub(super) fn drained(&self) {
        let said_hello = match (self.conn.is_dialled(), self.state) {
            (_, State::Over | State::Dialled) => return,
            (true, _) => true,
            (false, state) => state != State::Connected,
        };
        assert_eq!(self.hellos > 0, said_hello, "HELLO to {} in {:?}", self.conn, self.state);
        if !self.conn.is_dialled() {
            assert_eq!(self.answers, self.keepalives, "KEEPALIVEs not answered to {}", self.conn);
        }
    }
}
