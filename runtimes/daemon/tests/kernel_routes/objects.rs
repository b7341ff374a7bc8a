//! Nexthop objects and groups are shared, added before their first route, and removed after their last.

use std::fs;

use crate::namespace;
use crate::picture::after;
use crate::scene::{BOTH, HAS_SENT_ALL, Scene, both};

#[test]
fn all_routes_to_a_hypervisor_share_one_object_which_comes_first_and_goes_last() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let _client = scene.synced_client(&[]);
        let destinations: Vec<String> =
            (1..=50).flat_map(|n| [format!("10.1.{n}.0/24"), format!("fd10:{n:x}::/64")]).collect();
        let specs: Vec<String> = destinations.iter().map(|destination| format!("{destination}#fd00::1")).collect();
        scene.announce(&specs);
        scene.until(destinations.iter().map(|destination| (destination, "fd00::1")));
        let [object] = &scene.objects()[..] else { panic!("{:#?}", scene.objects()) };
        assert_eq!((object.id, after(&object.line, "dev")), (2_000_000_000, Some("t0")), "{object:?}");
        assert_eq!(after(&object.line, "proto"), Some("254"), "{object:?}");
        let mut events = scene.settle();
        assert_eq!(events.remove(0), "+ nexthop 2000000000");
        events.sort();
        let mut wanted: Vec<String> = destinations.iter().map(|destination| format!("+ {destination}")).collect();
        wanted.sort();
        assert_eq!(events, wanted);

        scene.withdraw(&specs);
        scene.until_legs(&[]);
        let mut events = scene.settle();
        assert_eq!(events.pop().as_deref(), Some("- nexthop 2000000000"));
        events.sort();
        let mut wanted: Vec<String> = destinations.iter().map(|destination| format!("- {destination}")).collect();
        wanted.sort();
        assert_eq!(events, wanted);
    });
}

#[test]
fn several_next_hops_are_a_group_of_equal_weights() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let _client = scene.synced_client(&[]);
        scene.announce([both("fd00::1"), both("fd00::2")].concat());
        scene.until(BOTH.map(|destination| (destination, "fd00::1 fd00::2")));
        scene.until_legs(&["fd00::1", "fd00::1 fd00::2", "fd00::2"]);
        // Another order, and another destination: the same set, so the same group.
        scene.announce(["10.2.0.0/24#fd00::2", "10.2.0.0/24#fd00::1"]);
        scene.until([(BOTH[0], "fd00::1 fd00::2"), (BOTH[1], "fd00::1 fd00::2"), ("10.2.0.0/24", "fd00::1 fd00::2")]);
        scene.settle();
        assert_eq!(scene.legs(), ["fd00::1", "fd00::1 fd00::2", "fd00::2"]);
    });
}

#[test]
fn sixty_four_next_hops_are_one_group_and_go_one_by_one_without_a_gap() {
    namespace::run(|namespace| {
        // Otherwise the kernel includes them in each route, and `ip` can't print routes of more than 3.7 KB.
        fs::write("/proc/sys/net/ipv4/nexthop_compat_mode", "0").unwrap();
        let mut scene = Scene::new(namespace);
        let _client = scene.synced_client(&[]);
        let mut hops: Vec<String> = (1..=64).map(|n| format!("fd00::{n:x}")).collect();
        let specs: Vec<[String; 2]> = hops.iter().map(|hop| both(hop)).collect();
        scene.announce(specs.concat());
        hops.sort();
        let all = hops.join(" ");
        scene.until(BOTH.map(|destination| (destination, &all)));
        let objects: Vec<&str> = hops.iter().map(String::as_str).chain([&all[..]]).collect();
        scene.until_legs(&objects);
        // All but the last.
        scene.withdraw(specs[..63].concat());
        scene.until(BOTH.map(|destination| (destination, "fd00::40")));
        scene.until_legs(&["fd00::40"]);
        for destination in BOTH {
            let own = scene.watch.seen_of(destination);
            assert_eq!(own[0], format!("+ {destination}"));
            assert!(own[1..].iter().all(|event| event.starts_with('~')) && own.len() > 1, "{own:#?}");
        }
        scene.withdraw(&specs[63]);
        scene.until_legs(&[]);
        assert_eq!(scene.routes().len(), 0);
    });
}

#[test]
fn objects_of_an_earlier_process_stay_until_adoption_has_ended_and_as_long_as_a_route_of_any_table_uses_them() {
    namespace::run(|namespace| {
        let mut scene = Scene::with_server(namespace, &["--convergence-time", "3600"]);
        for n in 1..=4 {
            namespace
                .ip(&format!("-6 nexthop add id {} dev t0 encap ip6 dst fd00::{n} protocol 254", 2_000_000_000 + n));
        }
        namespace.ip("nexthop add id 7 group 2000000003 protocol 4");
        namespace.ip("route add 10.7.0.0/24 nhid 2000000001 table 1001 proto 254");
        namespace.ip("-6 route add fd17::/64 nhid 2000000002 table 1000 proto static");
        let client = scene.client(&[]);
        scene.announce(both("fd00::9"));
        scene.until(BOTH.into_iter().zip(["fd00::9"; 2]).chain([("fd17::/64", "fd00::2 proto static")]));
        scene.settle();
        assert_eq!(scene.legs(), ["fd00::1", "fd00::2", "fd00::3", "fd00::3", "fd00::4", "fd00::9"]);
        client.kill();
        scene.kill_server();
        scene.restart_server_with(&["--convergence-time", "0"]);
        scene.feeder.log("ESTABLISHED");
        let mut client = scene.client(&[]);
        client.log(HAS_SENT_ALL);
        scene.until_legs(&["fd00::1", "fd00::2", "fd00::3", "fd00::3", "fd00::9"]);
        let mut said =
            [1, 2, 3].map(|_| client.log("another program uses it").split_once(" remove ").unwrap().1.to_owned());
        said.sort();
        for (id, said) in (1..).zip(said) {
            assert!(said.starts_with(&format!("nexthop object 200000000{id}: another program uses it;")), "{said}");
        }
        // When nothing uses it any more, it goes.
        namespace.ip("route del 10.7.0.0/24 table 1001");
        scene.until_legs(&["fd00::2", "fd00::3", "fd00::3", "fd00::9"]);
        assert!(namespace.ip("-6 route show table 1000").contains("fd17::/64"));
    });
}
