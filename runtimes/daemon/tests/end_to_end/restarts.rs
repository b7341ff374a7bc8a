//! Servers that are killed and restarted, and servers in pairs.

use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};

use crate::ports;
use crate::process::{Process, Server, Signal};
use crate::table::Follower;

const FIRST: &str = "23#10.0.0.1/32#2001:db8::1";
const FIRST_PRINTED: &str = "23 10.0.0.1/32 via 2001:db8::1";
const SECOND: &str = "23#10.0.0.2/32#2001:db8::2";
const SECOND_PRINTED: &str = "23 10.0.0.2/32 via 2001:db8::2";
const LATER: &str = "23#10.0.0.3/32#2001:db8::1\n";
const LATER_PRINTED: &str = "+ 23 10.0.0.3/32 via 2001:db8::1";

#[test]
fn a_server_restart_removes_no_route_that_is_announced_again() {
    let addr = ports::fixed(0).to_string();
    let server = Server::start(&[&addr], &[]);
    let args = ["--subscribe", "23", "--session-stale-time", "5", "--announce-file", "-"];
    let mut owner = Follower::new(Process::client(&server.addrs, &args));
    let mut watcher = Follower::new(Process::client(&server.addrs, &args));
    let leaver = Process::client(&server.addrs, &["--announce", SECOND]);
    owner.process.write(&format!("{FIRST}\n"));
    watcher.until(&[FIRST_PRINTED, SECOND_PRINTED]);
    owner.until(&[SECOND_PRINTED]);

    server.process.kill();
    leaver.kill();
    let _server = Server::start(&[&addr], &[]);
    // The server is converging: a route that its origin does not announce again is withdrawn after its time, and only
    // that route.
    watcher.expect(&format!("- {SECOND_PRINTED}"));
    owner.expect(&format!("- {SECOND_PRINTED}"));
    owner.process.write(LATER);
    watcher.expect(LATER_PRINTED);
}

#[test]
fn without_a_stale_time_routes_go_with_the_server_and_come_back() {
    let addr = ports::fixed(1).to_string();
    let server = Server::start(&[&addr], &[]);
    let mut watcher = Follower::new(Process::client(&server.addrs, &["--subscribe", "23", "--stale-time", "0"]));
    let _owner = Process::client(&server.addrs, &["--announce", FIRST]);
    watcher.expect(&format!("+ {FIRST_PRINTED}"));
    server.process.kill();
    watcher.expect(&format!("- {FIRST_PRINTED}"));
    let _server = Server::start(&[&addr], &[]);
    watcher.expect(&format!("+ {FIRST_PRINTED}"));
}

#[test]
fn the_restart_of_one_of_two_servers_changes_no_route() {
    let addr = ports::fixed(2).to_string();
    let (first, second) = (Server::start(&[&addr], &[]), Server::on_loopback(&[]));
    let both = [first.addrs[0], second.addrs[0]];
    let mut owner = Process::client(&both, &["--announce", FIRST, "--announce-file", "-", "--stale-time", "0"]);
    let mut watcher = Process::client(&both, &["--subscribe", "23", "--stale-time", "0"]);
    for process in [&mut owner, &mut watcher] {
        for _ in both {
            process.log("ESTABLISHED");
        }
    }
    let mut watcher = Follower::new(watcher);
    watcher.expect(&format!("+ {FIRST_PRINTED}"));
    // Received by the second server with certainty: earlier routes have arrived as well.
    let mut probe = Process::client(&second.addrs, &["--announce-file", "-", "--subscribe", "23"]);
    assert_eq!(probe.line(), format!("+ {FIRST_PRINTED}"));
    probe.write(&format!("{SECOND}\n"));
    watcher.expect(&format!("+ {SECOND_PRINTED}"));

    first.process.kill();
    watcher.process.log("RETRY");
    owner.log("RETRY");
    owner.write(LATER);
    watcher.expect(LATER_PRINTED);

    let first = Server::start(&[&addr], &[]);
    watcher.process.log("ESTABLISHED");
    owner.log("ESTABLISHED");
    owner.write("23#10.0.0.4/32#2001:db8::1\n");
    watcher.expect("+ 23 10.0.0.4/32 via 2001:db8::1");

    // The last copy: without both servers, and without a stale time, no routes stay.
    first.process.kill();
    second.process.kill();
    watcher.until::<&str>(&[]);
}

#[test]
fn a_client_started_before_its_server_waits_for_it() {
    let addr = ports::fixed(3);
    let mut early = Process::client(&[addr], &["--announce", FIRST]);
    early.log("refused");
    let mut watcher = Follower::new(Process::client(&[addr], &["--subscribe", "23"]));
    watcher.process.log("refused");
    let _server = Server::start(&[&addr.to_string()], &[]);
    watcher.expect(&format!("+ {FIRST_PRINTED}"));
}

#[test]
fn a_server_that_closes_at_once_is_logged_once_and_not_at_each_dial() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = Process::client(&[listener.local_addr().unwrap()], &[]);
    for _ in 0..6 {
        let (mut stream, _) = listener.accept().unwrap();
        // Reads the HELLO, so that closing the connection does not reset it.
        stream.read_exact(&mut [0; 4]).unwrap();
    }
    client.signal(Signal::TERM);
    let stderr = client.end().0.stderr;
    let logged = |state: &str| stderr.iter().filter(|line| line.contains(state)).count();
    assert_eq!((logged("new=RETRY"), logged("new=CONNECTING")), (1, 1), "{stderr:#?}");
}
