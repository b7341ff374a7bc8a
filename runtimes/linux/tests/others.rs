//! Tests of notices: changes by other programs are reported, and the package's own are not.

use metalbond::fib::DeviceState;
use metalbond::fib::Notice::{self, Anything, Device};
use metalbond::fib::{Nexthops, Op, Rival, RouteTarget};

use crate::look::*;
use crate::netns::{self, *};

const IPV4: &str = "10.1.2.0/24";
const IPV6: &str = "fd10::/64";

fn added(destination: &str) -> Notice {
    Notice::RouteAdded { table: TABLE, prefix: prefix(destination) }
}

fn removed(destination: &str) -> Notice {
    Notice::RouteRemoved { table: TABLE, prefix: prefix(destination) }
}

fn rival(metric: u32) -> Rival {
    Rival { is_in_place: metric == METRIC, metric, tos: 0, source_len: 0 }
}

fn foreign_added(destination: &str, metric: u32, is_replacement: bool) -> Notice {
    Notice::ForeignAdded { table: TABLE, prefix: prefix(destination), rival: rival(metric), is_replacement }
}

fn foreign_removed(destination: &str, metric: u32) -> Notice {
    Notice::ForeignRemoved { table: TABLE, prefix: prefix(destination), rival: rival(metric) }
}

#[test]
fn own_changes_are_not_reported() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        execute(&mut kernel, &[object(1), object(2)]);
        for destination in [IPV4, IPV6] {
            execute(&mut kernel, &[add(destination, to_object(1)), replace(destination, to_object(2))]);
            execute(&mut kernel, &[remove(destination)]);
        }
        execute(&mut kernel, &[Op::RemoveObject { id: id(1) }]);
        namespace.ip("route add 10.9.0.0/16 dev t1 table 1000");
        assert_eq!(notices(&mut kernel), [foreign_added("10.9.0.0/16", 0, false)]);
    });
}

#[test]
fn own_routes_that_others_remove_or_replace_are_reported() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        execute(&mut kernel, &[object(1), add(IPV4, to_object(1)), add(IPV6, to_object(1))]);
        namespace.ip(&format!("route del {IPV4} table 1000"));
        namespace.ip(&format!("-6 route del {IPV6} table 1000"));
        assert_eq!(notices(&mut kernel), [removed(IPV4), removed(IPV6)]);
        execute(&mut kernel, &[add(IPV4, to_object(1)), add(IPV6, to_object(1))]);
        namespace.ip(&format!("route replace {IPV4} dev t1 table 1000 metric 2048"));
        namespace.ip(&format!("-6 route replace {IPV6} dev t1 table 1000 metric 2048"));
        let replaced = [foreign_added(IPV4, METRIC, true), foreign_added(IPV6, METRIC, true)];
        assert_eq!(notices(&mut kernel), replaced);
        namespace.ip("route flush table 1000");
        namespace.ip("-6 route flush table 1000");
        assert_eq!(notices(&mut kernel), [foreign_removed(IPV4, METRIC), foreign_removed(IPV6, METRIC)]);
    });
}

#[test]
fn routes_of_others_are_reported_if_the_kernel_prefers_them() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        for (family, destination, metric) in [("-4", IPV4, 0), ("-6", IPV6, 1024)] {
            let change = |what: &str, route: &str| {
                namespace.ip(&format!("{family} route {what} {destination} table 1000 {route}"));
            };
            change("add", "dev t1");
            change("add", "dev t1 metric 9000");
            change("add", "dev t1 metric 2048");
            change("append", "dev t0 metric 2048");
            let expected = [metric, METRIC, METRIC].map(|metric| foreign_added(destination, metric, false));
            assert_eq!(notices(&mut kernel), expected);
            change("del", "dev t0 metric 2048");
            change("del", "dev t1 metric 9000");
            assert_eq!(notices(&mut kernel), [foreign_removed(destination, METRIC)]);
        }
        namespace.ip("route add 10.3.0.0/16 dev t1 table 1000 metric 9000 tos 0x10");
        namespace.ip("-6 route add fd13::/64 from fd99::/48 dev t1 table 1000 metric 9000");
        let special = |destination, tos, source_len| {
            let rival = Rival { is_in_place: false, metric: 9000, tos, source_len };
            Notice::ForeignAdded { table: TABLE, prefix: prefix(destination), rival, is_replacement: false }
        };
        assert_eq!(notices(&mut kernel), [special("10.3.0.0/16", 16, 0), special("fd13::/64", 0, 48)]);
    });
}

