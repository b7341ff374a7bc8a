//! A FIB without a kernel: single events, and what it does and reports.

use std::time::Duration;

use metalbond::fib::{
    DeviceState, Fib, FibSettings, FibStats, Found, FoundObject, Notice, Op, OpError, OpErrorKind, Rival, RouteTarget,
    SurplusRoute,
};
use metalbond::{Instant, NextHop, RouteChange, Vni};

/// A FIB without a kernel: its operations on routes, and its reports.
fn operations(fib: &mut Fib) -> (Vec<String>, Vec<String>) {
    let mut ops = Vec::new();
    while let Some(op) = fib.poll_op(Instant::EPOCH) {
        if matches!(op, Op::AddRoute { .. } | Op::ReplaceRoute { .. } | Op::RemoveRoute { .. }) {
            ops.push(op.to_string());
        }
        fib.done(Instant::EPOCH, Ok(()));
    }
    ops.sort();
    (ops, std::iter::from_fn(|| fib.poll_report()).map(|report| report.to_string()).collect())
}

fn fib_of_table(table: u32) -> Fib {
    let settings = FibSettings { tables: [(Vni(1), table)].into(), ..FibSettings::default() };
    let mut fib = Fib::new(settings, DeviceState::Up).unwrap();
    fib.dump_begins(Instant::EPOCH);
    fib.dump_ends(Instant::EPOCH, true);
    fib.release_adopted();
    fib
}

fn want(fib: &mut Fib, prefix: &str, hops: &[&str]) {
    let hops: Vec<NextHop> = hops.iter().map(|hop| NextHop::standard(hop.parse().unwrap())).collect();
    fib.change(&RouteChange::new(Vni(1), prefix.parse().unwrap(), hops, [], []));
}

#[test]
fn destinations_that_no_virtual_machine_can_have_are_not_installed() {
    let mut fib = fib_of_table(7);
    for prefix in
        ["127.0.0.0/8", "127.1.0.0/16", "224.0.0.0/4", "255.255.255.255/32", "::1/128", "fe80::/64", "ff02::1/128"]
    {
        want(&mut fib, prefix, &["fd00::1"]);
        want(&mut fib, prefix, &["fd00::1", "fd00::2"]);
        let said = vec![format!("{prefix} is not installed: no virtual machine can have an address of it")];
        assert_eq!(operations(&mut fib), (vec![], said));
        want(&mut fib, prefix, &[]);
    }
    assert_eq!(fib.stats().wanted, 0);
    for prefix in ["126.0.0.0/7", "0.0.0.0/0", "240.0.0.0/4", "::/0", "::/127", "fe00::/8"] {
        want(&mut fib, prefix, &["fd00::1"]);
        assert_eq!(operations(&mut fib), (vec![format!("add {prefix} in table 7")], vec![]));
    }
}

#[test]
fn a_next_hop_of_this_machine_is_left_out_until_another_machine_has_its_address() {
    let mut fib = fib_of_table(7);
    let local = |prefix: &str| Notice::LocalAdded { prefix: prefix.parse().unwrap() };
    fib.notice(Instant::EPOCH, local("fd00::1/128"));
    fib.notice(Instant::EPOCH, local("fd01::/64"));
    want(&mut fib, "10.0.0.0/24", &["fd00::1"]);
    want(&mut fib, "10.0.1.0/24", &["fd01::7", "fd00::2"]);
    let (ops, said) = operations(&mut fib);
    assert_eq!(ops, ["add 10.0.1.0/24 in table 7"]);
    let says = |hop| format!("next hop {hop} is not installed: it is an address of this machine");
    assert_eq!(said, [says("fd00::1"), says("fd01::7")]);
    assert_eq!((fib.stats().wanted, fib.stats().installed), (1, 1));
    // The next dump finds one of them, and another one.
    let now = Instant::EPOCH + Duration::from_secs(1);
    fib.notice(now, Notice::Anything);
    fib.dump_begins(now);
    fib.found(Found::Local { prefix: "fd00::2/128".parse().unwrap() });
    fib.found(Found::Local { prefix: "fd01::/64".parse().unwrap() });
    fib.found(Found::Route { table: 7, prefix: "10.0.1.0/24".parse().unwrap(), target: None });
    fib.dump_ends(now, true);
    let (ops, _) = operations(&mut fib);
    assert_eq!(ops, ["add 10.0.0.0/24 in table 7", "remove 10.0.1.0/24 from table 7"]);
    assert_eq!((fib.stats().wanted, fib.stats().installed), (1, 1));
}

