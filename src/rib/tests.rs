//! The table against a model of docs/wire.md, under any sequence of changes and pulls.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;
use core::net::{IpAddr, Ipv4Addr};

extern crate std;

mod bounded;
mod pieces;
mod sinks;
mod versions;

use proptest::prelude::*;
use smallvec::SmallVec;

use super::*;
use crate::{Echo, NextHop, NextHopKind, Prefix, Route};
use sinks::{Heard, Subscriber};

const PEERS: usize = 4;
const DESTS: u8 = 3;
const HOPS: u8 = 4;
/// The most next hops of a destination.
const NEXT_HOPS_MAX: usize = 2;
/// Which of them listen themselves.
const SERVERS: [bool; PEERS] = [false, false, true, true];
/// Which of them withdraw what they announced in a VNI by leaving it.
const IS_LEGACY: [bool; PEERS] = [true, false, true, false];

#[derive(Clone, Debug)]
enum Op {
    Announce(usize, u8, u8, u8),
    Withdraw(usize, u8, u8, u8),
    /// All of a VNI: how many of it at once.
    TakeTable(usize, u8, usize),
    Subscribe(usize, u8),
    Unsubscribe(usize, u8),
    Pull(usize, usize),
    Leave(usize),
    /// The application's: VNIs; how many changes it takes.
    Want(u8),
    Unwant(u8),
    TellAgain(u8),
    Take(usize),
    Own(u8, u8, u8),
    Disown(u8, u8, u8),
    /// Slices of work, by their budgets.
    Wake(usize),
    Maintain(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let route = (0..PEERS, 0..2u8, 0..DESTS, 0..HOPS);
    prop_oneof![
        6 => route.clone().prop_map(|(p, v, d, n)| Op::Announce(p, v, d, n)),
        5 => route.clone().prop_map(|(p, v, d, n)| Op::Withdraw(p, v, d, n)),
        1 => (0..PEERS, 0..2u8, 0..4usize).prop_map(|(p, v, budget)| Op::TakeTable(p, v, budget)),
        2 => (0..PEERS, 0..2u8).prop_map(|(p, v)| Op::Subscribe(p, v)),
        1 => (0..PEERS, 0..2u8).prop_map(|(p, v)| Op::Unsubscribe(p, v)),
        6 => (0..PEERS, 0..4usize).prop_map(|(p, room)| Op::Pull(p, room)),
        1 => (0..PEERS).prop_map(Op::Leave),
        2 => (0..2u8).prop_map(Op::Want),
        1 => (0..2u8).prop_map(Op::Unwant),
        1 => (0..2u8).prop_map(Op::TellAgain),
        3 => (0..4usize).prop_map(Op::Take),
        1 => route.clone().prop_map(|(_, v, d, n)| Op::Own(v, d, n)),
        1 => route.prop_map(|(_, v, d, n)| Op::Disown(v, d, n)),
        1 => (0..20usize).prop_map(Op::Wake),
        4 => (0..60usize).prop_map(Op::Maintain),
    ]
}

fn route(vni: u8, dest: u8, hop: u8) -> Route {
    let v4 = |a| IpAddr::V4(Ipv4Addr::new(10, 0, 0, a));
    let prefix = match dest {
        0 => Prefix::new(v4(0), 24).unwrap(),
        1 => Prefix::new(Ipv4Addr::UNSPECIFIED.into(), 0).unwrap(),
        dest => v4(dest).into(),
    };
    let kind = if hop == 1 { NextHopKind::LoadBalancer } else { NextHopKind::Standard };
    Route { vni: Vni(vni.into()), prefix, next_hop: NextHop { kind, ..NextHop::standard(v4(100 + hop)) } }
}

/// Which of the peers have the capability `ordered`.
fn is_ordered(peer: usize) -> bool {
    peer.is_multiple_of(2)
}

struct World {
    rib: Rib,
    origins: Vec<OriginId>,
    subscribers: Vec<SubscriberId>,
    announced: BTreeSet<(usize, Route)>,
    /// Those of them that are to go, since their announcer left the VNI.
    taken: BTreeSet<(usize, Route)>,
    sent: Vec<BTreeSet<Route>>,
    /// Routes that a peer without `ordered` was sent and that nobody announced at some time since: to be removed, even if they are there
    /// again.
    gone: Vec<BTreeSet<Route>>,
    echo: Echo,
    own: BTreeSet<Route>,
    /// What was reported to the application, and the VNIs that are being reported again.
    application: BTreeSet<Route>,
    again: BTreeSet<Vni>,
    /// Whether every subscriber walks after every change: then nothing superfluous may be sent.
    prompt: bool,
}

impl World {
    fn new(prompt: bool) -> Self {
        let mut rib = Rib::new(7, NEXT_HOPS_MAX);
        let origins: Vec<_> = (0..PEERS).map(|p| add_origin(&mut rib, p)).collect();
        let subscribers = (0..PEERS).map(|p| rib.add_subscriber(viewer(&rib, &origins, p))).collect();
        let (sent, gone) = (alloc::vec![BTreeSet::new(); PEERS], alloc::vec![BTreeSet::new(); PEERS]);
        let echo = Echo::None;
        let (announced, taken, own, application, again) = Default::default();
        Self { rib, origins, subscribers, announced, taken, sent, gone, echo, own, application, again, prompt }
    }

