//! Command lines of the reference implementation, from its units, its makefile, its documentation and its users. Each
//! test runs in a network namespace, in which their ports are free.

use crate::namespace::{self, Namespace};
use crate::picture::{self, Table, table};
use crate::process::{Process, Server, Signal, run};
use crate::scene::{self, BOTH, SERVER, Scene, both, end};
use crate::watch::Watch;

/// The kernel's main table, which the reference implementation's library calls 0.
const MAIN: u32 = 254;
/// The units of the reference implementation's package.
const SERVER_UNIT: &str = "server --listen [::]:4711 --http [::1]:4712 --keepalive 5";
const CLIENT_UNIT: &str = "client --server [::1]:4711 --keepalive 5 --announce 123#2001:db8:dead:beef::/64#2001:db8::1 \
                           --announce 123#10.0.23.42/32#2001:db8::1 --install-routes 123#0 --tun overlay-tun";

fn start(line: &str) -> Process {
    Process::start(&line.split_whitespace().collect::<Vec<_>>())
}

/// Sets up a machine as the command lines expect it.
fn prepare(namespace: &Namespace) {
    namespace.ip("link add overlay-tun type veth peer name overlay-far");
    namespace.ip("link set overlay-far up");
    namespace.ip("link set overlay-tun up");
    namespace.ip("addr add 2001:db8::1/128 dev lo");
}

/// Starts a client that announces the routes in its standard input.
fn announcer() -> Process {
    let mut announcer = start("client --server [::1]:4711 --announce-file - --restart-time 0");
    announcer.log("ESTABLISHED");
    announcer
}

fn main_table(namespace: &Namespace) -> Table {
    picture::routes_in(namespace, MAIN)
}

/// Queries a client with `--http [::1]:4713`.
fn get(path: &str) -> String {
    scene::get("[::1]:4713", path)
}

/// Returns the warnings about arguments.
fn warnings(log: &[String]) -> Vec<&str> {
    let texts = log.iter().filter_map(|line| Some(line.split_once(" WARN ")?.1.trim()));
    texts.filter(|text| text.starts_with("--")).collect()
}

#[test]
fn every_known_command_line_of_a_client_opens_its_session_and_names_what_has_no_effect() {
    let unsubscribed = |mapping: &str, vni: u32| {
        format!(
            "--install-routes '{mapping}': VNI {vni} is not subscribed to (--subscribe {vni}), so none of its routes are \
             received or installed"
        )
    };
    let without_table = |vni: u32| {
        format!(
            "--subscribe '{vni}': VNI {vni} has no table (--install-routes {vni}#TABLE), so its routes are not installed"
        )
    };
    let unused = |flag: &str| format!("{flag}: has no effect without --install-routes, as no route is installed");
    let twice = "--install-routes '50#7': VNI 50 has another table further on, which counts".to_owned();
    let lines = [
        (CLIENT_UNIT, vec![unsubscribed("123#0", 123)]),
        (
            "client --server [2001:db8::1]:4711 --install-routes 123#0 --tun overlay-tun --ipv4-only \
             --announce 123#2001:db8:dead:beef::/64#2001:db8::1",
            vec![unsubscribed("123#0", 123)],
        ),
        ("client --server [2001:db8::1]:4711 --subscribe 50 --install-routes 50#0 --tun overlay-tun", vec![]),
        (
            "client --server [::1]:4711 --keepalive 2 --subscribe 23 --announce 23#2001:db8:1::/48#2001:db8::cafe \
             --announce 23#192.168.0.0/16#2001:db8::cafe --install-routes 23#100 --tun overlay-tun",
            vec![],
        ),
        (
            "client --server [::1]:4711 --keepalive 2 --subscribe 23 --subscribe 42 \
             --announce 23#2001:db8:4::/48#2001:db8::4:beef --announce 23#2001:db8:4::/48#2001:db8::4a:beef \
             --announce 42#10.0.0.0/8#2001:db8::beef",
            vec![],
        ),
        ("client --server [::]:4711 --keepalive 5 --subscribe 100 --announce 100#1.2.3.4/32#2001:db8:1234::5", vec![]),
        (
            "client --server :4711 --tun overlay-tun --ipv4-only",
            vec![unused("--tun 'overlay-tun'"), unused("--ipv4-only")],
        ),
        (
            "client --server [::1]:4711 --subscribe 23,42 --install-routes 23#100 --tun overlay-tun -v --keepalive 0",
            vec![without_table(42)],
        ),
        (
            "client --server [::1]:4711 --subscribe 50 --install-routes 50#7,50#0 --tun=overlay-tun --ipv4-only=true \
             --cleanup=false --verbose=true",
            vec![twice],
        ),
        ("client --server [::1]:4711 --http [::1]:4713 --cleanup", vec![]),
    ];
    namespace::run(|namespace| {
        prepare(namespace);
        let mut server = start(SERVER_UNIT);
        server.log("HTTP on http://[::1]:4712/");
        server.log("listening on [::]:4711");
        for (line, expected) in lines {
            let mut client = start(line);
            let mut log = client.log_until("ESTABLISHED");
            log.extend(end(client));
            assert_eq!(warnings(&log), expected, "{line}: {log:#?}");
        }
        // The route in the unit's command line is announced.
        let _unit = start(CLIENT_UNIT);
        let mut other = start("client --server [::1]:4711 --subscribe 123");
        let mut learned = [other.line(), other.line()];
        learned.sort();
        let routes = ["10.0.23.42/32", "2001:db8:dead:beef::/64"];
        assert_eq!(learned, routes.map(|destination| format!("+ 123 {destination} via 2001:db8::1")));
    });
}

