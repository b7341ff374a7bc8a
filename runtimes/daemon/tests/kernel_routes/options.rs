//! Options for routes and objects.

use crate::namespace;
use crate::picture::{after, table};
use crate::scene::{BOTH, HAS_SENT_ALL, Scene, both, end, installer};

#[test]
fn without_nexthop_objects_ipv4_routes_have_all_next_hops_and_ipv6_routes_the_best() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        scene.announce(["fd00::1", "fd00::2", "fd01::1"].map(both).concat());
        let args = ["--no-nexthop-objects", "--prefer-network", "fd01::/64"];
        let mut client = installer(&args);
        client.log("no nexthop objects: IPv6 routes use only one next hop");
        client.log(HAS_SENT_ALL);
        let all = [(BOTH[0], "fd00::1 fd00::2 fd01::1*99"), (BOTH[1], "fd01::1")];
        scene.until(all);
        scene.settle();
        assert_eq!(scene.legs().len(), 0);
        scene.withdraw(both("fd01::1"));
        scene.until([(BOTH[0], "fd00::1 fd00::2"), (BOTH[1], "fd00::1")]);
        scene.announce(both("fd01::1"));
        scene.until(all);
        for destination in BOTH {
            let own = scene.watch.seen_of(destination);
            assert!(!own.is_empty() && own.iter().all(|event| event.starts_with('~')), "{own:?}");
        }
        // A restart does not touch them either.
        scene.settle();
        client.kill();
        let client = scene.synced_client(&args);
        assert_eq!(scene.settle(), [""; 0]);
        // Switching to objects is a replacement as well, and back again.
        client.kill();
        let client = scene.synced_client(&args[1..]);
        scene.until(BOTH.map(|destination| (destination, all[0].1)));
        scene.until_legs(&["fd00::1", "fd00::2", "fd01::1", all[0].1]);
        client.kill();
        let client = scene.synced_client(&[&args[..], &["--cleanup"]].concat());
        scene.until(all);
        scene.until_legs(&[]);
        for destination in BOTH {
            assert_eq!(scene.watch.seen_of(destination), vec![format!("~ {destination}"); 2]);
        }
        end(client);
        assert_eq!(scene.routes().len(), 0);
    });
}

#[test]
fn with_another_protocol_number_routes_of_254_are_those_of_others() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        namespace.ip("route add 10.2.0.0/24 dev t1 table 1000 proto 254 metric 2048");
        namespace.ip("-6 route add fd12::/64 dev t1 table 1000 proto 254 metric 2048");
        let theirs = [
            ("10.2.0.0/24", "dev t1 proto 254 scope link metric 2048"),
            ("fd12::/64", "dev t1 proto 254 metric 2048 pref medium"),
        ];
        scene.announce(both("fd00::1").into_iter().chain(["10.2.0.0/24#fd00::1".into(), "fd12::/64#fd00::1".into()]));
        let mut client = scene.client(&["--rt-proto", "77", "--cleanup"]);
        for _ in theirs {
            client.log("a route of another protocol is there");
        }
        let ours = BOTH.map(|destination| (destination, "fd00::1 proto 77"));
        scene.until(ours.into_iter().chain(theirs));
        let objects = scene.objects();
        assert!(objects.iter().all(|object| after(&object.line, "proto") == Some("77")), "{objects:?}");
        end(client);
        assert_eq!(scene.routes(), table(theirs));
    });
}

#[test]
fn object_ids_are_in_the_given_range_and_running_out_of_them_is_logged() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let mut client = scene.synced_client(&["--nexthop-ids", "500-501"]);
        scene.announce(both("fd00::1"));
        scene.until(BOTH.map(|destination| (destination, "fd00::1")));
        scene.announce(["10.2.0.0/24#fd00::2", "fd12::/64#fd00::3"]);
        client.log("all ids for nexthop objects are in use");
        // Of the two destinations that need the last id, the first one gets it.
        scene.watch.until("+ 10.2.0.0/24");
        let ids: Vec<u32> = scene.objects().into_iter().map(|object| object.id).collect();
        assert_eq!(ids, [500, 501]);
        scene.withdraw(both("fd00::1"));
        scene.until([("10.2.0.0/24", "fd00::2"), ("fd12::/64", "fd00::3")]);
        let ids: Vec<u32> = scene.objects().into_iter().map(|object| object.id).collect();
        assert_eq!(ids, [500, 501]);
    });
}
