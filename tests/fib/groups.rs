//! Nexthop groups whose routes change together: one operation instead of one for each route.

use std::collections::BTreeMap;
use std::time::Duration;

use metalbond::fib::{DeviceState, Fib, FibSettings, Op, OpError, OpErrorKind};
use metalbond::{Instant, NextHop, RouteChange, Vni};

/// A FIB whose operations all succeed, and the time.
struct World {
    fib: Fib,
    now: Instant,
}

impl World {
    fn new() -> Self {
        let settings = FibSettings { tables: [(Vni(1), 7)].into(), ..FibSettings::default() };
        let mut fib = Fib::new(settings, DeviceState::Up).unwrap();
        fib.dump_begins(Instant::EPOCH);
        fib.dump_ends(Instant::EPOCH, true);
        fib.release_adopted();
        Self { fib, now: Instant::EPOCH }
    }

    /// Sets the next hops of the `n`th destination: those of the hypervisors with these numbers.
    fn want(&mut self, n: u32, hypervisors: &[u16]) {
        let prefix = format!("10.{}.{}.{}/32", n >> 16, n >> 8 & 255, n & 255).parse().unwrap();
        let hops: Vec<NextHop> = hypervisors
            .iter()
            .map(|hypervisor| NextHop::standard(format!("fd00::{hypervisor:x}").parse().unwrap()))
            .collect();
        self.fib.change(&RouteChange::new(Vni(1), prefix, hops, [], []));
    }

    /// Carries out what is to be done now. Returns how many operations of each kind there were, in words.
    fn work(&mut self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for op in self.operations() {
            let kind = match op {
                Op::AddObject { .. } => "add object",
                Op::AddGroup { .. } => "add group",
                Op::ReplaceGroup { .. } => "replace group",
                Op::RemoveObject { .. } => "remove object",
                Op::AddRoute { .. } => "add route",
                Op::ReplaceRoute { .. } => "replace route",
                Op::RemoveRoute { .. } | Op::RemoveSurplus { .. } => "remove route",
            };
            *counts.entry(kind).or_default() += 1;
        }
        counts
    }

    fn operations(&mut self) -> Vec<Op> {
        let mut ops = Vec::new();
        while let Some(op) = self.fib.poll_op(self.now) {
            ops.push(op);
            self.fib.done(self.now, Ok(()));
        }
        ops
    }

    fn wait(&mut self, ms: u64) {
        self.now = self.now + Duration::from_millis(ms);
    }
}

#[test]
fn when_all_routes_of_a_group_lose_a_next_hop_the_group_is_replaced_and_no_route() {
    let mut world = World::new();
    (0..20_000).for_each(|n| world.want(n, &[1, 2, 3, 4]));
    assert_eq!(world.work(), [("add object", 4), ("add group", 1), ("add route", 20_000)].into());
    (0..20_000).for_each(|n| world.want(n, &[1, 2, 3]));
    assert_eq!(world.work(), [("replace group", 1), ("remove object", 1)].into());
    assert!(world.fib.is_settled());
    // It returns: its object comes first.
    (0..20_000).for_each(|n| world.want(n, &[1, 2, 3, 4]));
    assert_eq!(world.work(), [("add object", 1), ("replace group", 1)].into());
    assert!(world.fib.is_settled());
    assert_eq!((world.fib.stats().installed, world.fib.stats().objects), (20_000, 5));
}

/// The changes arrive in parts, with other work between them.
#[test]
fn routes_wait_for_the_others_of_their_group_as_long_as_more_of_them_come() {
    let mut world = World::new();
    (0..1000).for_each(|n| world.want(n, &[1, 2, 3, 4]));
    world.work();
    for part in 0..50 {
        (part * 20..part * 20 + 20).for_each(|n| world.want(n, &[1, 2, 3]));
        world.want(5000 + part, &[9]);
        let is_last = part == 49;
        let mut done = world.work();
        assert_eq!(done.remove("replace group"), is_last.then_some(1), "part {part}");
        assert_eq!(done.remove("replace route"), None);
        assert_eq!(done.remove("add route"), Some(1));
        world.wait(1);
    }
    assert!(world.fib.is_settled());
}