/// The example of the reference implementation's documentation.
#[test]
fn a_client_without_a_server_runs_and_installs_nothing() {
    namespace::run(|namespace| {
        prepare(namespace);
        let before = main_table(namespace);
        let mut client = start("client --install-routes 23#0 --tun overlay-tun --http [::1]:4712");
        let mut log = client.log_until("HTTP on ");
        log.extend(end(client));
        let said = warnings(&log);
        assert_eq!(said.len(), 2, "{log:#?}");
        assert!(
            said[0].starts_with("--server is not given") && said[1].contains("VNI 23 is not subscribed"),
            "{said:?}"
        );
        assert_eq!(main_table(namespace), before);
    });
}

#[test]
fn a_client_whose_server_is_yet_to_be_named_keeps_the_kernel_routes_that_it_has_found() {
    namespace::run(|namespace| {
        let mut scene = Scene::new(namespace);
        scene.announce(both("fd00::1"));
        let client = scene.client(&[]);
        scene.until(BOTH.map(|destination| (destination, "fd00::1")));
        client.kill();
        scene.watch.take();
        let file = std::env::temp_dir().join(format!("metalbond-no-server-{}.toml", std::process::id()));
        let settings = "[client]\nsubscribe = 23\ninstall-routes = '23#1000'\ntun = 't0'\n";
        std::fs::write(&file, settings).unwrap();
        let mut client = Process::start(&["client", "--config", file.to_str().unwrap(), "--http", "127.0.0.1:0"]);
        client.log("--server is not given");
        client.log("HTTP on ");
        std::fs::write(&file, format!("{settings}server = '{SERVER}'\n")).unwrap();
        client.signal(Signal::HUP);
        client.log("servers +1 -0");
        client.log("ESTABLISHED");
        // By then the client has done everything that it had to do before.
        let events = scene.settle();
        assert!(!events.iter().any(|event| BOTH.contains(&&event[2..])), "{events:?}");
        std::fs::remove_file(file).unwrap();
    });
}

#[test]
fn without_a_device_routes_cant_be_installed_as_in_the_reference() {
    namespace::run(|_| {
        let ended = run(&["client", "--server", "[::1]:4711", "--install-routes", "123#0"]);
        assert_eq!(ended.code, Some(2));
        assert!(ended.stderr[0].contains("--tun"), "{:?}", ended.stderr);
    });
}