#[test]
fn in_the_tables_of_the_underlay_nothing_covers_everything_or_a_server_or_a_next_hop() {
    for table in [253, 254, 255, 252] {
        let mut fib = fib_of_table(table);
        let is_guarded = table != 252;
        assert_eq!(fib.needs_servers(), is_guarded);
        fib.set_servers(["fd00:1::1".parse().unwrap(), "::ffff:192.0.2.1".parse().unwrap()]);
        let why = [
            ("0.0.0.0/0", "it covers everything"),
            ("::/0", "it covers everything"),
            ("192.0.2.0/24", "it covers the server 192.0.2.1"),
            ("fd00:1::/64", "it covers the server fd00:1::1"),
            ("fd00:2::/64", "it covers the next hop fd00:2::1"),
            ("fd00:2::1/128", "it covers the next hop fd00:2::1"),
        ];
        for (prefix, why) in why {
            want(&mut fib, prefix, &["fd00:2::1"]);
            let (ops, said) = operations(&mut fib);
            assert_eq!((ops.len(), said.len()), (usize::from(!is_guarded), usize::from(is_guarded)), "{prefix}");
            assert!(said.iter().all(|said| said.starts_with(prefix) && said.ends_with(why)), "{said:?}");
        }
        if !is_guarded {
            continue;
        }
        assert_eq!((fib.stats().wanted, fib.stats().installed), (0, 0));
        let (add, remove) =
            (|p: &str| format!("add {p} in table {table}"), |p: &str| format!("remove {p} from table {table}"));
        want(&mut fib, "fd00:3::/64", &["fd00:2::1"]);
        want(&mut fib, "198.51.100.0/24", &["fd00:2::1"]);
        assert_eq!(operations(&mut fib).0, [add("198.51.100.0/24"), add("fd00:3::/64")]);
        // Servers and next hops that come, and go.
        want(&mut fib, "10.0.0.0/8", &["fd00:3::1"]);
        fib.set_servers(["198.51.100.7".parse().unwrap()]);
        let ops = operations(&mut fib).0;
        let mut expected = ["fd00:3::/64", "198.51.100.0/24"].map(remove).to_vec();
        expected.extend(["10.0.0.0/8", "192.0.2.0/24", "fd00:1::/64"].map(add));
        expected.sort();
        assert_eq!(ops, expected);
        want(&mut fib, "10.0.0.0/8", &[]);
        let ops = operations(&mut fib).0;
        assert_eq!(ops, [add("fd00:3::/64"), remove("10.0.0.0/8")]);
    }
}

/// Carries out the next operation, which has to be this one.
fn next(fib: &mut Fib, now: Instant, expected: &str, result: Result<(), OpErrorKind>) {
    assert_eq!(fib.poll_op(now).map(|op| op.to_string()).as_deref(), Some(expected));
    fib.done(now, result.map_err(|kind| OpError { kind, errno: 22, text: Some("no".into()) }));
}

fn reports(fib: &mut Fib) -> Vec<String> {
    std::iter::from_fn(|| fib.poll_report()).map(|report| report.to_string()).collect()
}

#[test]
fn an_operation_that_fails_is_reported_once_and_tried_again_ever_more_rarely_until_it_succeeds() {
    let mut fib = fib_of_table(7);
    want(&mut fib, "10.0.0.0/24", &["fd00::1"]);
    // Each try has another id.
    let object = |n| format!("add nexthop object {} to fd00::1", 2_000_000_000 + n);
    let route = |_| "add 10.0.0.0/24 in table 7".to_owned();
    let ops: [(&dyn Fn(u32) -> String, _); 2] = [(&object, (0, 0)), (&route, (0, 1))];
    let mut now = Instant::EPOCH;
    for (op, stats) in ops {
        let mut wait = Duration::from_millis(100);
        for n in 0..4 {
            next(&mut fib, now, &op(n), Err(OpErrorKind::Refused));
            let said = format!("{}: refused by the kernel (errno 22): no", op(0));
            assert_eq!(reports(&mut fib), (n == 0).then(|| format!("{said}; trying again in 100ms")).as_slice());
            let FibStats { failing, trouble, installed, objects, .. } = fib.stats();
            assert_eq!((failing, trouble, (installed, objects)), (1, Some(said), stats));
            // Not before it is time, and a dump is no reason.
            assert_eq!((fib.poll_op(now), fib.poll_timeout(), fib.needs_dump(now)), (None, Some(now + wait), false));
            now = now + wait;
            wait *= 2;
        }
        next(&mut fib, now, &op(4), Ok(()));
    }
    let FibStats { failing, trouble, installed, objects, .. } = fib.stats();
    assert_eq!((failing, trouble, (installed, objects)), (0, None, (1, 1)));
    // The next failure is a new one.
    want(&mut fib, "10.0.0.0/24", &[]);
    next(&mut fib, now, "remove 10.0.0.0/24 from table 7", Err(OpErrorKind::Busy));
    assert_eq!(reports(&mut fib).len(), 1);
}