#[test]
fn routes_that_change_alone_wait_for_two_milliseconds() {
    let mut world = World::new();
    (0..10).for_each(|n| world.want(n, &[1, 2, 3]));
    world.work();
    (0..9).for_each(|n| world.want(n, &[1, 2]));
    assert_eq!(world.work(), BTreeMap::new());
    assert!(!world.fib.is_settled());
    assert_eq!(world.fib.poll_timeout(), Some(world.now + Duration::from_millis(2)));
    world.wait(2);
    assert_eq!(world.work(), [("add group", 1), ("replace route", 9)].into());
    // The last one is the only route of its group, and there is an object for it already.
    world.want(9, &[1, 2]);
    assert_eq!(world.work(), [("replace route", 1), ("remove object", 2)].into());
    assert!(world.fib.is_settled());
}

#[test]
fn a_route_waits_for_a_tenth_of_a_second_at_most() {
    let mut world = World::new();
    (0..1000).for_each(|n| world.want(n, &[1, 2, 3]));
    world.work();
    let begin = world.now;
    for n in 0..999 {
        world.want(n, &[1, 2]);
        if world.work().contains_key("replace route") {
            break;
        }
        world.wait(1);
    }
    assert_eq!(world.now, begin + Duration::from_millis(100));
}

/// Some lose two next hops, and all others one of them.
#[test]
fn when_the_routes_that_differ_have_been_changed_the_group_of_the_others_is_replaced() {
    let mut world = World::new();
    (0..1000).for_each(|n| world.want(n, &[1, 2, 3, 4]));
    world.work();
    (0..1000).for_each(|n| world.want(n, if n % 100 == 0 { &[1, 2] } else { &[1, 2, 3] }));
    assert_eq!(world.work(), BTreeMap::new());
    world.wait(2);
    assert_eq!(
        world.work(),
        [("add group", 1), ("replace route", 10), ("replace group", 1), ("remove object", 1)].into()
    );
    assert!(world.fib.is_settled());
}

#[test]
fn a_group_that_becomes_equal_to_another_one_is_replaced_first_and_the_smaller_ones_routes_are_moved_afterwards() {
    let mut world = World::new();
    (0..1000).for_each(|n| world.want(n, &[1, 2, 3]));
    (1000..1010).for_each(|n| world.want(n, &[1, 2]));
    world.work();
    (0..1000).for_each(|n| world.want(n, &[1, 2]));
    let ops = world.operations();
    assert!(matches!(ops[0], Op::ReplaceGroup { .. }), "{:?}", ops[0]);
    let routes = ops.iter().filter(|op| matches!(op, Op::ReplaceRoute { .. })).count();
    // And the object of the third hypervisor, and the smaller group, are removed.
    assert_eq!((routes, ops.len()), (10, 13));
    assert!(world.fib.is_settled());
}

#[test]
fn a_group_with_one_member_left_serves_its_routes_until_each_leads_to_the_members_object() {
    let mut world = World::new();
    (0..100).for_each(|n| world.want(n, &[1, 2]));
    world.work();
    (0..100).for_each(|n| world.want(n, &[1]));
    let ops = world.operations();
    assert!(matches!(&ops[0], Op::ReplaceGroup { members, .. } if members.len() == 1), "{:?}", ops[0]);
    let routes = ops.iter().filter(|op| matches!(op, Op::ReplaceRoute { .. })).count();
    assert_eq!((routes, ops.len()), (100, 103));
    assert_eq!(world.fib.stats().objects, 1);
    assert!(world.fib.is_settled());
}

