//! Settings that change while a program runs.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::config::Dir;
use crate::http::{place, until_metric};
use crate::process::{Process, Server, Signal};
use crate::raw::{Raw, UPDATE};
use crate::table::Follower;

const SERVERS: &str = "[client]\nrestart-time = 0\n";

#[test]
fn a_changed_file_changes_only_what_differs() {
    let dir = Dir::new("change");
    let (one, other) = (Server::on_loopback(&[]), Server::on_loopback(&[]));
    let mut follower = Follower::new(Process::client(&one.addrs, &["--subscribe", "23"]));
    let mut of_other = Follower::new(Process::client(&other.addrs, &["--subscribe", "23"]));
    let mut raw = Raw::connect(one.addrs[0]);
    raw.subscribe(23);
    let text = |servers: &[&Server], subscribe: &str, announce: &str| {
        let servers: Vec<_> = servers.iter().map(|server| format!("'{}'", server.addrs[0])).collect();
        format!("{SERVERS}server = [{}]\nsubscribe = [{subscribe}]\nannounce = [{announce}]\n", servers.join(", "))
    };
    let (a, b) = ("'23#10.0.0.1/32#2001:db8::1'", "'23#10.0.0.2/32#2001:db8::1'");
    let file = dir.put("m.toml", &text(&[&one], "7", &format!("{a}, {b}")));
    let mut client = Process::start(&["client", "--config", &file]);
    follower.until(&["23 10.0.0.1/32 via 2001:db8::1", "23 10.0.0.2/32 via 2001:db8::1"]);
    for _ in 0..2 {
        assert_eq!(raw.receive().0, UPDATE);
    }

    // The change is found without a signal, after a while.
    let c = "'23#10.0.0.3/32#2001:db8::1'";
    dir.put("m.toml", &text(&[&one, &other], "7, 8", &format!("{a}, {c}")));
    let said = client.log("settings are read: ");
    assert!(said.contains("servers +1 -0, subscriptions +1 -0, announcements +1 -1"), "{said}");
    follower.until(&["23 10.0.0.1/32 via 2001:db8::1", "23 10.0.0.3/32 via 2001:db8::1"]);
    of_other.until(&["23 10.0.0.1/32 via 2001:db8::1", "23 10.0.0.3/32 via 2001:db8::1"]);
    // Byte by byte: unchanged routes have not been sent again.
    for last in [3u8, 2] {
        let (kind, payload) = raw.receive();
        assert!(kind == UPDATE && payload.windows(4).any(|w| w == [10, 0, 0, last]), "{payload:x?}");
    }

    // At once, with a signal. The session that stays is the old one.
    dir.put("m.toml", &text(&[&one], "8", a));
    client.signal(Signal::HUP);
    client.log("SIGHUP");
    let said = client.log("settings are read: ");
    assert!(said.contains("servers +0 -1, subscriptions +0 -1, announcements +0 -1"), "{said}");
    follower.until(&["23 10.0.0.1/32 via 2001:db8::1"]);
    of_other.until::<&str>(&[]);
}

#[test]
fn a_bad_file_changes_nothing_and_the_next_valid_one_is_used() {
    let dir = Dir::new("bad");
    let server = Server::on_loopback(&[]);
    let mut follower = Follower::new(Process::client(&server.addrs, &["--subscribe", "23"]));
    let routes = dir.put("a.routes", "23#10.0.0.1/32#2001:db8::1\n");
    let mut client = Process::client(&server.addrs, &["--announce-file", &routes]);
    follower.until(&["23 10.0.0.1/32 via 2001:db8::1"]);
    dir.put("a.routes", "23#10.0.0.1/33#2001:db8::1\n");
    client.signal(Signal::HUP);
    let said = client.log("settings stay unchanged");
    assert!(said.contains("a.routes:1: prefix length 33 is over 32"), "{said}");
    dir.put("a.routes", "23#10.0.0.2/32#2001:db8::1\n");
    client.signal(Signal::HUP);
    follower.until(&["23 10.0.0.2/32 via 2001:db8::1"]);
}

#[test]
fn settings_that_need_a_restart_are_logged() {
    let dir = Dir::new("restart");
    let file = dir.put("m.toml", "[server]\nlisten = '127.0.0.1:0'\n");
    let mut server = Process::start(&["server", "--config", &file]);
    server.log("listening on ");
    dir.put("m.toml", "[server]\nlisten = '127.0.0.1:0'\nkeepalive = 7\n");
    server.signal(Signal::HUP);
    let said = server.log("need a restart");
    assert!(said.ends_with("changed settings that need a restart: keepalive"), "{said}");
    assert!(server.child.try_wait().unwrap().is_none());
}