#[test]
fn an_object_that_nothing_waits_for_any_more_is_not_added() {
    let mut fib = fib_of_table(7);
    want(&mut fib, "10.0.0.0/24", &["fd00::1"]);
    next(&mut fib, Instant::EPOCH, "add nexthop object 2000000000 to fd00::1", Err(OpErrorKind::Busy));
    want(&mut fib, "10.0.0.0/24", &["fd00::2"]);
    next(&mut fib, Instant::EPOCH, "add nexthop object 2000000001 to fd00::2", Ok(()));
    next(&mut fib, Instant::EPOCH, "add 10.0.0.0/24 in table 7", Ok(()));
    assert_eq!(fib.poll_op(Instant::EPOCH + Duration::from_secs(60)), None);
}

#[test]
fn a_conflict_of_two_vnis_is_reported_once_and_again_when_it_is_over() {
    let settings = FibSettings { tables: [(Vni(1), 7), (Vni(2), 7)].into(), ..FibSettings::default() };
    let mut fib = Fib::new(settings, DeviceState::Up).unwrap();
    fib.dump_begins(Instant::EPOCH);
    fib.dump_ends(Instant::EPOCH, true);
    fib.release_adopted();
    let mut change = |vni, hops: &[&str]| {
        let hops: Vec<NextHop> = hops.iter().map(|hop| NextHop::standard(hop.parse().unwrap())).collect();
        fib.change(&RouteChange::new(Vni(vni), "10.0.0.0/24".parse().unwrap(), hops, [], []));
        operations(&mut fib).1
    };
    assert_eq!(change(1, &["fd00::1"]), [""; 0]);
    let said = "10.0.0.0/24 of VNI 2 in table 7 is not installed: VNI 1 has the same destination in this table, and the lower VNI counts";
    assert_eq!(change(2, &["fd00::2"]), [said]);
    assert_eq!(change(2, &["fd00::3"]), [""; 0]);
    assert_eq!(change(1, &["fd00::4"]), [""; 0]);
    assert_eq!(change(1, &[]), ["10.0.0.0/24 in table 7 is installed for VNI 2 now: no lower VNI has it any more"]);
}

#[test]
fn a_state_of_the_device_is_reported_once_also_at_the_start_and_nothing_is_installed_before_it_is_up() {
    let settings = || FibSettings { tables: [(Vni(1), 7)].into(), ..FibSettings::default() };
    let states = [
        (DeviceState::Missing, "the tunnel device does not exist"),
        (DeviceState::Down, "the tunnel device is down"),
        (DeviceState::NoCarrier, "the tunnel device has no carrier"),
        (DeviceState::SmallMtu(1279), "the tunnel device has an MTU of 1279, and IPv6 needs at least 1280"),
        (DeviceState::Ipv6Disabled, "IPv6 is disabled on the tunnel device (sysctl disable_ipv6)"),
    ];
    for (state, why) in states {
        let mut fib = Fib::new(settings(), state).unwrap();
        let said = format!("{why}: no route is installed until that changes");
        let dump = |fib: &mut Fib| {
            fib.dump_begins(Instant::EPOCH);
            fib.dump_ends(Instant::EPOCH, true);
        };
        dump(&mut fib);
        want(&mut fib, "10.0.0.0/24", &["fd00::1"]);
        assert_eq!(operations(&mut fib), (vec![], vec![said.clone()]));
        assert_eq!(fib.stats().trouble.as_deref(), Some(why));
        fib.notice(Instant::EPOCH, Notice::Device(state));
        assert_eq!(reports(&mut fib), [""; 0]);
        let later = Instant::EPOCH + Duration::from_secs(1);
        fib.notice(later, Notice::Device(DeviceState::Up));
        assert!(fib.needs_dump(later));
        dump(&mut fib);
        let (ops, up) = operations(&mut fib);
        assert_eq!((ops.len(), up, fib.stats().trouble), (1, vec!["the tunnel device is up".to_owned()], None));
        fib.notice(later, Notice::Device(state));
        assert_eq!(reports(&mut fib), [said]);
    }
}