    fn view(&self, peer: usize) -> BTreeSet<Route> {
        let is_echoed = |route: &Route| match self.echo {
            _ if SERVERS[peer] || is_ordered(peer) => false,
            Echo::None => false,
            Echo::LoadBalancers => route.next_hop.kind == NextHopKind::LoadBalancer,
            Echo::All => true,
        };
        let is_visible = |(p, route): &&(usize, Route)| {
            (*p != peer || is_echoed(route))
                && !(SERVERS[*p] && SERVERS[peer])
                && self.rib.is_subscribed(self.subscribers[peer], route.vni)
        };
        let mut view: BTreeSet<_> = self.announced.iter().filter(is_visible).map(|(_, route)| *route).collect();
        let is_wanted = |route: &&Route| self.rib.is_subscribed(self.subscribers[peer], route.vni);
        view.extend(self.own.iter().filter(is_wanted));
        view
    }

    fn applications_view(&self) -> BTreeSet<Route> {
        let is_visible = |route: &&Route| !self.own.contains(route) && self.rib.is_wanted(route.vni);
        self.announced.iter().map(|(_, route)| route).filter(is_visible).copied().collect()
    }

    /// The application takes changes. Each is exactly the difference, and the set is whole.
    fn take(&mut self, room: usize) {
        for _ in 0..room {
            let mut steps = usize::MAX;
            let Some(change) = self.rib.next_change(&mut steps) else {
                self.again.clear();
                return;
            };
            let (vni, prefix) = (change.vni, change.prefix);
            let routes = |hops: &[NextHop]| -> BTreeSet<Route> {
                hops.iter().map(|&next_hop| Route { vni, prefix, next_hop }).collect()
            };
            let had: BTreeSet<_> = self.application.extract_if(.., |r| (r.vni, r.prefix) == (vni, prefix)).collect();
            let has = routes(change.next_hops());
            assert_eq!(routes(change.removed()), &had - &has);
            let is_again = self.again.contains(&vni) && change.added() == change.next_hops();
            assert!(is_again || (routes(change.added()) == &has - &had && has != had), "{change} to {had:?}");
            self.application.extend(has);
        }
    }

