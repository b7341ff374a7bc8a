//! Routes are added, changed and removed.

use crate::namespace;
use crate::scene::{BOTH, Scene, both};

#[test]
fn each_change_of_the_next_hops_is_one_replacement_and_never_a_removal() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let _client = scene.synced_client(&[]);
        scene.announce(both("fd00::1"));
        scene.until(BOTH.map(|destination| (destination, "fd00::1")));
        scene.settle();
        let steps = [
            ("", "fd00::2", "fd00::1 fd00::2"),
            ("", "fd00::3", "fd00::1 fd00::2 fd00::3"),
            ("-", "fd00::1", "fd00::2 fd00::3"),
            ("-", "fd00::3", "fd00::2"),
            ("", "fd00::1", "fd00::1 fd00::2"),
        ];
        for (sign, hop, legs) in steps {
            if sign.is_empty() {
                scene.announce(both(hop))
            } else {
                scene.withdraw(both(hop))
            }
            scene.until(BOTH.map(|destination| (destination, legs)));
            let mut events = scene.settle();
            events.retain(|event| !event.contains("nexthop"));
            assert_eq!(events, BOTH.map(|destination| format!("~ {destination}")), "{sign}{hop}");
        }
        scene.withdraw([both("fd00::1"), both("fd00::2")].concat());
        scene.until::<&str, &str>([]);
        scene.until_legs(&[]);
    });
}

#[test]
fn replacing_a_hypervisor_by_another_leaves_no_gap() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let _client = scene.synced_client(&[]);
        scene.announce(both("fd00::1"));
        scene.until(BOTH.map(|destination| (destination, "fd00::1")));
        scene.settle();
        scene.announce(both("fd00::2"));
        scene.withdraw(both("fd00::1"));
        scene.until(BOTH.map(|destination| (destination, "fd00::2")));
        scene.until_legs(&["fd00::2"]);
        let events = scene.settle();
        let is_gap = |event: &&String| !event.contains("nexthop") && !event.starts_with('~');
        assert_eq!(events.iter().find(is_gap), None, "{events:#?}");
    });
}

#[test]
fn destinations_of_every_length_are_installed() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let _client = scene.synced_client(&[]);
        let destinations = ["0.0.0.0/0", "10.1.0.0/16", "10.1.2.3/32", "::/0", "fd10::/16", "fd10::1/128"];
        scene.announce(destinations.map(|destination| format!("{destination}#fd00::1")));
        scene.until(destinations.map(|destination| (destination, "fd00::1")));
        scene.withdraw(destinations.map(|destination| format!("{destination}#fd00::1")));
        scene.until::<&str, &str>([]);
    });
}

#[test]
fn each_network_goes_into_its_own_table_and_others_into_none() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let _client = scene.synced_client(&["--subscribe", "24", "--install-routes", "24#4294967295"]);
        let spec = |vni, destination| format!("{vni}#{destination}#fd00::{vni}\n");
        for destination in BOTH {
            scene.feeder.write(&[spec(25, destination), spec(24, destination), spec(23, destination)].concat());
        }
        scene.until(BOTH.map(|destination| (destination, "fd00::23")));
        scene.settle();
        for (family, destination) in ["-4", "-6"].into_iter().zip(BOTH) {
            let other = namespace.ip(&format!("{family} route show table 4294967295"));
            assert!(other.contains(destination) && other.contains("fd00::24"), "{other}");
        }
        assert_eq!(scene.legs(), ["fd00::23", "fd00::24"]);
    });
}
