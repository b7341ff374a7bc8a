//! Which next hops are installed, and with which weight.

use crate::namespace;
use crate::picture::table;
use crate::process::run;
use crate::scene::{BOTH, Scene, both, end};

#[test]
fn next_hops_of_an_excluded_type_are_not_installed() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        scene.announce(["fd00::1", "fd00::2#LB", "fd00::3#NAT#1#100"].map(both).concat());
        // The routes of markers have the standard type.
        let runs = [
            (&["--exclude-type", "LB"][..], "fd00::1 fd00::3"),
            (&["--exclude-type", "NAT"], "fd00::1 fd00::2"),
            (&["--exclude-type", "nat,lb"], "fd00::1"),
            (&["--exclude-type", "LB", "--exclude-type", "NAT"], "fd00::1"),
        ];
        for (args, legs) in runs {
            let client = scene.synced_client(args);
            scene.until(BOTH.map(|destination| (destination, legs)));
            scene.settle();
            assert_eq!(scene.routes(), table(BOTH.map(|destination| (destination, legs))), "{args:?}");
            client.kill();
        }
        let _client = scene.synced_client(&["--exclude-type", "STD"]);
        scene.until(BOTH.map(|destination| (destination, "fd00::2 fd00::3")));
    });
}

#[test]
fn a_destination_of_excluded_next_hops_only_is_not_installed() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let _client = scene.synced_client(&["--exclude-type", "LB"]);
        scene.announce(both("fd00::1#LB"));
        assert_eq!(scene.settle(), [""; 0]);
        assert_eq!((scene.routes().len(), scene.legs().len()), (0, 0));
    });
}

#[test]
fn next_hops_in_a_preferred_network_weigh_99_to_1() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let _client = scene.synced_client(&["--prefer-network", "fd01::/64", "--prefer-network", "fd02::/64"]);
        scene.announce(["fd00::1", "fd01::1", "fd02::1"].map(both).concat());
        scene.announce(["10.2.0.0/24#fd01::1", "10.2.0.0/24#fd02::1", "fd12::/64#fd00::1", "fd12::/64#fd00::2"]);
        // If all or none of the next hops are preferred, all have the same weight.
        let mixed = "fd00::1 fd01::1*99 fd02::1*99";
        let others = [("10.2.0.0/24", "fd01::1 fd02::1"), ("fd12::/64", "fd00::1 fd00::2")];
        scene.until(BOTH.map(|destination| (destination, mixed)).into_iter().chain(others));
        scene.withdraw(both("fd00::1"));
        let alike = BOTH.map(|destination| (destination, "fd01::1 fd02::1"));
        scene.until(alike.into_iter().chain(others));
    });
}

#[test]
fn ipv6_destinations_are_left_out_with_ipv4_only() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let _client = scene.synced_client(&["--ipv4-only"]);
        scene.announce(both("fd00::1"));
        scene.until([(BOTH[0], "fd00::1")]);
        let mut events = scene.settle();
        events.retain(|event| !event.contains("nexthop"));
        assert_eq!(events, [format!("+ {}", BOTH[0])]);
    });
}

#[test]
fn destinations_that_differ_in_host_bits_are_one_route_to_all_next_hops() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let _client = scene.synced_client(&[]);
        let first = ["10.1.0.5/24#fd00::1", "fd10:1::5/64#fd00::1"];
        scene.announce(first);
        scene.until(BOTH.map(|destination| (destination, "fd00::1")));
        scene.announce(both("fd00::2"));
        scene.until(BOTH.map(|destination| (destination, "fd00::1 fd00::2")));
        scene.announce(["10.1.0.255/24#fd00::3", "fd10:1::ffff/64#fd00::3"]);
        scene.until(BOTH.map(|destination| (destination, "fd00::1 fd00::2 fd00::3")));
        scene.withdraw(both("fd00::2"));
        scene.until(BOTH.map(|destination| (destination, "fd00::1 fd00::3")));
        scene.withdraw(first);
        scene.until(BOTH.map(|destination| (destination, "fd00::3")));
        for destination in BOTH {
            let own = scene.watch.seen_of(destination);
            assert!(own[0].starts_with('+') && own[1..].iter().all(|event| event.starts_with('~')), "{own:?}");
        }
    });
}

#[test]
fn next_hops_that_differ_in_ports_or_type_only_are_one() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let _client = scene.synced_client(&[]);
        let hops = ["fd00::1#NAT#1#100", "fd00::1#NAT#101#200", "fd00::1#LB", "fd00::1", "fd00::1#42"];
        scene.announce(hops.map(both).concat());
        scene.until(BOTH.map(|destination| (destination, "fd00::1")));
        scene.settle();
        assert_eq!(scene.legs(), ["fd00::1"]);
        // It does not matter which of them are withdrawn.
        scene.withdraw(hops[..4].iter().map(|hop| both(hop)).collect::<Vec<_>>().concat());
        assert_eq!(scene.settle(), [""; 0]);
        scene.withdraw(both(hops[4]));
        scene.until::<&str, &str>([]);
    });
}

#[test]
fn an_ipv4_next_hop_is_not_installed_and_logged_once() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let client = scene.synced_client(&[]);
        scene.announce(both("192.0.2.1").into_iter().chain(both("192.0.2.1#LB")));
        assert_eq!(scene.settle(), [""; 0]);
        scene.announce(["10.2.0.0/24#192.0.2.1", "10.2.0.0/24#fd00::1", "fd12::/64#fd00::1", "fd12::/64#192.0.2.2"]);
        scene.until([("10.2.0.0/24", "fd00::1"), ("fd12::/64", "fd00::1")]);
        scene.settle();
        let log = end(client);
        for addr in ["192.0.2.1", "192.0.2.2"] {
            let said = format!("next hop {addr} is not installed: a tunnel needs an IPv6 address");
            assert_eq!(log.iter().filter(|line| line.contains(&said)).count(), 1, "{log:#?}");
        }
    });
}

#[test]
fn next_hops_that_are_too_many_for_the_kernel_are_counted_and_the_first_is_named() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let mut client = scene.synced_client(&["--http", "127.0.0.1:4713"]);
        let status = || run(&["show", "status", "--http", "127.0.0.1:4713"]).stdout.join("\n");
        let specs = |range: std::ops::Range<u32>| range.map(|n| format!("10.1.0.0/24#fd00::{n:x}"));
        scene.announce(specs(0x100..0x200));
        scene.settle();
        assert!(!status().contains("more than 256"), "{}", status());
        scene.announce(specs(0x200..0x203));
        // They may come one after the other.
        let said = client.log("10.1.0.0/24 in table 1000 has ");
        assert!(said.contains(" WARN ") && said.contains(" next hops: "), "{said}");
        assert!(said.ends_with("of them, fd00::200 and those after it, are not installed"), "{said}");
        scene.settle();
        assert!(status().contains("more than 256 next hops, not all installed: 1"), "{}", status());
        scene.withdraw(specs(0x200..0x203));
        scene.settle();
        assert!(!status().contains("more than 256"), "{}", status());
    });
}
