//! The tunnel device is removed and added again.

use crate::namespace::{self, Namespace};
use crate::process::{Process, run};
use crate::scene::{BOTH, HAS_SENT_ALL, Scene, both, end, get, installer};

const HTTP: &str = "127.0.0.1:4713";

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
        for (device, state) in [("t0", "is down"), ("t1", "has no carrier")] {
            namespace.ip(&format!("link set {device} down"));
            client.log(&format!("the tunnel device {state}: no route is installed until that changes"));
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
        client.log("the tunnel device does not exist");
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
        let mut client = installer(&[]);
        let lines = client.log_until(HAS_SENT_ALL);
        let said =
            lines.iter().filter(|line| line.contains("the tunnel device is down: no route is installed")).count();
        assert_eq!((said, scene.routes().len()), (1, 0), "{lines:#?}");
        namespace.ip("link set t0 up");
        client.log("the tunnel device is up");
        scene.until(BOTH.map(|destination| (destination, "fd00::1")));
    });
}

fn status() -> String {
    run(&["show", "status", "--http", HTTP]).stdout.join("\n")
}

/// Returns the code of `/readyz`, and the number of dumps.
fn ready_and_dumps() -> (u16, u64) {
    let ready = get(HTTP, "/readyz");
    let metrics = get(HTTP, "/metrics");
    let dumps = metrics.lines().find_map(|line| line.strip_prefix("metalbond_kernel_dumps_total ")).unwrap();
    (ready.split(' ').nth(1).unwrap().parse().unwrap(), dumps.parse().unwrap())
}

/// What the log says of a state of the device, how it begins, and how it ends.
type State<'a> = (&'a str, &'a dyn Fn(), &'a dyn Fn());

#[test]
fn what_keeps_the_device_from_tunnels_is_said_once_and_shown_and_the_client_is_not_ready_until_it_is_over() {
    namespace::run(|namespace| {
        let disable = |value: &str| std::fs::write("/proc/sys/net/ipv6/conf/t0/disable_ipv6", value).unwrap();
        let mtu = |mtu: u32| drop(namespace.ip(&format!("link set t0 mtu {mtu}")));
        let small = "the tunnel device has an MTU of 1200, and IPv6 needs at least 1280";
        let disabled = "IPv6 is disabled on the tunnel device (sysctl disable_ipv6)";
        let mut scene = Scene::new(namespace);
        scene.announce(both("fd00::1"));
        // At the start.
        mtu(1200);
        let mut client = scene.client(&["--http", HTTP]);
        let states: [State<'_>; 2] =
            [(small, &|| mtu(1200), &|| mtu(1500)), (disabled, &|| disable("1"), &|| disable("0"))];
        for (why, _, end) in states {
            if why == disabled {
                client.kill();
                disable("1");
                client = scene.client(&["--http", HTTP]);
            }
            client.log(HAS_SENT_ALL);
            assert!(status().contains(why), "{}", status());
            assert!(status().contains("no, waiting for the kernel to accept routes"), "{}", status());
            let before = ready_and_dumps();
            assert_eq!(before.0, 503);
            end();
            client.log("the tunnel device is up");
            scene.until(BOTH.map(|destination| (destination, "fd00::1")));
            scene.settle();
            let after = ready_and_dumps();
            assert_eq!(after.0, 200);
            assert!(after.1 <= before.1 + 4, "{before:?} {after:?}");
            assert!(!status().contains(why), "{}", status());
        }
        // While it runs.
        let mut said = Vec::new();
        for (n, (why, begin, end)) in states.into_iter().enumerate() {
            begin();
            // What is announced now needs an object.
            scene.announce([format!("10.2{n}.0.0/24#fd00::{}", n + 10)]);
            said.push(client.log(&format!("{why}: no route is installed until that changes")));
            end();
            client.log("the tunnel device is up");
            scene.watch.until(&format!("+ 10.2{n}.0.0/24"));
        }
        assert!(said.iter().all(|line| line.contains(" WARN ")), "{said:#?}");
        scene.settle();
        let log = end(client);
        assert!(!log.iter().any(|line| line.contains(" WARN ")), "{log:#?}");
    });
}
