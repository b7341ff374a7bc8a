//! Tests of routes and objects in the kernel: `ip` and a dump have to show them.

use metalbond::fib::{Found, FoundObject, Nexthop, Nexthops, Op, OpErrorKind, RouteTarget};
use metalbond_linux::{Kernel, Settings};
use netlink_sys::protocols::NETLINK_ROUTE;
use serde_json::{Value, json};

use crate::look::*;
use crate::netns::{self, *};

const IPV4: &str = "10.1.2.0/24";
const IPV6: &str = "fd10::/64";
/// The most next hops that `ip route show` can show. It reads 3.7 KB per route from the kernel, and stops without an error at a larger
/// route.
const SHOWN_MAX: u32 = 32;

fn group(n: u32, members: impl Iterator<Item = (u32, u8)>) -> Op {
    Op::AddGroup { id: id(n), members: members.map(|(n, weight)| (id(n), weight)).collect() }
}

#[test]
fn destinations_with_1_to_64_next_hops_lead_to_all_of_them() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        assert!(kernel.has_nexthop_objects() && kernel.device().is_up());
        execute(&mut kernel, &(1..=64).map(object).collect::<Vec<_>>());
        for count in 2..=64 {
            execute(&mut kernel, &[group(100 + count, (1..=count).map(|n| (n, 1)))]);
        }
        execute(&mut kernel, &[add(IPV4, to_object(1)), add(IPV6, to_object(1)), add("::/0", to_object(1))]);
        execute(&mut kernel, &[add("0.0.0.0/0", to_object(1)), add("10.1.2.3/32", to_object(2))]);
        for count in 2..=64 {
            let to = || to_object(100 + count);
            execute(&mut kernel, &[replace(IPV4, to()), replace(IPV6, to())]);
            let dumped = dumped_routes(&mut kernel);
            assert!([IPV4, IPV6].iter().all(|destination| dumped.contains(&(prefix(destination), Some(to())))));
            if count > SHOWN_MAX {
                continue;
            }
            let routes = namespace.routes();
            for destination in [IPV4, IPV6] {
                let route = routes.iter().find(|route| route["dst"] == destination).unwrap();
                let hops = route["nexthops"].as_array().unwrap();
                assert_eq!(hops.len(), count as usize);
                assert!(hops.iter().all(|hop| hop["dev"] == "t0" && hop["encap"] == "ip6"), "{route}");
                assert_eq!(route["nhid"], id(100 + count));
                assert_eq!(route["protocol"], json!("254"), "{route}");
            }
        }
        let groups = namespace.json("nexthop");
        let largest = groups.iter().find(|object| object["id"] == id(164)).unwrap();
        assert_eq!(largest["group"].as_array().unwrap().len(), 64);
        execute(&mut kernel, &[replace(IPV4, to_object(102)), replace(IPV6, to_object(102))]);
        assert_eq!(namespace.routes().len(), 5);
        let dumped = dumped_routes(&mut kernel);
        let to = |destination, n| (prefix(destination), Some(to_object(n)));
        assert_eq!(dumped.len(), 5);
        for route in [to("0.0.0.0/0", 1), to("10.1.2.3/32", 2), to(IPV4, 102), to(IPV6, 102), to("::/0", 1)] {
            assert!(dumped.contains(&route), "{route:?} in {dumped:?}");
        }
        execute(&mut kernel, &[remove(IPV4), remove(IPV6), remove("::/0"), remove("0.0.0.0/0"), remove("10.1.2.3/32")]);
        let groups = (102..=164).map(|n| Op::RemoveObject { id: id(n) });
        let objects = (1..=64).map(|n| Op::RemoveObject { id: id(n) });
        execute(&mut kernel, &groups.chain(objects).collect::<Vec<_>>());
        assert_eq!((namespace.routes(), namespace.json("nexthop"), dump(&mut kernel)), (vec![], vec![], vec![]));
    });
}

