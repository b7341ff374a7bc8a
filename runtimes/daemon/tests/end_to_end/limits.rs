//! Limits for clients: a client exceeds a limit, the log names it, and the other clients are served.

use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use metalbond_conformance::has_ipv6;

use crate::process::{Process, Server, Signal, bound};
use crate::raw::Raw;
use crate::table::Follower;

#[test]
fn a_client_with_too_many_routes_is_named_and_banned_and_the_others_are_served() {
    // The two clients need an address each.
    if !has_ipv6() {
        return;
    }
    let mut server = Server::start(&["127.0.0.1:0", "[::1]:0"], &["--max-routes-per-peer", "2"]);
    let announce = ["--announce", "23#10.0.0.1/32#2001:db8::1", "--announce", "23#10.0.0.2/32#2001:db8::1"];
    let mut subscriber = Follower::new(Process::client(&server.addrs[1..], &["--subscribe", "23"]));
    let _modest = Process::client(&server.addrs[1..], &announce);
    subscriber.until(&["23 10.0.0.1/32 via 2001:db8::1", "23 10.0.0.2/32 via 2001:db8::1"]);

    let greedy = [&announce[..], &["--announce", "23#10.0.0.3/32#2001:db8::1"]].concat();
    let _greedy = Process::client(&server.addrs[..1], &greedy);
    let line = server.process.log("more than 2 routes from one peer");
    assert!(line.contains("WARN") && line.contains("peer=\"127.0.0.1:"), "{line}");
    let line = server.process.log("is banned for");
    assert!(line.contains("peer=\"127.0.0.1:"), "{line}");
    // The routes of that client are removed, and the others stay.
    subscriber.until(&["23 10.0.0.1/32 via 2001:db8::1", "23 10.0.0.2/32 via 2001:db8::1"]);
    let mut late = Follower::new(Process::client(&server.addrs[1..], &["--subscribe", "23"]));
    late.until(&["23 10.0.0.1/32 via 2001:db8::1", "23 10.0.0.2/32 via 2001:db8::1"]);

    server.process.signal(Signal::TERM);
    let line = server.process.log("refused or closed: ");
    assert!(line.contains("routes_per_peer ") && line.contains("banned "), "{line}");
}

#[test]
fn a_connection_over_the_limit_is_refused_and_logged() {
    let mut server = Server::on_loopback(&["--max-connections", "1"]);
    let mut first = Raw::connect(server.addrs[0]);
    let second = TcpStream::connect(server.addrs[0]).unwrap();
    let line = server.process.log("more than 1 connections");
    assert!(line.contains(&format!("peer=\"{}\"", second.local_addr().unwrap())), "{line}");
    first.send(&[1, 0, 0, 2]);
    assert_eq!(first.receive().0, 2, "KEEPALIVE");
}

/// Raises the limit as Go programs do: the shell's usual 1,024 descriptors are not a limit.
#[test]
fn a_server_takes_as_many_descriptors_as_it_may_have() {
    let mut shell = Command::new("sh");
    let binary = env!("CARGO_BIN_EXE_metalbond");
    shell.args(["-c", &format!("ulimit -S -n 40 && exec '{binary}' server --listen 127.0.0.1:0")]);
    let mut server = Process::spawn(shell, Stdio::piped(), Stdio::piped());
    let addr: SocketAddr = bound(&server.log("listening on "));
    let peers: Vec<Raw> = (0..100).map(|_| Raw::connect(addr)).collect();
    assert_eq!(peers.len(), 100);
}
