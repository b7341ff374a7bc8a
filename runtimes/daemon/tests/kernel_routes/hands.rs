//! Changes by other programs and by hand.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::namespace;
use crate::picture;
use crate::process::run;
use crate::scene::{BOTH, Scene, both, end, installer};

/// Routes of another protocol to both destinations, as `ip` prints them.
const THEIRS: [&str; 2] = ["dev t1 proto static scope link metric 2048", "dev t1 proto static metric 2048 pref medium"];

/// Changes routes of another protocol to both destinations, with the metric of ours: `add`, `del`, `replace` and so on.
fn theirs(scene: &Scene<'_>, what: &str) {
    with_metric(scene, what, 2048);
}

fn with_metric(scene: &Scene<'_>, what: &str, metric: u32) {
    for (family, destination) in ["-4", "-6"].into_iter().zip(BOTH) {
        let route = format!("{destination} dev t1 table 1000 proto static metric {metric}");
        scene.namespace.ip(&format!("{family} route {what} {route}"));
    }
}

#[test]
fn a_conflict_is_logged_once_and_our_route_is_installed_when_it_is_over() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        theirs(&scene, "add");
        let mut client = scene.synced_client(&[]);
        scene.announce(both("fd00::1").into_iter().chain(["10.2.0.0/24#fd00::1".to_owned()]));
        client.log_each(&BOTH.map(|destination| {
            format!("{destination} in table 1000 is not installed: a route of another protocol is there")
        }));
        let there = [(BOTH[0], THEIRS[0]), (BOTH[1], THEIRS[1])];
        scene.until(there.into_iter().chain([("10.2.0.0/24", "fd00::1")]));
        scene.settle();
        scene.announce(both("fd00::2"));
        assert_eq!(scene.settle(), [""; 0]);
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
        assert_eq!(log.iter().filter(|line| line.contains("is in effect now")).count(), 2, "{log:#?}");
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
        let said = BOTH.map(|_| client.log(" in table 1000 ")).concat();
        assert_eq!(said.matches("is not installed: a route of another protocol is there").count(), 2, "{said}");
        scene.settle();
        assert_eq!(scene.routes(), picture::table(BOTH.into_iter().zip(THEIRS)));
        theirs(&scene, "del");
        scene.until(BOTH.map(|destination| (destination, "fd00::1")));
    });
}

#[test]
fn a_route_with_a_lower_metric_is_a_conflict_and_ours_takes_over_when_it_goes() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let mut client = scene.synced_client(&["--http", "127.0.0.1:4713"]);
        let status = || run(&["show", "status", "--http", "127.0.0.1:4713"]).stdout.join("\n");
        with_metric(&scene, "add", 100);
        scene.announce(both("fd00::1"));
        let texts = BOTH.map(|destination| {
            format!(
                "{destination} in table 1000 has no effect: a route of another protocol comes first, with metric 100"
            )
        });
        assert!(client.log_each(&texts).iter().all(|said| said.contains(" WARN ")));
        scene.settle();
        assert!(status().contains(" 2 conflicts"), "{}", status());
        // The machine's local route, as everybody adds it.
        with_metric(&scene, "del", 100);
        client.log_each(&BOTH.map(|destination| format!("{destination} in table 1000 is in effect now")));
        scene.watch.take();
        for (family, destination) in ["-4", "-6"].into_iter().zip(BOTH) {
            namespace.ip(&format!("{family} route add {destination} dev t1 table 1000"));
            client.log(&format!("{destination} in table 1000 has no effect"));
        }
        // Ours is there all the time.
        scene.watch.take();
        namespace.ip("route flush table 1000 dev t1");
        namespace.ip("-6 route flush table 1000 dev t1");
        client.log("is in effect now");
        client.log("is in effect now");
        scene.until(BOTH.map(|destination| (destination, "fd00::1")));
        let mut events = scene.settle();
        events.sort();
        assert_eq!(events, [format!("- {}", BOTH[0]), format!("- {}", BOTH[1])]);
        assert!(status().contains(" 0 conflicts"), "{}", status());
    });
}

/// IPv4 permits several routes with one metric. A replacement would hit the first of them.
#[test]
fn a_route_that_is_put_before_or_after_ours_with_the_same_metric_stays_and_ours_goes() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let mut client = scene.synced_client(&[]);
        scene.announce(both("fd00::1"));
        scene.until(BOTH.map(|destination| (destination, "fd00::1")));
        for what in ["prepend", "append"] {
            theirs(&scene, what);
            for _ in BOTH {
                client.log("is not installed: a route of another protocol is there");
            }
            scene.announce(both("fd00::2"));
            scene.until(BOTH.into_iter().zip(THEIRS));
            theirs(&scene, "del");
            scene.until(BOTH.map(|destination| (destination, "fd00::1 fd00::2")));
            scene.withdraw(both("fd00::2"));
            scene.until(BOTH.map(|destination| (destination, "fd00::1")));
        }
        scene.withdraw(both("fd00::1"));
        scene.until::<&str, &str>([]);
    });
}

