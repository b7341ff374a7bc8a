//! The work of each call, in units: values moved, hashed or visited, with the sizes of a release. No call may do more than a few
//! thousand, whatever the tables have come to be.

use core::net::Ipv6Addr;

use super::*;
use crate::pieces;

/// The most units of one call.
const UNITS_MAX: usize = 8192;
/// The budget of a slice.
const SLICE: usize = 4096;
/// Destinations of the large table.
const ROUTES: u32 = 2_000_000;

/// Calls, and the most units that one of them did.
#[derive(Default)]
struct Watch {
    calls: usize,
    most: usize,
}

impl Watch {
    fn call<T>(&mut self, what: &str, call: impl FnOnce() -> T) -> T {
        pieces::take_work();
        let result = call();
        let units = pieces::take_work();
        assert!(units <= UNITS_MAX, "call {}, {what}: {units} units", self.calls);
        self.calls += 1;
        self.most = self.most.max(units);
        result
    }

    /// Wakes all cursors, and does all work that is left.
    fn settle(&mut self, rib: &mut Rib) -> usize {
        let mut woken = 0;
        while rib.is_dirty() {
            self.call("wake", || rib.wake(0, &mut SLICE.clone(), |_| woken += 1));
        }
        while rib.needs_maintenance() {
            let slow = self.call("maintain", || rib.maintain(&mut SLICE.clone()));
            assert!(slow.is_empty());
        }
        woken
    }
}

fn route_of(n: u32) -> Route {
    // Not in the order of their addresses.
    let addr = |n: u32| IpAddr::V6(Ipv6Addr::from(u128::from(n.wrapping_mul(0x9e37_79b1))));
    Route { vni: Vni(1), prefix: Prefix::from(addr(n)), next_hop: NextHop::standard(addr(n % 1000)) }
}

/// Walks all that the subscriber has to walk, 1000 entries at a time.
fn catch_up(watch: &mut Watch, rib: &mut Rib, subscriber: SubscriberId) -> usize {
    let mut sent = 0;
    while let Some(pending) = rib.next_pending(subscriber) {
        let mut heard = Heard::default();
        let (position, viewer) = (rib.position(pending), rib.viewer(subscriber));
        let walked = rib.walk(pending.table, position, viewer, Dialect::Ordered, &mut 1000, &mut heard);
        sent += heard.heard.len();
        watch.call("advance", || rib.advance(subscriber, pending, &walked));
    }
    sent
}

#[test]
fn a_large_table_grows_and_is_compacted_and_emptied_without_a_long_call() {
    pieces::use_real_sizes();
    let (mut rib, mut watch) = (Rib::new(7, usize::MAX), Watch::default());
    let origin = rib.add_origin(false, SmallVec::new());
    let subscriber = rib.add_subscriber(Viewer::Client(99));
    for n in 0..ROUTES {
        watch.call("announce", || rib.announce(origin, &route_of(n)));
    }
    watch.call("subscribe", || rib.subscribe(subscriber, Vni(1)));
    assert_eq!(catch_up(&mut watch, &mut rib, subscriber), ROUTES as usize);
    watch.settle(&mut rib);

    // One of sixteen stays, so that the table is compacted. The subscriber learns of it at the end, and all tombstones go.
    for n in (0..ROUTES).filter(|n| n % 16 != 0) {
        watch.call("withdraw", || rib.withdraw(origin, &route_of(n)));
    }
    assert_eq!(rib.tombstones, (ROUTES - ROUTES / 16) as usize);
    watch.call("wake", || rib.wake(0, &mut SLICE.clone(), |_| {}));
    assert_eq!(catch_up(&mut watch, &mut rib, subscriber), (ROUTES - ROUTES / 16) as usize);
    watch.settle(&mut rib);
    assert_eq!((rib.tombstones, rib.len()), (0, ROUTES as usize / 16));
    rib.tables.iter().for_each(|(_, table)| assert!(table.hops().places() < ROUTES / 8, "it is compacted"));

    watch.call("mark_stale", || rib.mark_stale(origin));
    while !watch.call("sweep", || rib.sweep(origin, &mut 256)) {}
    watch.settle(&mut rib);
    catch_up(&mut watch, &mut rib, subscriber);
    watch.settle(&mut rib);
    watch.call("remove_subscriber", || rib.remove_subscriber(subscriber));
    watch.settle(&mut rib);
    watch.call("release_origin", || rib.release_origin(origin));
    assert!(rib.by_vni.is_empty());
}

