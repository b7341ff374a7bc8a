//! The tunnel device is removed and added again.

use crate::namespace::{self, Namespace};
use crate::process::Process;
use crate::scene::{BOTH, Scene, both};

const LEGS: [&str; 3] = ["fd00::1", "fd00::1 fd00::2", "fd00::2"];

fn all() -> [(&'static str, &'static str); 3] {
    [(BOTH[0], "fd00::1 fd00::2"), (BOTH[1], "fd00::1 fd00::2"), ("10.2.0.0/24", "fd00::2")]
}

fn with_routes(namespace: &Namespace) -> (Scene<'_>, Process) {
    let mut scene = Scene::new(namespace);
    let client = scene.synced_client(&[]);
    let one = ["10.2.0.0/24#fd00::2".to_owned()];
    scene.announce(both("fd00::1").into_iter().chain(both("fd00::2")).chain(one));
    scene.until(all());
    scene.settle();
    (scene, client)
}

#[test]
fn a_device_that_was_down_or_without_carrier_gets_all_routes_when_it_is_up() {
    namespace::run(|namespace| {
        let (mut scene, mut client) = with_routes(namespace);
        for device in ["t0", "t1"] {
            namespace.ip(&format!("link set {device} down"));
            client.log("the tunnel device is down or missing");
            assert_eq!((scene.routes().len(), scene.legs()), (0, vec![]));
            namespace.ip(&format!("link set {device} up"));
            client.log("the tunnel device is up");
            scene.until(all());
            scene.until_legs(&LEGS);
        }
    });
}

#[test]
fn a_device_that_is_added_again_under_its_name_gets_all_routes() {
    namespace::run(|namespace| {
        let (mut scene, mut client) = with_routes(namespace);
        namespace.ip("link del t0");
        client.log("the tunnel device is down or missing");
        // Changes while the device is away are applied when it is back.
        scene.withdraw(["10.2.0.0/24#fd00::2"]);
        scene.announce(["10.3.0.0/24#fd00::1"]);
        namespace.ip("link add t0 type veth peer name t1");
        namespace.ip("link set t0 up");
        namespace.ip("link set t1 up");
        client.log("the tunnel device is up");
        scene.until([all()[0], all()[1], ("10.3.0.0/24", "fd00::1")]);
        scene.until_legs(&LEGS);
    });
}

#[test]
fn a_device_that_is_down_at_the_start_is_waited_for() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        namespace.ip("link set t0 down");
        scene.announce(both("fd00::1"));
        let _client = scene.synced_client(&[]);
        assert_eq!(scene.routes().len(), 0);
        namespace.ip("link set t0 up");
        scene.until(BOTH.map(|destination| (destination, "fd00::1")));
    });
}