#[test]
fn a_directory_that_is_replaced_under_a_link_is_noticed() {
    // As Kubernetes replaces the contents of a mounted ConfigMap.
    let dir = Dir::new("link");
    let server = Server::on_loopback(&[]);
    let mut follower = Follower::new(Process::client(&server.addrs, &["--subscribe", "23"]));
    for (version, route) in [("1", "23#10.0.0.1/32#2001:db8::1\n"), ("2", "23#10.0.0.2/32#2001:db8::1\n")] {
        fs::create_dir(dir.path(version)).unwrap();
        fs::write(dir.path(&format!("{version}/a.routes")), route).unwrap();
        let text = format!("[client]\nserver = '{}'\nannounce-file = 'a.routes'\n", server.addrs[0]);
        fs::write(dir.path(&format!("{version}/m.toml")), text).unwrap();
    }
    symlink("1", dir.path("..data")).unwrap();
    for name in ["m.toml", "a.routes"] {
        symlink(format!("..data/{name}"), dir.path(name)).unwrap();
    }
    let mut client = Process::start(&["client", "--config", &dir.path("m.toml")]);
    follower.until(&["23 10.0.0.1/32 via 2001:db8::1"]);
    symlink("2", dir.path("..tmp")).unwrap();
    fs::rename(dir.path("..tmp"), dir.path("..data")).unwrap();
    let said = client.log("settings are read: ");
    assert!(said.contains("servers +0 -0, subscriptions +0 -0, announcements +1 -1"), "{said}");
    follower.until(&["23 10.0.0.2/32 via 2001:db8::1"]);
}

#[test]
fn announcements_from_a_pipe_stay_after_a_reload() {
    let dir = Dir::new("pipe");
    let server = Server::on_loopback(&[]);
    let mut follower = Follower::new(Process::client(&server.addrs, &["--subscribe", "23"]));
    let routes = dir.put("a.routes", "23#10.0.0.1/32#2001:db8::1\n");
    let mut client = Process::client(&server.addrs, &["--announce-file", "/dev/stdin", "--announce-file", &routes]);
    client.write("23#10.0.0.2/32#2001:db8::1\n");
    client.close_stdin();
    follower.until(&["23 10.0.0.1/32 via 2001:db8::1", "23 10.0.0.2/32 via 2001:db8::1"]);
    for n in [3, 4] {
        dir.put("a.routes", &format!("23#10.0.0.{n}/32#2001:db8::1\n"));
        client.signal(Signal::HUP);
        let said = client.log("settings are read: ");
        assert!(said.contains("announcements +1 -1"), "{said}");
    }
    follower.until(&["23 10.0.0.2/32 via 2001:db8::1", "23 10.0.0.4/32 via 2001:db8::1"]);
}

#[test]
fn settings_from_a_pipe_stay_after_a_reload() {
    let server = Server::on_loopback(&[]);
    let mut client = Process::client(&server.addrs, &["--config", "/dev/stdin"]);
    client.write("[client]\nsubscribe = 23\n");
    client.close_stdin();
    client.log("ESTABLISHED");
    client.signal(Signal::HUP);
    let said = client.log("settings stay unchanged");
    assert!(said.ends_with("/dev/stdin: not a regular file, so it is read only once"), "{said}");
    let announcer = Process::client(&server.addrs, &["--announce", "23#10.0.0.1/32#2001:db8::1"]);
    assert_eq!(client.line(), "+ 23 10.0.0.1/32 via 2001:db8::1");
    drop(announcer);
}

#[test]
fn too_many_servers_change_nothing() {
    let dir = Dir::new("many");
    let server = Server::on_loopback(&[]);
    let text = |more: &str| format!("[client]\nserver = ['{}'{more}]\nsubscribe = 23\n", server.addrs[0]);
    let file = dir.put("m.toml", &text(""));
    let mut client = Process::start(&["client", "--config", &file]);
    client.log("ESTABLISHED");
    let more: String = (0..1024).map(|n| format!(", '127.0.0.2:{}'", n + 1)).collect();
    dir.put("m.toml", &text(&more));
    let said = client.log("settings stay unchanged");
    assert!(said.ends_with("m.toml:2:1: --server: given 1025 times, the maximum is 1024"), "{said}");
    let announcer = Process::client(&server.addrs, &["--announce", "23#10.0.0.1/32#2001:db8::1"]);
    assert_eq!(client.line(), "+ 23 10.0.0.1/32 via 2001:db8::1");
    drop(announcer);
}