#[test]
fn objects_and_groups_are_dumped_as_they_were_made() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        let members = [(3, 255), (1, 1), (2, 99)];
        execute(&mut kernel, &[object(1), object(2), object(3), group(4, members.into_iter())]);
        let group = namespace.json("nexthop").into_iter().find(|object| object["id"] == id(4)).unwrap();
        let weights: Vec<_> =
            group["group"].as_array().unwrap().iter().map(|member| member["weight"].clone()).collect();
        assert_eq!(weights, [json!(255), Value::Null, json!(99)]);
        // Objects of other programs, one of them with an id in the range; then objects in the range with this protocol, most of which this
        // package would not make.
        namespace.ip("nexthop add id 5 dev t0");
        namespace.ip("nexthop add id 1000010 dev t1");
        namespace.ip("-6 nexthop add id 1000011 dev t0 encap ip6 dst fd00::1 protocol 254");
        namespace.ip("-6 nexthop add id 1000012 dev t1 encap ip6 dst fd00::1 protocol 254");
        namespace.ip("nexthop add id 1000013 blackhole protocol 254");
        namespace.ip("-6 nexthop add id 1000014 dev t0 encap ip6 dst fd00::1 src fd00::2 protocol 254");
        namespace.ip("-4 nexthop add id 1000015 dev t0 encap ip6 dst fd00::1 protocol 254");
        let object = |n, what| Found::Object { id: id(n), what };
        let addr = |n| nexthop(n).addr;
        let members = members.map(|(n, weight)| (id(n), weight)).into_iter().collect();
        assert_eq!(
            dump(&mut kernel),
            [
                object(1, FoundObject::Nexthop(addr(1))),
                object(2, FoundObject::Nexthop(addr(2))),
                object(3, FoundObject::Nexthop(addr(3))),
                object(4, FoundObject::Group(members)),
                object(10, FoundObject::Foreign),
                object(11, FoundObject::Nexthop(addr(1))),
                object(12, FoundObject::Unknown),
                object(13, FoundObject::Unknown),
                object(14, FoundObject::Unknown),
                object(15, FoundObject::Unknown),
            ]
        );
    });
}

#[test]
fn without_objects_routes_have_their_own_encapsulation() {
    netns::run(|namespace| {
        let mut kernel = Kernel::open(Settings { nexthop_objects: false, ..settings() }).unwrap();
        assert!(!kernel.has_nexthop_objects());
        let nexthops = |count| RouteTarget::Nexthops((1..=count).map(nexthop).collect());
        execute(&mut kernel, &[add(IPV4, nexthops(1)), add(IPV6, nexthops(1))]);
        for destination in [IPV4, IPV6] {
            let routes = namespace.routes();
            // In the output of `ip`, the encapsulation's "dst" replaces that of the route.
            let route = &routes[usize::from(destination == IPV6)];
            assert_eq!((&route["encap"], &route["dev"]), (&json!("ip6"), &json!("t0")), "{route}");
        }
        for count in 2..=64 {
            execute(&mut kernel, &[replace(IPV4, nexthops(count))]);
            if u32::from(count) <= SHOWN_MAX {
                assert_eq!(namespace.routes()[0]["nexthops"].as_array().unwrap().len(), usize::from(count));
            }
            assert!(dumped_routes(&mut kernel).contains(&(prefix(IPV4), Some(nexthops(count)))));
        }
        let mut weighted: Vec<Nexthop> = (1..=3).map(nexthop).collect();
        (weighted[0].weight, weighted[2].weight) = (99, 255);
        let weighted = RouteTarget::Nexthops(weighted.into_iter().collect());
        execute(&mut kernel, &[replace(IPV4, weighted.clone())]);
        let dumped = dumped_routes(&mut kernel);
        assert_eq!(dumped, [(prefix(IPV4), Some(weighted)), (prefix(IPV6), Some(nexthops(1)))]);
        // IPv6 routes with several next hops need objects.
        assert_eq!(fail(&mut kernel, replace(IPV6, nexthops(2))).kind, OpErrorKind::Refused);
        execute(&mut kernel, &[remove(IPV4), remove(IPV6)]);
        assert_eq!(namespace.routes(), Vec::<Value>::new());
    });
}