    fn pull(&mut self, peer: usize, room: usize, gapless: Option<BTreeMap<(Vni, Prefix), bool>>) {
        self.rib.wake(0, &mut usize::MAX.clone(), |_| {});
        let id = self.subscribers[peer];
        let (routes, gone) = (&mut self.sent[peer], &mut self.gone[peer]);
        let mut sink = Subscriber { routes, gone, room, prompt: self.prompt, gapless };
        let dialect = if is_ordered(peer) { Dialect::Ordered } else { Dialect::Legacy(self.echo) };
        while let Some(pending) = self.rib.next_pending(id) {
            let (position, viewer) = (self.rib.position(pending), self.rib.viewer(id));
            if position.is_sharable() {
                check_cuts(&self.rib, pending.table, position, viewer, dialect);
            }
            let walked = self.rib.walk(pending.table, position, viewer, dialect, &mut 1000, &mut sink);
            let stuck = !walked.at_tail;
            self.rib.advance(id, pending, &walked);
            if stuck {
                break;
            }
        }
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Announce(p, v, d, n) => {
                let is_new = self.rib.announce(self.origins[p], &route(v, d, n));
                assert_eq!(is_new, self.announced.insert((p, route(v, d, n))));
                self.taken.remove(&(p, route(v, d, n)));
            }
            Op::Withdraw(p, v, d, n) => {
                let is_new = self.rib.withdraw(self.origins[p], &route(v, d, n));
                assert_eq!(is_new, self.announced.remove(&(p, route(v, d, n))));
                self.taken.remove(&(p, route(v, d, n)));
            }
            Op::TakeTable(p, v, budget) => self.take_table(p, v, budget),
            Op::Subscribe(p, v) => {
                self.rib.subscribe(self.subscribers[p], Vni(v.into()));
            }
            Op::Unsubscribe(p, v) => {
                self.rib.unsubscribe(self.subscribers[p], Vni(v.into()));
                self.sent[p].retain(|route| route.vni != Vni(v.into()));
                self.gone[p].retain(|route| route.vni != Vni(v.into()));
            }
            Op::Pull(p, room) => self.pull(p, room, None),
            Op::Want(v) => {
                self.rib.want(Vni(v.into()));
            }
            Op::Unwant(v) => {
                self.rib.unwant(Vni(v.into()));
            }
            Op::TellAgain(v) => {
                if self.rib.report_again(Vni(v.into())) {
                    self.again.insert(Vni(v.into()));
                }
            }
            Op::Take(room) => self.take(room),
            Op::Own(v, d, n) => {
                let is_new = self.rib.announce(OriginId::LOCAL, &route(v, d, n));
                assert_eq!(is_new, self.own.insert(route(v, d, n)));
            }
            Op::Disown(v, d, n) => {
                let is_new = self.rib.withdraw(OriginId::LOCAL, &route(v, d, n));
                assert_eq!(is_new, self.own.remove(&route(v, d, n)));
            }
            Op::Wake(budget) => self.rib.wake(0, &mut budget.clone(), |_| {}),
            Op::Maintain(budget) => assert!(self.rib.maintain(&mut budget.clone()).is_empty()),
            Op::Leave(p) => {
                self.rib.mark_stale(self.origins[p]);
                assert!(self.rib.sweep(self.origins[p], &mut 1000));
                self.announced.retain(|(q, _)| *q != p);
                self.taken.retain(|(q, _)| *q != p);
                self.rib.release_origin(self.origins[p]);
                self.rib.remove_subscriber(self.subscribers[p]);
                self.sent[p].clear();
                self.gone[p].clear();
                self.origins[p] = add_origin(&mut self.rib, p);
                let viewer = viewer(&self.rib, &self.origins, p);
                self.subscribers[p] = self.rib.add_subscriber(viewer);
            }
        }
        for p in 0..PEERS {
            assert_eq!(self.announced_by(p), self.rib.announced_by(self.origins[p]).collect(), "peer {p}");
        }
        for p in (0..PEERS).filter(|p| !is_ordered(*p)) {
            let announced: BTreeSet<_> = self.announced.iter().map(|(_, route)| route).chain(&self.own).collect();
            self.gone[p].extend(self.sent[p].iter().filter(|route| !announced.contains(route)));
        }
        self.check_looks();
    }

    /// What is seen from outside: routes with their announcers, their number, and what stands for all of them.
    fn check_looks(&self) {
        for vni in [Vni(0), Vni(1)] {
            let mut routes = BTreeMap::<Route, BTreeSet<OriginId>>::new();
            for (peer, route) in self.announced.iter().filter(|(_, route)| route.vni == vni) {
                routes.entry(*route).or_default().insert(self.origins[*peer]);
            }
            for route in self.own.iter().filter(|route| route.vni == vni) {
                routes.entry(*route).or_default().insert(OriginId::LOCAL);
            }
            let number = |route: &Route| digest::of_route(&route.prefix, digest::of_next_hop(&route.next_hop));
            let digest = routes.keys().map(number).fold(0, u64::wrapping_add);
            let info = self.rib.info(vni).map_or((0, 0), |info| (info.routes, info.digest));
            assert_eq!(info, (routes.len(), digest));
            let mut seen = BTreeMap::new();
            for (_, entry) in self.rib.entries(vni, Bookmark::default()).unwrap() {
                for (&next_hop, announcers) in entry.next_hops() {
                    seen.insert(Route { vni, prefix: *entry.prefix(), next_hop }, announcers.collect());
                }
            }
            assert_eq!(seen, routes);
        }
    }