#[test]
fn next_hops_beyond_the_most_of_a_route_are_counted_and_the_first_in_the_order_of_preference_is_named() {
    let prefer = vec!["fd00:1::/64".parse().unwrap()];
    let settings = FibSettings { tables: [(Vni(1), 7)].into(), prefer, ..FibSettings::default() };
    let mut fib = Fib::new(settings, DeviceState::Up).unwrap();
    fib.dump_begins(Instant::EPOCH);
    fib.dump_ends(Instant::EPOCH, true);
    fib.release_adopted();
    let hops = |count: usize| (0..count).map(|n| format!("fd00:{}::{n:x}", u8::from(n >= 100))).collect::<Vec<_>>();
    let mut want_many = |count: usize| {
        let hops = hops(count);
        want(&mut fib, "10.0.0.0/24", &hops.iter().map(String::as_str).collect::<Vec<_>>());
        let said = operations(&mut fib).1;
        (said, fib.stats().too_many_next_hops)
    };
    assert_eq!(want_many(256), (vec![], 0));
    // 100 are not preferred, so the last of these is left out.
    let said = "10.0.0.0/24 in table 7 has 257 next hops: 1 of them, fd00::63 and those after it, are not installed";
    assert_eq!(want_many(257), (vec![said.to_owned()], 1));
    assert_eq!(want_many(300), (vec![], 1));
    assert_eq!(want_many(256), (vec![], 0));
}

#[test]
fn routes_that_go_with_the_device_are_not_said_to_be_removed_by_another_program() {
    let later = Instant::EPOCH + Duration::from_secs(1);
    for (states, removed) in [(&[][..], 1), (&[DeviceState::Down, DeviceState::Up], 0)] {
        let mut fib = fib_of_table(7);
        want(&mut fib, "10.0.0.0/24", &["fd00::1"]);
        operations(&mut fib);
        states.iter().for_each(|state| fib.notice(later, Notice::Device(*state)));
        fib.notice(later, Notice::Anything);
        fib.dump_begins(later);
        fib.dump_ends(later, true);
        let said = "10.0.0.0/24 in table 7 was removed by another program; it is installed again";
        assert_eq!(reports(&mut fib).iter().filter(|report| *report == said).count(), removed);
        assert_eq!(fib.stats().removed, removed as u64);
    }
}

#[test]
fn what_is_missing_is_removed_but_not_installed() {
    let mut fib = fib_of_table(7);
    let now = Instant::EPOCH;
    want(&mut fib, "10.0.0.0/24", &["fd00::1"]);
    next(&mut fib, now, "add nexthop object 2000000000 to fd00::1", Ok(()));
    // The object of the route has gone: only a dump shows what is there.
    next(&mut fib, now, "add 10.0.0.0/24 in table 7", Err(OpErrorKind::Missing));
    assert_eq!((fib.stats().installed, fib.poll_op(now)), (0, None));
    let later = now + Duration::from_secs(1);
    assert!(fib.needs_dump(later));
    fib.dump_begins(later);
    fib.dump_ends(later, true);
    next(&mut fib, later, "add nexthop object 2000000001 to fd00::1", Ok(()));
    next(&mut fib, later, "add 10.0.0.0/24 in table 7", Ok(()));
    assert_eq!(fib.stats().installed, 1);
    want(&mut fib, "10.0.0.0/24", &[]);
    next(&mut fib, later, "remove 10.0.0.0/24 from table 7", Err(OpErrorKind::Missing));
    next(&mut fib, later, "remove nexthop object 2000000001", Err(OpErrorKind::Missing));
    assert_eq!((fib.stats().installed, fib.stats().objects, fib.poll_op(later)), (0, 0, None));
    assert_eq!(reports(&mut fib), [""; 0]);
}

#[test]
fn a_surplus_route_counts_as_installed_and_a_conflict_is_no_failure() {
    let settings = FibSettings { tables: [(Vni(1), 7)].into(), ..FibSettings::default() };
    let mut fib = Fib::new(settings, DeviceState::Up).unwrap();
    fib.dump_begins(Instant::EPOCH);
    let prefix = "10.0.0.0/24".parse().unwrap();
    let route = SurplusRoute::new([1]);
    fib.found(Found::Surplus { table: 7, prefix, target: None, is_in_place: false, route });
    fib.dump_ends(Instant::EPOCH, true);
    assert_eq!(fib.stats().installed, 1);
    want(&mut fib, "10.1.0.0/24", &["fd00::1"]);
    next(&mut fib, Instant::EPOCH, "add nexthop object 2000000000 to fd00::1", Ok(()));
    next(&mut fib, Instant::EPOCH, "add 10.1.0.0/24 in table 7", Err(OpErrorKind::Exists));
    let FibStats { installed, conflicts, failing, trouble, .. } = fib.stats();
    assert_eq!((installed, conflicts, failing, trouble), (1, 1, 0, None));
}

