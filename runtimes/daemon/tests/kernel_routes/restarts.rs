//! The client is killed and restarted.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::namespace;
use crate::picture::Table;
use crate::process::{Process, Server, Signal};
use crate::scene::{BOTH, HAS_SENT_ALL, NOT_IN_TIME, Scene, announcer, both, feed, installer};

/// 100 routes, every fifth with two announcers. The parts are the feeder's routes, the other announcer's routes, and
/// the table to install.
struct Hundred {
    first: Vec<String>,
    second: Vec<String>,
    table: Table,
}

fn hundred() -> Hundred {
    let mut hundred = Hundred { first: Vec::new(), second: Vec::new(), table: Table::new() };
    for n in 1..=50 {
        let hop = 1 + n % 4;
        for destination in [format!("10.1.{n}.0/24"), format!("fd10:0:0:{n:x}::/64")] {
            hundred.first.push(format!("{destination}#fd00::{hop}"));
            let mut legs = format!("fd00::{hop}");
            if n % 5 == 0 {
                hundred.second.push(format!("{destination}#fd00::9"));
                legs += " fd00::9";
            }
            hundred.table.insert(destination, legs);
        }
    }
    hundred
}

/// Starts another client that prints the routes.
fn reader() -> Process {
    Process::client(&["127.0.0.1:4711".parse().unwrap()], &["--subscribe", "23"])
}

fn read_until(reader: &mut Process, line: &str) {
    while reader.line() != line {}
}

/// Waits until a reader has received a route for each next hop of a table.
fn read_all(reader: &mut Process, table: &Table) {
    let each = |(destination, legs): (&String, &String)| {
        legs.split(' ').map(|hop| format!("+ 23 {destination} via {hop}")).collect::<Vec<_>>()
    };
    let mut missing: BTreeSet<String> = table.iter().flat_map(each).collect();
    while !missing.is_empty() {
        missing.remove(&reader.line());
    }
}

#[test]
fn a_killed_and_restarted_client_does_not_touch_unchanged_routes() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let mut second = announcer(&[]);
        let hundred = hundred();
        scene.announce(&hundred.first);
        feed(&mut second, "", &hundred.second);
        let mut client = scene.synced_client(&[]);
        scene.until(&hundred.table);
        scene.settle();
        for _ in 0..5 {
            client.kill();
            client = scene.synced_client(&[]);
            assert_eq!(scene.settle(), [""; 0]);
        }
        assert_eq!(scene.routes(), hundred.table);
    });
}

#[test]
fn a_route_whose_next_hops_arrive_partly_late_is_not_touched_meanwhile() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let other = Server::start(&["127.0.0.1:4712"], &["--convergence-time", "0"]);
        let mut second = Process::client(&other.addrs, &["--announce-file", "-"]);
        scene.announce(both("fd00::1"));
        feed(&mut second, "", both("fd00::2"));
        feed(&mut second, "", ["10.2.0.0/24#fd00::2"]);
        let args = ["--server", "127.0.0.1:4712"];
        let client = scene.client(&args);
        let ecmp = BOTH.map(|destination| (destination, "fd00::1 fd00::2"));
        scene.until(ecmp.into_iter().chain([("10.2.0.0/24", "fd00::2")]));
        scene.settle();

        client.kill();
        other.process.signal(Signal::STOP);
        let mut client = scene.client(&args);
        // The first server is synced, and the other one has sent nothing.
        assert_eq!(scene.settle(), [""; 0]);
        other.process.signal(Signal::CONT);
        client.log(HAS_SENT_ALL);
        assert_eq!(scene.settle(), [""; 0]);
    });
}

