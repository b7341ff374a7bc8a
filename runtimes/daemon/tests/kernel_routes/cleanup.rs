//! The kernel's state after the client's end.

use crate::namespace::{self, Namespace};
use crate::picture::{self, after, table};
use crate::process::Signal;
use crate::scene::{BOTH, Scene, both, end, installer};

/// Adds objects of other programs: routes in our table and in the main table, and nexthop objects, one of them with an
/// id in our range.
fn foreign(namespace: &Namespace) {
    namespace.ip("route add 10.7.0.0/24 dev t1 table 1000 proto static");
    namespace.ip("-6 route add fd17::/64 dev t1 table 1000 proto static");
    namespace.ip("route add 10.8.0.0/24 dev t1 proto 254");
    namespace.ip("nexthop add id 7 dev t1");
    namespace.ip("nexthop add id 2000000000 dev t1");
}

const FOREIGN: [(&str, &str); 2] =
    [("10.7.0.0/24", "dev t1 proto static scope link"), ("fd17::/64", "dev t1 proto static metric 1024 pref medium")];

fn foreign_is_there(namespace: &Namespace) {
    assert_eq!(picture::routes(namespace), table(FOREIGN));
    assert!(namespace.ip("route show 10.8.0.0/24").contains("dev t1"));
    let objects = picture::objects(namespace);
    assert!(objects.values().all(|object| after(&object.line, "dev") == Some("t1")), "{objects:?}");
    assert_eq!(objects.into_keys().collect::<Vec<u32>>(), [7, 2_000_000_000]);
}

#[test]
fn without_cleanup_all_routes_and_objects_stay() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        scene.announce([both("fd00::1"), both("fd00::2")].concat());
        for signal in [Signal::TERM, Signal::INT] {
            let mut client = scene.synced_client(&[]);
            scene.until(BOTH.map(|destination| (destination, "fd00::1 fd00::2")));
            scene.settle();
            client.signal(signal);
            client.log("kernel routes stay");
            assert_eq!(client.end().0.code, Some(0));
            assert_eq!(scene.watch.take(), [""; 0]);
        }
    });
}

#[test]
fn with_cleanup_ours_are_removed_and_those_of_others_stay() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        foreign(namespace);
        let hops = |n: u32| format!("fd00::{:x}", 1 + n % 3);
        scene.announce((0..200).map(|n| format!("10.1.{n}.0/24#{}", hops(n))));
        scene.announce((0..200).map(|n| format!("fd10:{n:x}::/64#{}", hops(n))));
        scene.announce([both("fd00::1"), both("fd00::2")].concat());
        for signal in [Signal::TERM, Signal::INT] {
            let mut client = scene.synced_client(&["--cleanup"]);
            scene.settle();
            assert_eq!(scene.routes().len(), 400 + FOREIGN.len());
            client.signal(signal);
            client.log("kernel routes are removed");
            assert_eq!(client.end().0.code, Some(0));
            foreign_is_there(namespace);
        }
    });
}

#[test]
fn cleanup_without_a_server_removes_the_routes_of_an_earlier_client() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        foreign(namespace);
        scene.announce([both("fd00::1"), both("fd00::2")].concat());
        let client = scene.synced_client(&[]);
        scene.settle();
        client.kill();
        scene.kill_server();
        let mut client = installer(&["--cleanup"]);
        client.log("RETRY");
        end(client);
        foreign_is_there(namespace);
    });
}