    fn announced_by(&self, peer: usize) -> BTreeSet<Route> {
        self.announced.iter().filter(|(p, _)| *p == peer).map(|(_, route)| *route).collect()
    }

    fn take_table(&mut self, peer: usize, vni: u8, budget: usize) {
        if !IS_LEGACY[peer] {
            return;
        }
        let left = |&&(p, route): &&(usize, Route)| p == peer && route.vni == Vni(vni.into());
        let left: Vec<_> = self.announced.iter().filter(left).copied().collect();
        let is_new = self.rib.take_table(self.origins[peer], Vni(vni.into()));
        assert_eq!(is_new, left.iter().any(|one| !self.taken.contains(one)));
        self.taken.extend(left);
        let done = self.rib.withdraw_taken(self.origins[peer], &mut budget.clone());
        let announced: BTreeSet<_> = self.rib.announced_by(self.origins[peer]).map(|route| (peer, route)).collect();
        let gone: BTreeSet<_> =
            self.announced.extract_if(.., |one| one.0 == peer && !announced.contains(one)).collect();
        assert!(gone.is_subset(&self.taken));
        let due = self.taken.iter().filter(|(p, _)| *p == peer).count();
        assert_eq!((gone.len(), done), (due.min(budget), due <= budget));
        self.taken = &self.taken - &gone;
    }

    /// How many next hops have a place in the tables.
    fn places(&self) -> usize {
        self.rib.tables.iter().map(|(_, table)| table.hops().len()).sum()
    }

    /// Does all work that is left.
    fn maintain(&mut self) {
        self.rib.wake(0, &mut usize::MAX.clone(), |_| {});
        while self.rib.needs_maintenance() {
            self.rib.maintain(&mut 10);
        }
    }

    fn settle(&mut self) {
        for peer in 0..PEERS {
            self.pull(peer, usize::MAX, None);
            assert_eq!(self.sent[peer], self.view(peer), "peer {peer}");
            assert!(
                self.gone[peer].is_empty(),
                "withdrawn and announced again, and not sent again: {:?}",
                self.gone[peer]
            );
        }
        self.maintain();
        assert_eq!(self.rib.tombstones, 0, "everybody knows: no tombstone is needed");
        // The application has not read, and yet nothing is kept but what was reported to it.
        let distinct: BTreeSet<_> = self.announced.iter().map(|(_, route)| *route).chain(self.own.clone()).collect();
        let known: BTreeSet<_> = distinct.iter().chain(&self.application).collect();
        assert_eq!(self.places(), known.len());
        self.take(usize::MAX);
        self.maintain();
        assert_eq!(self.application, self.applications_view());
        assert_eq!(self.places(), distinct.len());
        assert_eq!(self.rib.len(), distinct.len());
        assert_eq!(self.rib.vni_total(), self.rib.vnis().count());
        for (_, table) in self.rib.tables.iter() {
            table.check_density();
        }
        for (id, table) in self.rib.tables.iter() {
            for (dest, at) in table.dests().iter() {
                let (vni, prefix) = (table.vni(), *at.prefix());
                let by_peers = self.announced.iter().filter(|(_, r)| (r.vni, r.prefix) == (vni, prefix));
                let hops: BTreeSet<_> = by_peers.map(|(_, route)| route.next_hop).collect();
                assert!(
                    hops.len() <= NEXT_HOPS_MAX || self.rib.over_limit.contains(&(TableId(id), dest)),
                    "a destination over the limit stays known"
                );
            }
        }
    }
}

/// What anybody is sent, without what is cut for `viewer`, is what `viewer` is sent, unless that is an exception.
fn check_cuts(rib: &Rib, table: TableId, position: &Position, viewer: Viewer, dialect: Dialect) {
    let sent_to = |viewer| {
        let mut heard = Heard::default();
        let walked = rib.walk(table, position, viewer, dialect, &mut 1000, &mut heard);
        (heard.heard, walked)
    };
    let (mut anybody, walked) = sent_to(viewer.anybody());
    if !walked.is_exception(viewer) {
        for cut in walked.cuts(viewer).iter().rev() {
            assert_eq!(cut.to - cut.from, cut.changes as usize);
            anybody.drain(cut.from..cut.to);
        }
        assert_eq!(anybody, sent_to(viewer).0);
    }
}

fn add_origin(rib: &mut Rib, peer: usize) -> OriginId {
    let id = rib.add_origin(SERVERS[peer], SmallVec::new());
    if IS_LEGACY[peer] {
        rib.keep_by_table(id);
    }
    id
}

