//! Arguments of the reference implementation: all arguments that it uses are accepted, and a single warning names each
//! one that has no effect here. (For complete command lines, and those that install routes, see `kernel_routes`.)

use std::fs;

use crate::config::Dir;
use crate::exchange::scratch;
use crate::http;
use crate::process::{Process, Server, Signal, run};
use crate::table::Follower;

/// An address without a listener.
const NOBODY: &str = "127.0.0.1:1";

/// Returns the warnings about arguments that a process logs, and ends the process, which must still be running.
fn warnings(args: &[&str]) -> Vec<String> {
    let mut process = Process::start(&[args, &["--http", "127.0.0.1:0"]].concat());
    // All warnings about arguments are logged before anything is started, and so before this line.
    let mut lines = process.log_until("HTTP on ");
    process.signal(Signal::TERM);
    let ended = process.end().0;
    assert_eq!(ended.code, Some(0), "{:?}", ended.stderr);
    lines.extend(ended.stderr);
    lines.iter().filter_map(|line| line.split_once(" WARN ")).map(|(_, text)| text.trim().to_owned()).collect()
}

fn client<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [&["client", "--server", NOBODY], args].concat()
}

#[test]
fn an_argument_without_effect_is_named_once_and_the_client_runs() {
    const UNUSED: &str = "has no effect without --install-routes, as no route is installed";
    let unused = |flag: &str| format!("{flag}: {UNUSED}");
    let ports = |spec: &str| format!("--announce '{spec}': ports '1' and '2' are ignored, as only NAT has ports");
    let (std, lb) = ("23#10.0.0.0/8#2001:db8::1#STD#1#2", "24#10.0.0.0/8#2001:db8::1#lb#1#2");
    let empty = |flag: &str| format!("{flag} '': an empty value is none");
    let mut table: Vec<(Vec<&str>, Vec<String>)> = vec![
        (client(&[]), vec![]),
        (vec!["client"], vec!["--server is not given: routes are neither announced nor received".into()]),
        (client(&["--announce", std, "--announce", lb]), vec![ports(std), ports(lb)]),
        (client(&["--announce", "23#10.0.0.0/8#2001:db8::1#STD#0#0"]), vec![]),
        (client(&["--subscribe", "", "--announce="]), vec![empty("--subscribe"), empty("--announce")]),
        (client(&["--subscribe", "23,", "--tun="]), vec![empty("--tun")]),
        (client(&["--cleanup=false", "--verbose=false", "--no-peer-metrics=no"]), vec![]),
    ];
    if cfg!(target_os = "linux") {
        table.extend([
            (
                client(&["--tun", "t0", "--ipv4-only", "--no-nexthop-objects=true", "--rt-proto", "77"]),
                vec![
                    unused("--tun 't0'"),
                    unused("--ipv4-only"),
                    unused("--no-nexthop-objects"),
                    unused("--rt-proto '77'"),
                ],
            ),
            (
                client(&[
                    "--metric",
                    "7",
                    "--exclude-type",
                    "lb",
                    "--prefer-network",
                    "fd00::/8",
                    "--nexthop-ids",
                    "1-9",
                ]),
                vec![
                    unused("--metric '7'"),
                    unused("--exclude-type 'LB'"),
                    unused("--prefer-network 'fd00::/8'"),
                    unused("--nexthop-ids '1-9'"),
                ],
            ),
            (client(&["--ipv4-only=false", "--no-nexthop-objects=no"]), vec![]),
        ]);
    }
    for (args, expected) in table {
        let said = warnings(&args);
        let about_arguments: Vec<_> = said.iter().filter(|line| line.starts_with("--")).collect();
        assert_eq!(about_arguments, expected.iter().collect::<Vec<_>>(), "{args:?}: {said:#?}");
    }
}

