//! Destinations that the client itself announces.

use crate::namespace;
use crate::picture::table;
use crate::process::Signal;
use crate::scene::{BOTH, HAS_SENT_ALL, Scene, both, feed};

#[test]
fn a_standard_route_to_our_own_destination_is_installed_when_ours_is_withdrawn() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        scene.announce(both("fd00::2"));
        let own = both("fd00::1").map(|spec| format!("23#{spec}\n")).concat();
        let file = std::env::temp_dir().join(format!("metalbond-own-{}", std::process::id()));
        let put = |text: &str| std::fs::write(&file, text).unwrap();
        put(&own);
        let mut client = scene.synced_client(&["--announce-file", file.to_str().unwrap()]);
        let mut events = scene.settle();
        events.retain(|event| !event.contains("nexthop"));
        assert_eq!((events, scene.routes(), scene.legs()), (vec![], table([("", ""); 0]), vec![]));
        put("");
        client.signal(Signal::HUP);
        client.log("announcements +0 -2");
        scene.until(BOTH.map(|destination| (destination, "fd00::2")));
        // The same the other way round.
        put(&own);
        client.signal(Signal::HUP);
        client.log("announcements +2 -0");
        scene.until::<&str, &str>([]);
        scene.until_legs(&[]);
        std::fs::remove_file(file).unwrap();
    });
}

#[test]
fn lb_and_nat_next_hops_of_our_own_destination_are_installed() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        scene.announce(["fd00::2", "fd00::3#LB", "fd00::4#NAT#1#100"].map(both).concat());
        let mut client = scene.synced_client(&["--announce-file", "-"]);
        scene.until(BOTH.map(|destination| (destination, "fd00::2 fd00::3 fd00::4")));
        feed(&mut client, "", both("fd00::1"));
        scene.until(BOTH.map(|destination| (destination, "fd00::3 fd00::4")));
        feed(&mut client, "-", both("fd00::1"));
        scene.until(BOTH.map(|destination| (destination, "fd00::2 fd00::3 fd00::4")));
    });
}

#[test]
fn a_next_hop_that_is_standard_and_lb_is_installed_for_the_latter() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        scene.announce(["fd00::2", "fd00::2#LB", "fd00::3"].map(both).concat());
        let mut client = scene.synced_client(&["--announce-file", "-"]);
        scene.until(BOTH.map(|destination| (destination, "fd00::2 fd00::3")));
        feed(&mut client, "", both("fd00::1"));
        scene.until(BOTH.map(|destination| (destination, "fd00::2")));
    });
}

#[test]
fn only_our_own_standard_announcement_prevents_installing() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        scene.announce(both("fd00::2"));
        let mut client = scene.synced_client(&["--announce-file", "-"]);
        scene.until(BOTH.map(|destination| (destination, "fd00::2")));
        scene.settle();
        feed(&mut client, "", ["fd00::1#LB", "fd00::1#NAT#1#100"].map(both).concat());
        // Processed before the following routes, which take the same way.
        feed(&mut client, "", ["10.2.0.0/24#fd00::1"]);
        scene.announce(["10.2.0.0/24#fd00::2", "10.3.0.0/24#fd00::2"]);
        scene.watch.until("+ 10.3.0.0/24");
        assert_eq!(scene.routes(), table([(BOTH[0], "fd00::2"), (BOTH[1], "fd00::2"), ("10.3.0.0/24", "fd00::2")]));
    });
}

/// A virtual machine has moved here while the client was stopped, and a second server is away: it is not known what else is announced.
#[test]
fn an_adopted_route_to_our_own_destination_goes_at_the_start() {
    namespace::run(|namespace| {
        let mut scene = Scene::with_server(namespace, &["--convergence-time", "3600"]);
        scene.announce(both("fd00::2").into_iter().chain(["10.2.0.0/24#fd00::2".to_owned()]));
        let client = scene.client(&[]);
        scene.until(BOTH.into_iter().chain(["10.2.0.0/24"]).map(|destination| (destination, "fd00::2")));
        scene.settle();
        client.kill();
        scene.kill_server();
        let own = both("fd00::1").map(|spec| format!("23#{spec}"));
        let client = crate::scene::installer(&["--announce", &own[0], "--announce", &own[1]]);
        scene.until([("10.2.0.0/24", "fd00::2")]);
        let log = crate::scene::end(client);
        assert!(!log.iter().any(|line| line.contains(HAS_SENT_ALL)), "{log:#?}");
    });
}
