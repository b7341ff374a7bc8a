//! The behaviour of the examples of both drivers: server, client and agent. The tests stop them with the signal that
//! Ctrl-C sends.

use std::fs;
use std::path::PathBuf;

use crate::RUNTIME;
use crate::example::Example;
use rustix::process::{Pid, Signal, kill_process};

#[test]
fn a_client_prints_the_routes_that_an_agent_announces() {
    let (server, addr) = server();
    let client = start("client", &[&addr, "23"]);
    let dir = Directory::new("announces");
    let agent = start("agent", &[&addr, &dir.file(), "23", "23#10.0.23.1/32#2001:db8::1"]);
    assert_eq!(client.line().unwrap(), "+ 23 10.0.23.1/32 via 2001:db8::1");
    for example in [agent, client, server] {
        assert_eq!(interrupt(example), Some(0));
    }
}

#[test]
fn an_agent_that_started_before_its_server_writes_the_routes_of_its_vnis_to_a_file() {
    // Not a port that the system assigns, so that it is still free when the server starts.
    let addr = format!("127.0.0.1:{}", 30_500 + std::process::id() % 2_000);
    let (dir, other) = (Directory::new("before"), Directory::new("other"));
    let agent = start("agent", &[&addr, &dir.file(), "23,24", "23#10.0.23.1/32#2001:db8::1"]);
    let server = start("server", &[&addr]);
    server.line_after("listening on ");
    let own = ["23#10.0.23.2/32#2001:db8::2", "24#10.0.24.2/32#2001:db8::2"];
    let neighbour = start("agent", &[&addr, &other.file(), "23", own[0], own[1]]);
    while dir.read() != "23 10.0.23.2/32 via 2001:db8::2\n24 10.0.24.2/32 via 2001:db8::2\n" {
        agent.line_after("wrote ");
    }
    while other.read() != "23 10.0.23.1/32 via 2001:db8::1\n" {
        neighbour.line_after("wrote ");
    }
    for example in [neighbour, agent, server] {
        assert_eq!(interrupt(example), Some(0));
    }
}

#[test]
fn an_agent_writes_later_if_it_cannot_write_at_once() {
    let (server, addr) = server();
    let dir = Directory::new("missing");
    let place = dir.0.join("not_yet");
    let file = place.join("routes").display().to_string();
    let agent = start("agent", &[&addr, &file, "23"]);
    let _neighbour = start("agent", &[&addr, &dir.file(), "23", "23#10.0.23.2/32#2001:db8::2"]);
    agent.line_after("cannot write ");
    fs::create_dir(place).unwrap();
    while fs::read_to_string(&file).unwrap_or_default() != "23 10.0.23.2/32 via 2001:db8::2\n" {
        agent.line_after("wrote ");
    }
    assert_eq!(interrupt(agent), Some(0));
    assert_eq!(interrupt(server), Some(0));
}

#[test]
fn an_agent_writes_once_per_burst() {
    let (_server, addr) = server();
    let dir = Directory::new("burst");
    let routes: Vec<String> = (0..250).map(|n| format!("23#10.0.23.{n}/32#2001:db8::2")).collect();
    let other = dir.0.join("other").display().to_string();
    let mut args = vec![addr.as_str(), &other, "23"];
    args.extend(routes.iter().map(String::as_str));
    let agent = start("agent", &[&addr, &dir.file(), "23"]);
    let _neighbour = start("agent", &args);
    let mut writes = 1;
    while agent.line_after("wrote ") != "250 destinations" {
        writes += 1;
    }
    // One write, or a few more if this machine is slow.
    assert!(writes < 25, "{writes} writes");
}

#[test]
fn examples_print_their_usage() {
    for name in ["server", "client", "agent"] {
        let (lines, code) = start(name, &[]).end();
        assert_eq!((lines.len(), code), (0, Some(1)), "{name}");
    }
}

fn start(name: &str, args: &[&str]) -> Example {
    Example::start(&format!("{RUNTIME}-{name}"), args)
}

fn server() -> (Example, String) {
    let server = start("server", &["127.0.0.1:0"]);
    let addr = server.line_after("listening on ");
    (server, addr)
}

/// Ends the example as Ctrl-C does. Returns its exit code.
fn interrupt(example: Example) -> Option<i32> {
    kill_process(Pid::from_child(&example.child), Signal::INT).unwrap();
    example.end().1
}

/// A new directory. Removed when dropped.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("metalbond-{RUNTIME}-{name}-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    fn file(&self) -> String {
        self.0.join("routes").display().to_string()
    }

    /// Returns the contents of the file, empty if there is no file yet.
    fn read(&self) -> String {
        fs::read_to_string(self.file()).unwrap_or_default()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
