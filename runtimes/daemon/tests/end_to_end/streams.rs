//! Standard output and standard error: formats, closed pipes, and the amount of logging.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_setfl};

use crate::process::{Process, Server, Signal};
use crate::raw::Raw;

#[test]
fn json_output_has_one_object_a_line() {
    let server = Server::on_loopback(&[]);
    let mut watcher = Process::client(&server.addrs, &["--subscribe", "23", "--output", "json"]);
    let args = ["--announce", "23#10.0.0.1/32#192.0.2.1#NAT#1#2", "--cleanup"];
    let announcer = Process::client(&server.addrs, &args);
    let line = |action: &str| {
        let rest =
            r#""vni":23,"prefix":"10.0.0.1/32","next_hop":"192.0.2.1","target_vni":0,"type":"NAT","from":1,"to":2}"#;
        format!(r#"{{"action":"{action}",{rest}"#)
    };
    assert_eq!(watcher.line(), line("add"));
    announcer.signal(Signal::TERM);
    assert_eq!(watcher.line(), line("remove"));
}

#[test]
fn a_closed_standard_output_ends_the_client_without_an_error() {
    let server = Server::on_loopback(&[]);
    let mut feeder = Process::client(&server.addrs, &["--announce-file", "-"]);
    let (reader, writer) = std::io::pipe().unwrap();
    let addr = server.addrs[0].to_string();
    let args = ["client", "--server", &addr, "--subscribe", "23"];
    let mut client = Process::start_with(&args, Stdio::from(writer), Stdio::piped());
    client.log("ESTABLISHED");
    drop(reader);
    let mut watcher = Process::client(&server.addrs, &["--subscribe", "23"]);
    // The first writes may still succeed while another test's child process, before its exec, has a copy of the pipe.
    for n in 0..65_536 {
        if client.child.try_wait().unwrap().is_some() {
            break;
        }
        feeder.write(&format!("23#10.0.{}.{}/32#2001:db8::1\n", n >> 8, n & 255));
        watcher.line();
    }
    let ended = client.end().0;
    assert_eq!(ended.code, Some(0));
    assert!(!ended.stderr.iter().any(|line| line.contains("panicked") || line.contains("Broken pipe")));
}

#[test]
fn non_blocking_standard_streams_are_waited_for() {
    let server = Server::on_loopback(&[]);
    let addr = server.addrs[0].to_string();
    let (output, writer) = std::io::pipe().unwrap();
    let (reader, mut input) = std::io::pipe().unwrap();
    for end in [writer.as_fd(), reader.as_fd()] {
        fcntl_setfl(end, OFlags::NONBLOCK).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_metalbond"));
    command.args(["client", "--server", &addr, "--subscribe", "23", "--announce-file", "-"]);
    let mut client = Process::spawn_reading(command, Stdio::from(reader), Stdio::from(writer), Stdio::piped());
    client.log("ESTABLISHED");

    // More than the pipe can hold. It is read only after another client has received all of it.
    let mut watcher = Process::client(&server.addrs, &["--subscribe", "23"]);
    let mut feeder = Process::client(&server.addrs, &["--announce-file", "-"]);
    for n in 0..5000 {
        feeder.write(&format!("23#10.0.{}.{}/32#2001:db8::1\n", n >> 8, n & 255));
    }
    for _ in 0..5000 {
        watcher.line();
    }
    let lines: HashSet<String> = BufReader::new(output).lines().take(5000).map(Result::unwrap).collect();
    assert_eq!(lines.len(), 5000);
    assert!(lines.iter().all(|line| line.starts_with("+ 23 10.0.") && line.ends_with(" via 2001:db8::1")));

    input.write_all(b"23#10.1.0.0/16#2001:").unwrap();
    input.write_all(b"db8::2\n").unwrap();
    assert_eq!(watcher.line(), "+ 23 10.1.0.0/16 via 2001:db8::2");
}

#[test]
fn a_closed_log_does_not_end_the_client() {
    let server = Server::on_loopback(&[]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let addr = server.addrs[0].to_string();
    let args = ["client", "--server", &addr, "--subscribe", "23", "-v"];
    let mut client = Process::start_with(&args, Stdio::piped(), Stdio::from(writer));
    let _announcer = Process::client(&server.addrs, &["--announce", "23#10.0.0.1/32#2001:db8::1"]);
    assert_eq!(client.line(), "+ 23 10.0.0.1/32 via 2001:db8::1");
}

#[test]
fn a_blocked_log_delays_neither_a_session_nor_the_end() {
    let addr = crate::ports::fixed(7);
    let (reader, writer) = std::io::pipe().unwrap();
    // The smallest size of a pipe.
    #[cfg(target_os = "linux")]
    rustix::pipe::fcntl_setpipe_size(&writer, 4096).unwrap();
    let args = ["server", "--listen", &addr.to_string(), "-vv"];
    let server = Process::start_with(&args, Stdio::null(), Stdio::from(writer));
    // Several log lines each, many times more than fits.
    let mut clients = Vec::new();
    while clients.len() < 100 {
        match TcpStream::connect(addr) {
            Ok(_) => clients.push(Raw::connect(addr)),
            // The server does not listen yet.
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused),
        }
    }
    server.signal(Signal::TERM);
    let signalled = Instant::now();
    assert_eq!(server.end().0.code, Some(0));
    // Takes about one second; the limit allows for a loaded machine.
    assert!(signalled.elapsed() < Duration::from_secs(3), "{:?}", signalled.elapsed());
    drop(reader);
}

#[test]
fn at_info_level_nothing_is_logged_per_route() {
    let server = Server::on_loopback(&[]);
    let mut watcher = Process::client(&server.addrs, &["--subscribe", "23", "--log-format", "json"]);
    let mut feeder = Process::client(&server.addrs, &["--announce-file", "-"]);
    for n in 0..1000 {
        feeder.write(&format!("23#10.0.{}.{}/32#2001:db8::1\n", n / 256, n % 256));
    }
    for _ in 0..1000 {
        watcher.line();
    }
    for process in [server.process, feeder, watcher] {
        process.signal(Signal::TERM);
        let ended = process.end().0;
        assert!(ended.stderr.len() < 20, "{:#?}", ended.stderr);
    }
}

#[test]
fn json_logs_have_one_object_a_line() {
    let mut server = Process::start(&["server", "--listen", "127.0.0.1:0", "--log-format", "json"]);
    let line = server.log("listening on ");
    let object: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(object["level"], "INFO");
    server.signal(Signal::TERM);
    for line in server.end().0.stderr {
        serde_json::from_str::<serde_json::Value>(&line).unwrap();
    }
}