#[test]
fn the_most_next_hops_are_dumped() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        execute(&mut kernel, &(1..=256).map(object).collect::<Vec<_>>());
        execute(
            &mut kernel,
            &[group(257, (1..=256).map(|n| (n, 1))), add(IPV4, to_object(257)), add(IPV6, to_object(257))],
        );
        let nexthops = RouteTarget::Nexthops((1..=256).map(nexthop).collect());
        execute(&mut kernel, &[add("10.3.0.0/24", nexthops.clone())]);
        let to = |destination, target| (prefix(destination), Some(target));
        let all = [to(IPV4, to_object(257)), to("10.3.0.0/24", nexthops), to(IPV6, to_object(257))];
        assert_eq!(dumped_routes(&mut kernel), all);
        // The dump of another process, which has received nothing yet.
        assert_eq!(dumped_routes(&mut namespace.open()), all);
    });
}

#[test]
fn routes_change_between_an_object_and_nexthops_of_their_own() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        execute(&mut kernel, &[object(1)]);
        let own = || RouteTarget::Nexthops(Nexthops::from(nexthop(2)));
        for destination in [IPV4, IPV6] {
            execute(&mut kernel, &[add(destination, own()), replace(destination, to_object(1))]);
            assert_eq!(dumped_routes(&mut kernel), [(prefix(destination), Some(to_object(1)))]);
            execute(&mut kernel, &[replace(destination, own())]);
            assert_eq!(dumped_routes(&mut kernel), [(prefix(destination), Some(own()))]);
            execute(&mut kernel, &[remove(destination)]);
        }
        assert_eq!(namespace.routes(), Vec::<Value>::new());
    });
}

#[test]
fn a_route_of_another_protocol_is_a_conflict_and_stays() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        execute(&mut kernel, &[object(1)]);
        namespace.ip(&format!("route add {IPV4} dev t1 table 1000 proto static metric 2048"));
        namespace.ip(&format!("-6 route add {IPV6} dev t1 table 1000 proto static metric 2048"));
        let before = namespace.routes();
        for destination in [IPV4, IPV6] {
            assert_eq!(fail(&mut kernel, add(destination, to_object(1))).kind, OpErrorKind::Exists);
            assert_eq!(fail(&mut kernel, remove(destination)).kind, OpErrorKind::Missing);
        }
        assert_eq!((namespace.routes(), dumped_routes(&mut kernel)), (before, vec![]));
    });
}

#[test]
fn a_removal_leaves_routes_of_other_protocols_and_metrics() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        execute(&mut kernel, &[object(1), add(IPV4, to_object(1)), add(IPV6, to_object(1))]);
        for (family, metric) in [("-4", 7), ("-6", 7), ("-4", 9000), ("-6", 9000)] {
            let destination = if family == "-4" { IPV4 } else { IPV6 };
            let protocol = if metric == 7 { "static" } else { "254" };
            namespace
                .ip(&format!("{family} route add {destination} dev t1 table 1000 proto {protocol} metric {metric}"));
        }
        assert_eq!(dumped_routes(&mut kernel).len(), 2);
        execute(&mut kernel, &[remove(IPV4), remove(IPV6)]);
        assert_eq!(namespace.routes().len(), 4);
        assert_eq!(fail(&mut kernel, remove(IPV4)).kind, OpErrorKind::Missing);
        assert_eq!(fail(&mut kernel, remove(IPV6)).kind, OpErrorKind::Missing);
        assert_eq!(namespace.routes().len(), 4);
    });
}