fn viewer(rib: &Rib, origins: &[OriginId], peer: usize) -> Viewer {
    if SERVERS[peer] { Viewer::Server } else { Viewer::Client(rib.key(origins[peer])) }
}

/// Sequences that once left a subscriber with a wrong table.
#[test]
fn what_once_went_wrong_goes_right() {
    use Op::{Announce, Leave, Pull, Subscribe, Withdraw};
    let found: [&[Op]; 4] = [
        &[
            Announce(3, 1, 1, 0),
            Subscribe(1, 1),
            Announce(1, 1, 0, 0),
            Pull(1, 1),
            Announce(0, 0, 0, 0),
            Subscribe(0, 1),
            Withdraw(3, 1, 1, 0),
            Announce(1, 1, 1, 0),
            Pull(0, 0),
            Leave(1),
            Announce(1, 1, 1, 0),
        ],
        &[
            Announce(1, 0, 1, 0),
            Announce(2, 0, 0, 0),
            Announce(0, 0, 1, 2),
            Pull(0, 1),
            Announce(2, 0, 1, 2),
            Leave(1),
            Pull(2, 1),
            Withdraw(0, 0, 1, 2),
            Pull(0, 1),
            Withdraw(2, 0, 1, 2),
            Announce(1, 0, 1, 2),
        ],
        &[
            Announce(0, 0, 0, 0),
            Announce(1, 0, 1, 1),
            Subscribe(3, 0),
            Pull(3, 2),
            Subscribe(1, 0),
            Leave(1),
            Announce(0, 0, 1, 1),
        ],
        &[
            Announce(1, 1, 1, 2),
            Subscribe(2, 1),
            Subscribe(1, 1),
            Pull(2, 1),
            Leave(1),
            Announce(0, 1, 1, 2),
            Pull(2, 0),
        ],
    ];
    for ops in found {
        let mut world = World::new(false);
        for op in ops {
            world.apply(op);
        }
        world.settle();
    }
}

#[test]
fn a_newcomer_receives_no_withdrawn_route() {
    use Op::{Announce, Pull, Subscribe, Withdraw};
    AGE_MAX.set(1);
    let mut world = World::new(false);
    // Peer 1 was sent the route, and not yet its removal: its tombstone stays.
    for op in [Subscribe(1, 0), Announce(0, 0, 0, 0), Pull(1, 9), Announce(0, 0, 1, 0), Withdraw(0, 0, 0, 0)] {
        world.apply(&op);
    }
    world.apply(&Subscribe(3, 0));
    let rib = &mut world.rib;
    let newcomer = world.subscribers[3];
    let pending = rib.next_pending(newcomer).unwrap();
    let mut heard = Heard::default();
    rib.walk(pending.table, rib.position(pending), rib.viewer(newcomer), Dialect::Ordered, &mut 1000, &mut heard);
    assert_eq!(heard.heard, [(route(0, 1, 0), true)]);
}

/// The prefixes of what a new subscriber is sent, in order. The table has routes of single addresses before those of whole networks.
fn first_sync(dialect: Dialect, room: usize) -> Vec<u8> {
    crate::pieces::use_real_sizes();
    let mut rib = Rib::new(7, NEXT_HOPS_MAX);
    let announcer = rib.add_origin(false, SmallVec::new());
    let prefixes = [(1, 32), (2, 32), (3, 32), (0, 24), (4, 32), (0, 0), (0, 8), (5, 32)];
    for (n, len) in prefixes {
        let prefix = Prefix::new(Ipv4Addr::new(if len == 0 { 0 } else { 10 }, 0, 0, n).into(), len).unwrap();
        rib.announce(announcer, &Route { prefix, ..route(0, 2, 0) });
    }
    let newcomer = rib.add_subscriber(Viewer::ANYBODY);
    rib.subscribe(newcomer, Vni(0));
    let mut sent = Vec::new();
    while let Some(pending) = rib.next_pending(newcomer) {
        let mut sink = Heard { room, ..Heard::default() };
        let walked = rib.walk(pending.table, rib.position(pending), Viewer::ANYBODY, dialect, &mut 1000, &mut sink);
        rib.advance(newcomer, pending, &walked);
        assert!(sink.heard.iter().all(|(_, there)| *there), "nothing is removed");
        sent.extend(sink.heard.iter().map(|(route, _)| route.prefix.prefix_len()));
    }
    sent
}

