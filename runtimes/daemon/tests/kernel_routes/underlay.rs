//! What is never installed: what no virtual machine can have, and what would end the underlay.

use crate::namespace;
use crate::picture::{self, table};
use crate::process::{Process, Server};
use crate::scene::{BOTH, Scene, both, feed};
use crate::watch::Watch;

#[test]
fn destinations_that_no_virtual_machine_can_have_are_not_installed() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        let mut client = scene.synced_client(&[]);
        let impossible = [
            "127.0.0.0/8",
            "127.0.0.53/32",
            "224.0.0.0/4",
            "239.1.2.3/32",
            "255.255.255.255/32",
            "::1/128",
            "fe80::/10",
            "fe80::1/128",
            "ff02::/16",
        ];
        scene.announce(impossible.map(|destination| format!("{destination}#fd00::1")));
        // Those next to them.
        let possible =
            ["126.0.0.0/8", "128.0.0.0/8", "240.0.0.0/5", "255.255.255.254/32", "::2/128", "fec0::/10", "fe00::/9"];
        scene.announce(possible.map(|destination| format!("{destination}#fd00::1")));
        scene.until(possible.map(|destination| (destination, "fd00::1")));
        client.log_each(&impossible.map(|destination| {
            format!("{destination} is not installed: no virtual machine can have an address of it")
        }));
        scene.withdraw(impossible.iter().chain(&possible).map(|destination| format!("{destination}#fd00::1")));
        scene.until::<&str, &str>([]);
    });
}

#[test]
fn a_next_hop_that_is_an_address_of_this_machine_is_not_installed_as_long_as_it_is_one() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        namespace.ip("-6 address add 2001:db8::1/128 dev lo");
        namespace.ip("-6 route add local 2001:db8:7::/64 dev lo");
        let mut client = scene.synced_client(&[]);
        scene.announce(both("2001:db8::1"));
        scene.announce(["10.2.0.0/24#2001:db8::1", "10.2.0.0/24#fd00::2", "10.3.0.0/24#2001:db8:7::5"]);
        client.log_each(
            &["2001:db8::1", "2001:db8:7::5"]
                .map(|next_hop| format!("next hop {next_hop} is not installed: it is an address of this machine")),
        );
        scene.until([("10.2.0.0/24", "fd00::2")]);
        scene.settle();
        assert_eq!(scene.routes(), table([("10.2.0.0/24", "fd00::2")]));
        // The address moves to another machine, and comes back.
        namespace.ip("-6 address del 2001:db8::1/128 dev lo");
        let all = BOTH.map(|destination| (destination, "2001:db8::1"));
        scene.until(all.into_iter().chain([("10.2.0.0/24", "2001:db8::1 fd00::2")]));
        namespace.ip("-6 address add 2001:db8::1/128 dev lo");
        scene.until([("10.2.0.0/24", "fd00::2")]);
        // An address of two devices is this machine's until both have lost it.
        namespace.ip("-6 address add 2001:db8::1/128 dev t1 nodad");
        namespace.ip("-6 address del 2001:db8::1/128 dev lo");
        scene.settle();
        assert_eq!(scene.routes(), table([("10.2.0.0/24", "fd00::2")]));
        namespace.ip("-6 address del 2001:db8::1/128 dev t1");
        scene.until(all.into_iter().chain([("10.2.0.0/24", "2001:db8::1 fd00::2")]));
    });
}

/// The server retains what a client has announced for its restart time, and advertises it to the client's next process.
#[test]
fn a_client_does_not_install_what_its_own_former_process_has_announced() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        namespace.ip("-6 address add 2001:db8::1/128 dev lo");
        let own = both("2001:db8::1").map(|spec| format!("23#{spec}"));
        let client = scene.synced_client(&["--announce", &own[0], "--announce", &own[1], "--restart-time", "60"]);
        client.kill();
        let mut client = scene.client(&["--restart-time", "60"]);
        client.log("next hop 2001:db8::1 is not installed");
        scene.announce(["10.2.0.0/24#fd00::2"]);
        scene.until([("10.2.0.0/24", "fd00::2")]);
    });
}

#[test]
fn in_the_main_table_no_route_covers_everything_or_a_server_or_a_next_hop() {
    namespace::run(|namespace| {
        namespace.ip("-6 address add 2001:db8:1::11/128 dev lo");
        for main in ["0", "253"] {
            let table_number = if main == "0" { 254 } else { main.parse().unwrap() };
            let mut watch = Watch::of_table(table_number);
            let before = picture::routes_in(namespace, table_number);
            let server = Server::start(&["[2001:db8:1::11]:4711"], &["--convergence-time", "0"]);
            let mut feeder = Process::client(&server.addrs, &["--announce-file", "-", "--restart-time", "0"]);
            feeder.log("ESTABLISHED");
            let mapping = format!("23#{main}");
            let args = ["--subscribe", "23", "--install-routes", &mapping, "--tun", "t0", "--cleanup"];
            let mut client = Process::client(&server.addrs, &args);
            client.log("ESTABLISHED");
            let hop = "2001:db8:2::1";
            let not_installed = [
                ("0.0.0.0/0", "it covers everything"),
                ("::/0", "it covers everything"),
                ("2001:db8:1::/48", "it covers the server 2001:db8:1::11"),
                ("2001:db8:1::11/128", "it covers the server 2001:db8:1::11"),
                ("2001:db8:2::/64", "it covers the next hop 2001:db8:2::1"),
            ];
            feed(&mut feeder, "", not_installed.map(|(destination, _)| format!("{destination}#{hop}")));
            let texts = not_installed
                .map(|(destination, _)| format!(" {destination} in table {table_number} is not installed"));
            for (said, (_, why)) in client.log_each(&texts).iter().zip(not_installed) {
                assert!(said.contains(" WARN ") && said.ends_with(why), "{said}");
            }
            let installed = ["10.0.0.0/8", "2001:db8:3::/48", "2001:db8:2::2/128"];
            feed(&mut feeder, "", installed.map(|destination| format!("{destination}#{hop}")));
            installed.iter().for_each(|destination| watch.until(&format!("+ {destination}")));
            let mut expected = before.clone();
            expected.extend(table(installed.map(|destination| (destination, hop))));
            assert_eq!(picture::routes_in(namespace, table_number), expected);
            // A next hop that comes later, of a route of any kind, and goes again.
            watch.take();
            feed(&mut feeder, "", ["10.0.0.0/8#2001:db8:3::7"]);
            watch.until("- 2001:db8:3::/48");
            client.log("2001:db8:3::/48 in table");
            feed(&mut feeder, "-", ["10.0.0.0/8#2001:db8:3::7"]);
            watch.until("+ 2001:db8:3::/48");
            crate::scene::end(client);
            assert_eq!(picture::routes_in(namespace, table_number), before);
        }
    });
}