#[test]
fn routes_that_are_not_like_own_ones_are_dumped_as_such() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        namespace.ip("route add blackhole 10.1.0.0/24 table 1000 proto 254 metric 2048");
        namespace.ip("route add 10.2.0.0/24 dev t0 table 1000 proto 254 metric 2048");
        namespace.ip("route add 10.3.0.0/24 dev t1 encap ip6 dst fd00::1 table 1000 proto 254 metric 2048");
        namespace.ip("route add 10.4.0.0/24 dev t0 encap ip6 dst fd00::1 mtu 1400 table 1000 proto 254 metric 2048");
        namespace.ip("-6 route add blackhole fd10::/64 table 1000 proto 254 metric 2048");
        // A route in another table.
        namespace.ip("route add 10.6.0.0/24 dev t0 encap ip6 dst fd00::1 table 1001 proto 254 metric 2048");
        let none = |destination| (prefix(destination), None);
        let strange = ["10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24", "10.4.0.0/24", "fd10::/64"];
        assert_eq!(dumped_routes(&mut kernel), strange.map(none));
        // The foreign routes of the protocol can be replaced and removed like others.
        execute(&mut kernel, &[object(1)]);
        execute(&mut kernel, &strange.map(|destination| replace(destination, to_object(1))));
        assert_eq!(dumped_routes(&mut kernel), strange.map(|destination| (prefix(destination), Some(to_object(1)))));
        execute(&mut kernel, &strange.map(remove));
        assert_eq!(dumped_routes(&mut kernel), []);
    });
}

#[test]
fn routes_of_this_program_with_another_metric_and_second_ones_are_dumped_as_surplus_and_can_be_removed() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        execute(&mut kernel, &[object(1), object(2), object(3)]);
        for (family, destination) in [("-4", IPV4), ("-6", IPV6)] {
            execute(&mut kernel, &[add(destination, to_object(1))]);
            let old = |what: &str| namespace.ip(&format!("{family} route {what} table 1000 proto 254"));
            old(&format!("add {destination} nhid {} metric 7", id(1)));
            old(&format!("add {destination} dev t0 encap ip6 dst fd00::9 metric 9000"));
            old(&format!("append {destination} nhid {} metric 2048", id(2)));
            old(&format!("append {destination} nhid {} metric 2048", id(3)));
            // Those that this program does not make are not its own.
            old(&format!("add blackhole {destination} metric 8"));
            let mut surplus = Vec::new();
            let (mut ours, mut foreign) = (0, Vec::new());
            kernel
                .dump(|found| match found {
                    Found::Surplus { table, prefix, target, is_in_place, route } => {
                        surplus.push((target, is_in_place, Op::RemoveSurplus { table, prefix, route }));
                    }
                    Found::Route { target, .. } => {
                        assert_eq!(target, Some(to_object(1)));
                        ours += 1;
                    }
                    Found::Foreign { rival, .. } => foreign.push(rival.metric),
                    Found::Object { .. } | Found::Local { .. } => {}
                })
                .unwrap();
            let nexthops = RouteTarget::Nexthops(Nexthops::from(nexthop(9)));
            let found: Vec<_> = surplus.iter().map(|(target, is_in_place, _)| (target.clone(), *is_in_place)).collect();
            let [two, three] = [2, 3].map(|n| (Some(to_object(n)), true));
            let expected = [(Some(to_object(1)), false), two, three, (Some(nexthops), false)];
            assert_eq!((found, ours, foreign), (expected.to_vec(), 1, vec![8]));
            for (_, _, op) in surplus {
                execute(&mut kernel, std::slice::from_ref(&op));
                assert_eq!(fail(&mut kernel, op).kind, OpErrorKind::Missing);
            }
            let metrics: Vec<Value> = namespace.routes().iter().map(|route| route["metric"].clone()).collect();
            assert_eq!(metrics, [json!(8), json!(2048)]);
            execute(&mut kernel, &[remove(destination)]);
            namespace.ip(&format!("{family} route del blackhole {destination} table 1000 metric 8"));
        }
    });
}

