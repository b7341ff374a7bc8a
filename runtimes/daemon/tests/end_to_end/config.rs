//! Settings from a file and the environment, which counts first, and what happens when they change.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::process::{Process, Server, Signal, run};
use crate::raw::{Raw, UPDATE};
use crate::table::Follower;

/// A directory of this test's own, removed at its end.
struct Dir(PathBuf);

impl Dir {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("metalbond-config-{}-{test}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// Writes a file anew, as editors and Kubernetes do: by another one in its place.
    fn put(&self, name: &str, text: &str) -> String {
        let (path, new) = (self.path(name), self.path("new"));
        fs::write(&new, text).unwrap();
        fs::rename(new, &path).unwrap();
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_command_line_counts_before_the_environment_and_that_before_the_file() {
    let dir = Dir::new("order");
    let file = dir.put("m.toml", "[server]\nlisten = ['127.0.0.1:0']\nkeepalive = 30\nwarming = 1\n");
    let keepalive = |variable: Option<&str>, args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_metalbond"));
        command.args(["server", "--config", &file]).args(args);
        if let Some(value) = variable {
            command.env("METALBOND_KEEPALIVE", value);
        }
        let mut process = Process::spawn(command, Stdio::piped(), Stdio::piped());
        let addr = crate::process::bound(&process.log("listening on "));
        let http = Process::client(&[addr], &["--http", "127.0.0.1:0", "--keepalive", "100"]);
        crate::http::negotiated_keepalive(http)
    };
    assert_eq!(keepalive(None, &[]), 30);
    assert_eq!(keepalive(Some("20"), &[]), 20);
    assert_eq!(keepalive(Some(""), &[]), 30, "an empty variable is none");
    assert_eq!(keepalive(Some("20"), &["--keepalive", "10"]), 10);
}

#[test]
fn what_is_wrong_in_a_file_is_told_with_its_place() {
    let dir = Dir::new("wrong");
    let cases = [
        ("keepalive = 1\n", "FILE:1:1: there is no setting 'keepalive' outside of the tables"),
        ("[server]\nkeepalive = 0\n", "FILE:2:13: keepalive '0': not a number from 1 to 4294967295"),
        (
            "[server]\n  keepalives = 5",
            "FILE:2:3: there is no setting 'keepalives' in [server]; did you mean 'keepalive'?",
        ),
        ("[server]\nkeepalive = [5]", "FILE:2:13: keepalive: array where a text or a number is to be"),
        ("[server]\nlisten = ['[::]:1', 'x']", "FILE:2:21: listen 'x': no ':port' behind the host"),
        ("[server]\nno-vni-metrics = 'yes'", "FILE:2:18: no-vni-metrics: string where true or false is to be"),
        ("[server]\nconfig = 'x'", "FILE:2:1: there is no setting 'config' in [server]"),
        ("[server]\nkeepalive = 5\nkeepalive = 6", "FILE:3:1: duplicate key"),
        ("[server]\nkeepalive 5", "FILE:2:11: key with no value, expected `=`"),
        ("[sever]\n", "FILE:1:2: there is no table [sever]; there are [server] and [client]"),
        ("server = 5", "FILE:1:1: 'server' is to be a table: [server]"),
        ("verbose = 256\n[server]", "FILE:1:11: verbose: '256' is not a number from 0 to 255"),
        ("log-format = 'xml'\n[server]", "FILE:1:14: log-format 'xml': not one of text, json"),
    ];
    for (text, expected) in cases {
        let file = dir.put("m.toml", text);
        for command in [&["server", "--config"][..], &["check"][..]] {
            let ended = run(&[command, &[file.as_str()]].concat());
            assert_eq!(ended.code, Some(2), "{text}");
            assert_eq!(ended.stderr, [format!("metalbond: {}", expected.replace("FILE", &file))], "{text}");
        }
    }
    let ended = run(&["server", "--config", &dir.path("none")]);
    assert_eq!((ended.code, ended.stderr.len()), (Some(2), 1));
    assert!(ended.stderr[0].ends_with("none: No such file or directory (os error 2)"), "{:?}", ended.stderr);
}

#[test]
fn what_is_wrong_between_settings_is_told_with_the_place_of_one() {
    let dir = Dir::new("between");
    let cases = [
        ("[client]\nserver = 'a:1'\ninstall-routes = '23#100'", ": [client]: ", "--tun <DEVICE>"),
        ("[client]\nserver = ['a:1', 'a:1']\n", ":2:1: ", "--server 'a:1': given twice"),
        ("[client]\nsubscribe = 23\n", "", "--server <HOST:PORT>"),
    ];
    for (text, place, expected) in cases {
        let file = dir.put("m.toml", text);
        let ended = run(&["check", &file]);
        assert_eq!((ended.code, ended.stderr.len()), (Some(2), 1), "{:?}", ended.stderr);
        assert!(ended.stderr[0].contains(expected) && ended.stderr[0].contains(place), "{:?}", ended.stderr);
    }
}

#[test]
fn check_says_what_a_good_file_asks_for_and_looks_into_the_files_that_it_names() {
    let dir = Dir::new("check");
    let more = dir.put("more.routes", "23#10.0.0.2/32#2001:db8::1\n23#10.0.0.3/32#2001:db8::1\n");
    let text = "[server]\nlisten = [':4711']\nkeepalive = 5\n[client]\nserver = ['a:4711', 'b:4711']\nsubscribe = [23, 24]\n\
        announce = '23#10.0.0.1/32#2001:db8::1'\nannounce-file = 'more.routes'\n";
    let file = dir.put("m.toml", text);
    let ended = run(&["check", &file]);
    let expected = "ok (server: 2 settings; client: 2 servers, 2 subscriptions, 3 announcements)";
    assert_eq!((ended.code, ended.stdout), (Some(0), vec![format!("{file}: {expected}")]), "{:?}", ended.stderr);

    dir.put("more.routes", "23#10.0.0.2/32#2001:db8::1\n23#10.0.0.3/33#2001:db8::1\n");
    let ended = run(&["check", &file]);
    let expected = format!("metalbond: --announce-file {more}:2: prefix length 33 is over 32");
    assert_eq!((ended.code, ended.stderr), (Some(2), vec![expected]));
    assert_eq!(run(&["check", &dir.put("empty.toml", "")]).code, Some(2));
}

const SERVERS: &str = "[client]\nrestart-time = 0\n";

#[test]
fn a_changed_file_changes_what_is_wanted_and_nothing_else() {
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

    // Found by itself, after a while.
    let c = "'23#10.0.0.3/32#2001:db8::1'";
    dir.put("m.toml", &text(&[&one, &other], "7, 8", &format!("{a}, {c}")));
    let said = client.log("settings are read: ");
    assert!(said.contains("servers +1 -0, subscriptions +1 -0, announcements +1 -1"), "{said}");
    follower.until(&["23 10.0.0.1/32 via 2001:db8::1", "23 10.0.0.3/32 via 2001:db8::1"]);
    of_other.until(&["23 10.0.0.1/32 via 2001:db8::1", "23 10.0.0.3/32 via 2001:db8::1"]);
    // To the byte: what stays has not been said again.
    for last in [3u8, 2] {
        let (kind, payload) = raw.receive();
        assert!(kind == UPDATE && payload.windows(4).any(|w| w == [10, 0, 0, last]), "{payload:x?}");
    }

    // At once, when it is asked for. The session that stays is the one that was there.
    dir.put("m.toml", &text(&[&one], "8", a));
    client.signal(Signal::HUP);
    client.log("SIGHUP");
    let said = client.log("settings are read: ");
    assert!(said.contains("servers +0 -1, subscriptions +0 -1, announcements +0 -1"), "{said}");
    follower.until(&["23 10.0.0.1/32 via 2001:db8::1"]);
    of_other.until::<&str>(&[]);
}

#[test]
fn a_bad_file_changes_nothing_and_the_next_good_one_counts() {
    let dir = Dir::new("bad");
    let server = Server::on_loopback(&[]);
    let mut follower = Follower::new(Process::client(&server.addrs, &["--subscribe", "23"]));
    let routes = dir.put("a.routes", "23#10.0.0.1/32#2001:db8::1\n");
    let mut client = Process::client(&server.addrs, &["--announce-file", &routes]);
    follower.until(&["23 10.0.0.1/32 via 2001:db8::1"]);
    dir.put("a.routes", "23#10.0.0.1/33#2001:db8::1\n");
    client.signal(Signal::HUP);
    let said = client.log("settings stay as they were");
    assert!(said.contains("a.routes:1: prefix length 33 is over 32"), "{said}");
    dir.put("a.routes", "23#10.0.0.2/32#2001:db8::1\n");
    client.signal(Signal::HUP);
    follower.until(&["23 10.0.0.2/32 via 2001:db8::1"]);
}

#[test]
fn what_takes_a_restart_is_told() {
    let dir = Dir::new("restart");
    let file = dir.put("m.toml", "[server]\nlisten = '127.0.0.1:0'\n");
    let mut server = Process::start(&["server", "--config", &file]);
    server.log("listening on ");
    dir.put("m.toml", "[server]\nlisten = '127.0.0.1:0'\nkeepalive = 7\n");
    server.signal(Signal::HUP);
    let said = server.log("wait for a restart");
    assert!(said.ends_with("changed settings that wait for a restart: keepalive"), "{said}");
    assert!(!server.has_ended());
}