#[test]
fn a_subscriber_with_many_vnis_leaves_without_a_long_call() {
    const VNIS: u32 = 16_384;
    pieces::use_real_sizes();
    let (mut rib, mut watch) = (Rib::new(7, usize::MAX), Watch::default());
    let origin = rib.add_origin(false, SmallVec::new());
    let subscriber = rib.add_subscriber(Viewer::Client(99));
    for vni in 0..VNIS {
        watch.call("subscribe", || rib.subscribe(subscriber, Vni(vni)));
        watch.call("announce", || rib.announce(origin, &Route { vni: Vni(vni), ..route_of(vni) }));
    }
    assert_eq!(watch.settle(&mut rib), VNIS as usize);
    watch.call("remove_subscriber", || rib.remove_subscriber(subscriber));
    assert_eq!(rib.subscriptions(), 0, "at once");
    assert!(rib.needs_maintenance());
    for vni in 0..VNIS {
        watch.call("withdraw", || rib.withdraw(origin, &Route { vni: Vni(vni), ..route_of(vni) }));
    }
    assert_eq!(watch.settle(&mut rib), 0, "it is not woken any more");
    assert!(rib.by_vni.is_empty() && rib.subscribers.len() == 0);
}

#[test]
fn many_subscribers_of_a_table_are_woken_once_each_without_a_long_call() {
    const SUBSCRIBERS: usize = 65_536;
    pieces::use_real_sizes();
    let (mut rib, mut watch) = (Rib::new(7, usize::MAX), Watch::default());
    let origin = rib.add_origin(false, SmallVec::new());
    let mut subscribers = Vec::new();
    for n in 0..SUBSCRIBERS as u64 {
        let subscriber = rib.add_subscriber(Viewer::Client(1000 + n));
        watch.call("subscribe", || rib.subscribe(subscriber, Vni(1)));
        subscribers.push(subscriber);
    }
    // Those that were woken go to sleep again at once, and are not woken again for the same change.
    rib.announce(origin, &route_of(0));
    let mut woken = BTreeSet::new();
    while rib.is_dirty() {
        let mut ready = Vec::new();
        watch.call("wake", || rib.wake(0, &mut SLICE.clone(), |id| ready.push(id)));
        for id in ready {
            assert!(woken.insert(id), "once");
            assert_eq!(catch_up(&mut watch, &mut rib, id), 1);
        }
    }
    assert_eq!(woken.len(), SUBSCRIBERS);

    // Changes come faster than all can be woken: each is woken all the same.
    let mut woken = BTreeSet::new();
    for n in 1..100 {
        rib.announce(origin, &route_of(n));
        let mut ready = Vec::new();
        watch.call("wake", || rib.wake(0, &mut SLICE.clone(), |id| ready.push(id)));
        for id in ready {
            woken.insert(id);
            catch_up(&mut watch, &mut rib, id);
        }
    }
    assert!(woken.len() > SUBSCRIBERS / 2, "{}", woken.len());
    // Tombstones whose last reader has to be looked for among all of them.
    for n in 0..100 {
        watch.call("withdraw", || rib.withdraw(origin, &route_of(n)));
    }
    watch.settle(&mut rib);
    for id in subscribers {
        catch_up(&mut watch, &mut rib, id);
        watch.call("remove_subscriber", || rib.remove_subscriber(id));
    }
    watch.settle(&mut rib);
    assert!(rib.by_vni.is_empty());
}

#[test]
fn all_that_a_peer_announces_in_a_vni_is_taken_without_a_long_call() {
    pieces::use_real_sizes();
    let (mut rib, mut watch) = (Rib::new(7, usize::MAX), Watch::default());
    let origin = rib.add_origin(false, SmallVec::new());
    rib.keep_by_table(origin);
    for n in 0..200_000 {
        rib.announce(origin, &route_of(n));
    }
    assert!(watch.call("take_table", || rib.take_table(origin, Vni(1))));
    assert!(!rib.take_table(origin, Vni(1)), "it is taken already");
    // Announced again meanwhile: that one stays.
    rib.announce(origin, &route_of(7));
    while !watch.call("withdraw_taken", || rib.withdraw_taken(origin, &mut 256)) {
        watch.settle(&mut rib);
    }
    assert_eq!(rib.announced_by(origin).collect::<Vec<_>>(), [route_of(7)]);
}
