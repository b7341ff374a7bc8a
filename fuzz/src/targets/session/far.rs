//! The far end of a connection as the node has to see it: the meaning of its bytes, the consequences, and what it was
//! sent. Decodes with the core's decoder, which target `frames` checks.

use std::collections::BTreeSet;

use metalbond::wire::{Decoded, Deframer, Message, UpdateAction};
use metalbond::{CloseReason, ConnId, MessageType, Node, PeerId, PeerMisbehaved, Route, Transmit, TransmitMode, Vni};

use super::stale::StaleRoutes;
use crate::sim::model::{Model, Routes, Who};
use crate::sim::wire::{Hello, Msg, decode_all, encode_all};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// The node is dialling.
    Dialled,
    Connected,
    Greeted,
    Open,
    Over,
}

#[derive(Debug)]
pub(super) struct Far {
    pub(super) conn: ConnId,
    /// The configured peer, if the node dials it.
    pub(super) peer: Option<PeerId>,
    pub(super) state: State,
    pub(super) is_ordered: bool,
    pub(super) is_server: bool,
    pub(super) is_converging: bool,
    pub(super) restart_time: u32,
    deframer: Deframer,
    keepalives: u32,
    pub(super) is_stalled: bool,
    /// Number of HELLOs that it received.
    hellos: u32,
    /// Number of KEEPALIVEs that it received.
    answers: u32,
    /// The routes that it was sent and that were not removed.
    pub(super) sent: Routes,
    pub(super) subscribed: BTreeSet<Vni>,
    /// SUBSCRIBEs whose End-of-RIB has not been sent yet: the VNI, the number of KEEPALIVEs before, and the routes at
    /// that time.
    syncs: Vec<(Vni, u32, Routes)>,
    /// A server's routes in VNIs that the node subscribed to.
    pub(super) live: Routes,
    /// VNIs of `live` from which the application unsubscribed meanwhile.
    pub(super) uncertain: BTreeSet<Vni>,
    /// The reason with which the node has to close the connection.
    pub(super) broken: Option<CloseReason>,
}

impl Far {
    pub(super) fn new(conn: ConnId, peer: Option<PeerId>) -> Self {
        Self {
            conn,
            peer,
            state: if peer.is_some() { State::Dialled } else { State::Connected },
            is_ordered: false,
            is_server: false,
            is_converging: false,
            restart_time: 0,
            deframer: Deframer::default(),
            keepalives: 0,
            is_stalled: false,
            hellos: 0,
            answers: 0,
            sent: Routes::new(),
            subscribed: BTreeSet::new(),
            syncs: Vec::new(),
            live: Routes::new(),
            uncertain: BTreeSet::new(),
            broken: None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Returns true if the node has to accept a route of `live` that it subscribes to. `own` contains all routes that
    /// the node has ever announced.
    pub(super) fn is_taken(&self, route: &Route, own: &Routes) -> bool {
        // A peer without the capability may send the node's own routes back.
        !self.uncertain.contains(&route.vni) && (self.is_ordered || !own.contains(route))
    }

    /// Handles bytes that the peer sends. Adds the VNIs in them to `vnis`.
    pub(super) fn say(
        &mut self,
        model: &mut Model,
        stale: &mut StaleRoutes,
        vnis: &mut BTreeSet<Vni>,
        mut bytes: &[u8],
    ) {
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
                Ok((kind, decoded)) => self.step(model, stale, vnis, kind, decoded).map_err(CloseReason::Misbehaved),
                Err(error) => Err(CloseReason::Decode(error)),
            };
            if let Err(reason) = step {
                self.broken = Some(reason);
                return;
            }
        }
    }

