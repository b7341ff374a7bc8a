//! Settings that were changed between two runs: a network taken out, a table used for another network, other numbers.

use crate::namespace::{self, Namespace};
use crate::picture::{Table, lines_of, routes_in, table};
use crate::process::{Process, Signal, run};
use crate::scene::{BOTH, HAS_SENT_ALL, SERVER, Scene, both, end};

/// A second network: VNI 24 in table 1001, with destinations of its own.
const OTHER: [&str; 2] = ["10.4.0.0/24", "fd10:4::/64"];

fn start(mappings: &str, more: &[&str]) -> Process {
    let vnis: Vec<&str> = mappings.split(',').map(|mapping| mapping.split('#').next().unwrap()).collect();
    let vnis = vnis.join(",");
    let args = ["client", "--server", SERVER, "--subscribe", &vnis, "--install-routes", mappings, "--tun", "t0"];
    Process::start(&[&args[..], more].concat())
}

fn synced(mappings: &str, more: &[&str]) -> Process {
    let mut client = start(mappings, more);
    client.log(HAS_SENT_ALL);
    client
}

/// Announces the routes of VNI 23 and VNI 24.
fn announce(scene: &mut Scene<'_>) {
    scene.announce(both("fd00::1"));
    for destination in OTHER {
        scene.feeder.write(&format!("24#{destination}#fd00::4\n"));
    }
}

fn ours() -> Table {
    table(BOTH.map(|destination| (destination, "fd00::1")))
}

fn others() -> Table {
    table(OTHER.map(|destination| (destination, "fd00::4")))
}

/// Waits until a table has these routes.
fn until(namespace: &Namespace, scene: &mut Scene<'_>, number: u32, wanted: &Table) {
    scene.until_equal(wanted, |_| routes_in(namespace, number));
}

#[test]
fn the_routes_of_a_network_that_was_taken_out_are_named_and_go_with_adopted_routes() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        announce(&mut scene);
        let client = start("23#1000,24#1001", &[]);
        until(namespace, &mut scene, 1000, &ours());
        until(namespace, &mut scene, 1001, &others());
        client.kill();
        // As long as no server has answered, they stay like all adopted routes, also over a restart.
        scene.kill_server();
        scene.watch.take();
        for _ in 0..2 {
            let mut client = start("23#1000", &[]);
            let said = client.log("table 1001 has 2 routes of VNI 24, and the settings no longer have this table");
            assert!(said.contains(" WARN "), "{said}");
            client.log("RETRY");
            client.kill();
            assert_eq!((routes_in(namespace, 1000), routes_in(namespace, 1001)), (ours(), others()));
        }
        scene.restart_server();
        scene.feeder.log("ESTABLISHED");
        let client = synced("23#1000", &[]);
        until(namespace, &mut scene, 1001, &Table::new());
        until(namespace, &mut scene, 1000, &ours());
        scene.settle();
        assert_eq!(scene.watch.seen_of(BOTH[0]), [""; 0]);
        // Then nothing is left of it, and nothing is said.
        assert_eq!(namespace.ip("-6 route show table 1001"), "");
        end(client);
        let log = end(synced("23#1000", &[]));
        assert!(!log.iter().any(|line| line.contains(" WARN ")), "{log:#?}");
    });
}

#[test]
fn a_table_that_is_used_for_another_network_is_emptied_before_it_is_used() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        announce(&mut scene);
        let client = start("23#1000", &[]);
        until(namespace, &mut scene, 1000, &ours());
        // Of any metric, and one that another program has put there.
        namespace.ip("route add 10.5.0.0/24 dev t1 table 1000 proto static");
        client.kill();
        scene.kill_server();
        let mut client = start("24#1000", &[]);
        let said = client.log("table 1000 had 2 routes of VNI 23, which the settings no longer have there: removed");
        assert!(said.contains(" WARN "), "{said}");
        let theirs = [("10.5.0.0/24", "dev t1 proto static scope link")];
        assert_eq!(routes_in(namespace, 1000), table(theirs));
        scene.restart_server();
        scene.feeder.log("ESTABLISHED");
        let mut wanted = others();
        wanted.extend(table(theirs));
        until(namespace, &mut scene, 1000, &wanted);
        // Now it is the table of VNI 24.
        client.kill();
        scene.watch.take();
        let client = synced("24#1000", &[]);
        until(namespace, &mut scene, 1000, &wanted);
        assert_eq!(scene.watch.seen_of(OTHER[0]), [""; 0]);
        end(client);
    });
}

#[test]
fn a_network_that_is_taken_out_of_a_shared_table_leaves_no_route_there() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        announce(&mut scene);
        let mut all = ours();
        all.extend(others());
        let client = start("23#1000,24#1000", &[]);
        until(namespace, &mut scene, 1000, &all);
        client.kill();
        let mut client = start("23#1000", &[]);
        client.log("table 1000 had 4 routes of VNI 24, which the settings no longer have there");
        until(namespace, &mut scene, 1000, &ours());
        // A network that is added needs no other start: the routes there are of networks that the table still has.
        end(client);
        scene.watch.take();
        let client = synced("23#1000,24#1000", &[]);
        until(namespace, &mut scene, 1000, &all);
        assert_eq!(scene.watch.seen_of(BOTH[0]), [""; 0]);
        end(client);
    });
}