#[test]
fn routes_of_this_protocol_that_are_not_its_own_are_named_by_the_commands_that_remove_them() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        execute(&mut kernel, &[object(1), add(IPV4, to_object(1)), add(IPV6, to_object(1))]);
        namespace.ip(&format!("route add {IPV4} nhid {} table 1000 proto 254 tos 0x10 metric 2048", id(1)));
        namespace.ip(&format!("route add {IPV4} dev t1 table 1000 proto 254"));
        namespace.ip(&format!("route add throw {IPV4} table 1000 proto 254 metric 9000"));
        namespace.ip(&format!("route add {IPV4} nhid {} table 1000 proto 254 metric 7 mtu 1400", id(1)));
        namespace.ip(&format!("-6 route add blackhole {IPV6} table 1000 proto 254 metric 7"));
        namespace.ip(&format!("-6 route add {IPV6} from fd99::/48 dev t1 table 1000 proto 254"));
        namespace.ip("-6 route add unreachable default table 1000 proto 254 metric 9000");
        // Those of other protocols are nobody's business.
        namespace.ip(&format!("route add {IPV4} dev t1 table 1000 proto static metric 8"));
        dump(&mut kernel);
        let mut removals = kernel.take_strays();
        removals.sort();
        assert_eq!(removals.len(), 7, "{removals:#?}");
        dump(&mut kernel);
        assert_eq!(kernel.take_strays(), [""; 0], "each is named once");
        for removal in removals {
            namespace.ip(removal.strip_prefix("ip ").unwrap());
        }
        let left = namespace.routes();
        let metrics: Vec<Value> = left.iter().map(|route| route["metric"].clone()).collect();
        assert_eq!(metrics, [json!(8), json!(2048), json!(2048)], "{left:#?}");
    });
}

/// The kernel shares what it knows of IPv4 routes through one object, also an MTU.
#[test]
fn a_replacement_takes_an_mtu_away_that_a_new_route_has_got_from_another_one_of_its_object() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        execute(&mut kernel, &[object(1)]);
        namespace.ip(&format!("route add 10.9.0.0/24 nhid {} table 1000 proto 254 metric 2048 mtu 1400", id(1)));
        execute(&mut kernel, &[add(IPV4, to_object(1))]);
        let to = |destination, target| (prefix(destination), target);
        assert_eq!(dumped_routes(&mut kernel), [to(IPV4, None), to("10.9.0.0/24", None)]);
        execute(&mut kernel, &[replace(IPV4, to_object(1)), replace("10.9.0.0/24", to_object(1))]);
        let all = [IPV4, "10.9.0.0/24"].map(|destination| to(destination, Some(to_object(1))));
        assert_eq!(dumped_routes(&mut kernel), all);
    });
}

#[test]
fn an_object_is_not_removed_as_long_as_a_route_of_any_table_or_a_group_of_others_uses_it() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        let remove_object = |n| Op::RemoveObject { id: id(n) };
        let is_in_use = |n, kernel: &mut Kernel| {
            // What others have changed.
            notices(kernel);
            fail(kernel, remove_object(n)).kind == OpErrorKind::InUse
        };
        execute(&mut kernel, &(1..=5).map(object).collect::<Vec<_>>());
        namespace.ip(&format!("route add 10.1.0.0/24 nhid {} table 7 proto 254", id(1)));
        assert!(is_in_use(1, &mut kernel));
        // Later ones are known by their notices.
        namespace.ip(&format!("-6 route add fd10::/64 nhid {} table 1000 proto static", id(2)));
        namespace.ip(&format!("nexthop add id 7 group {} proto 254", id(3)));
        namespace.ip(&format!("route add 10.2.0.0/24 tos 0x10 nhid {} table 1000 proto 254 metric 2048", id(4)));
        for n in [2, 3, 4] {
            assert!(is_in_use(n, &mut kernel), "{n}");
        }
        // Routes of this program do not count: what decides about them knows them.
        execute(&mut kernel, &[add(IPV4, to_object(5)), remove_object(5)]);
        assert_eq!(dumped_routes(&mut kernel), []);
        namespace.ip("route del 10.1.0.0/24 table 7");
        namespace.ip("-6 route del fd10::/64 table 1000");
        namespace.ip("nexthop del id 7");
        notices(&mut kernel);
        execute(&mut kernel, &[1, 2, 3].map(remove_object));
        assert!(is_in_use(4, &mut kernel));
    });
}

