//! Watches one connection that a node dialled: that it tells its server its own announcements and subscriptions, each
//! in its time, and what it knows from it.

use std::collections::{BTreeMap, BTreeSet};

use metalbond::{PeerId, Route, Vni};

use super::model::Routes;
use super::wire::{Frames, Hello, Msg, is_martian};

#[derive(Clone, Default, Debug)]
pub(crate) struct Dialled {
    /// The configured server.
    pub(crate) peer: Option<PeerId>,
    pub(crate) is_connected: bool,
    pub(crate) input: Frames,
    pub(crate) hello: Option<Hello>,
    answers: u32,
    /// Answers to KEEPALIVEs: those that came before there was one to answer are none.
    proven: u32,
    said_hello: bool,
    keepalives: u32,
    pub(crate) told: Routes,
    changes: BTreeMap<Route, u32>,
    /// Subscribed on the wire.
    pub(crate) subscribed: BTreeSet<Vni>,
    ever_subscribed: BTreeSet<Vni>,
    /// Unsubscribed; how many KEEPALIVEs were sent before that.
    barred: BTreeMap<Vni, u32>,
    /// The number of the KEEPALIVE behind each SUBSCRIBE: its answer is the End-of-RIB.
    syncs: BTreeMap<Vni, u32>,
    /// VNIs that the embedder left since they were subscribed on the wire, and the session with them.
    uncertain: BTreeSet<Vni>,
    /// VNIs that the embedder left, and the session cannot.
    filtered: BTreeSet<Vni>,
    /// A SUBSCRIBE or UNSUBSCRIBE was sent, and no KEEPALIVE behind it.
    owes_keepalive: bool,
    pub(crate) live: Routes,
    /// What a server without the capability sent while the node announced it itself. The node takes it for its own, sent back: if
    /// another peer announces it, too, the node does not learn that in this session.
    pub(crate) echoes: Routes,
}

impl Dialled {
    /// A dial to a configured server.
    pub(crate) fn to(peer: PeerId) -> Self {
        Self { peer: Some(peer), ..Self::default() }
    }

    pub(crate) fn is_established(&self) -> bool {
        self.answers > 0
    }

    pub(crate) fn is_ordered(&self) -> bool {
        self.hello.is_some_and(|h| h.ordered())
    }

    /// A message came from the server. `own`: what the node announces.
    pub(crate) fn step(&mut self, msg: &Msg, own: &Routes) {
        match msg {
            Msg::Hello(hello) => self.hello = Some(*hello),
            Msg::Keepalive => {
                self.answers += 1;
                self.proven = (self.proven + 1).min(self.keepalives);
                let answers = self.answers;
                self.barred.retain(|_, before| *before >= answers);
            }
            Msg::Add(route) | Msg::Remove(route) if is_martian(route) => {}
            Msg::Add(route) if self.subscribed.contains(&route.vni) => {
                if !self.is_ordered() && own.contains(route) && !self.live.contains(route) {
                    self.echoes.insert(*route);
                } else {
                    self.echoes.remove(route);
                    self.live.insert(*route);
                }
            }
            Msg::Remove(route) => {
                self.echoes.remove(route);
                self.live.remove(route);
            }
            _ => {}
        }
    }

    /// The node's own announcements changed.
    pub(crate) fn touched(&mut self, route: &Route) {
        *self.changes.entry(*route).or_default() += 1;
    }

    /// Whether the server has sent all routes of these VNIs, and has said so.
    pub(crate) fn has_sent_all(&self, wants: &BTreeSet<Vni>) -> bool {
        let has_sent = |vni| self.subscribed.contains(vni) && self.syncs.get(vni).is_some_and(|n| *n <= self.proven);
        self.is_established() && self.is_ordered() && wants.iter().all(has_sent)
    }

    /// Whether the table of the server may be incomplete, as its HELLO says, or whether the server cannot say that.
    pub(crate) fn may_lack_routes(&self) -> bool {
        self.hello.is_none_or(|hello| !hello.ordered() || hello.warming())
    }

    /// The application does not want the VNI any more. `own`: what the node announces.
    pub(crate) fn left(&mut self, vni: Vni, own: &Routes) {
        let is_bound = || !self.is_ordered() && self.subscribed.contains(&vni) && own.iter().any(|r| r.vni == vni);
        let vnis = if self.filtered.contains(&vni) || is_bound() { &mut self.filtered } else { &mut self.uncertain };
        vnis.insert(vni);
    }

    /// Whether the session stays subscribed to the VNI until it ends, wanted or not: UNSUBSCRIBE would withdraw what the node announced
    /// there when it left the VNI.
    pub(crate) fn filters(&self, vni: Vni) -> bool {
        self.filtered.contains(&vni)
    }

    /// What it certainly gives to somebody who wants `wants`, and what it may give.
    pub(crate) fn gives(&self, wants: &BTreeSet<Vni>) -> (Routes, Routes) {
        let possible: Routes = self.live.iter().filter(|r| wants.contains(&r.vni)).copied().collect();
        let certain = possible.iter().filter(|r| !self.uncertain.contains(&r.vni)).copied().collect();
        (certain, possible)
    }

