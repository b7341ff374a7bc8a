//! The commands that query running daemons.

use std::process::Stdio;

use metalbond_conformance::block_until;
use serde_json::Value;

use crate::http::{Web, place};
use crate::ports;
use crate::process::{Ended, Process, Server, Signal, run};

const ROUTES: &str =
    "23#10.0.23.0/24#2001:db8::1,23#2001:db8:1::/48#2001:db8::2#NAT#1024#2047,24#10.0.24.0/24#2001:db8::3";

fn web() -> (Web, Process) {
    let web = Web::start(&[]);
    let client = web.client(&["--announce", ROUTES, "--subscribe", "24"]);
    web.until_routes(3);
    (web, client)
}

fn show(web: &Web, args: &[&str]) -> Ended {
    let at = web.http.to_string();
    run(&[&["show"], args, &["--http", &at]].concat())
}

/// Returns the words of each line.
fn words(ended: &Ended) -> Vec<Vec<&str>> {
    assert_eq!(ended.code, Some(0), "{:?}", ended.stderr);
    ended.stdout.iter().map(|line| line.split_whitespace().collect()).collect()
}

#[test]
fn a_daemons_state_is_shown_as_tables() {
    let (web, _client) = web();
    let vnis = web.json("/api/v1/vnis");
    let digest = |n: usize| vnis["items"][n]["digest"].as_str().unwrap();
    assert_eq!(
        words(&show(&web, &["vnis"])),
        [
            ["VNI", "ROUTES", "DESTINATIONS", "SUBSCRIBERS", "DIGEST"],
            ["23", "2", "2", "0", digest(0)],
            ["24", "1", "1", "1", digest(1)],
        ]
    );
    assert_eq!(
        show(&web, &["routes"]).stdout,
        [
            "VNI  DESTINATION      NEXT HOP                   FROM",
            " 23  10.0.23.0/24     2001:db8::1                a0",
            " 23  2001:db8:1::/48  2001:db8::2 NAT 1024-2047  a0",
            " 24  10.0.24.0/24     2001:db8::3                a0",
        ]
    );
    assert_eq!(words(&show(&web, &["routes", "--prefix", "10.0.0.0/8", "--vni", "24"])).len(), 2);
    let peers = show(&web, &["peers"]);
    let peer = &words(&peers)[1];
    assert_eq!((peer[0], peer[2]), ("a0", "ESTABLISHED"));
    let status = show(&web, &["status"]);
    assert!(status.stdout[0].starts_with("metalbond 0.") && status.stdout[0].contains(", server, up for "));
    assert!(status.stdout.contains(&"peers          1 ESTABLISHED".to_owned()), "{:?}", status.stdout);
    assert!(status.stdout.contains(&"routes         3 in 2 VNIs".to_owned()), "{:?}", status.stdout);
}

/// The client announces what another client announces as well.
#[test]
fn a_client_shows_both_announcers_of_a_route_that_is_also_its_own() {
    const ROUTE: &str = "23#10.0.23.0/24#2001:db8::1";
    let web = Web::start(&[]);
    let mut client = web.client(&["--announce", ROUTE, "--subscribe", "23", "--http", "127.0.0.1:0"]);
    let place = place(&mut client).to_string();
    web.until_routes(1);
    let shown = || run(&["show", "routes", "--http", &place]).stdout;
    block_until("the own route", || shown().last().is_some_and(|line| line.ends_with(" local")));
    let _other = web.client(&["--announce", ROUTE]);
    block_until("both announcers", || shown().last().is_some_and(|line| line.ends_with(" local p0")));
    assert_eq!(words(&show(&web, &["routes"]))[1][3..], ["a0", "a1"]);
}

#[test]
fn json_is_the_daemons_answer() {
    let (web, _client) = web();
    let shown = |args: &[&str]| -> Value {
        let ended = show(&web, &[args, &["--json"]].concat());
        serde_json::from_str(&ended.stdout.join("\n")).unwrap()
    };
    assert_eq!(shown(&["vnis"]), web.json("/api/v1/vnis")["items"]);
    assert_eq!(shown(&["routes", "--vni", "24"]), web.json("/api/v1/routes?vni=24")["items"]);
    assert_eq!(shown(&["status"])["routes"], 3);
    assert_eq!(shown(&["peers", "--peer", "a0"])[0]["routes"], 3);
}

#[test]
fn an_unreachable_daemon_is_reported_in_one_line() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = free.local_addr().unwrap().to_string();
    drop(free);
    for (args, code) in [
        (&["show", "status", "--http", &place][..], 1),
        (&["watch", "--http", &place], 1),
        (&["diff", &place, &place], 2),
    ] {
        let ended = run(args);
        assert_eq!((ended.code, ended.stderr.len()), (Some(code), 1), "{:?}", ended.stderr);
        let expected = format!("metalbond: cannot reach http://{place}/: ");
        assert!(ended.stderr[0].starts_with(&expected) && ended.stderr[0].contains("--http"), "{:?}", ended.stderr);
    }
    // Invalid addresses.
    for args in [&["show", "status", "--http", "nonsense"][..], &["diff", &place, "https://localhost:4712"]] {
        let ended = run(args);
        assert_eq!((ended.code, ended.stderr.len()), (Some(2), 1), "{:?}", ended.stderr);
    }
    // A server that speaks another protocol.
    let (web, _client) = web();
    let ended = run(&["show", "status", "--http", &web.server.addrs[0].to_string()]);
    assert_eq!((ended.code, ended.stderr.len()), (Some(1), 1));
}

