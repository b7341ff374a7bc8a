//! Watches one connection that a node dialled: that the node announces its own routes and subscribes at the right time,
//! and what it has learned from the server.

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
    /// Number of answers to KEEPALIVEs. A KEEPALIVE that arrives before there is one to answer is not an answer.
    proven: u32,
    said_hello: bool,
    keepalives: u32,
    pub(crate) sent: Routes,
    changes: BTreeMap<Route, u32>,
    /// Routes that a server without the capability was sent and that were withdrawn since. They are to be removed, even
    /// if they are announced again.
    gone: Routes,
    /// VNIs that are subscribed on the wire.
    pub(crate) subscribed: BTreeSet<Vni>,
    ever_subscribed: BTreeSet<Vni>,
    /// VNIs that were unsubscribed, with the number of KEEPALIVEs sent before that.
    barred: BTreeMap<Vni, u32>,
    /// The number of the KEEPALIVE after each SUBSCRIBE: its answer is the End-of-RIB.
    syncs: BTreeMap<Vni, u32>,
    /// VNIs from which the application has unsubscribed. Updates of such a VNI are not taken, until it is subscribed on
    /// the wire again.
    left: BTreeSet<Vni>,
    /// VNIs from which the application unsubscribed, but the session cannot.
    filtered: BTreeSet<Vni>,
    /// True if a SUBSCRIBE or UNSUBSCRIBE was sent, and no KEEPALIVE after it.
    owes_keepalive: bool,
    /// VNIs whose End-of-RIB the node has noticed.
    noticed: BTreeSet<Vni>,
    /// The routes that the server announces, as the node takes them.
    pub(crate) live: Routes,
    /// Routes that a server without the capability sent while the node announced them itself. The node takes such a
    /// route for its own, sent back: if another peer announces it as well, the node does not learn that in this
    /// session.
    pub(crate) echoes: Routes,
}

/// What a message means for the routes of the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Meaning {
    Nothing,
    Announced(Route),
    Withdrawn(Route),
}

impl Dialled {
    /// Starts with a dial to a configured server.
    pub(crate) fn to(peer: PeerId) -> Self {
        Self { peer: Some(peer), ..Self::default() }
    }

    pub(crate) fn is_established(&self) -> bool {
        self.answers > 0
    }

    pub(crate) fn is_ordered(&self) -> bool {
        self.hello.is_some_and(|h| h.ordered())
    }

    /// Returns true if updates of the VNI are taken.
    fn takes(&self, vni: Vni) -> bool {
        self.subscribed.contains(&vni) && !self.left.contains(&vni)
    }

    /// Handles a message from the server. `own` contains the node's announcements.
    pub(crate) fn step(&mut self, msg: &Msg, own: &Routes) -> Meaning {
        match msg {
            Msg::Hello(hello) => self.hello = Some(*hello),
            Msg::Keepalive => {
                self.answers += 1;
                self.proven = (self.proven + 1).min(self.keepalives);
                let answers = self.answers;
                self.barred.retain(|_, before| *before >= answers);
            }
            Msg::Add(route) | Msg::Remove(route) if is_martian(route) => {}
            Msg::Add(route) if self.takes(route.vni) => {
                if !self.is_ordered() && own.contains(route) && !self.live.contains(route) {
                    self.echoes.insert(*route);
                } else {
                    self.echoes.remove(route);
                    self.live.insert(*route);
                    return Meaning::Announced(*route);
                }
            }
            Msg::Remove(route) if self.takes(route.vni) => {
                self.echoes.remove(route);
                self.live.remove(route);
                return Meaning::Withdrawn(*route);
            }
            _ => {}
        }
        Meaning::Nothing
    }

    /// Handles a change of the node's own announcements: the route is announced now, or not any more.
    pub(crate) fn touched(&mut self, route: &Route, is_announced: bool) {
        if !is_announced && !self.is_ordered() && self.sent.contains(route) {
            self.gone.insert(*route);
        }
        *self.changes.entry(*route).or_default() += 1;
    }

    /// Returns true if the server has sent all routes of these VNIs, and has confirmed that.
    pub(crate) fn has_sent_all(&self, wants: &BTreeSet<Vni>) -> bool {
        let has_sent = |vni| self.subscribed.contains(vni) && self.syncs.get(vni).is_some_and(|n| *n <= self.proven);
        self.is_established() && self.is_ordered() && wants.iter().all(has_sent)
    }

    /// Returns true if the server's table may be incomplete according to its HELLO, or if the server cannot say that.
    pub(crate) fn may_lack_routes(&self) -> bool {
        self.hello.is_none_or(|hello| !hello.ordered() || hello.converging())
    }

    /// Handles an UNSUBSCRIBE of the application. `own` contains the node's announcements.
    pub(crate) fn left(&mut self, vni: Vni, own: &Routes) {
        let is_bound = || !self.is_ordered() && self.takes(vni) && own.iter().any(|r| r.vni == vni);
        if self.filtered.contains(&vni) || is_bound() {
            self.filtered.insert(vni);
        } else {
            self.left.insert(vni);
            self.live.retain(|r| r.vni != vni);
        }
    }