    /// The node sent these together. `leaves`: it withdraws all that it announced.
    pub(crate) fn transmit(&mut self, own: &Routes, wants: &BTreeSet<Vni>, msgs: &[Msg], strict: bool, leaves: bool) {
        assert!(self.is_connected, "bytes before the connection is there");
        let (mut added, mut removed) = (BTreeSet::new(), BTreeSet::new());
        for msg in msgs {
            match msg {
                Msg::Hello(hello) => {
                    assert!(!self.said_hello, "a second HELLO");
                    assert!(hello.ordered(), "HELLO without the capability");
                    self.said_hello = true;
                    continue;
                }
                Msg::Keepalive => {
                    assert!(self.hello.is_some(), "KEEPALIVE before the peer's HELLO");
                    self.keepalives += 1;
                    self.owes_keepalive = false;
                    continue;
                }
                _ => assert!(self.is_established(), "{msg:?} before the session is open"),
            }
            match msg {
                Msg::Subscribe(vni) => self.on_subscribe(own, wants, *vni, leaves),
                Msg::Unsubscribe(vni) => self.on_unsubscribe(wants, *vni),
                Msg::Add(route) => {
                    let destination = (route.vni, route.prefix);
                    assert!(!self.is_ordered() || !removed.contains(&destination), "a removal before {msg:?}");
                    added.insert(destination);
                    assert!(own.contains(route), "ADD to a server of {route}, which is not its own");
                    assert!(self.is_ordered() || wants.is_subset(&self.ever_subscribed), "ADD before SUBSCRIBE");
                    let new = self.told.insert(*route);
                    assert!(new || self.is_excused(route, strict), "ADD of {route}, which the server was told");
                }
                Msg::Remove(route) => {
                    let destination = (route.vni, route.prefix);
                    assert!(self.is_ordered() || !added.contains(&destination), "an addition before {msg:?}");
                    removed.insert(destination);
                    assert!(leaves || !own.contains(route), "REMOVE of {route}, which is still announced");
                    let was = self.told.remove(route);
                    assert!(was || self.is_excused(route, strict), "REMOVE of {route}, which the server was not told");
                }
                other => panic!("{other:?} to a server"),
            }
        }
        if self.told == *own {
            self.changes.clear();
        }
    }

    fn is_excused(&self, route: &Route, strict: bool) -> bool {
        !strict && self.is_ordered() && self.changes.get(route).is_some_and(|n| *n > 1)
    }

    fn on_subscribe(&mut self, own: &Routes, wants: &BTreeSet<Vni>, vni: Vni, leaves: bool) {
        assert!(wants.contains(&vni), "SUBSCRIBE to {vni}, which nobody wants");
        assert!(!self.barred.contains_key(&vni), "SUBSCRIBE to {vni} before the answer that ends its UNSUBSCRIBE");
        assert!(self.subscribed.insert(vni), "SUBSCRIBE to {vni} twice");
        let again = !self.ever_subscribed.insert(vni);
        if self.is_ordered() {
            let first = self.ever_subscribed.len() == 1 && !again;
            assert!(leaves || !first || own.is_subset(&self.told), "SUBSCRIBE before all announcements");
        } else {
            assert!(!again, "SUBSCRIBE to {vni} twice in a session with a server that locks up");
        }
        self.uncertain.remove(&vni);
        self.syncs.insert(vni, self.keepalives + 1);
        self.owes_keepalive = true;
    }

    fn on_unsubscribe(&mut self, wants: &BTreeSet<Vni>, vni: Vni) {
        assert!(self.subscribed.remove(&vni), "UNSUBSCRIBE from {vni}, which is not subscribed");
        assert!(!self.filtered.contains(&vni), "UNSUBSCRIBE from {vni}, in which the node announced when it left it");
        if self.is_ordered() {
            self.barred.insert(vni, self.keepalives);
        } else {
            assert!(!wants.contains(&vni), "UNSUBSCRIBE from {vni}, which is wanted");
            let ours = self.told.iter().any(|r| r.vni == vni);
            assert!(!ours, "UNSUBSCRIBE from {vni} withdraws our routes there");
        }
        self.live.retain(|r| r.vni != vni);
        self.owes_keepalive = true;
    }

    /// The node has drained and this server gave credit: nothing may be left to say.
    pub(crate) fn drained(&mut self, own: &Routes, wants: &BTreeSet<Vni>) {
        assert_eq!(self.said_hello, self.is_connected, "HELLO not sent");
        assert!(self.hello.is_none() || self.keepalives > 0, "the server's HELLO is not answered");
        // Towards a server without the capability it may wait for the proof that all before was read.
        let waits = !self.is_ordered() && self.keepalives > self.answers;
        if !self.is_established() || waits {
            return;
        }
        assert_eq!(self.told, *own, "what the server was told (left) is not what is announced (right)");
        self.changes.clear();
        for vni in wants {
            let waits = self.barred.contains_key(vni);
            assert!(waits || self.subscribed.contains(vni), "{vni} is not subscribed");
        }
        if self.is_ordered() {
            let extra: Vec<_> = self.subscribed.difference(wants).collect();
            assert!(extra.is_empty(), "{extra:?} are still subscribed");
            assert!(!self.owes_keepalive, "no KEEPALIVE behind a SUBSCRIBE or UNSUBSCRIBE");
        }
    }
}
