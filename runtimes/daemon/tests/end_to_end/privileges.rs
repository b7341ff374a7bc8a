//! The privileges of a running daemon, as the kernel reports them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::process::{Command, Stdio};
use std::time::Instant;

use metalbond_conformance::{Authority, has_program, skip};

use crate::config::Dir;
use crate::process::{DEADLINE, Process, Server, Signal};

/// Returns the values of a field in all threads.
fn field(process: &Process, name: &str) -> BTreeSet<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", process.id())).unwrap();
    // A thread may end meanwhile.
    let texts = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok());
    let value = |text: String| {
        text.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(":")?.trim().to_owned()))
    };
    texts.filter_map(value).collect()
}

/// Waits until the process has no privileges.
fn until_powerless(process: &Process) {
    let start = Instant::now();
    let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
    let is_zero = |name: &&str| field(process, name).iter().all(|set| set.bytes().all(|byte| byte == b'0'));
    while !sets.iter().all(is_zero) {
        assert!(start.elapsed() < DEADLINE, "{:?}", sets.map(|name| field(process, name)));
    }
    assert_eq!(field(process, "NoNewPrivs"), BTreeSet::from(["1".to_owned()]));
}

fn is_root() -> bool {
    let is = rustix::process::geteuid().is_root();
    if !is {
        skip("only root has something to drop");
    }
    is
}

#[test]
fn a_server_started_by_root_keeps_no_capabilities() {
    if !is_root() {
        return;
    }
    let server = Server::on_loopback(&["--http", "127.0.0.1:0"]);
    until_powerless(&server.process);
    let client = Process::client(&server.addrs, &["--http", "127.0.0.1:0", "--subscribe", "23"]);
    until_powerless(&client);
}

#[test]
fn a_server_on_a_low_port_drops_that_capability() {
    if !is_root() {
        return;
    }
    // No other test uses this address.
    let server = Server::start(&["127.71.23.7:711"], &["--http", "127.71.23.7:712"]);
    assert_eq!(server.addrs[0].port(), 711);
    Process::client(&server.addrs, &[]).log("ESTABLISHED");
    let start = Instant::now();
    // The thread that runs the sessions.
    let own = || fs::read_to_string(format!("/proc/{}/status", server.process.id())).unwrap();
    while !own().contains("CapPrm:\t0000000000000000") {
        assert!(start.elapsed() < DEADLINE, "{}", own());
    }
    // The logging thread was started before and may still have the capability for low ports; no other thread has it.
    let sets = field(&server.process, "CapPrm");
    assert!(sets.iter().all(|set| ["0000000000000000", "0000000000000400"].contains(&&**set)), "{sets:?}");
}

#[test]
fn the_memory_of_a_process_with_a_key_is_not_readable() {
    const NOBODY: u32 = 65534;
    if !is_root() || !has_program("setpriv") {
        return;
    }
    // A directory that the other user can enter.
    let program = std::env::temp_dir().join(format!("metalbond-privileges-{}", std::process::id()));
    fs::copy(env!("CARGO_BIN_EXE_metalbond"), &program).unwrap();
    let (dir, ca) = (Dir::new("key"), Authority::named("of the tests"));
    let [cert, key] = dir.put_identity("a", &ca.issue_for(&["127.0.0.1"], 90));
    let ca = dir.put("ca.pem", &ca.cert());
    chown(&key, Some(NOBODY), Some(NOBODY)).unwrap();
    let owner = |args: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&program);
        command.args(["server", "--listen", "127.0.0.1:0"]).args(args);
        let mut process = Process::spawn(command, Stdio::piped(), Stdio::piped());
        process.log("listening on ");
        let owner = fs::metadata(format!("/proc/{}/status", process.id())).unwrap().uid();
        process.signal(Signal::TERM);
        owner
    };
    // Files of a process that is not dumpable belong to root.
    assert_eq!(owner(&[]), NOBODY);
    assert_eq!(owner(&["--tls-cert", &cert, "--tls-key", &key, "--tls-ca", &ca]), 0);
    fs::remove_file(program).unwrap();
}