#[test]
fn peers_without_ordered_are_sent_short_prefixes_first() {
    for room in [1, 2, 3, 8] {
        assert_eq!(first_sync(Dialect::Legacy(Echo::None), room), [0, 8, 24, 32, 32, 32, 32, 32], "{room} at a time");
        assert_eq!(first_sync(Dialect::Ordered, room), [32, 32, 32, 24, 32, 0, 8, 32], "{room} at a time");
    }
}

#[test]
fn all_destinations_are_sent_if_more_are_short_than_are_kept() {
    let mut rib = Rib::new(7, NEXT_HOPS_MAX);
    let announcer = rib.add_origin(false, SmallVec::new());
    // In tests, two are kept.
    let prefixes = [16, 24, 8, 0, 12].map(|len| Prefix::new(Ipv4Addr::UNSPECIFIED.into(), len).unwrap());
    let all = prefixes.map(|prefix| Route { prefix, ..route(0, 2, 0) });
    all.iter().for_each(|route| assert!(rib.announce(announcer, route)));
    let mut sent = Heard::default();
    let newcomer = rib.add_subscriber(Viewer::ANYBODY);
    rib.subscribe(newcomer, Vni(0));
    let pending = rib.next_pending(newcomer).unwrap();
    let dialect = Dialect::Legacy(Echo::None);
    rib.walk(pending.table, rib.position(pending), Viewer::ANYBODY, dialect, &mut 1000, &mut sent);
    let lens: Vec<u8> = sent.heard.iter().map(|(route, _)| route.prefix.prefix_len()).collect();
    assert_eq!(lens, [0, 8, 16, 24, 12]);
    // What was kept goes, and what was not stays.
    for route in &all[2..4] {
        assert!(rib.withdraw(announcer, route));
    }
    assert_eq!(rib.len(), 3);
}

std::thread_local! {
    static AGE_MAX: Cell<u32> = const { Cell::new(u32::MAX >> 1) };
}

/// Worlds in which changes are soon so long ago that it is not known how long.
pub(super) fn age_max() -> u32 {
    AGE_MAX.get()
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(op(), 0..60)
}

fn echo() -> impl Strategy<Value = Echo> {
    prop_oneof![Just(Echo::None), Just(Echo::LoadBalancers), Just(Echo::All)]
}

fn ages() -> impl Strategy<Value = u32> {
    prop_oneof![Just(u32::MAX >> 1), 1u32..8]
}

proptest! {
    // What is found is kept above, as operations.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(10_000) })]

    #[test]
    fn each_subscriber_comes_to_have_its_view(ops in ops(), ages in ages(), echo in echo()) {
        AGE_MAX.set(ages);
        let mut world = World::new(false);
        world.echo = echo;
        for op in &ops {
            world.apply(op);
        }
        world.settle();
    }

    #[test]
    fn a_subscriber_that_keeps_up_gets_each_change_once(ops in ops(), echo in echo()) {
        let mut world = World::new(true);
        world.echo = echo;
        for op in &ops {
            if !matches!(op, Op::Pull(..)) {
                world.apply(op);
            }
            world.settle();
        }
    }

    #[test]
    fn a_slow_subscriber_never_sees_a_gap_where_there_was_none(ops in ops(), ages in ages()) {
        AGE_MAX.set(ages);
        let mut world = World::new(false);
        for peer in 0..PEERS {
            world.apply(&Op::Subscribe(peer, 0));
        }
        // Since when, for peer 0 and without a break, there is a next hop.
        let mut held = BTreeMap::new();
        for op in &ops {
            if matches!(op, Op::Leave(0) | Op::Unsubscribe(0, _)) {
                continue;
            }
            if let Op::Pull(0, room) = *op {
                world.pull(0, room, Some(held.clone()));
            } else {
                world.apply(op);
            }
            for dest in 0..DESTS {
                let Route { vni, prefix, .. } = route(0, dest, 0);
                let has = |routes: &BTreeSet<Route>| routes.iter().any(|r| (r.vni, r.prefix) == (vni, prefix));
                let (there, known) = (has(&world.view(0)), has(&world.sent[0]));
                let since = held.entry((vni, prefix)).or_insert(false);
                *since = there && (*since || known);
            }
        }
        world.pull(0, usize::MAX, Some(held));
    }
}