#[test]
fn what_others_put_on_a_route_of_ours_is_removed_and_routes_of_the_same_object_do_not_get_it() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let _client = scene.synced_client(&[]);
        scene.announce(both("fd00::1"));
        scene.until(BOTH.map(|destination| (destination, "fd00::1")));
        let id = scene.objects()[0].id;
        for (family, destination) in ["-4", "-6"].into_iter().zip(BOTH) {
            let route = format!("{destination} nhid {id} proto 254 metric 2048 mtu 1300");
            namespace.ip(&format!("{family} route replace {route} table 1000"));
        }
        scene.announce(["10.2.0.0/24#fd00::1"]);
        scene.until(BOTH.into_iter().chain(["10.2.0.0/24"]).map(|destination| (destination, "fd00::1")));
        scene.watch.until(&format!("~ {}", BOTH[0]));
        scene.settle();
        for family in ["-4", "-6"] {
            let shown = namespace.ip(&format!("{family} route show table 1000"));
            assert!(!shown.contains("mtu"), "{shown}");
        }
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

#[test]
fn a_route_that_has_our_protocol_number_and_is_not_ours_stays_and_is_named_with_the_command_that_removes_it() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        namespace.ip("route add blackhole 10.7.0.0/24 table 1000 proto 254");
        let mut client = installer(&["--cleanup"]);
        let said = client.log("a route has our protocol number and is not ours");
        let (_, removal) = said.split_once("If nothing needs it: ip ").unwrap();
        scene.announce(both("fd00::1"));
        scene.settle();
        end(client);
        assert_eq!(scene.routes().len(), 1);
        namespace.ip(removal);
        assert_eq!(scene.routes().len(), 0);
    });
}

/// The kernel drops IPv4 routes with their device, source address or nexthop object, and sends no notice of that. `said`: what the log says
/// of the conflict with a route of this metric.
fn when_a_foreign_route_goes_with_something_else_ours_takes_over(metric: u32, said: &str) {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let mut client = scene.synced_client(&[]);
        namespace.ip("link add x0 type veth peer name x1");
        namespace.ip("address add 192.0.2.1/24 dev x0");
        namespace.ip("link set x0 up");
        namespace.ip("link set x1 up");
        scene.announce(both("fd00::1"));
        scene.until(BOTH.map(|destination| (destination, "fd00::1")));
        for (route, gone) in [
            ("nhid 7", "nexthop del id 7"),
            ("dev x0 src 192.0.2.1", "address del 192.0.2.1/24 dev x0"),
            ("dev x0", "link set x0 down"),
        ] {
            if route == "nhid 7" {
                namespace.ip("nexthop add id 7 dev x0");
            }
            namespace.ip(&format!("route prepend {} {route} table 1000 metric {metric}", BOTH[0]));
            client.log(said);
            namespace.ip(gone);
            client.log(&format!("{} in table 1000 is in effect now", BOTH[0]));
            scene.until(BOTH.map(|destination| (destination, "fd00::1")));
        }
    });
}

#[test]
fn when_a_foreign_route_with_a_lower_metric_goes_with_its_device_or_address_or_object_ours_takes_over() {
    when_a_foreign_route_goes_with_something_else_ours_takes_over(0, "has no effect: a route of another protocol");
}

#[test]
fn when_a_foreign_route_in_our_place_goes_with_its_device_or_address_or_object_ours_is_installed_again() {
    when_a_foreign_route_goes_with_something_else_ours_takes_over(
        2048,
        "is not installed: a route of another protocol",
    );
}

/// A dump that another program interrupts all the time.
#[test]
fn changes_go_on_while_another_program_changes_nexthop_objects_without_a_pause() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let mut client = scene.synced_client(&[]);
        let churn = "nexthop add id 9 dev t1\nnexthop del id 9\n".repeat(200_000);
        let mut ip = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = ip.stdin.take().unwrap();
        let feed = std::thread::spawn(move || stdin.write_all(churn.as_bytes()));
        for n in 0..4 {
            // A route of another program makes the client read the kernel's state.
            namespace.ip(&format!("route add 10.2.{n}.0/24 dev t1 table 1000"));
            scene.announce([format!("10.2.{n}.0/24#fd00::{n:x}")]);
            client.log(&format!("10.2.{n}.0/24 in table 1000 has no effect"));
            namespace.ip(&format!("route del 10.2.{n}.0/24 dev t1 table 1000"));
            client.log(&format!("10.2.{n}.0/24 in table 1000 is in effect now"));
        }
        let all = (0..4).map(|n| (format!("10.2.{n}.0/24"), format!("fd00::{n:x}").replace("::0", "::")));
        assert_eq!(scene.routes(), picture::table(all));
        assert!(ip.try_wait().unwrap().is_none(), "the objects were changed all the time");
        ip.kill().unwrap();
        ip.wait().unwrap();
        let _ = feed.join();
    });
}
