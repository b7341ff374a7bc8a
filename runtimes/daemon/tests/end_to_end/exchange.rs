//! Routes of all types, over IPv4 and IPv6, received live and by a late subscriber.

use std::fs;
use std::net::{Ipv6Addr, TcpListener};

use crate::process::{Process, Server};
use crate::raw::{Raw, UPDATE};
use crate::table::Follower;

/// One announcement of each form, and its printed line.
const FIRST: [(&str, &str); 3] = [
    ("23#10.0.1.0/24#2001:db8::1", "23 10.0.1.0/24 via 2001:db8::1"),
    ("23#10.0.1.80/32#2001:db8::1#lb", "23 10.0.1.80/32 via 2001:db8::1 LB"),
    ("23#2001:db8:1::/64#192.0.2.1#NAT#1000#65535", "23 2001:db8:1::/64 via 192.0.2.1 NAT 1000-65535"),
];
const SECOND: [(&str, &str); 3] = [
    ("23#2001:db8:2::/64#2001:db8::2#STD", "23 2001:db8:2::/64 via 2001:db8::2"),
    ("23#2001:db8:2::80/128#2001:db8::2#LOADBALANCER", "23 2001:db8:2::80/128 via 2001:db8::2 LB"),
    ("23#10.0.2.0/24#192.0.2.2#42", "23 10.0.2.0/24 via 192.0.2.2 vni 42"),
];

#[test]
fn clients_exchange_all_types_over_ipv4_and_ipv6_live_and_late() {
    let both = if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() { "[::1]:0" } else { "127.0.0.1:0" };
    let server = Server::start(&["127.0.0.1:0", both], &[]);
    let client = |n: usize, announced: &[(&str, &str)]| {
        let mut args = vec!["--subscribe", "23", "--restart-time", "1"];
        for (spec, _) in announced {
            args.extend(["--announce", spec]);
        }
        Follower::new(Process::client(&[server.addrs[n]], &args))
    };
    let mut first = client(0, &FIRST);
    let mut second = client(1, &SECOND);
    first.until(&SECOND.map(|(_, line)| line));
    second.until(&FIRST.map(|(_, line)| line));

    let mut late = client(1, &[]);
    let all: Vec<&str> = FIRST.iter().chain(&SECOND).map(|(_, line)| *line).collect();
    late.until(&all);

    drop(second.process);
    // After its restart time.
    late.until(&FIRST.map(|(_, line)| line));
    first.until::<&str>(&[]);
}

#[test]
fn a_client_receives_only_the_networks_it_subscribed_to() {
    let server = Server::on_loopback(&[]);
    let mut announcer = Process::client(&server.addrs, &["--announce-file", "-"]);
    let mut both = Follower::new(Process::client(&server.addrs, &["--subscribe", "1,2"]));
    let mut one = Follower::new(Process::client(&server.addrs, &["--subscribe", "2"]));
    announcer.write("1#10.0.0.1/32#2001:db8::1\n2#10.0.0.2/32#2001:db8::1\n3#10.0.0.3/32#2001:db8::1\n");
    both.until(&["1 10.0.0.1/32 via 2001:db8::1", "2 10.0.0.2/32 via 2001:db8::1"]);
    one.expect("+ 2 10.0.0.2/32 via 2001:db8::1");
}

#[test]
fn a_route_announced_by_two_clients_stays_until_the_second_leaves() {
    let server = Server::on_loopback(&[]);
    let shared = "23#10.0.0.1/32#2001:db8::9";
    let args = ["--restart-time", "0", "--announce", shared];
    let mut watcher = Follower::new(Process::client(&server.addrs, &["--subscribe", "23"]));
    let first = Process::client(&server.addrs, &args);
    watcher.expect("+ 23 10.0.0.1/32 via 2001:db8::9");
    let mut second =
        Process::client(&server.addrs, &[&args[..], &["--announce", "23#10.0.0.2/32#2001:db8::9"]].concat());
    watcher.expect("+ 23 10.0.0.2/32 via 2001:db8::9");
    first.kill();
    // The server has handled the first client's end before this route.
    let mut third = Process::client(&server.addrs, &["--announce", "23#10.0.0.3/32#2001:db8::9"]);
    third.log("ESTABLISHED");
    watcher.expect("+ 23 10.0.0.3/32 via 2001:db8::9");
    second.log("ESTABLISHED");
    second.kill();
    watcher.until(&["23 10.0.0.3/32 via 2001:db8::9"]);
}

#[test]
fn fifty_thousand_routes_of_a_file_arrive_and_go() {
    let server = Server::on_loopback(&["--keepalive", "1"]);
    let routes = 50_000;
    let prefix = |n: usize| format!("10.{}.{}.{}/32", n >> 16, n >> 8 & 255, n & 255);
    let specs: String = (0..routes).map(|n| format!("23#{}#2001:db8::1\r\n", prefix(n))).collect();
    let file = scratch("routes", &format!("# all of them\n\n{specs}"));
    let mut watcher = Follower::new(Process::client(&server.addrs, &["--subscribe", "23"]));
    let announcer = Process::client(&server.addrs, &["--restart-time", "0", "--announce-file", &file]);
    let all: Vec<String> = (0..routes).map(|n| format!("23 {} via 2001:db8::1", prefix(n))).collect();
    while watcher.table().len() < routes {
        watcher.step();
    }
    watcher.until(&all);
    announcer.kill();
    while !watcher.table().is_empty() {
        watcher.step();
    }
    fs::remove_file(file).unwrap();
}

/// Writes a temporary file of this test run.
pub(crate) fn scratch(name: &str, text: &str) -> String {
    let path = format!("{}/{name}-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    fs::write(&path, text).unwrap();
    path
}

/// As programs of the reference do it: in one write, so that the route looks unchanged when the server is done.
#[test]
fn a_client_without_capabilities_sees_a_renewed_route_and_with_echo_its_own() {
    let server = Server::on_loopback(&["--echo", "lb"]);
    let (mut announcer, mut subscriber) = (Raw::connect(server.addrs[0]), Raw::connect(server.addrs[0]));
    // VNI 23, 10.0.0.9/32, next hop 2001:db8::1, LOADBALANCER_TARGET.
    let mut add = vec![0x10, 23, 0x1a, 8, 0x12, 4, 10, 0, 0, 9, 0x18, 32, 0x22, 20, 0x0a, 16];
    add.extend_from_slice(&[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x18, 2]);
    let remove = [&[0x08, 1], &add[..]].concat();
    let frame = |payload: &[u8]| [&[1, 0, payload.len() as u8, UPDATE], payload].concat();
    announcer.subscribe(23);
    subscriber.subscribe(23);
    announcer.send(&frame(&add));
    for peer in [&mut announcer, &mut subscriber] {
        assert_eq!(peer.receive(), (UPDATE, add.clone()));
    }
    for _ in 0..20 {
        announcer.send(&[frame(&remove), frame(&add)].concat());
        for peer in [&mut announcer, &mut subscriber] {
            assert_eq!(peer.receive(), (UPDATE, remove.clone()));
            assert_eq!(peer.receive(), (UPDATE, add.clone()));
        }
    }
}
