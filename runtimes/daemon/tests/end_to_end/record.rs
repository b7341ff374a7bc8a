//! `--record` and `metalbond replay`: recordings of processes are replayed.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use metalbond_conformance::{block_until, skip};

use crate::exchange::scratch;
use crate::process::{Ended, Process, Server, Signal, run};
use crate::table::Follower;

const FIRST: &str = "23#10.0.0.1/32#2001:db8::1";
const FIRST_PRINTED: &str = "23 10.0.0.1/32 via 2001:db8::1";
const SECOND: &str = "23#10.0.0.2/32#192.0.2.99#NAT#1000#2000";
const SECOND_PRINTED: &str = "23 10.0.0.2/32 via 192.0.2.99 NAT 1000-2000";
/// The second route's next hop, as the bytes of a message in hexadecimal.
const SECOND_HEX: &str = "c0000263";

#[test]
fn a_server_and_a_client_that_were_recorded_are_replayed_and_printed() {
    let (of_server, of_client) = (unused("server"), unused("client"));
    let server = Server::on_loopback(&["--record", &of_server]);
    let mut client = first(&server, &["--record", &of_client]);
    exchange(&server, &mut client);
    for process in [client.process, server.process] {
        process.signal(Signal::TERM);
        assert_eq!(process.end().0.code, Some(0));
    }
    assert_eq!(fs::metadata(&of_server).unwrap().permissions().mode() & 0o777, 0o600);

    let ended = run(&["replay", &of_server]);
    assert_eq!((ended.code, ended.stderr.len(), ended.stdout.len()), (Some(0), 0, 1), "{:?}", ended.stderr);
    let equal = &ended.stdout[0];
    assert!(
        equal.starts_with("equal: ") && equal.ends_with(&format!("version {}", env!("CARGO_PKG_VERSION"))),
        "{equal}"
    );

    let printed = |file, part: &str| {
        let ended = run(&["replay", "--print", file]);
        assert_eq!(ended.code, Some(0));
        assert!(ended.stdout.iter().any(|line| line.contains(part)), "no {part:?} in {:#?}", ended.stdout);
        assert!(ended.stdout.last().unwrap().starts_with("equal: "));
    };
    printed(&of_server, &format!("a0 -> ADD {FIRST_PRINTED}"));
    printed(&of_server, &format!("a0 <- ADD {SECOND_PRINTED}"));
    printed(&of_server, "a1 -> HELLO keepalive 5 ordered");
    printed(&of_client, &format!("d0 <- ADD {FIRST_PRINTED}"));
    printed(&of_client, &format!("change {}", SECOND_PRINTED.replace("via ", "via +")));
    printed(&of_client, "ESTABLISHED -> CLOSED: shutting down");

    // From a pipe, and to a pipe without a reader.
    let mut command = Command::new(env!("CARGO_BIN_EXE_metalbond"));
    command.args(["replay", "--print", "-"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let stdin = File::open(&of_server).unwrap();
    let (ended, _) = Process::spawn_reading(command, stdin.into(), writer.into(), Stdio::piped()).end();
    assert_eq!((ended.code, ended.stderr.len()), (Some(0), 0), "{:?}", ended.stderr);
}

#[test]
fn a_server_that_was_killed_is_replayed_as_far_as_was_written_and_a_changed_input_differs() {
    let file = unused("killed");
    let server = Server::on_loopback(&["--record", &file]);
    exchange(&server, &mut first(&server, &[]));
    // At most the last second of inputs is lost.
    block_until("the second route in the recording", || fs::read_to_string(&file).unwrap().contains(SECOND_HEX));
    server.process.kill();
    let ended = run(&["replay", &file]);
    assert_eq!(ended.code, Some(0), "{:?}", ended.stderr);

    let recording = fs::read_to_string(&file).unwrap();
    let cut = scratch("cut", recording.trim_end_matches(['}', '\n']));
    let ended = run(&["replay", &cut]);
    assert_eq!((ended.code, ended.stdout.len()), (Some(0), 2), "{:?}", ended.stderr);
    assert_eq!(ended.stdout[1], "The last line was cut off, and is left out.");

    let changed = scratch("changed", &recording.replacen(SECOND_HEX, "c0000264", 1));
    let line = 1 + recording.lines().position(|line| line.contains(SECOND_HEX)).unwrap();
    let ended = run(&["replay", &changed]);
    assert_eq!((ended.code, ended.stdout.len(), ended.stderr.len()), (Some(1), 0, 1));
    let error = &ended.stderr[0];
    // The outputs of a message appear in the same iteration, or one line later.
    let named = error.strip_prefix(&format!("metalbond: {changed}: line ")).unwrap();
    let named: usize = named.split(':').next().unwrap().parse().unwrap();
    assert!((line..line + 4).contains(&named), "{error}");
    assert!(error.contains("a0 <- ADD 23 10.0.0.2/32 via 192.0.2.100 NAT 1000-2000"), "{error}");
}

#[test]
fn a_full_disk_ends_the_recording_and_not_the_server() {
    if !Path::new("/dev/full").exists() {
        return skip("this machine has no /dev/full");
    }
    let mut server = Server::on_loopback(&["--record", "/dev/full"]);
    let line = server.process.log("the recording ends here");
    assert!(line.contains("ERROR") && line.contains("No space left on device"), "{line}");
    exchange(&server, &mut first(&server, &[]));
    server.process.signal(Signal::TERM);
    let (Ended { code, stderr, .. }, _) = server.process.end();
    assert_eq!(code, Some(0));
    assert!(!stderr.iter().any(|line| line.contains("recording")), "{stderr:#?}");
}

#[test]
fn a_file_that_exists_or_cannot_be_made_starts_nothing() {
    let exists = scratch("exists", "precious");
    let client = ["client", "--server", "127.0.0.1:1", "--record"];
    let server = ["server", "--listen", "127.0.0.1:0", "--record"];
    for (command, file, why) in [
        (&client, &exists[..], "it exists, and is not overwritten"),
        (&server, &exists, "it exists, and is not overwritten"),
        (&server, "/nonexistent/file", "No such file or directory (os error 2)"),
    ] {
        let ended = run(&[&command[..], &[file]].concat());
        assert_eq!(
            (ended.code, &ended.stderr[..]),
            (Some(1), &[format!("metalbond: cannot record to {file}: {why}")][..])
        );
    }
    assert_eq!(fs::read_to_string(exists).unwrap(), "precious");
}

#[test]
fn in_a_directory_each_start_has_a_recording_of_its_own() {
    let dir = unused("recordings");
    fs::create_dir(&dir).unwrap();
    let mut servers = [(); 2].map(|()| Server::on_loopback(&["--record", &dir]));
    servers.iter_mut().for_each(|server| server.process.signal(Signal::TERM));
    for server in servers {
        assert_eq!(server.process.end().0.code, Some(0));
    }
    let files: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 2);
    for file in files {
        assert_eq!(run(&["replay", file.to_str().unwrap()]).code, Some(0));
    }
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_file_that_is_no_recording_ends_with_code_1_and_one_line() {
    let text = scratch("text", "hello\n");
    let table = [
        (&text[..], format!("{text}: line 1: this is not a recording: expected value (column 1)")),
        ("/nonexistent", "cannot open /nonexistent: No such file or directory (os error 2)".to_owned()),
        ("/", "/: cannot read the recording: Is a directory (os error 21)".to_owned()),
    ];
    for (file, why) in table {
        let ended = run(&["replay", file]);
        assert_eq!((ended.code, &ended.stderr[..]), (Some(1), &[format!("metalbond: {why}")][..]));
    }
}

/// Exchanges routes between two clients, of which the first is running; each receives the other's route.
fn exchange(server: &Server, first: &mut Follower) {
    let second = Process::client(&server.addrs, &["--subscribe", "23", "--announce", SECOND]);
    let mut second = Follower::new(second);
    second.expect(&format!("+ {FIRST_PRINTED}"));
    first.expect(&format!("+ {SECOND_PRINTED}"));
    second.process.signal(Signal::TERM);
    assert_eq!(second.process.end().0.code, Some(0));
}

/// Starts a client and waits for its session.
fn first(server: &Server, args: &[&str]) -> Follower {
    let args = [args, &["--subscribe", "23", "--announce", FIRST]].concat();
    let mut client = Process::client(&server.addrs, &args);
    client.log("ESTABLISHED");
    Follower::new(client)
}

/// Returns the path of a file that does not exist.
fn unused(name: &str) -> String {
    let path = scratch(name, "");
    fs::remove_file(&path).unwrap();
    path
}