#[test]
fn check_accepts_what_the_start_accepts_and_prints_the_warnings_with_their_places() {
    let dir = Dir::new("warnings");
    let routes = dir.put("a.routes", "23#10.0.0.2/32#2001:db8::1\n23#10.0.0.1/32#2001:db8::1#LB#1#2\n");
    let file = dir.put(
        "m.toml",
        "[client]\nsubscribe = [23, 0x1_0000_00]\nannounce = ['23#10.0.0.3/32#2001:db8::1#STD#1#2']\n\
         announce-file = 'a.routes'\nipv4-only = true\ncleanup = false\n",
    );
    let ended = run(&["check", &file]);
    let ports = "ports '1' and '2' are ignored, as only NAT has ports";
    let mut expected = vec![
        "metalbond: warning: --server is not given: routes are neither announced nor received".to_owned(),
        format!("metalbond: warning: {file}:3:1: --announce '23#10.0.0.3/32#2001:db8::1#STD#1#2': {ports}"),
    ];
    if cfg!(target_os = "linux") {
        expected.push(format!(
            "metalbond: warning: {file}:5:1: --ipv4-only: has no effect without --install-routes, as no route is installed"
        ));
    }
    expected
        .push(format!("metalbond: warning: --announce-file {routes}:2: '23#10.0.0.1/32#2001:db8::1#LB#1#2': {ports}"));
    assert_eq!((ended.code, ended.stderr), (Some(0), expected));
    assert_eq!(ended.stdout, [format!("{file}: ok (client: 0 servers, 2 subscriptions, 3 announcements)")]);

    // Warnings are logged at the start, and those of a file once more when it is read again.
    let mut client = Process::start(&["client", "--config", &file]);
    for text in [format!("{file}:3:1: --announce"), format!("{routes}:2: ")] {
        assert!(client.log(&text).contains(" WARN "));
    }
    fs::write(&routes, "23#10.0.0.1/32#2001:db8::1#42#7#8\n").unwrap();
    client.signal(Signal::HUP);
    assert!(client.log(&format!("{routes}:1: ")).contains("ports '7' and '8' are ignored"));
}

#[test]
fn many_lines_with_a_warning_are_partly_listed_and_counted() {
    let file = scratch("ports", &"23#10.0.0.1/32#2001:db8::1#STD#1#2\n".repeat(25));
    let said = warnings(&client(&["--announce-file", &file]));
    assert_eq!(said.iter().filter(|line| line.contains("are ignored")).count(), 20, "{said:#?}");
    assert!(said.contains(&format!("--announce-file {file}: 5 more lines like these")), "{said:#?}");
}

#[test]
fn warnings_about_standard_input_have_line_numbers() {
    let mut client = Process::client(&[NOBODY.parse().unwrap()], &["--announce-file", "-"]);
    client.write("23#10.0.0.1/32#2001:db8::1\n23#10.0.0.2/32#2001:db8::1#STD#1#2\n");
    assert!(client.log("standard input:2: ").contains("ports '1' and '2' are ignored"));
}

#[test]
fn a_keepalive_of_0_is_the_default_and_the_last_of_several_counts() {
    for (server, client, expected) in [
        (&["--keepalive", "0"][..], &["--keepalive=0"][..], 5),
        (&["--keepalive", "60"], &["--keepalive", "0"], 5),
        (&["--keepalive", "0"], &["--keepalive", "60"], 5),
        (&["--keepalive", "60"], &["--keepalive", "30", "--keepalive", "0x14"], 20),
    ] {
        let server = Server::on_loopback(server);
        let client = Process::client(&server.addrs, &[&["--http", "127.0.0.1:0"], client].concat());
        assert_eq!(http::negotiated_keepalive(client), expected);
    }
}

#[test]
fn a_server_on_this_machine_needs_no_host_and_a_subscription_may_have_any_base_and_32_bits() {
    let server = Server::on_loopback(&[]);
    let place = format!(":{}", server.addrs[0].port());
    let args =
        ["client", "--server", &place, "--subscribe", "0x17,4294967295", "--subscribe", "1_000", "--cleanup=true"];
    let mut follower = Follower::new(Process::start(&args));
    follower.process.log("ESTABLISHED");
    let specs = "23#10.0.0.1/32#2001:db8::1,1000#10.0.0.2/32#2001:db8::1,";
    let _announcer = Process::client(&server.addrs, &["--announce", specs, "--verbose=true"]);
    follower.until(&["23 10.0.0.1/32 via 2001:db8::1", "1000 10.0.0.2/32 via 2001:db8::1"]);
}

#[test]
fn verbose_may_have_a_value() {
    let start = |arg: &str| Process::start(&client(&[arg]));
    let quiet = start("--verbose=false");
    for arg in ["--verbose=true", "--verbose=1", "--verbose", "-v", "-vv"] {
        // The first dial is always logged; further ones only at this level.
        start(arg).log("DEBUG");
    }
    quiet.signal(Signal::TERM);
    let log = quiet.end().0.stderr;
    assert!(!log.is_empty() && !log.iter().any(|line| line.contains("DEBUG")), "{log:#?}");
}