#[test]
fn after_a_restart_only_changed_routes_are_changed() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let mut second = announcer(&[]);
        let mut reader = reader();
        let mut hundred = hundred();
        scene.announce(&hundred.first);
        feed(&mut second, "", &hundred.second);
        let client = scene.synced_client(&[]);
        scene.until(&hundred.table);
        scene.settle();
        client.kill();
        // Removed: a destination with one next hop, and one with two. Changed: one next hop less, or one more. Added:
        // one.
        scene.withdraw(["10.1.1.0/24#fd00::2", "fd10:0:0:1::/64#fd00::2", "10.1.10.0/24#fd00::3"]);
        scene.announce(["10.1.2.0/24#fd00::4", "fd10:0:0:2::/64#fd00::4", "10.9.0.0/24#fd00::8"]);
        read_until(&mut reader, "+ 23 10.9.0.0/24 via fd00::8");
        feed(&mut second, "-", ["10.1.10.0/24#fd00::9", "10.1.5.0/24#fd00::9", "fd10:0:0:5::/64#fd00::9"]);
        read_until(&mut reader, "- 23 fd10:0:0:5::/64 via fd00::9");
        let _client = scene.client(&[]);
        for gone in ["10.1.1.0/24", "fd10:0:0:1::/64", "10.1.10.0/24"] {
            hundred.table.remove(gone);
        }
        let legs = "fd00::3 fd00::4";
        let changed = [("10.1.2.0/24", legs), ("fd10:0:0:2::/64", legs), ("10.9.0.0/24", "fd00::8")];
        let less = [("10.1.5.0/24", "fd00::2"), ("fd10:0:0:5::/64", "fd00::2")];
        for (destination, legs) in changed.into_iter().chain(less) {
            hundred.table.insert(destination.to_owned(), legs.to_owned());
        }
        scene.until(&hundred.table);
        let mut events = scene.settle();
        events.retain(|event| !event.contains("nexthop"));
        events.sort();
        let wanted = [
            "+ 10.9.0.0/24",
            "- 10.1.1.0/24",
            "- 10.1.10.0/24",
            "- fd10:0:0:1::/64",
            "~ 10.1.2.0/24",
            "~ 10.1.5.0/24",
            "~ fd10:0:0:2::/64",
            "~ fd10:0:0:5::/64",
        ];
        assert_eq!(events, wanted);
    });
}

#[test]
fn unused_objects_are_removed_after_a_restart() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        scene.announce([both("fd00::1"), both("fd00::2")].concat());
        let client = scene.synced_client(&[]);
        scene.until(BOTH.map(|destination| (destination, "fd00::1 fd00::2")));
        client.kill();
        scene.withdraw([both("fd00::1"), both("fd00::2")].concat());
        let _client = scene.synced_client(&[]);
        scene.until::<&str, &str>([]);
        scene.until_legs(&[]);
    });
}

#[test]
fn with_a_converging_server_missing_routes_stay_for_the_configured_time() {
    const SESSION_STALE_TIME: Duration = Duration::from_secs(2);
    namespace::run(|namespace| {
        let mut scene = Scene::with_server(namespace, &["--convergence-time", "3600"]);
        let mut reader = reader();
        let others = ["10.2.0.0/24#fd00::1", "fd10:2::/64#fd00::2"];
        scene.announce(both("fd00::1").into_iter().chain(others.map(str::to_owned)));
        let client = scene.client(&[]);
        let stays = [("10.2.0.0/24", "fd00::1"), ("fd10:2::/64", "fd00::2")];
        scene.until(BOTH.map(|destination| (destination, "fd00::1")).into_iter().chain(stays));
        scene.settle();
        client.kill();
        scene.withdraw(both("fd00::1"));
        read_until(&mut reader, "- 23 fd10:1::/64 via fd00::1");

        let started = Instant::now();
        let mut client = scene.client(&["--stale-time", "0", "--session-stale-time", "2"]);
        scene.watch.until(&format!("- {}", BOTH[1]));
        scene.watch.until(&format!("- {}", BOTH[0]));
        assert!(started.elapsed() >= SESSION_STALE_TIME, "{:?}", started.elapsed());
        client.log(HAS_SENT_ALL);
        // Nothing was removed before or with them.
        let mut events = scene.settle();
        events.sort();
        assert_eq!(events, BOTH.map(|destination| format!("- {destination}")));
        assert_eq!(scene.routes(), crate::picture::table(stays));
        // Without a session, and with a stale time of zero, the others are removed at once.
        scene.kill_server();
        scene.until::<&str, &str>([]);
    });
}