    /// Implements the table 'input | what we do' of protocol.md.
    fn step(
        &mut self,
        model: &mut Model,
        stale: &mut StaleRoutes,
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
                (self.is_converging, self.restart_time) = (hello.converging, hello.restart_time);
                model.greet(self.conn, hello.is_server, hello.ordered);
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
            (State::Greeted, Decoded::InvalidUpdate(_)) => {
                return Err(PeerMisbehaved::BeforeKeepalive(MessageType::Update));
            }
            (_, Decoded::Message(Message::Keepalive)) => {
                self.keepalives += 1;
                // This may end an initial sync.
                if self.is_ordered && !self.is_converging {
                    stale.contradict(self.peer, &self.live);
                }
            }
            (_, Decoded::Message(Message::Subscribe(vni))) if is_client => {
                if model.subscribe(who, vni) {
                    let there = model.view(who).into_iter().filter(|r| r.vni == vni).collect();
                    self.syncs.push((vni, self.keepalives, there));
                }
                self.subscribed.insert(vni);
            }
            (_, Decoded::Message(Message::Unsubscribe(vni))) if is_client => {
                if model.unsubscribe(who, vni) && !self.is_ordered {
                    let announced = model.announced(who);
                    announced.iter().filter(|r| r.vni == vni).for_each(|r| model.withdraw(who, r));
                }
                self.subscribed.remove(&vni);
                self.sent.retain(|r| r.vni != vni);
                self.syncs.retain(|(v, ..)| *v != vni);
            }
            (_, Decoded::Message(Message::Update(update))) if is_client => {
                vnis.insert(update.route.vni);
                match update.action {
                    UpdateAction::Add => model.announce(who, update.route),
                    UpdateAction::Remove => model.withdraw(who, &update.route),
                }
            }
            (_, Decoded::Message(Message::Update(update))) => {
                vnis.insert(update.route.vni);
                match update.action {
                    UpdateAction::Add if !self.subscribed.contains(&update.route.vni) => {}
                    UpdateAction::Add => drop(self.live.insert(update.route)),
                    UpdateAction::Remove => {
                        self.live.remove(&update.route);
                        stale.removed(&update.route);
                    }
                }
            }
            (_, Decoded::Message(_) | Decoded::InvalidUpdate(_)) => {}
        }
        Ok(())
    }

    /// Handles one transmit of the node. `own` contains all routes that the node has ever announced. Returns the number
    /// of UPDATEs.
    pub(super) fn hear(&mut self, transmit: &Transmit, model: &Model, node: &Node, own: &Routes) -> usize {
        assert!((1..65_536).contains(&transmit.len()), "a transmit of {} bytes", transmit.len());
        let is_legacy = self.hellos > 0 && self.state != State::Connected && !self.is_ordered;
        assert!(!is_legacy || transmit.mode == TransmitMode::Segments, "a stream to a peer that needs segments");
        let mut sent = 0;
        let (mut added, mut removed) = (BTreeSet::new(), BTreeSet::new());
        for chunk in &transmit.chunks {
            let msgs = decode_all(chunk);
            assert_eq!(encode_all(&msgs), chunk[..], "bytes that are not the canonical ones of {msgs:?}");
            assert!(transmit.mode == TransmitMode::Stream || chunk.len() <= 1208, "a segment of {}", chunk.len());
            for msg in &msgs {
                sent += usize::from(matches!(msg, Msg::Add(_) | Msg::Remove(_)));
                match msg {
                    Msg::Add(r) => {
                        assert!(!self.is_ordered || !removed.contains(&(r.vni, r.prefix)), "a removal before {msg:?}");
                        added.insert((r.vni, r.prefix));
                    }
                    Msg::Remove(r) => {
                        assert!(self.is_ordered || !added.contains(&(r.vni, r.prefix)), "an addition before {msg:?}");
                        removed.insert((r.vni, r.prefix));
                    }
                    _ => {}
                }
                if self.conn.is_dialled() { self.hear_client(msg, node, own) } else { self.hear_server(msg, model) }
            }
        }
        sent
    }

    fn hear_hello(&mut self, hello: &Hello) {
        assert!(self.conn.is_dialled() || hello.is_server, "a server's HELLO has is_server");
        assert!(hello.ordered() && hello.keepalive > 0);
        self.hellos += 1;
        assert_eq!(self.hellos, 1, "a second HELLO");
    }

    /// Handles a message if the node is this end's server.
    fn hear_server(&mut self, msg: &Msg, model: &Model) {
        assert!(self.hellos > 0 || matches!(msg, Msg::Hello(_)), "{msg:?} before HELLO");
        match msg {
            Msg::Hello(hello) => self.hear_hello(hello),
            Msg::Keepalive => {
                self.answers += 1;
                assert!(self.answers <= self.keepalives, "a KEEPALIVE that answers none");
                if self.is_ordered {
                    self.end_syncs(model);
                }
            }
            Msg::Add(route) | Msg::Remove(route) => {
                assert!(self.answers > 0, "{msg:?} before the session is open");
                assert!(self.subscribed.contains(&route.vni), "{msg:?} in a VNI that was not asked for");
                match msg {
                    Msg::Add(route) => drop(self.sent.insert(*route)),
                    _ => drop(self.sent.remove(route)),
                }
            }
            other => panic!("{other:?} sent to a client"),
        }
    }

    /// An answer is an End-of-RIB: checks that all routes which existed at SUBSCRIBE and still exist have been sent.
    fn end_syncs(&mut self, model: &Model) {
        let answers = self.answers;
        let ended: Vec<_> = self.syncs.extract_if(.., |(_, after, _)| *after < answers).collect();
        if ended.is_empty() || self.state == State::Over {
            return;
        }
        let view = model.view(Who::Live(self.conn));
        for (vni, _, there) in ended {
            let missing = there.iter().find(|r| view.contains(r) && !self.sent.contains(r));
            assert_eq!(missing, None, "not sent before End-of-RIB of {vni} to {}", self.conn);
        }
    }

    /// Handles a message if the node is this end's client.
    fn hear_client(&mut self, msg: &Msg, node: &Node, own: &Routes) {
        assert!(self.hellos > 0 || matches!(msg, Msg::Hello(_)), "{msg:?} before HELLO");
        match msg {
            Msg::Hello(hello) => self.hear_hello(hello),
            Msg::Keepalive => self.answers += 1,
            Msg::Add(route) => {
                assert!(own.contains(route), "ADD to a server of {route}, which is not its own");
                self.sent.insert(*route);
            }
            Msg::Remove(route) => drop(self.sent.remove(route)),
            Msg::Subscribe(vni) => {
                assert!(node.is_subscribed(*vni), "SUBSCRIBE to {vni} without a subscription of the application");
                assert!(self.subscribed.insert(*vni), "a second SUBSCRIBE to {vni}");
                self.uncertain.remove(vni);
            }
            Msg::Unsubscribe(vni) => {
                assert!(self.subscribed.remove(vni), "UNSUBSCRIBE from {vni}, which is not subscribed");
                self.live.retain(|r| r.vni != *vni);
            }
            Msg::Unknown(_) => panic!("{msg:?} from a node"),
        }
    }

    /// Checks the end state after the node has sent everything.
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