#[test]
fn a_failed_reload_is_shown_until_one_succeeds_and_the_log_has_the_position() {
    let dir = Dir::new("counted");
    let server = Server::on_loopback(&[]);
    let routes = dir.put("a.routes", "23#10.0.0.1/32#2001:db8::1\n");
    let mut client = Process::client(&server.addrs, &["--http", "127.0.0.1:0", "--announce-file", &routes]);
    let policy = dir.put("policy.toml", "[[peer]]\nname = 'all'\nwho = ['any']\n");
    let mut other =
        Process::start(&["server", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--policy", &policy]);
    let (of_client, of_server) = (place(&mut client), place(&mut other));
    client.log("ESTABLISHED");
    for http in [of_client, of_server] {
        until_metric(http, "metalbond_reload_last_successful", |value| value == 1.0);
        until_metric(http, "metalbond_reloads_total{result=\"failed\"}", |count| count == 0.0);
    }

    dir.put("a.routes", "23#10.0.0.2/32#2001:db8::1\nnonsense\n");
    let said = client.log("settings stay unchanged");
    assert!(said.contains("ERROR") && said.contains("a.routes:2: not of the form"), "{said}");
    dir.put("policy.toml", "[[peer]]\nname = 'all'\n");
    let said = other.log("the policy stays unchanged");
    assert!(said.contains("ERROR") && said.contains("policy.toml:1:1: missing field `who`"), "{said}");
    for http in [of_client, of_server] {
        until_metric(http, "metalbond_reload_last_successful", |value| value == 0.0);
        until_metric(http, "metalbond_reloads_total{result=\"failed\"}", |count| count == 1.0);
        until_metric(http, "metalbond_reloads_total{result=\"done\"}", |count| count == 0.0);
    }

    dir.put("a.routes", "23#10.0.0.3/32#2001:db8::1\n");
    dir.put("policy.toml", "[[peer]]\nname = 'all'\nwho = ['any']\nsubscribe = 'all'\n");
    for http in [of_client, of_server] {
        until_metric(http, "metalbond_reload_last_successful", |value| value == 1.0);
        until_metric(http, "metalbond_reloads_total{result=\"done\"}", |count| count == 1.0);
    }
    let mut follower = Follower::new(Process::client(&server.addrs, &["--subscribe", "23"]));
    follower.until(&["23 10.0.0.3/32 via 2001:db8::1"]);
}

#[test]
fn a_route_is_announced_until_both_standard_input_and_the_file_have_removed_it() {
    let dir = Dir::new("owners");
    let server = Server::on_loopback(&[]);
    let mut follower = Follower::new(Process::client(&server.addrs, &["--subscribe", "23"]));
    let line = |n: u8| format!("23#10.0.0.{n}/32#2001:db8::1\n");
    let printed = |n: u8| format!("23 10.0.0.{n}/32 via 2001:db8::1");
    let routes = dir.put("a.routes", &(line(1) + &line(2)));
    let mut client = Process::client(&server.addrs, &["--announce-file", "-", "--announce-file", &routes]);
    client.write(&(line(1) + &line(2) + &line(3)));
    follower.until(&[printed(1), printed(2), printed(3)]);

    // The file no longer has the first route, and standard input withdraws the second.
    client.write(&format!("-{}", line(2)));
    let said = client.log("routes to withdraw stay");
    assert!(said.contains("WARN"), "{said}");
    dir.put("a.routes", &(line(2) + &line(4)));
    client.log("settings are read: ");
    follower.until(&[printed(1), printed(2), printed(3), printed(4)]);
    // Then the other way round.
    client.write(&format!("-{}", line(1)));
    dir.put("a.routes", &line(4));
    client.log("settings are read: ");
    follower.until(&[printed(3), printed(4)]);
}

#[test]
fn a_change_while_the_program_starts_is_found() {
    let dir = Dir::new("start");
    let server = Server::on_loopback(&[]);
    let mut follower = Follower::new(Process::client(&server.addrs, &["--subscribe", "23"]));
    let pipe = dir.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let text = |more: &str| {
        let server = format!("[client]\nserver = '{}'\n", server.addrs[0]);
        format!("{server}announce-file = ['a.routes', 'pipe']\n{more}")
    };
    let file = dir.put("m.toml", &text(""));
    dir.put("a.routes", "23#10.0.0.1/32#2001:db8::1\n");
    let mut client = Process::start(&["client", "--config", &file]);
    // When the pipe is opened, the other two files have been read, and the client waits for the pipe's end.
    let mut writer = fs::File::options().write(true).open(&pipe).unwrap();
    dir.put("m.toml", &text("announce = '23#10.0.0.3/32#2001:db8::1'\n"));
    dir.put("a.routes", "23#10.0.0.4/32#2001:db8::1\n");
    writer.write_all(b"23#10.0.0.2/32#2001:db8::1\n").unwrap();
    drop(writer);
    client.log("a file has changed");
    follower.until(&[
        "23 10.0.0.2/32 via 2001:db8::1",
        "23 10.0.0.3/32 via 2001:db8::1",
        "23 10.0.0.4/32 via 2001:db8::1",
    ]);
}
