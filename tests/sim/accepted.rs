//! Watches one connection that a node accepted: what the peer sent, what it was sent, and that each message to it was
//! allowed when it was sent.

use std::collections::{BTreeMap, BTreeSet};

use metalbond::{ConnId, Prefix, Route, Vni};

use super::model::{Model, Routes, Who};
use super::wire::{Frames, Hello, Msg};

/// A SUBSCRIBE whose End-of-RIB has not been sent yet.
#[derive(Clone, Debug)]
struct Sync {
    vni: Vni,
    /// Number of KEEPALIVEs before it.
    after: u32,
    /// Routes that the view contained then and that have not changed since: to be sent before the answer to the next
    /// KEEPALIVE.
    must: Routes,
}

#[derive(Clone, Debug)]
pub(crate) struct Accepted {
    who: Who,
    pub(crate) input: Frames,
    pub(crate) hello: Option<Hello>,
    /// True if the node was converging when the peer's HELLO arrived.
    pub(crate) is_greeted_converging: bool,
    pub(crate) keepalives: u32,
    answers: u32,
    said_hello: bool,
    pub(crate) sent: Routes,
    /// Number of changes of each route since this peer was last up to date.
    changes: BTreeMap<Route, u32>,
    /// VNIs subscribed to since then, which counts as a change of each of their routes.
    fresh: BTreeSet<Vni>,
    /// Destinations sent to the peer for which the view contained no next hop at some time since then.
    was_empty: BTreeSet<(Vni, Prefix)>,
    syncs: Vec<Sync>,
    /// Routes that a peer without the capability was sent and that nobody announced at some time since. They are to be
    /// removed, even if they are announced again; if the node may not have noticed that they were gone, they may be.
    gone: BTreeMap<Route, Gone>,
}

/// What the node knows of a route that was gone for a while.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Gone {
    /// Perhaps the node removes it later than another peer announces it.
    Perhaps,
    Surely,
}

/// What a message means to the node that received it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Message,
    /// The peer broke the protocol: the node must close the connection.
    Broken,
}

impl Accepted {
    pub(crate) fn new(conn: ConnId) -> Self {
        Self {
            who: Who::Live(conn),
            input: Frames::default(),
            hello: None,
            is_greeted_converging: false,
            keepalives: 0,
            answers: 0,
            said_hello: false,
            sent: Routes::new(),
            changes: BTreeMap::new(),
            fresh: BTreeSet::new(),
            was_empty: BTreeSet::new(),
            syncs: Vec::new(),
            gone: BTreeMap::new(),
        }
    }

    pub(crate) fn is_established(&self) -> bool {
        self.keepalives > 0
    }

    pub(crate) fn is_ordered(&self) -> bool {
        self.hello.is_some_and(|h| h.ordered())
    }

    /// Handles a message from the peer.
    pub(crate) fn step(&mut self, msg: &Msg) -> Step {
        match msg {
            Msg::Hello(hello) if self.hello.is_none() => self.hello = Some(*hello),
            Msg::Keepalive if self.hello.is_some() => self.keepalives += 1,
            Msg::Subscribe(_) | Msg::Unsubscribe(_) | Msg::Add(_) | Msg::Remove(_) if self.is_established() => {}
            Msg::Unknown(_) if self.hello.is_some() => {}
            _ => return Step::Broken,
        }
        Step::Message
    }

    /// Handles a new subscription.
    pub(crate) fn subscribed(&mut self, model: &Model, vni: Vni) {
        let must: Routes = model.view(self.who).into_iter().filter(|r| r.vni == vni).collect();
        self.fresh.insert(vni);
        self.syncs.push(Sync { vni, after: self.keepalives, must });
    }

    pub(crate) fn unsubscribed(&mut self, vni: Vni) {
        self.sent.retain(|r| r.vni != vni);
        self.was_empty.retain(|(v, _)| *v != vni);
        self.syncs.retain(|s| s.vni != vni);
        self.gone.retain(|r, _| r.vni != vni);
        self.changes.retain(|r, _| r.vni != vni);
        self.fresh.remove(&vni);
    }

    /// Handles a change of the announcers of a route. `really` is false if they are the same as before. `gone`: there is
    /// none left.
    pub(crate) fn touched(&mut self, model: &Model, route: &Route, really: bool, gone: Option<Gone>) {
        if !model.is_subscribed(self.who, route.vni) {
            return;
        }
        if let Some(gone) = gone
            && !self.is_ordered()
            && self.sent.contains(route)
        {
            let before = self.gone.entry(*route).or_insert(gone);
            *before = gone.max(*before);
        }
        if really {
            *self.changes.entry(*route).or_default() += 1;
        }
        if !model.sees(self.who, route) {
            for sync in &mut self.syncs {
                sync.must.remove(route);
            }
        }
        if !model.sees_destination(self.who, route.vni, &route.prefix) {
            self.was_empty.insert((route.vni, route.prefix));
        }
    }