#[test]
fn routes_of_this_protocol_are_reported_with_any_metric() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        for metric in [7, 9000] {
            namespace.ip(&format!("-6 route add {IPV6} dev t1 table 1000 proto 254 metric {metric}"));
            namespace.ip(&format!("-6 route del {IPV6} dev t1 table 1000 proto 254 metric {metric}"));
            assert_eq!(notices(&mut kernel), [added(IPV6), removed(IPV6)]);
        }
    });
}

#[test]
fn other_tables_and_other_objects_are_not_reported() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        namespace.ip("route add 10.0.0.0/8 dev t1 table 1001");
        namespace.ip("route del 10.0.0.0/8 dev t1 table 1001");
        namespace.ip("nexthop add id 7 dev t1");
        namespace.ip("nexthop del id 7");
        assert_eq!(notices(&mut kernel), []);
    });
}

#[test]
fn addresses_of_this_machine_that_come_and_go_are_reported() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        namespace.ip("-6 address add fd99::1/128 dev lo nodad");
        let added = Notice::LocalAdded { prefix: prefix("fd99::1/128") };
        assert_eq!(notices(&mut kernel), [added]);
        namespace.ip("-6 address del fd99::1/128 dev lo");
        assert_eq!(notices(&mut kernel), [Notice::LocalGone]);
    });
}

#[test]
fn changes_of_own_objects_by_others_are_reported_as_anything_once() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        execute(&mut kernel, &[object(1), object(2), add(IPV4, to_object(1))]);
        namespace.ip("nexthop del id 1000001");
        namespace.ip("nexthop del id 1000002");
        assert_eq!(notices(&mut kernel), [Anything]);
        assert_eq!((dump(&mut kernel), namespace.routes()), (vec![], vec![]));
        namespace.ip("nexthop add id 1000003 dev t1");
        assert_eq!(notices(&mut kernel), [Anything]);
    });
}

#[test]
fn a_device_that_goes_down_is_reported_and_all_its_routes_and_objects_go() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        // The device first goes down administratively, then it loses its carrier: the kernel drops the objects in both cases.
        let (t0, t1) = (("link set t0 down", "link set t0 up"), ("link set t1 down", "link set t1 up"));
        for ((down, up), state) in [(t0, DeviceState::Down), (t1, DeviceState::NoCarrier)] {
            execute(&mut kernel, &[object(1), add(IPV4, to_object(1)), add(IPV6, to_object(1))]);
            namespace.ip(down);
            assert_eq!(notices_until(&mut kernel, &[removed(IPV6), Device(state)]).len(), 2);
            assert!(!kernel.device().is_up());
            assert_eq!((dump(&mut kernel), namespace.routes(), namespace.json("nexthop")), (vec![], vec![], vec![]));
            namespace.ip(up);
            assert_eq!(notices_until(&mut kernel, &[Device(DeviceState::Up)]), [Device(DeviceState::Up)]);
            assert!(kernel.device().is_up());
        }
    });
}