#[test]
fn a_replacement_is_one_message_and_never_a_removal() {
    const NEWROUTE: u16 = 24;
    const REPLACE: u16 = 0x100;
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        execute(&mut kernel, &[object(1), object(2), group(3, [(1, 1), (2, 1)].into_iter())]);
        execute(&mut kernel, &[add(IPV4, to_object(1)), add(IPV6, to_object(1))]);
        let mut watch = netlink_sys::Socket::new(NETLINK_ROUTE).unwrap();
        watch.bind_auto().unwrap();
        watch.set_non_blocking(true).unwrap();
        for group in [7, 11] {
            watch.add_membership(group).unwrap();
        }
        for to in [2, 3, 1] {
            for destination in [IPV4, IPV6] {
                execute(&mut kernel, &[replace(destination, to_object(to))]);
                // The kernel sends the notice before the acknowledgement.
                let (bytes, _) = watch.recv_from_full().unwrap();
                let number = |at: usize| u16::from_ne_bytes(bytes[at..at + 2].try_into().unwrap());
                assert_eq!((number(4), number(6) & REPLACE), (NEWROUTE, REPLACE));
                assert!(watch.recv_from_full().is_err());
            }
        }
    });
}

#[test]
fn the_same_route_in_several_tables_is_several_routes() {
    netns::run(|namespace| {
        let mut kernel = Kernel::open(Settings { tables: vec![u32::MAX, TABLE, 7, TABLE], ..settings() }).unwrap();
        let tables = [7, TABLE, u32::MAX];
        execute(&mut kernel, &[object(1)]);
        execute(&mut kernel, &tables.map(|table| Op::AddRoute { table, prefix: prefix(IPV4), target: to_object(1) }));
        let route = |found| if let Found::Route { table, .. } = found { Some(table) } else { None };
        assert_eq!(dump(&mut kernel).into_iter().filter_map(route).collect::<Vec<_>>(), tables);
        execute(&mut kernel, &[remove(IPV4)]);
        let shown = namespace.json("route show table all proto 254");
        assert_eq!(shown.iter().map(|route| route["table"].clone()).collect::<Vec<_>>(), ["7", "4294967295"]);
    });
}

#[test]
fn many_operations_have_each_its_own_result() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        execute(&mut kernel, &[object(1)]);
        let add = |n: u32| {
            let destination = if n.is_multiple_of(2) {
                format!("10.{}.{}.0/24", n >> 8, n & 0xff)
            } else {
                format!("fd10:{n:x}::/64")
            };
            // Every seventh route has an object that does not exist.
            add(&destination, to_object(if n.is_multiple_of(7) { 9 } else { 1 }))
        };
        let ops: Vec<_> = (0..10_000).map(add).collect();
        let results = kernel.execute(&ops).unwrap();
        for (n, result) in results.iter().enumerate() {
            let kind = result.as_ref().err().map(|error| error.kind);
            assert_eq!(kind, n.is_multiple_of(7).then_some(OpErrorKind::Missing), "{n}");
        }
        let count = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!((dumped_routes(&mut kernel).len(), namespace.routes().len()), (count, count));
    });
}
