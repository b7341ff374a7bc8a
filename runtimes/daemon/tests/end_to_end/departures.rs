//! How a client leaves, and what other clients see.

use std::time::{Duration, Instant};

use crate::process::{Process, Server, Signal};
use crate::raw::{Raw, UPDATE};
use crate::table::Follower;

const ROUTE: &str = "23#10.0.0.1/32#2001:db8::1";
const PRINTED: &str = "23 10.0.0.1/32 via 2001:db8::1";

fn watcher(server: &Server) -> Follower {
    Follower::new(Process::client(&server.addrs, &["--subscribe", "23"]))
}

#[test]
fn a_killed_client_is_withdrawn_after_its_restart_time_and_comes_back() {
    let server = Server::on_loopback(&[]);
    let mut watcher = watcher(&server);
    let announce = || Process::client(&server.addrs, &["--announce", ROUTE, "--restart-time", "1"]);
    let client = announce();
    watcher.expect(&format!("+ {PRINTED}"));
    client.kill();
    watcher.expect(&format!("- {PRINTED}"));
    let _client = announce();
    watcher.expect(&format!("+ {PRINTED}"));
}

#[test]
fn a_client_restarted_within_its_restart_time_causes_no_updates() {
    let server = Server::on_loopback(&[]);
    let args = ["--announce", ROUTE, "--announce", "23#2001:db8:1::/64#2001:db8::1#LB", "--restart-time", "10"];
    let client = Process::client(&server.addrs, &args);
    // Killed after the client under test, and not restarted. When its route is withdrawn, the restart time of the
    // client under test has passed as well.
    let clock = Process::client(&server.addrs, &["--announce", "23#10.0.0.2/32#2001:db8::2", "--restart-time", "10"]);
    let clock_printed = "23 10.0.0.2/32 via 2001:db8::2";
    let mut watcher = watcher(&server);
    watcher.until(&[PRINTED, "23 2001:db8:1::/64 via 2001:db8::1 LB", clock_printed]);
    let mut raw = Raw::connect(server.addrs[0]);
    raw.subscribe(23);
    for _ in 0..3 {
        assert_eq!(raw.receive().0, UPDATE);
    }

    client.kill();
    let mut client = Process::client(&server.addrs, &args);
    client.log("ESTABLISHED");
    clock.kill();

    watcher.expect(&format!("- {clock_printed}"));
    // Byte by byte: the next frame is about the other client.
    let (kind, payload) = raw.receive();
    assert_eq!(kind, UPDATE);
    assert!(payload.starts_with(&[0x08, 1]) && payload.windows(4).any(|w| w == [10, 0, 0, 2]), "{payload:x?}");

    // No further frame follows it.
    let _last = Process::client(&server.addrs, &["--announce", "23#10.0.0.3/32#2001:db8::3"]);
    watcher.expect("+ 23 10.0.0.3/32 via 2001:db8::3");
    let (kind, payload) = raw.receive();
    assert!(kind == UPDATE && payload.windows(4).any(|w| w == [10, 0, 0, 3]), "{payload:x?}");
}

#[test]
fn a_restarted_client_that_announces_less_loses_the_rest_after_its_restart_time() {
    let server = Server::on_loopback(&[]);
    let mut watcher = watcher(&server);
    let other = "23#10.0.0.2/32#2001:db8::1";
    let client = Process::client(&server.addrs, &["--announce", ROUTE, "--announce", other, "--restart-time", "1"]);
    watcher.until(&[PRINTED, "23 10.0.0.2/32 via 2001:db8::1"]);
    client.kill();
    let _client = Process::client(&server.addrs, &["--announce", ROUTE, "--restart-time", "1"]);
    watcher.until(&[PRINTED]);
}

#[test]
fn a_stopped_client_is_withdrawn_after_its_hold_time_and_comes_back() {
    let server = Server::on_loopback(&["--keepalive", "1"]);
    let mut watcher = watcher(&server);
    let client = Process::client(&server.addrs, &["--announce", ROUTE, "--restart-time", "60"]);
    watcher.expect(&format!("+ {PRINTED}"));
    client.signal(Signal::STOP);
    let stopped = Instant::now();
    watcher.expect(&format!("- {PRINTED}"));
    // 2.5 s after the last received byte. The restart time does not apply, because the session timed out.
    assert!(stopped.elapsed() < Duration::from_secs(20), "{:?}", stopped.elapsed());
    client.signal(Signal::CONT);
    watcher.expect(&format!("+ {PRINTED}"));
}

#[test]
fn a_client_that_leaves_for_good_is_withdrawn_before_it_exits() {
    let server = Server::on_loopback(&[]);
    let mut watcher = watcher(&server);
    let args = ["--announce", ROUTE, "--announce", "23#10.0.0.2/32#2001:db8::1", "--restart-time", "60", "--cleanup"];
    let client = Process::client(&server.addrs, &args);
    watcher.until(&[PRINTED, "23 10.0.0.2/32 via 2001:db8::1"]);
    client.signal(Signal::TERM);
    assert_eq!(client.end().0.code, Some(0));
    let _marker = Process::client(&server.addrs, &["--announce", "23#10.0.0.3/32#2001:db8::3"]);
    let mut lines = [watcher.step(), watcher.step()];
    lines.sort();
    assert_eq!(lines, [format!("- {PRINTED}"), "- 23 10.0.0.2/32 via 2001:db8::1".into()]);
    watcher.expect("+ 23 10.0.0.3/32 via 2001:db8::3");
}

#[test]
fn a_client_that_ends_to_be_restarted_keeps_its_routes() {
    let server = Server::on_loopback(&[]);
    let mut watcher = watcher(&server);
    let client = Process::client(&server.addrs, &["--announce", ROUTE, "--restart-time", "60"]);
    watcher.expect(&format!("+ {PRINTED}"));
    client.signal(Signal::TERM);
    assert_eq!(client.end().0.code, Some(0));
    let _marker = Process::client(&server.addrs, &["--announce", "23#10.0.0.3/32#2001:db8::3"]);
    watcher.expect("+ 23 10.0.0.3/32 via 2001:db8::3");
}

#[test]
fn a_client_logs_that_its_restart_time_was_shortened() {
    let server = Server::on_loopback(&["--restart-time-max", "1", "--http", "127.0.0.1:0"]);
    let mut client = Process::client(&server.addrs, &["--announce", ROUTE, "--restart-time", "30"]);
    let said = client.log("retains this client's routes for fewer seconds than asked");
    let what = [&format!("peer=\"{}\"", server.addrs[0]), "asked=30", "granted=1", "--restart-time-max", " WARN "];
    assert!(what.iter().all(|part| said.contains(part)), "{said}");

    let mut watcher = watcher(&server);
    watcher.expect(&format!("+ {PRINTED}"));
    client.kill();
    // Tests a short time only: waiting for the requested 30 seconds or the default of 60 would take too long.
    let before = Instant::now();
    watcher.expect(&format!("- {PRINTED}"));
    assert!(before.elapsed() < Duration::from_secs(20), "{:?}", before.elapsed());
}

#[test]
fn a_client_logs_nothing_if_it_gets_its_restart_time() {
    let server = Server::on_loopback(&[]);
    let mut client = Process::client(&server.addrs, &["--announce", ROUTE, "--restart-time", "60"]);
    client.log("ESTABLISHED");
    client.signal(Signal::TERM);
    let (ended, _) = client.end();
    assert!(!ended.stderr.iter().any(|line| line.contains("retains this client's routes")), "{:?}", ended.stderr);
}
