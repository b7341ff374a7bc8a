//! Bad arguments and errors of the system: one line on standard error, and an exit code.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Stdio};

use crate::exchange::scratch;
use crate::process::{Process, Server, run};

#[test]
fn a_bad_argument_ends_with_code_2_and_one_line_that_names_it() {
    let client = |args: &[&'static str]| [&["client", "--server", "127.0.0.1:1"], args].concat();
    let table: &[(Vec<&str>, &str, &str)] = &[
        (client(&["--announce", "23#10.0.0.0/33#2001:db8::1"]), "--announce", "prefix length 33 is over 32"),
        (client(&["--announce", "23#10.0.0.0/8#127.0.0.1"]), "--announce", "'127.0.0.1' is a loopback address"),
        (client(&["--announce", "23#10.0.0.0/8#::ffff:169.254.0.1"]), "--announce", "is a link-local address"),
        (client(&["--announce", "23"]), "--announce", "not of the form"),
        (client(&["--announce", "-1#10.0.0.0/8#2001:db8::1"]), "--announce", "VNI '-1'"),
        (client(&["--announce", "16777216#10.0.0.0/8#2001:db8::1"]), "--announce", "VNI '16777216'"),
        (client(&["--announce", "23#10.0.0.0/8#2001:db8::1#FOO"]), "--announce", "type 'FOO'"),
        (client(&["--announce", "23#10.0.0.0/8#2001:db8::1#NAT"]), "--announce", "NAT needs"),
        (client(&["--announce", "23#10.0.0.0/8#2001:db8::1#NAT#2#1"]), "--announce", "2 to 1"),
        (client(&["--announce", "23#10.0.0.0/8#2001:db8::1#NAT#1#65536"]), "--announce", "port '65536'"),
        (
            client(&["--announce", "1#::/0#2001:db8::1", "--announce", "1#::/0#2001:db8::1"]),
            "--announce",
            "given twice",
        ),
        (client(&["--announce", "23#a\nb/8#2001:db8::1"]), "--announce", "not an IP address"),
        (client(&["--subscribe", "-1"]), "--subscribe", "'-1'"),
        (client(&["--subscribe", "1,,2"]), "--subscribe", "''"),
        (client(&["--subscribe", "4294967296"]), "--subscribe", "from 0 to 4294967295"),
        (client(&["--subscribe", "08"]), "--subscribe", "'08'"),
        (client(&["--subscribe", "5,5"]), "--subscribe", "given twice"),
        (client(&["--keepalive", "-5"]), "--keepalive", "'-5'"),
        (client(&["--cleanup=maybe"]), "--cleanup", "maybe"),
        (client(&["--verbose=256"]), "--verbose", "from 0 to 255"),
        (client(&["--keepalive", "5s"]), "--keepalive", "'5s'"),
        (client(&["--keepalive", "4294967296"]), "--keepalive", "to 4294967295"),
        (client(&["--stale-time", "x"]), "--stale-time", "not a number"),
        (client(&["--restart-time", ""]), "--restart-time", "''"),
        (client(&["--output", "xml"]), "--output", "text, json"),
        (client(&["--log-format", "xml"]), "--log-format", "text, json"),
        (client(&["--announce-file", "/nonexistent"]), "--announce-file", "No such file"),
        (client(&["--announce-file", "/"]), "--announce-file", "directory"),
        (client(&["--announce-file", "-", "--announce-file", "-"]), "--announce-file", "given twice"),
        (client(&["--server", "127.0.0.1:1"]), "--server", "given twice"),
        (client(&["--frobnicate"]), "--frobnicate", "unexpected"),
        (client(&["extra"]), "extra", "unexpected"),
        (vec!["client", "--server"], "--server", "required"),
        (vec!["client", "--server", "host"], "--server", "port"),
        (vec!["client", "--server", "host:0"], "--server", "port"),
        (vec!["client", "--server", "host:65536"], "--server", "port"),
        (vec!["client", "--server", ":http"], "--server", "port"),
        (vec!["client", "--server", "::1:4711"], "--server", "brackets"),
        (vec!["client", "--server", "[::1:4711"], "--server", "brackets"),
        (vec!["client", "--server", "http://host:4711"], "--server", "host"),
        (vec!["client", "--server", "127.0.0.256:4711"], "--server", "IPv4 address"),
        (vec!["server", "--listen", "4711"], "--listen", "port"),
        (vec!["server", "--listen", "127.0.0.1"], "--listen", "port"),
        (vec!["server", "--listen", "127.0.0.256:4711"], "--listen", "IPv4 address"),
        (vec!["server", "--listen", "[::]:99999"], "--listen", "port"),
        (vec!["server", "--listen", "127.0.0.1:0", "--keepalive", "-1"], "--keepalive", "from 0"),
        (vec!["server", "--max-connections", "0"], "--max-connections", "from 1 to 4294967295"),
        (vec!["server", "--max-routes-per-peer", "many"], "--max-routes-per-peer", "'many'"),
        (vec!["server", "--send-hold-time", "0"], "--send-hold-time", "from 1"),
        (vec!["server", "--handshake-timeout", "0"], "--handshake-timeout", "from 1 to 4294967295"),
        (client(&["--handshake-timeout", "0"]), "--handshake-timeout", "from 1 to 4294967295"),
        (vec!["server", "--max-connections-per-address", "0"], "--max-connections-per-address", "from 1"),
        (vec!["server", "--max-connections-per-second", "0"], "--max-connections-per-second", "from 1"),
        (vec!["server", "--max-routes", "0"], "--max-routes", "from 1"),
        (vec!["server", "--max-routes-per-peer", "0"], "--max-routes-per-peer", "from 1"),
        (vec!["server", "--max-next-hops", "0"], "--max-next-hops", "from 1"),
        (vec!["server", "--max-subscriptions", "0"], "--max-subscriptions", "from 1"),
        (vec!["server", "--max-vnis", "0"], "--max-vnis", "from 1"),
        (vec!["server", "--max-vnis-per-peer", "0"], "--max-vnis-per-peer", "from 1"),
        (vec!["server", "--ban-time-max", "-1"], "--ban-time-max", "from 0"),
        (client(&["--max-routes", "0"]), "--max-routes", "from 1"),
        (client(&["--max-connections", "5"]), "--max-connections", "unexpected"),
        (vec!["server", "--listen", "127.0.0.1:0", "--pace", "100"], "--pace", "from 1208 to 4294967295, or 0"),
        (vec!["server", "--listen", "127.0.0.1:0", "--convergence-time", "never"], "--convergence-time", "'never'"),
        (vec!["frobnicate"], "frobnicate", "unrecognized"),
        (vec!["demo", "--listen", "x"], "--listen", "unexpected"),
    ];
    check(table);
}

#[cfg(target_os = "linux")]
#[test]
fn a_bad_argument_about_kernel_routes_is_named_too() {
    let client = |args: &[&'static str]| [&["client", "--server", "127.0.0.1:1", "--subscribe", "23"], args].concat();
    let install = |args: &[&'static str]| client(&[&["--tun", "t0", "--install-routes", "23#5"], args].concat());
    check(&[
        (client(&["--tun", "t0", "--install-routes", "23#-1"]), "--install-routes", "'-1' is not a number from 0"),
        (client(&["--tun", "t0", "--install-routes", "23#4294967296"]), "--install-routes", "to 4294967295"),
        (client(&["--tun", "t0", "--install-routes", "23"]), "--install-routes", "VNI#TABLE"),
        (client(&["--tun", "t0", "--install-routes", "16777216#5"]), "--install-routes", "VNI '16777216'"),
        (client(&["--install-routes", "23#5"]), "--tun", "required"),
        (install(&["--rt-proto", "4"]), "--rt-proto", "from 5 to 255"),
        (install(&["--rt-proto", "256"]), "--rt-proto", "from 5 to 255"),
        (install(&["--metric", "0"]), "--metric", "from 1"),
        (install(&["--metric", "4294967296"]), "--metric", "to 4294967295"),
        (install(&["--exclude-type", "FOO"]), "--exclude-type", "STD, LB, NAT"),
        (install(&["--prefer-network", "fd00::"]), "--prefer-network", "no '/'"),
        (install(&["--prefer-network", "10.0.0.0/8"]), "--prefer-network", "not an IPv6 network"),
        (install(&["--prefer-network", "::ffff:10.0.0.0/104"]), "--prefer-network", "not an IPv6 network"),
        (install(&["--nexthop-ids", "5-4"]), "--nexthop-ids", "5 to 4 is empty"),
        (install(&["--nexthop-ids", "0-4"]), "--nexthop-ids", "from 1"),
        (install(&["--nexthop-ids", "5"]), "--nexthop-ids", "FIRST-LAST"),
    ]);
}

fn check(table: &[(Vec<&str>, &str, &str)]) {
    for (args, argument, why) in table {
        let ended = run(args);
        assert_eq!(
            (ended.code, ended.stdout.len(), ended.stderr.len()),
            (Some(2), 0, 1),
            "{args:?}: {:?}",
            ended.stderr
        );
        let line = &ended.stderr[0];
        let is_good = line.starts_with("metalbond: ") && line.contains(argument) && line.contains(why);
        assert!(is_good, "{args:?}: {line}");
    }
}

#[test]
fn an_argument_that_is_not_utf8_is_named() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_metalbond"));
    command.args(["client", "--server", "127.0.0.1:1", "--announce"]).arg(OsStr::from_bytes(b"23#\xff"));
    let ended = Process::spawn(command, Stdio::piped(), Stdio::piped()).end().0;
    assert_eq!(
        (ended.code, &ended.stderr[..]),
        (Some(2), &[r#"metalbond: argument "23#\xFF": not UTF-8"#.to_owned()][..])
    );
}

#[test]
fn a_bad_line_of_a_file_is_named_by_file_and_number() {
    let fine = "23#10.0.0.1/32#2001:db8::1\n\n# fine\n";
    let file = scratch("bad", &format!("{fine}23#10.0.0.2/32#2001:db8::1#NAT#9#1\n"));
    let withdraws = scratch("withdraws", "-23#10.0.0.1/32#2001:db8::1\n");
    let martian = scratch("martian", &format!("{fine}23#10.0.0.2/32#::1\n"));
    for (file, number, why) in [
        (&file, 4, "from 9 to 1"),
        (&withdraws, 1, "standard input"),
        (&martian, 4, "next hop '::1' is a loopback address: no packet from another host can be sent there"),
    ] {
        let ended = run(&["client", "--server", "127.0.0.1:1", "--announce-file", file]);
        assert_eq!((ended.code, ended.stderr.len()), (Some(2), 1));
        let line = &ended.stderr[0];
        assert!(
            line.starts_with(&format!("metalbond: --announce-file {file}:{number}: ")) && line.contains(why),
            "{line}"
        );
    }
}

#[test]
fn a_taken_port_ends_with_code_1_and_one_line_with_the_address() {
    let server = Server::on_loopback(&[]);
    let addr = server.addrs[0].to_string();
    let ended = run(&["server", "--listen", &addr]);
    assert_eq!((ended.code, ended.stderr.len()), (Some(1), 1), "{:?}", ended.stderr);
    let line = &ended.stderr[0];
    assert!(line.starts_with(&format!("metalbond: cannot listen on {addr}: ")) && line.contains("in use"), "{line}");
}

#[test]
fn every_spec_that_the_reference_accepts_is_accepted() {
    let specs = [
        "0#0.0.0.0/0#192.0.2.1",
        "16777215#::/0#2001:db8::1#STD",
        "23#10.0.23.0/24#2001:db8::1#lb",
        "23#10.0.23.0/24#2001:db8::1#Nat#0#32767",
        "23#10.0.23.5/24#2001:db8::1#",
        "23#10.0.23.6/24#2001:db8::1#STD#0#0",
    ];
    let mut client = Process::client(
        &["127.0.0.1:1".parse().unwrap()],
        &["--keepalive", "5", "--announce", &specs.join(","), "--subscribe", "1,2", "--cleanup"],
    );
    client.log("connecting to 127.0.0.1:1");
}

#[test]
fn help_and_version_are_no_errors() {
    for args in [&["--help"][..], &["--version"], &["help", "client"], &["server", "-h"], &["client", "--help"]] {
        let ended = run(args);
        assert_eq!((ended.code, ended.stderr.len()), (Some(0), 0), "{args:?}");
        assert!(!ended.stdout.is_empty(), "{args:?}");
    }
    assert_eq!(run(&["--version"]).stdout, [format!("metalbond {}", env!("CARGO_PKG_VERSION"))]);
}