#[test]
fn a_stale_time_of_zero_removes_no_route_of_a_live_server() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let hundred = hundred();
        scene.announce([&hundred.first[..], &hundred.second[..]].concat());
        let mut client = scene.synced_client(&["--stale-time", "0"]);
        scene.until(&hundred.table);
        scene.settle();
        for _ in 0..3 {
            client.kill();
            client = scene.synced_client(&["--stale-time", "0"]);
            assert_eq!(scene.settle(), [""; 0]);
        }
        assert_eq!(scene.routes(), hundred.table);
    });
}

#[test]
fn a_stale_time_of_zero_removes_no_route_while_the_first_dial_is_slow() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        scene.announce(both("fd00::1"));
        let client = scene.synced_client(&[]);
        scene.until(BOTH.map(|destination| (destination, "fd00::1")));
        scene.settle();
        client.kill();
        scene.signal_server(Signal::STOP);
        let mut client = installer(&["--stale-time", "0"]);
        // The connection is in the system's backlog; the server has not accepted it.
        client.log("connecting to");
        scene.signal_server(Signal::CONT);
        client.log(HAS_SENT_ALL);
        assert_eq!(scene.settle(), [""; 0]);
    });
}

#[test]
fn while_the_server_is_away_adopted_routes_stay_until_it_is_back() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let hundred = hundred();
        scene.announce([&hundred.first[..], &hundred.second[..]].concat());
        let client = scene.synced_client(&[]);
        scene.until(&hundred.table);
        scene.settle();
        client.kill();
        scene.kill_server();
        let mut client = installer(&[]);
        client.log("cannot connect");
        scene.feeder.log("RETRY");
        // The client under test is second, so that the server has all routes when it sends the End-of-RIB.
        client.signal(Signal::STOP);
        scene.restart_server();
        scene.feeder.log("ESTABLISHED");
        let mut reader = reader();
        read_all(&mut reader, &hundred.table);
        client.signal(Signal::CONT);
        client.log(HAS_SENT_ALL);
        assert_eq!(scene.settle(), [""; 0]);
        assert_eq!(scene.routes(), hundred.table);
    });
}

#[test]
fn without_a_server_adopted_routes_are_removed_after_the_stale_time() {
    const STALE_TIME: Duration = Duration::from_secs(1);
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        scene.announce(both("fd00::1"));
        let client = scene.synced_client(&[]);
        scene.until(BOTH.map(|destination| (destination, "fd00::1")));
        scene.settle();
        client.kill();
        scene.kill_server();
        let started = Instant::now();
        let mut client = installer(&["--stale-time", "1"]);
        scene.until::<&str, &str>([]);
        assert!(started.elapsed() >= STALE_TIME, "{:?}", started.elapsed());
        client.log(NOT_IN_TIME);
    });
}

#[test]
fn a_second_server_that_is_away_does_not_keep_routes_missing_at_the_first() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        scene.announce(both("fd00::1"));
        let client = scene.synced_client(&[]);
        scene.until(BOTH.map(|destination| (destination, "fd00::1")));
        scene.settle();
        client.kill();
        let mut reader = reader();
        read_until(&mut reader, "+ 23 fd10:1::/64 via fd00::1");
        scene.withdraw(["fd10:1::/64#fd00::1"]);
        read_until(&mut reader, "- 23 fd10:1::/64 via fd00::1");
        let mut client = installer(&["--server", "127.0.0.1:4712"]);
        client.log(HAS_SENT_ALL);
        scene.watch.until("- fd10:1::/64");
        assert_eq!(scene.settle().iter().filter(|event| !event.contains("nexthop")).count(), 1);
        assert_eq!(scene.routes(), crate::picture::table([(BOTH[0], "fd00::1")]));
    });
}