    /// Checks messages that the node sent together. `leaving` routes may still count as announced. With `strict`, the
    /// exception for slow subscribers does not apply.
    pub(crate) fn transmit(&mut self, model: &Model, leaving: &Routes, msgs: &[Msg], strict: bool) {
        let (mut added, mut removed) = (BTreeSet::new(), BTreeSet::new());
        let mut updates = false;
        for msg in msgs {
            assert!(self.said_hello || matches!(msg, Msg::Hello(_)), "{msg:?} before HELLO");
            match msg {
                Msg::Hello(hello) => self.on_hello(hello),
                Msg::Keepalive => {
                    assert!(self.is_ordered() || !updates, "the answer to a KEEPALIVE after routes");
                    self.on_answer();
                }
                Msg::Add(route) => {
                    let destination = (route.vni, route.prefix);
                    assert!(!self.is_ordered() || !removed.contains(&destination), "a removal before {msg:?}");
                    added.insert(destination);
                    self.on_add(model, leaving, route, strict);
                }
                Msg::Remove(route) => {
                    let destination = (route.vni, route.prefix);
                    assert!(self.is_ordered() || !added.contains(&destination), "an addition before {msg:?}");
                    removed.insert(destination);
                    self.on_remove(model, route, strict);
                }
                other => panic!("{other:?} sent to a client"),
            }
            updates |= matches!(msg, Msg::Add(_) | Msg::Remove(_));
        }
    }

    fn is_up_to_date(&mut self) {
        self.changes.clear();
        self.fresh.clear();
    }

    fn on_hello(&mut self, hello: &Hello) {
        let peer = self.hello.expect("HELLO answered before it arrived");
        assert!(!self.said_hello, "a second HELLO");
        assert!(hello.keepalive <= peer.keepalive && hello.keepalive > 0, "an interval longer than the peer's");
        assert!(hello.ordered(), "HELLO without the capability");
        self.said_hello = true;
    }

    fn on_answer(&mut self) {
        self.answers += 1;
        assert!(self.answers <= self.keepalives, "a KEEPALIVE that answers none");
        if !self.is_ordered() {
            return;
        }
        let answers = self.answers;
        for sync in self.syncs.iter().filter(|s| s.after < answers) {
            let missing: Vec<_> = sync.must.difference(&self.sent).collect();
            assert!(missing.is_empty(), "End-of-RIB of {} without {missing:?}", sync.vni);
        }
        self.syncs.retain(|s| s.after >= answers);
    }

    fn on_add(&mut self, model: &Model, leaving: &Routes, route: &Route, strict: bool) {
        assert!(self.is_established(), "ADD before the session is open");
        assert!(model.is_subscribed(self.who, route.vni), "ADD of {route} in a VNI that was not asked for");
        let visible = model.sees(self.who, route) || leaving.contains(route);
        assert!(visible, "ADD of {route}, which is not in the view of {:?}", self.who);
        let new_destination = !self.was_sent((route.vni, route.prefix));
        let new = self.sent.insert(*route);
        assert!(new || self.is_excused(route, strict), "ADD of {route}, which {:?} was sent before", self.who);
        if new_destination {
            self.was_empty.remove(&(route.vni, route.prefix));
            if !model.sees_destination(self.who, route.vni, &route.prefix) {
                self.was_empty.insert((route.vni, route.prefix));
            }
        }
    }

    fn on_remove(&mut self, model: &Model, route: &Route, strict: bool) {
        assert!(model.is_subscribed(self.who, route.vni), "REMOVE of {route} in a VNI that was not asked for");
        let is_renewed = self.gone.remove(route).is_some() || (!self.is_ordered() && self.is_excused(route, strict));
        let is_gone = is_renewed || !model.sees(self.who, route);
        assert!(is_gone, "REMOVE of {route}, which is still in the view of {:?}", self.who);
        let was = self.sent.remove(route);
        assert!(was || self.is_excused(route, strict), "REMOVE of {route}, which {:?} was not sent", self.who);
        let destination = (route.vni, route.prefix);
        if was && self.is_ordered() && !self.was_sent(destination) {
            let excused = self.was_empty.contains(&destination);
            assert!(excused, "a gap: the last next hop of {} was removed while another one existed", route.prefix);
        }
    }

    fn was_sent(&self, (vni, prefix): (Vni, Prefix)) -> bool {
        self.sent.iter().any(|r| r.vni == vni && r.prefix == prefix)
    }

    fn is_excused(&self, route: &Route, strict: bool) -> bool {
        let changes = self.changes.get(route).copied().unwrap_or(0) + u32::from(self.fresh.contains(&route.vni));
        !strict && changes > 1
    }

    /// Checks that nothing is left to send, after the node has drained and if this peer has credit. The node may have
    /// the `doubtful` routes, or may not.
    pub(crate) fn drained(&mut self, model: &Model, doubtful: &Routes) {
        assert_eq!(self.said_hello, self.hello.is_some(), "HELLO not answered");
        assert_eq!(self.answers, self.keepalives, "KEEPALIVEs not answered to {:?}", self.who);
        let mut view = model.view(self.who);
        view.extend(self.sent.intersection(doubtful));
        let missed: Vec<_> = self.gone.extract_if(.., |_, gone| *gone == Gone::Surely).collect();
        assert!(missed.is_empty(), "gone and announced again, and not sent again to {:?}: {missed:?}", self.who);
        self.gone.clear();
        assert_eq!(self.sent, view, "the routes sent to {:?} (left) are not its view (right)", self.who);
        self.is_up_to_date();
    }
}