#[test]
fn an_object_that_could_not_be_removed_is_used_again() {
    let mut fib = fib_of_table(7);
    let now = Instant::EPOCH;
    want(&mut fib, "10.0.0.0/24", &["fd00::1"]);
    operations(&mut fib);
    want(&mut fib, "10.0.0.0/24", &[]);
    next(&mut fib, now, "remove 10.0.0.0/24 from table 7", Ok(()));
    next(&mut fib, now, "remove nexthop object 2000000000", Err(OpErrorKind::Busy));
    want(&mut fib, "10.1.0.0/24", &["fd00::1"]);
    next(&mut fib, now, "add 10.1.0.0/24 in table 7", Ok(()));
    assert_eq!(fib.poll_op(now + Duration::from_secs(60)), None);
}

#[test]
fn an_object_that_a_dump_finds_is_used_by_what_waited_for_such_a_one() {
    let mut fib = fib_of_table(7);
    let now = Instant::EPOCH;
    want(&mut fib, "10.0.0.0/24", &["fd00::1"]);
    next(&mut fib, now, "add nexthop object 2000000000 to fd00::1", Err(OpErrorKind::Busy));
    let later = now + Duration::from_secs(1);
    fib.notice(later, Notice::Anything);
    fib.dump_begins(later);
    fib.found(Found::Object { id: 2_000_000_007, what: FoundObject::Nexthop("fd00::1".parse().unwrap()) });
    fib.dump_ends(later, true);
    let op =
        Op::AddRoute { table: 7, prefix: "10.0.0.0/24".parse().unwrap(), target: RouteTarget::Object(2_000_000_007) };
    assert_eq!(fib.poll_op(later), Some(op));
    fib.done(later, Ok(()));
    assert_eq!((fib.poll_op(later), fib.stats().objects), (None, 1));
}

/// Each dump takes a second, and in each something changes again.
#[test]
fn while_other_programs_change_things_without_end_destinations_that_these_do_not_concern_are_changed() {
    let mut fib = fib_of_table(7);
    want(&mut fib, "10.0.0.0/24", &["fd00::1"]);
    want(&mut fib, "10.0.1.0/24", &["fd00::1"]);
    let (table, removed) = (7, "10.0.0.0/24".parse().unwrap());
    let mut now = Instant::EPOCH + Duration::from_secs(1);
    let work = |fib: &mut Fib, now| {
        let mut ops = Vec::new();
        while let Some(op) = fib.poll_op(now) {
            ops.push(op.to_string());
            fib.done(now, Ok(()));
        }
        ops
    };
    work(&mut fib, now);
    let rival = Rival { is_in_place: false, metric: 1, tos: 0, source_len: 0 };
    let foreign = "10.0.1.0/24".parse().unwrap();
    fib.notice(now, Notice::ForeignAdded { table, prefix: foreign, rival, is_replacement: false });
    work(&mut fib, now);
    for n in 1..20 {
        let notices = [Notice::RouteRemoved { table, prefix: removed }, Notice::ForeignGone, Notice::LocalGone];
        notices.into_iter().for_each(|notice| fib.notice(now, notice));
        let destination = format!("10.1.{n}.0/24");
        want(&mut fib, &destination, &["fd00::1"]);
        // Of the route that may be gone, nothing is known until the next dump.
        want(&mut fib, "10.0.0.0/24", if n % 2 == 0 { &["fd00::1"] } else { &[] });
        assert_eq!(work(&mut fib, now), [format!("add {destination} in table 7")]);
        now = fib.poll_timeout().unwrap().max(now);
        assert!(fib.needs_dump(now));
        fib.dump_begins(now);
        let object =
            Found::Object { id: *fib.settings().ids.start(), what: FoundObject::Nexthop("fd00::1".parse().unwrap()) };
        fib.found(object);
        let target = || Some(RouteTarget::Object(*fib.settings().ids.start()));
        let routes = (1..=n).map(|n| format!("10.1.{n}.0/24")).chain(["10.0.0.0/24", "10.0.1.0/24"].map(str::to_owned));
        let routes: Vec<Found> =
            routes.map(|prefix| Found::Route { table, prefix: prefix.parse().unwrap(), target: target() }).collect();
        routes.into_iter().for_each(|route| fib.found(route));
        fib.found(Found::Foreign { table, prefix: foreign, rival });
        notices.into_iter().for_each(|notice| fib.notice(now, notice));
        now = now + Duration::from_secs(1);
        fib.dump_ends(now, true);
    }
}
