//! Changes by other programs and by hand.

use crate::namespace;
use crate::picture;
use crate::scene::{BOTH, Scene, both, end};

/// Routes of another protocol to both destinations, as `ip` prints them.
const THEIRS: [&str; 2] = ["dev t1 proto static scope link", "dev t1 proto static metric 1024 pref medium"];

/// Changes routes of another protocol to both destinations: `add`, `del` or `replace`.
fn theirs(scene: &Scene<'_>, what: &str) {
    for (family, destination) in ["-4", "-6"].into_iter().zip(BOTH) {
        scene.namespace.ip(&format!("{family} route {what} {destination} dev t1 table 1000 proto static"));
    }
}

#[test]
fn a_conflict_is_logged_once_and_our_route_is_installed_when_it_is_over() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        theirs(&scene, "add");
        let mut client = scene.synced_client(&[]);
        scene.announce(both("fd00::1").into_iter().chain(["10.2.0.0/24#fd00::1".to_owned()]));
        for destination in BOTH {
            client.log(&format!("{destination} in table 1000 is not installed: a route of another protocol is there"));
        }
        let there = [(BOTH[0], THEIRS[0]), (BOTH[1], THEIRS[1])];
        scene.until(there.into_iter().chain([("10.2.0.0/24", "fd00::1")]));
        scene.settle();
        // A change of the route is tried again.
        scene.announce(both("fd00::2"));
        let events = scene.settle();
        assert!(events.iter().all(|event| event.contains("nexthop")), "{events:?}");
        assert_eq!(scene.routes(), picture::table(there.into_iter().chain([("10.2.0.0/24", "fd00::1")])));

        theirs(&scene, "del");
        let legs = "fd00::1 fd00::2";
        scene.until([(BOTH[0], legs), (BOTH[1], legs), ("10.2.0.0/24", "fd00::1")]);
        for destination in BOTH {
            assert_eq!(scene.watch.seen_of(destination), [format!("- {destination}"), format!("+ {destination}")]);
        }
        scene.settle();
        let log = end(client);
        assert!(!log.iter().any(|line| line.contains("not installed")), "{log:#?}");
        assert_eq!(log.iter().filter(|line| line.contains("is installed now")).count(), 2, "{log:#?}");
    });
}

#[test]
fn a_withdrawal_during_a_conflict_leaves_the_other_route() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        theirs(&scene, "add");
        let mut client = scene.synced_client(&["--cleanup"]);
        scene.announce(both("fd00::1"));
        for _ in BOTH {
            client.log("is not installed");
        }
        scene.withdraw(both("fd00::1"));
        scene.until_legs(&[]);
        scene.settle();
        end(client);
        assert_eq!(scene.routes(), picture::table(BOTH.into_iter().zip(THEIRS)));
    });
}

#[test]
fn a_route_replaced_by_another_protocol_is_a_conflict_until_it_goes() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let mut client = scene.synced_client(&[]);
        scene.announce(both("fd00::1"));
        scene.until(BOTH.map(|destination| (destination, "fd00::1")));
        theirs(&scene, "replace");
        for _ in BOTH {
            client.log("is not installed");
        }
        scene.settle();
        assert_eq!(scene.routes(), picture::table(BOTH.into_iter().zip(THEIRS)));
        theirs(&scene, "del");
        scene.until(BOTH.map(|destination| (destination, "fd00::1")));
    });
}

#[test]
fn routes_that_are_deleted_by_hand_are_installed_again() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let mut client = scene.synced_client(&[]);
        scene.announce([both("fd00::1"), both("fd00::2")].concat());
        let all = BOTH.map(|destination| (destination, "fd00::1 fd00::2"));
        scene.until(all);
        scene.settle();
        for (family, destination) in ["-4", "-6"].into_iter().zip(BOTH) {
            namespace.ip(&format!("{family} route del {destination} table 1000"));
            client.log(&format!("{destination} in table 1000 was removed by another program"));
            scene.until(all);
            assert_eq!(scene.settle(), [format!("- {destination}"), format!("+ {destination}")]);
        }
    });
}

#[test]
fn objects_that_are_deleted_by_hand_are_added_again_with_all_routes() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let _client = scene.synced_client(&[]);
        let destinations: Vec<String> =
            (1..=50).flat_map(|n| [format!("10.2.{n}.0/24"), format!("fd12:{n:x}::/64")]).collect();
        scene.announce(destinations.iter().map(|destination| format!("{destination}#fd00::1")));
        scene.announce([both("fd00::1"), both("fd00::2")].concat());
        let ecmp = BOTH.map(|destination| (destination, "fd00::1 fd00::2"));
        let all: Vec<(&str, &str)> =
            destinations.iter().map(|destination| (&destination[..], "fd00::1")).chain(ecmp).collect();
        scene.until(all.iter().copied());
        scene.settle();
        // In order: an object with 100 routes that is also a member of the group; another member; the group.
        for gone in ["fd00::1", "fd00::2", "fd00::1 fd00::2"] {
            let id = scene.objects().into_iter().find(|object| object.legs == gone).unwrap().id;
            namespace.ip(&format!("nexthop del id {id}"));
            scene.until(all.iter().copied());
            scene.until_legs(&["fd00::1", "fd00::1 fd00::2", "fd00::2"]);
            scene.settle();
        }
        namespace.ip("nexthop flush");
        scene.until(all.iter().copied());
        scene.until_legs(&["fd00::1", "fd00::1 fd00::2", "fd00::2"]);
    });
}

#[test]
fn an_object_of_another_program_in_our_range_is_left_alone() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        namespace.ip("nexthop add id 2000000000 dev t1");
        let _client = scene.synced_client(&[]);
        // Also while the client runs: it notices the conflict when it needs this id.
        namespace.ip("nexthop add id 2000000001 dev t1");
        scene.announce(both("fd00::1"));
        scene.until(BOTH.map(|destination| (destination, "fd00::1")));
        let ids: Vec<u32> = scene.objects().into_iter().map(|object| object.id).collect();
        assert_eq!(ids, [2_000_000_000, 2_000_000_001, 2_000_000_002]);
    });
}