#[test]
fn routes_of_table_0_are_in_the_main_table_beside_those_of_others_and_only_they_are_adopted_and_removed() {
    namespace::run(|namespace| {
        prepare(namespace);
        namespace.ip("addr add 10.77.0.1/24 dev t1");
        namespace.ip("route add 10.5.0.0/24 dev t1");
        namespace.ip("-6 route add fd05::/64 dev t1");
        let theirs = main_table(namespace);
        let mut watch = Watch::of_table(MAIN);
        let _server = Server::start(&["[::]:4711"], &["--convergence-time", "0"]);
        let mut announcer = announcer();
        let client = "client --server [2001:db8::1]:4711 --install-routes 123#0 --subscribe 123 --tun overlay-tun";
        let mut installer = start(client);
        installer.log("ESTABLISHED");

        // The machine's own prefix and static routes come first; all other routes are in effect.
        let conflicts = ["10.77.0.0/24", "10.5.0.0/24", "fd05::/64"];
        for destination in conflicts.iter().chain(&["10.1.0.0/24", "fd10:1::/64"]) {
            announcer.write(&format!("123#{destination}#fd00::1\n"));
        }
        for _ in conflicts {
            let said = installer.log("has no effect: a route of another protocol comes first");
            assert!(said.contains("in table 254"), "{said}");
        }
        watch.until("+ 10.1.0.0/24");
        watch.until("+ fd10:1::/64");
        let mut both = theirs.clone();
        both.extend(table([("10.1.0.0/24", "fd00::1"), ("fd10:1::/64", "fd00::1")]));
        both.extend(table(conflicts.map(|destination| (format!("{destination} again"), "fd00::1"))));
        assert_eq!(main_table(namespace), both);

        // The next client adopts the routes, and none of them is touched. The last route shows that the others have
        // been processed.
        installer.kill();
        watch.take();
        let mut installer = start(&format!("{client} --cleanup=true"));
        for _ in conflicts {
            installer.log("has no effect: a route of another protocol comes first");
        }
        announcer.write("123#10.2.0.0/24#fd00::1\n");
        watch.until("+ 10.2.0.0/24");
        let events = watch.take();
        assert!(events.iter().all(|event| event.contains("nexthop") || event == "+ 10.2.0.0/24"), "{events:?}");

        // `--cleanup` removes only our routes.
        end(installer);
        assert_eq!(main_table(namespace), theirs);
    });
}

#[test]
fn of_two_vnis_in_one_table_the_lower_has_a_destination_and_when_it_is_withdrawn_the_other_takes_its_place_at_once() {
    namespace::run(|namespace| {
        prepare(namespace);
        let mut watch = Watch::of_table(MAIN);
        let _server = Server::start(&["[::]:4711"], &["--convergence-time", "0"]);
        let mut announcer = announcer();
        // 254 is the main table's number, and 0 is the reference implementation's name for it.
        let mut installer = start(
            "client --server [::1]:4711 --subscribe 50,23 --install-routes 50#0 --install-routes 23#254 --tun overlay-tun \
             --http [::1]:4713",
        );
        installer.log("ESTABLISHED");
        announcer.write("50#10.1.0.0/24#fd00::50\n");
        watch.until("+ 10.1.0.0/24");
        announcer.write("23#10.1.0.0/24#fd00::23\n");
        watch.until("~ 10.1.0.0/24");
        assert_eq!(main_table(namespace).get("10.1.0.0/24").map(String::as_str), Some("fd00::23"));
        let said =
            installer.log("10.1.0.0/24 of VNI 50 in table 254 is not installed: VNI 23 has the same destination");
        assert!(said.contains(" WARN "), "{said}");
        let status = run(&["show", "status", "--http", "[::1]:4713"]).stdout.join("\n");
        assert!(status.contains("1 of 2") && status.contains("1 conflicts (1 with a lower VNI"), "{status}");
        let metrics = get("/metrics");
        for line in ["metalbond_kernel_route_conflicts 1.0", "metalbond_kernel_route_vni_conflicts 1.0"] {
            assert!(metrics.lines().any(|other| other == line), "{metrics}");
        }

        watch.take();
        announcer.write("-23#10.1.0.0/24#fd00::23\n");
        watch.until("~ 10.1.0.0/24");
        installer.log("10.1.0.0/24 in table 254 is installed for VNI 50 now");
        assert_eq!(main_table(namespace).get("10.1.0.0/24").map(String::as_str), Some("fd00::50"));
        assert_eq!(watch.seen_of("10.1.0.0/24"), ["~ 10.1.0.0/24"]);
        installer.signal(Signal::TERM);
    });
}
