//! SIGTERM and SIGINT end the program in an orderly way and soon, whatever it is doing.

use std::process::Stdio;
use std::time::Duration;

use crate::process::{Process, Server, Signal};

/// The documentation promises one second; a machine that runs all tests at once may be slower.
const SOON: Duration = Duration::from_secs(3);

fn ends_soon(process: Process, signal: Signal) {
    process.signal(signal);
    let (ended, took) = process.end();
    assert_eq!(ended.code, Some(0), "{:#?}", ended.stderr);
    assert!(took < SOON, "{took:?}");
}

#[test]
fn a_server_with_sessions_ends_on_either_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let server = Server::on_loopback(&[]);
        let mut client = Process::client(&server.addrs, &[]);
        client.log("ESTABLISHED");
        ends_soon(server.process, signal);
    }
}

#[test]
fn a_client_with_a_session_ends_on_either_signal() {
    let server = Server::on_loopback(&[]);
    for signal in [Signal::TERM, Signal::INT] {
        for args in [&[][..], &["--cleanup"], &["--cleanup", "--announce", "23#10.0.0.1/32#2001:db8::1"]] {
            let mut client = Process::client(&server.addrs, args);
            client.log("ESTABLISHED");
            ends_soon(client, signal);
        }
    }
}

#[test]
fn a_client_without_a_server_ends() {
    let closed = [crate::ports::fixed(4)];
    for args in [&[][..], &["--cleanup", "--announce", "23#10.0.0.1/32#2001:db8::1"], &["--announce-file", "-"]] {
        let mut client = Process::client(&closed, args);
        client.log("RETRY");
        ends_soon(client, Signal::TERM);
    }
}

#[test]
fn a_client_that_reads_a_file_without_an_end_ends() {
    let mut client = Process::start(&["client", "--server", "127.0.0.1:1", "--announce-file", "/dev/stdin"]);
    // Four times the size of a pipe. When all of it is written, the client has read, and its signal handlers are
    // installed.
    client.write(&"\n".repeat(256 * 1024));
    ends_soon(client, Signal::TERM);
}

#[test]
fn a_client_whose_server_does_not_answer_ends() {
    let server = Server::on_loopback(&[]);
    let mut client = Process::client(&server.addrs, &["--cleanup", "--announce", "23#10.0.0.1/32#2001:db8::1"]);
    client.log("ESTABLISHED");
    server.process.signal(Signal::STOP);
    ends_soon(client, Signal::TERM);
    server.process.signal(Signal::CONT);
}

#[test]
fn a_client_ends_although_its_output_is_not_read() {
    let server = Server::on_loopback(&["--keepalive", "1"]);
    let mut announcer = Process::client(&server.addrs, &["--announce-file", "-", "--keepalive", "1"]);
    let (reader, writer) = std::io::pipe().unwrap();
    let addr = server.addrs[0].to_string();
    let mut client = Process::start_with(
        &["client", "--server", &addr, "--subscribe", "23,24"],
        Stdio::from(writer),
        Stdio::piped(),
    );
    client.log("ESTABLISHED");
    // About 400 kB of lines, more than the 64 kB of a pipe.
    for n in 0..10_000 {
        announcer.write(&format!("23#10.0.{}.{}/32#2001:db8::1\n", n / 256, n % 256));
    }
    let mut behind = crate::table::Follower::new(Process::client(&server.addrs, &["--subscribe", "24"]));
    announcer.write("24#10.0.0.1/32#2001:db8::1\n");
    behind.expect("+ 24 10.0.0.1/32 via 2001:db8::1");
    ends_soon(client, Signal::TERM);
    drop(reader);
}
