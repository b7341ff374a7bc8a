//! systemd-networkd beside the client: the real program, in a mount namespace of its own, without systemd.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;

use metalbond_conformance::{has_program, skip};

use crate::namespace;
use crate::process::Process;
use crate::scene::*;

const PROGRAM: &str = "/usr/lib/systemd/systemd-networkd";
/// The drop-in of the Debian package.
const DROP_IN: &str = include_str!("../../packaging/networkd/50-metalbond.conf");
/// With `/sys` read-only, as in a container, it does not wait for udev. It manages the devices v0 and v1.
const START: &str = "
set -e
mount -o remount,bind,ro /sys
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp /run/systemd/network /run/systemd/networkd.conf.d
chown -R systemd-network:systemd-network /run/systemd/netif
printf '[Match]\nName=v*\n[Network]\nLinkLocalAddressing=no\n' >/run/systemd/network/v.network
printf '%s' \"$1\" >/run/systemd/networkd.conf.d/50-metalbond.conf
exec env SYSTEMD_LOG_LEVEL=debug \"$2\"
";

/// A running systemd-networkd. It is killed when dropped.
struct Networkd(Child);

impl Networkd {
    /// Starts it with this drop-in, and waits until it knows what is there. Returns `None`, and says that the test is skipped, if there is none.
    fn start(drop_in: &str) -> Option<Self> {
        if !std::path::Path::new(PROGRAM).exists() {
            skip("there is no systemd-networkd");
            return None;
        }
        if !has_program("unshare") {
            return None;
        }
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", START, "sh", drop_in, PROGRAM]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
        let networkd = Self(child);
        let mut before = Vec::new();
        loop {
            let line = lines.next().unwrap_or_else(|| panic!("it has ended: {before:#?}"));
            if line.contains("Enumeration completed") {
                break;
            }
            before.push(line);
        }
        // It must not wait for its log to be read.
        thread::spawn(move || lines.for_each(drop));
        Some(networkd)
    }

    /// Starts the client under test where it sees the files of this networkd.
    fn client_beside(&self) -> Process {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.0.id().to_string(), env!("CARGO_BIN_EXE_metalbond"), "client"]);
        command.args(["--server", SERVER]).args(INSTALL);
        Process::spawn(command, Stdio::null(), Stdio::piped())
    }
}

impl Drop for Networkd {
    fn drop(&mut self) {
        // Fails if it has already ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// With each new link, version 252 removes all groups, and with its first one all rules.
#[test]
fn what_it_removes_is_put_back_and_a_hint_says_what_to_set() {
    namespace::run(|namespace| {
        let Some(networkd) = Networkd::start("") else { return };
        let mut scene = Scene::new(namespace);
        let mut client = networkd.client_beside();
        client.log(
            "hint: systemd-networkd removes routes, rules and nexthop objects that are not in its files, unless networkd.conf has \
             ManageForeignRoutes=no, ManageForeignRoutingPolicyRules=no, ManageForeignNextHops=no",
        );
        client.log(HAS_SENT_ALL);
        let destinations: Vec<String> = (0..100).map(|n| format!("10.2.{n}.0/24")).collect();
        for hop in ["fd00::1", "fd00::2"] {
            scene.announce(destinations.iter().map(|destination| format!("{destination}#{hop}")));
        }
        let all = || destinations.iter().map(|destination| (destination, "fd00::1 fd00::2"));
        scene.until(all());
        scene.settle();
        let group = scene.objects().into_iter().find(|object| object.legs == "fd00::1 fd00::2").unwrap().id;
        namespace.ip("link add v0 type veth peer name v1");
        scene.watch.until(&format!("- nexthop {group}"));
        scene.until(all());
        scene.settle();
        scene.until(all());
        scene.until_legs(&["fd00::1", "fd00::1 fd00::2", "fd00::2"]);
    });
}

#[test]
fn with_the_drop_in_of_the_package_it_leaves_rules_alone_and_there_is_no_hint() {
    namespace::run(|namespace| {
        let Some(networkd) = Networkd::start(DROP_IN) else { return };
        let mut scene = Scene::new(namespace);
        namespace.ip("rule add to 10.2.0.0/16 lookup 1000");
        let mut client = networkd.client_beside();
        let before = client.log_until(HAS_SENT_ALL);
        assert!(before.iter().all(|line| !line.contains("networkd")), "{before:#?}");
        scene.announce(both("fd00::1"));
        scene.announce(both("fd00::2"));
        scene.until(BOTH.map(|destination| (destination, "fd00::1 fd00::2")));
        scene.settle();
        let rules = namespace.ip("rule show");
        namespace.ip("link add v0 type veth peer name v1");
        // It has seen the link when it sets it up.
        scene.until_equal(&true, |_| namespace.ip("link show v0").contains("UP"));
        scene.until(BOTH.map(|destination| (destination, "fd00::1 fd00::2")));
        assert_eq!(namespace.ip("rule show"), rules);
    });
}
