//! The only server goes away and comes back.

use std::collections::BTreeSet;

use crate::namespace;
use crate::process::{Process, Signal};
use crate::scene::{BOTH, SERVER, Scene, announcer, both, feed};

#[test]
fn a_server_that_comes_back_within_the_stale_time_changes_nothing() {
    namespace::run(|namespace| {
        let mut scene = Scene::with_server(namespace, &[]);
        let mut second = announcer(&[]);
        scene.announce((1..=50).flat_map(|n| [format!("10.1.{n}.0/24#fd00::1"), format!("fd10:{n:x}::/64#fd00::1")]));
        feed(&mut second, "", (1..=20).map(|n| format!("10.1.{n}.0/24#fd00::2")));
        feed(&mut second, "", (1..=20).map(|n| format!("fd10:{n:x}::/64#fd00::2")));
        let mut client = scene.client(&[]);
        let legs = |n| if n <= 20 { "fd00::1 fd00::2" } else { "fd00::1" };
        scene
            .until((1..=50).flat_map(|n| [(format!("10.1.{n}.0/24"), legs(n)), (format!("fd10:{n:x}::/64"), legs(n))]));
        scene.settle();

        scene.kill_server();
        for process in [&mut client, &mut scene.feeder, &mut second] {
            process.log("RETRY");
        }
        scene.restart_server();
        for process in [&mut client, &mut scene.feeder, &mut second] {
            process.log("ESTABLISHED");
        }
        assert_eq!(scene.settle(), [""; 0]);
    });
}

#[test]
fn missing_routes_stay_with_a_converging_server_and_go_with_an_end_of_rib() {
    namespace::run(|namespace| {
        let mut scene = Scene::with_server(namespace, &[]);
        let mut second = announcer(&[]);
        scene.announce(both("fd00::1").into_iter().chain(["10.2.0.0/24#fd00::1".to_owned()]));
        feed(&mut second, "", both("fd00::2"));
        feed(&mut second, "", ["fd10:2::/64#fd00::2"]);
        let mut client = scene.client(&[]);
        let ecmp = "fd00::1 fd00::2";
        scene.until([(BOTH[0], ecmp), (BOTH[1], ecmp), ("10.2.0.0/24", "fd00::1"), ("fd10:2::/64", "fd00::2")]);
        scene.settle();

        second.kill();
        scene.kill_server();
        client.log("RETRY");
        scene.feeder.log("RETRY");
        scene.restart_server();
        client.log("ESTABLISHED");
        scene.feeder.log("ESTABLISHED");
        assert_eq!(scene.settle(), [""; 0]);

        // The client under test comes last, so that the server has all routes when it sends the End-of-RIB.
        client.signal(Signal::STOP);
        scene.kill_server();
        scene.feeder.log("RETRY");
        scene.restart_server_with(&["--convergence-time", "0"]);
        scene.feeder.log("ESTABLISHED");
        let mut reader = Process::client(&[SERVER.parse().unwrap()], &["--subscribe", "23"]);
        let mut missing: BTreeSet<_> = [BOTH[0], BOTH[1], "10.2.0.0/24"].into();
        while !missing.is_empty() {
            let line = reader.line();
            missing.retain(|destination| line != format!("+ 23 {destination} via fd00::1"));
        }
        client.signal(Signal::CONT);
        scene.until([(BOTH[0], "fd00::1"), (BOTH[1], "fd00::1"), ("10.2.0.0/24", "fd00::1")]);
        scene.until_legs(&["fd00::1"]);
        let mut events = scene.settle();
        events.retain(|event| !event.contains("nexthop"));
        events.sort();
        assert_eq!(events, ["- fd10:2::/64", "~ 10.1.0.0/24", "~ fd10:1::/64"]);
    });
}