/// The kernel sends no notice of an IPv4 route that it drops with its device, its source address, or its nexthop object.
#[test]
fn what_may_take_foreign_routes_with_it_is_reported() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        namespace.ip("link add x0 type veth peer name x1");
        namespace.ip("address add 192.0.2.1/24 dev x0");
        namespace.ip("link set x0 up");
        namespace.ip("link set x1 up");
        namespace.ip("nexthop add id 7 dev x0");
        let mut gone = |how: &str, route: &str| {
            let _ = all_notices(&mut kernel);
            namespace.ip(&format!("route add 10.9.0.0/24 {route} table 1000"));
            assert!(all_notices(&mut kernel).contains(&Notice::ForeignAdded {
                table: TABLE,
                prefix: prefix("10.9.0.0/24"),
                rival: Rival { is_in_place: false, metric: 0, tos: 0, source_len: 0 },
                is_replacement: false
            }));
            namespace.ip(how);
            assert_eq!(namespace.json("route show table 1000"), Vec::<serde_json::Value>::new());
            assert!(all_notices(&mut kernel).contains(&Notice::ForeignGone), "{how}");
        };
        gone("nexthop del id 7", "nhid 7");
        gone("address del 192.0.2.1/24 dev x0", "dev x0 src 192.0.2.1");
        gone("link set x0 down", "dev x0");
        namespace.ip("link set x0 up");
        gone("link del x0", "dev x0");
    });
}

#[test]
fn routes_without_objects_survive_a_lost_carrier_but_not_a_device_that_is_down() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        let own = || RouteTarget::Nexthops(Nexthops::from(nexthop(1)));
        execute(&mut kernel, &[add(IPV4, own()), add(IPV6, own())]);
        namespace.ip("link set t1 down");
        assert_eq!(notices_until(&mut kernel, &[Device(DeviceState::NoCarrier)]), [Device(DeviceState::NoCarrier)]);
        assert_eq!(dumped_routes(&mut kernel), [(prefix(IPV4), Some(own())), (prefix(IPV6), Some(own()))]);
        namespace.ip("link set t0 down");
        assert_eq!(dumped_routes(&mut kernel), []);
        assert_eq!(
            notices_until(&mut kernel, &[Device(DeviceState::Down)]),
            [removed(IPV6), Device(DeviceState::Down)]
        );
    });
}

#[test]
fn a_device_that_comes_back_with_its_name_is_used_again() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        execute(&mut kernel, &[object(1), add(IPV6, to_object(1))]);
        namespace.ip("link del t0");
        assert_eq!(notices_until(&mut kernel, &[removed(IPV6), Device(DeviceState::Missing)]).len(), 2);
        namespace.ip("link add t0 type veth peer name t1");
        namespace.ip("link set t0 up");
        assert_eq!(notices(&mut kernel), [Device(DeviceState::NoCarrier)]);
        namespace.ip("link set t1 up");
        assert_eq!(notices_until(&mut kernel, &[Device(DeviceState::Up)]), [Device(DeviceState::Up)]);
        execute(&mut kernel, &[object(1), add(IPV6, to_object(1))]);
    });
}

#[test]
fn a_device_with_another_name_is_another_device() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        // Since Linux 6.2, a device that is up can be renamed.
        namespace.ip("link set t0 name t2");
        assert_eq!(notices_until(&mut kernel, &[Device(DeviceState::Missing)]), [Device(DeviceState::Missing)]);
        namespace.ip("link set t2 name t0");
        assert_eq!(notices_until(&mut kernel, &[Device(DeviceState::Up)]), [Device(DeviceState::Up)]);
    });
}

#[test]
fn an_overflow_is_reported_as_anything_and_the_device_is_read_again() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        let line = |n: u32| format!("route add 10.{}.{}.0/24 dev t1 table 1000\n", n >> 8, n & 0xff);
        namespace.ip_batch(&(0..30_000).map(line).collect::<String>());
        namespace.ip("link set t0 down");
        let mut all = notices_until(&mut kernel, &[Anything]);
        while !all.contains(&Device(DeviceState::Down)) {
            all.extend(notices_until(&mut kernel, &[Device(DeviceState::Down)]));
        }
        assert!(all.len() < 30_000, "nothing was lost");
        assert!(!kernel.device().is_up());
        while !notices(&mut kernel).is_empty() {}
        // After the overflow, everything works as before.
        namespace.ip("link set t0 up");
        notices_until(&mut kernel, &[Device(DeviceState::Up)]);
        execute(&mut kernel, &[object(1), add(IPV6, to_object(1))]);
    });
}