#[test]
fn changes_are_followed_as_they_happen() {
    let (web, _client) = web();
    let at = web.http.to_string();
    let mut watch = Process::start(&["watch", "--http", &at]);
    let mut of_one = Process::start(&["watch", "--http", &at, "--vni", "9", "--json"]);
    watch.log("following http://");
    of_one.log("following http://");
    let _more = web.client(&["--announce", "8#10.8.0.0/16#2001:db8::8"]);
    let _other = web.client(&["--announce", "9#10.9.0.0/16#2001:db8::9"]);
    let mut lines = [String::new(), String::new()];
    for line in &mut lines {
        while !line.starts_with('+') {
            *line = watch.line();
        }
        if line.starts_with("+ 8") {
            assert_eq!(line, "+ 8 10.8.0.0/16 via 2001:db8::8");
        } else {
            assert_eq!(line, "+ 9 10.9.0.0/16 via 2001:db8::9");
        }
    }
    let mut line = of_one.line();
    while line.contains("\"peer\"") {
        line = of_one.line();
    }
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&event["event"], &event["data"]["vni"]), (&"route".into(), &9.into()));
    for follower in [watch, of_one] {
        follower.signal(Signal::INT);
        assert_eq!(follower.end().0.code, Some(0));
    }
}

#[test]
fn a_daemon_that_goes_away_and_comes_back_is_followed_again() {
    let http = ports::fixed(11).to_string();
    let start = || Server::on_loopback(&["--http", &http]);
    let server = start();
    let mut watch = Process::start(&["watch", "--http", &http]);
    watch.log("following http://");
    server.process.kill();
    watch.log("trying again");
    let server = start();
    watch.log("following http://");
    let _client = Process::client(&server.addrs, &["--announce", "23#10.0.23.0/24#2001:db8::1"]);
    while watch.line() != "+ 23 10.0.23.0/24 via 2001:db8::1" {}
    // Without a reader of its output, the command ends at the next change.
    let (reader, writer) = std::io::pipe().unwrap();
    let mut unread = Process::start_with(&["watch", "--http", &http], Stdio::from(writer), Stdio::piped());
    unread.log("following http://");
    drop(reader);
    let mut feeder = Process::client(&server.addrs, &["--announce-file", "-"]);
    // The first writes may still succeed while another test's child process, before its exec, has a copy of the pipe.
    for n in 0..65_536 {
        if unread.child.try_wait().unwrap().is_some() {
            break;
        }
        let prefix = format!("10.1.{}.{}/32", n >> 8, n & 255);
        feeder.write(&format!("23#{prefix}#2001:db8::1\n"));
        while watch.line() != format!("+ 23 {prefix} via 2001:db8::1") {}
    }
    assert_eq!(unread.end().0.code, Some(0));
}

#[test]
fn servers_are_compared_by_their_routes() {
    let (one, _a) = web();
    let other = Web::start(&[]);
    let _b = other.client(&["--announce", ROUTES]);
    other.until_routes(3);
    let (a, b) = (one.http.to_string(), other.http.to_string());
    let ended = run(&["diff", &a, &b]);
    assert_eq!((ended.code, ended.stdout), (Some(0), vec!["2 daemons hold the same routes".to_owned()]));

    let _c = other.client(&["--announce", "24#10.0.24.0/24#2001:db8::4,7#0.0.0.0/0#2001:db8::4"]);
    other.until_routes(5);
    let ended = run(&["diff", &a, &b]);
    let expected = [
        format!("VNI 7: 0 routes of {a} that not all have"),
        format!("VNI 7: 1 routes of {b} that not all have"),
        "  0.0.0.0/0 via 2001:db8::4".to_owned(),
        format!("VNI 24: 0 routes of {a} that not all have"),
        format!("VNI 24: 1 routes of {b} that not all have"),
        "  10.0.24.0/24 via 2001:db8::4".to_owned(),
    ];
    assert_eq!((ended.code, ended.stdout), (Some(1), expected.to_vec()));
    let ended = run(&["diff", &a, &b, &a, "--json"]);
    let differences: Value = serde_json::from_str(&ended.stdout.join("\n")).unwrap();
    assert_eq!((ended.code, &differences["differences"][0]["vni"]), (Some(1), &7.into()));
    assert_eq!(differences["differences"][0]["not_held_by_all"][1]["routes"].as_array().unwrap().len(), 1);
}