#[test]
fn the_routes_of_a_small_group_are_moved_directly_to_an_object_that_is_there() {
    let mut world = World::new();
    (0..63).for_each(|n| world.want(n, &[1, 2]));
    world.work();
    (0..63).for_each(|n| world.want(n, &[1]));
    assert_eq!(world.work(), [("replace route", 63), ("remove object", 2)].into());
    assert!(world.fib.is_settled());
}

/// Before its routes are moved, the second hypervisor returns.
#[test]
fn a_group_with_one_member_left_can_get_more() {
    let mut world = World::new();
    (0..100).for_each(|n| world.want(n, &[1, 2]));
    world.work();
    (0..100).for_each(|n| world.want(n, &[1]));
    assert!(matches!(world.fib.poll_op(world.now), Some(Op::ReplaceGroup { .. })));
    (0..100).for_each(|n| world.want(n, &[1, 2]));
    world.fib.done(world.now, Ok(()));
    assert_eq!(world.work(), [("replace group", 1)].into());
    assert!(world.fib.is_settled());
}

#[test]
fn if_the_kernel_does_not_replace_a_group_each_route_is_changed() {
    let mut world = World::new();
    (0..100).for_each(|n| world.want(n, &[1, 2, 3]));
    world.work();
    let fails_with = |world: &mut World, hypervisors: &[u16], kind| {
        (0..100).for_each(|n| world.want(n, hypervisors));
        assert!(matches!(world.fib.poll_op(world.now), Some(Op::ReplaceGroup { .. })));
        world.fib.done(world.now, Err(OpError { kind, errno: 22, text: None }));
    };
    // It is out of memory: the new group may be refused as well, which is reported and tried again.
    fails_with(&mut world, &[1, 2], OpErrorKind::Busy);
    assert!(matches!(world.fib.poll_op(world.now), Some(Op::AddGroup { .. })));
    world.fib.done(world.now, Err(OpError { kind: OpErrorKind::Busy, errno: 105, text: None }));
    assert_eq!(world.work(), BTreeMap::new());
    assert!(world.fib.poll_report().is_some());
    world.wait(100);
    assert_eq!(world.work(), [("add group", 1), ("replace route", 100), ("remove object", 2)].into());
    // It cannot do that at all: this group is not tried again.
    fails_with(&mut world, &[1], OpErrorKind::Refused);
    assert_eq!(world.work(), [("replace route", 100), ("remove object", 2)].into());
    assert!(world.fib.is_settled());
    (0..100).for_each(|n| world.want(n, &[1, 2, 3]));
    world.work();
    // It is gone: only a dump shows what is there.
    fails_with(&mut world, &[1, 2], OpErrorKind::Missing);
    assert_eq!(world.work(), BTreeMap::new());
    world.wait(1000);
    assert!(world.fib.needs_dump(world.now));
}

/// The first route changes its mind before the second one is looked at, and while the group is being replaced.
#[test]
fn a_route_that_is_to_stay_as_it_was_is_not_taken_along() {
    let mut world = World::new();
    (0..100).for_each(|n| world.want(n, &[1, 2, 3]));
    world.work();
    (0..99).for_each(|n| world.want(n, &[1, 2]));
    assert_eq!(world.work(), BTreeMap::new());
    world.want(99, &[1, 2]);
    world.want(0, &[1, 2, 3]);
    assert_eq!(world.work(), BTreeMap::new());
    world.wait(2);
    assert_eq!(world.work(), [("add group", 1), ("replace route", 99)].into());
    assert!(world.fib.is_settled());

    (1..100).for_each(|n| world.want(n, &[1]));
    assert!(matches!(world.fib.poll_op(world.now), Some(Op::ReplaceGroup { .. })));
    world.want(1, &[1, 2]);
    assert_eq!(world.fib.poll_op(world.now), None);
    world.fib.done(world.now, Ok(()));
    // The other routes are moved to the hypervisor's object. Then this one is the only route of the group, which gets its next hops back.
    assert_eq!(world.work(), [("replace route", 98), ("replace group", 1)].into());
    assert!(world.fib.is_settled());
}