#[test]
fn a_restart_upon_sigterm_touches_nothing_either() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        scene.announce([both("fd00::1"), both("fd00::2")].concat());
        let client = scene.synced_client(&[]);
        scene.until(BOTH.map(|destination| (destination, "fd00::1 fd00::2")));
        scene.settle();
        client.signal(Signal::TERM);
        assert_eq!(client.end().0.code, Some(0));
        let _client = scene.synced_client(&[]);
        assert_eq!(scene.settle(), [""; 0]);
    });
}

#[test]
fn routes_with_another_metric_are_replaced_and_the_new_ones_come_first() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        namespace.ip("-6 nexthop add id 2000000007 dev t0 encap ip6 dst fd00::1 protocol 254");
        // Those of an earlier version, and those of the reference implementation.
        let old = |destination: &str, leads: &str| {
            let family = if destination.contains(':') { "-6" } else { "-4" };
            namespace.ip(&format!("{family} route add {destination} {leads} proto 254 table 1000"));
        };
        let others = ["10.2.0.0/24", "fd10:2::/64"];
        let unwanted = ["10.3.0.0/24", "fd10:3::/64"];
        BOTH.iter().for_each(|destination| old(destination, "nhid 2000000007"));
        others.iter().chain(&unwanted).for_each(|destination| old(destination, "encap ip6 dst fd00::1 dev t0"));
        scene.watch.take();
        let wanted = [BOTH[0], BOTH[1], others[0], others[1]];
        scene.announce(wanted.map(|destination| format!("{destination}#fd00::1")));
        let _client = scene.synced_client(&[]);
        scene.until(wanted.map(|destination| (destination, "fd00::1")));
        scene.until_legs(&["fd00::1"]);
        for destination in wanted {
            assert_eq!(scene.watch.seen_of(destination), [format!("+ {destination}"), format!("- {destination}")]);
        }
        for destination in unwanted {
            assert_eq!(scene.watch.seen_of(destination), [format!("- {destination}")]);
        }
        for family in ["-4", "-6"] {
            let shown = namespace.ip(&format!("{family} route show table 1000"));
            let ours = shown.lines().filter(|line| line.contains("encap"));
            assert!(ours.clone().count() > 1 && ours.clone().all(|line| line.contains("metric 2048")), "{shown}");
        }
    });
}

/// Another metric is the same as another version.
#[test]
fn with_another_metric_routes_are_replaced_and_a_second_route_in_the_same_place_is_removed() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        scene.announce(both("fd00::1"));
        let client = scene.synced_client(&[]);
        scene.until(BOTH.map(|destination| (destination, "fd00::1")));
        client.kill();
        namespace.ip("-6 nexthop add id 2000000007 dev t0 encap ip6 dst fd00::7 protocol 254");
        for (family, destination) in ["-4", "-6"].into_iter().zip(BOTH) {
            let route = format!("{destination} nhid 2000000007 table 1000 proto 254 metric 2048");
            namespace.ip(&format!("{family} route prepend {route}"));
        }
        let client = scene.synced_client(&[]);
        scene.until(BOTH.map(|destination| (destination, "fd00::1")));
        scene.until_legs(&["fd00::1"]);
        scene.settle();
        client.kill();
        for metric in ["9000", "7"] {
            let client = scene.synced_client(&["--metric", metric]);
            scene.until(BOTH.map(|destination| (destination, "fd00::1")));
            for destination in BOTH {
                assert_eq!(scene.watch.seen_of(destination), [format!("+ {destination}"), format!("- {destination}")]);
            }
            scene.settle();
            client.kill();
        }
    });
}