#[test]
fn after_a_change_of_the_protocol_number_each_route_is_replaced_in_one_step() {
    namespace::run(|namespace| {
        for more in [&[][..], &["--no-nexthop-objects"]] {
            let mut scene = Scene::new(namespace);
            announce(&mut scene);
            let gone = ["10.6.0.0/24#fd00::6", "fd10:6::/64#fd00::6"];
            scene.announce(gone);
            let mut before = ours();
            before.extend(table([("10.6.0.0/24", "fd00::6"), ("fd10:6::/64", "fd00::6")]));
            let client = start("23#1000,24#1001", more);
            until(namespace, &mut scene, 1000, &before);
            until(namespace, &mut scene, 1001, &others());
            client.kill();
            scene.withdraw(gone);
            scene.watch.take();
            // At the same time, a network is taken out.
            let mut client = start("23#1000", &[&["--rt-proto", "77"], more].concat());
            let said = client.log("the settings had protocol number 254 and nexthop ids 2000000000-2099999999");
            assert!(said.contains(" WARN "), "{said}");
            client.log(HAS_SENT_ALL);
            let replaced = ours().into_iter().map(|(destination, leads)| (destination, format!("{leads} proto 77")));
            until(namespace, &mut scene, 1000, &replaced.collect());
            until(namespace, &mut scene, 1001, &Table::new());
            for destination in BOTH {
                assert_eq!(scene.watch.seen_of(destination), [format!("~ {destination}")]);
            }
            scene.until_equal(&Vec::<String>::new(), |_| lines_of(namespace, 254));
            end(client);
            // And back, which ends with `--cleanup`: nothing is left.
            scene.watch.take();
            let mut client = start("23#1000", &[&["--cleanup"], more].concat());
            client.log("the settings had protocol number 77");
            until(namespace, &mut scene, 1000, &ours());
            scene.until_equal(&Vec::<String>::new(), |_| lines_of(namespace, 77));
            for destination in BOTH {
                assert_eq!(scene.watch.seen_of(destination), [format!("~ {destination}")]);
            }
            end(client);
            assert_eq!(lines_of(namespace, 254), [""; 0]);
            end(scene.feeder);
        }
    });
}

#[test]
fn after_a_change_of_the_ids_new_objects_are_used_and_the_old_ones_go() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        scene.announce([both("fd00::1"), both("fd00::2")].concat());
        let all = table(BOTH.map(|destination| (destination, "fd00::1 fd00::2")));
        let client = start("23#1000", &[]);
        until(namespace, &mut scene, 1000, &all);
        client.kill();
        scene.watch.take();
        let client = synced("23#1000", &["--nexthop-ids", "100-199"]);
        scene.until_equal(&true, |scene| scene.objects().iter().all(|object| (100..200).contains(&object.id)));
        assert_eq!(scene.legs(), ["fd00::1", "fd00::1 fd00::2", "fd00::2"]);
        assert_eq!(routes_in(namespace, 1000), all);
        for destination in BOTH {
            assert_eq!(scene.watch.seen_of(destination), [format!("~ {destination}")]);
        }
        end(client);
        // With ranges that overlap, what is in both stays.
        scene.watch.take();
        let client = synced("23#1000", &["--nexthop-ids", "100-299"]);
        scene.settle();
        assert_eq!(scene.watch.seen_of(BOTH[0]), [""; 0]);
        end(client);
    });
}

#[test]
fn what_another_client_has_left_in_its_own_tables_is_named_and_stays() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        announce(&mut scene);
        let other = start("24#1001", &["--rt-proto", "77", "--nexthop-ids", "1-9"]);
        let proto_77: Table =
            others().into_iter().map(|(destination, leads)| (destination, format!("{leads} proto 77"))).collect();
        until(namespace, &mut scene, 1001, &proto_77);
        // As long as it runs, nothing is said.
        let mut client = start("23#1000", &[]);
        let lines = client.log_until(HAS_SENT_ALL);
        assert!(!lines.iter().any(|line| line.contains(" WARN ")), "{lines:#?}");
        end(client);
        other.kill();
        let mut client = start("23#1000", &[]);
        let said = client.log("table 1001 may have routes of VNI 24, with protocol number 77");
        let command = said.split_once("If nothing needs them: metalbond ").unwrap().1.to_owned();
        client.log(HAS_SENT_ALL);
        end(client);
        assert_eq!(routes_in(namespace, 1001), proto_77);
        // The command does what it says.
        let ended = run(&command.split_whitespace().collect::<Vec<_>>());
        assert_eq!(
            (ended.code, &ended.stdout[..]),
            (Some(0), &["removed 2 routes and 1 nexthop objects".to_owned()][..])
        );
        assert_eq!(routes_in(namespace, 1001), Table::new());
        let log = end(synced("23#1000", &[]));
        assert!(!log.iter().any(|line| line.contains("table 1001")), "{log:#?}");
    });
}

#[test]
fn a_mark_that_is_removed_is_put_back_and_without_one_the_routes_are_taken_for_those_of_the_table() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        scene.announce(both("fd00::1"));
        let client = start("23#1000", &[]);
        until(namespace, &mut scene, 1000, &ours());
        let mark = "unreachable 100::5f5:e0ff:0:17";
        let is_there = || namespace.ip("-6 route show table 1000").contains(mark);
        assert!(is_there());
        namespace.ip(&format!("-6 route del {mark} table 1000"));
        // What is announced afterwards is installed after the dump that has put it back.
        scene.settle();
        scene.settle();
        assert!(is_there());
        client.kill();
        namespace.ip(&format!("-6 route del {mark} table 1000"));
        scene.watch.take();
        let mut client = start("23#1000", &["--cleanup"]);
        let said = client.log("table 1000 has ");
        assert!(said.contains(" INFO ") && said.contains("routes of an earlier version"), "{said}");
        client.log(HAS_SENT_ALL);
        scene.settle();
        assert_eq!(scene.watch.seen_of(BOTH[0]), [""; 0]);
        assert!(is_there());
        client.signal(Signal::TERM);
        assert_eq!(client.end().0.code, Some(0));
        assert_eq!(lines_of(namespace, 254), [""; 0]);
    });
}