    /// Returns true if the session stays subscribed to the VNI until it ends, even without a subscription of the
    /// application: UNSUBSCRIBE would withdraw the node's announcements in the VNI at that time.
    pub(crate) fn filters(&self, vni: Vni) -> bool {
        self.filtered.contains(&vni)
    }

    /// Returns the VNIs whose End-of-RIB has arrived since the last call, if it has arrived for all VNIs.
    pub(crate) fn take_synced(&mut self) -> BTreeSet<Vni> {
        let synced: BTreeSet<Vni> = self.subscribed.iter().filter(|vni| !self.left.contains(vni)).copied().collect();
        &synced - &std::mem::replace(&mut self.noticed, synced.clone())
    }

    /// Checks messages that the node sent together. `leaves` is true if it withdraws all its announcements.
    pub(crate) fn transmit(&mut self, own: &Routes, wants: &BTreeSet<Vni>, msgs: &[Msg], strict: bool, leaves: bool) {
        assert!(self.is_connected, "bytes before the connection is open");
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
                    let new = self.sent.insert(*route);
                    assert!(new || self.is_excused(route, strict), "ADD of {route}, which the server was sent before");
                }
                Msg::Remove(route) => {
                    let destination = (route.vni, route.prefix);
                    assert!(self.is_ordered() || !added.contains(&destination), "an addition before {msg:?}");
                    removed.insert(destination);
                    let is_gone = self.gone.remove(route) || !own.contains(route);
                    assert!(leaves || is_gone, "REMOVE of {route}, which is still announced");
                    let was = self.sent.remove(route);
                    assert!(was || self.is_excused(route, strict), "REMOVE of {route}, which the server was not sent");
                }
                other => panic!("{other:?} sent to a server"),
            }
        }
        if self.sent == *own {
            self.changes.clear();
        }
    }

    fn is_excused(&self, route: &Route, strict: bool) -> bool {
        !strict && self.is_ordered() && self.changes.get(route).is_some_and(|n| *n > 1)
    }

    fn on_subscribe(&mut self, own: &Routes, wants: &BTreeSet<Vni>, vni: Vni, leaves: bool) {
        assert!(wants.contains(&vni), "SUBSCRIBE to {vni} without a subscription of the application");
        assert!(!self.barred.contains_key(&vni), "SUBSCRIBE to {vni} before the answer that ends its UNSUBSCRIBE");
        assert!(self.subscribed.insert(vni), "a second SUBSCRIBE to {vni}");
        let again = !self.ever_subscribed.insert(vni);
        if self.is_ordered() {
            let first = self.ever_subscribed.len() == 1 && !again;
            assert!(leaves || !first || own.is_subset(&self.sent), "SUBSCRIBE before all announcements");
        } else {
            assert!(!again, "a second SUBSCRIBE to {vni} in a session with a legacy server, which locks up");
        }
        self.left.remove(&vni);
        self.noticed.remove(&vni);
        self.syncs.insert(vni, self.keepalives + 1);
        self.owes_keepalive = true;
    }

    fn on_unsubscribe(&mut self, wants: &BTreeSet<Vni>, vni: Vni) {
        assert!(self.subscribed.remove(&vni), "UNSUBSCRIBE from {vni}, which is not subscribed");
        assert!(!self.filtered.contains(&vni), "UNSUBSCRIBE from {vni}, in which the node announced at that time");
        if self.is_ordered() {
            self.barred.insert(vni, self.keepalives);
        } else {
            assert!(!wants.contains(&vni), "UNSUBSCRIBE from {vni}, to which the application subscribes");
            let ours = self.sent.iter().any(|r| r.vni == vni);
            assert!(!ours, "UNSUBSCRIBE from {vni} withdraws the node's routes in it");
        }
        self.live.retain(|r| r.vni != vni);
        self.owes_keepalive = true;
    }

    /// Checks that nothing is left to send, after the node has drained and if this server has credit.
    pub(crate) fn drained(&mut self, own: &Routes, wants: &BTreeSet<Vni>) {
        assert_eq!(self.said_hello, self.is_connected, "HELLO not sent");
        assert!(self.hello.is_none() || self.keepalives > 0, "the server's HELLO is not answered");
        // The node may wait for the proof that a server without the capability has read everything so far.
        let waits = !self.is_ordered() && self.keepalives > self.answers;
        if !self.is_established() || waits {
            return;
        }
        assert_eq!(self.sent, *own, "the routes sent to the server (left) are not the announced ones (right)");
        assert!(self.gone.is_empty(), "withdrawn and announced again, and not sent again: {:?}", self.gone);
        self.changes.clear();
        for vni in wants {
            let waits = self.barred.contains_key(vni);
            assert!(waits || self.subscribed.contains(vni), "{vni} is not subscribed");
        }
        if self.is_ordered() {
            let extra: Vec<_> = self.subscribed.difference(wants).collect();
            assert!(extra.is_empty(), "{extra:?} are still subscribed");
            assert!(!self.owes_keepalive, "no KEEPALIVE after a SUBSCRIBE or UNSUBSCRIBE");
        }
    }
}
