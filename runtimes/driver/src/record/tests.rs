//! Tests of recording and replay: the outputs are equal if nothing was changed; a change is an error with its line; and the node never
//! waits for its recording.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::recorded::Recorded;
use crate::seed::seeded;
use crate::{ReplayError, Summary, replay};
use bytes::BytesMut;
use metalbond::wire::{Update, UpdateAction, encode_update};
use metalbond::{Command, Config, ConnId, Input, Instant, NextHop, Node, Route, Vni};

/// A timeout far longer than any step takes.
const DEADLINE: Duration = Duration::from_secs(30);

#[test]
fn a_replay_has_the_same_outputs_and_counts_them() {
    let summary = replayed(&recording()).unwrap();
    assert_eq!(summary.version, env!("CARGO_PKG_VERSION"));
    assert_eq!((summary.inputs, summary.iterations, summary.transmits, summary.changes), (13, 8, 4, 1));
    assert_eq!((summary.duration, summary.is_cut), (Duration::from_secs(8), false));
    assert!(summary.bytes > 0);
}

#[test]
fn a_changed_input_is_an_error_with_its_line() {
    let recording = recording();
    let text = str::from_utf8(&recording).unwrap();
    // The last octet of the next hop.
    let changed = text.replacen("c0000201", "c0000202", 1);
    assert_ne!(changed, text);
    let line = 1 + text.lines().position(|line| line.contains("c0000201")).unwrap() as u64;
    let Err(ReplayError::Differs { line: found, what: "crc", .. }) = replayed(changed.as_bytes()) else {
        panic!("not the same outputs");
    };
    assert_eq!(found, line);
}

#[test]
fn a_changed_timeout_is_an_error_with_its_line() {
    let text = String::from_utf8(recording()).unwrap();
    let error = replayed(text.replacen(r#""poll_timeout":null"#, r#""poll_timeout":"1.000000000""#, 1).as_bytes());
    assert_eq!(
        error.unwrap_err().to_string(),
        "line 2: poll_timeout is null, and was 1.000000000 when it was recorded"
    );
}

#[test]
fn a_recording_that_was_cut_anywhere_is_replayed() {
    let recording = recording();
    let header = 1 + recording.iter().position(|byte| *byte == b'\n').unwrap();
    for cut in 0..recording.len() {
        match replayed(&recording[..cut]) {
            Ok(summary) => assert_eq!(summary.is_cut, recording[cut - 1] != b'\n', "{cut}"),
            Err(error) => {
                assert!(cut < header, "{cut}: {error}");
                assert_eq!(error.to_string(), "line 1: there is no whole header: this is not a recording");
            }
        }
    }
}

#[test]
fn a_text_that_is_no_recording_is_refused_with_its_line() {
    let recording = String::from_utf8(recording()).unwrap();
    let refused = |text: &str| replayed(text.as_bytes()).unwrap_err().to_string();
    let with = |from: &str, to: &str| refused(&recording.replacen(from, to, 1));
    assert_eq!(refused("hello\n"), "line 1: this is not a recording: expected value (column 1)");
    assert_eq!(refused("{}\n"), "line 1: this is not a recording: missing field `metalbond_recording` (column 2)");
    assert_eq!(with("recording\":1", "recording\":2"), "format 2; this version reads format 1");
    assert_eq!(with("keepalive\":5", "keepalive\":0"), "line 1: the keepalive interval must be at least 1 second");
    assert!(with("\"stale_time\"", "\"stole_time\"").starts_with("line 1: unknown field `stole_time`"));
    assert!(with("\"accepted\"", "\"received\"").starts_with("line 3: "), "{}", with("\"accepted\"", "\"received\""));
    assert!(with("\n", "\n\n").starts_with("line 2: EOF while parsing a value"));
    let endless = "x".repeat(16 * 1024 * 1024);
    assert_eq!(refused(&endless), "line 1: it is longer than a line of a recording can be");
}

#[test]
fn settings_that_a_recording_does_not_have_get_their_defaults() {
    let text = String::from_utf8(recording()).unwrap();
    let shorter = text.replacen("\"stale_time\":60,", "", 1).replacen("\"convergence_time\":60,", "", 1);
    assert!(shorter.len() < text.len());
    assert_eq!(replayed(shorter.as_bytes()).unwrap(), replayed(text.as_bytes()).unwrap());
}

/// Any file may be passed to `replay`. An error names the line of the change, or a later one if the change has an effect only there.
#[test]
fn a_recording_with_any_byte_changed_is_replayed_to_the_same_counts_or_refused_with_its_line() {
    let recording = recording();
    let counts =
        |summary: Summary| (summary.inputs, summary.iterations, summary.transmits, summary.bytes, summary.changes);
    let (all, end) = (counts(replayed(&recording).unwrap()), recording.len() - 1);
    let mut changed = recording.clone();
    let (mut line, mut equal) = (1, 0);
    for at in 0..recording.len() {
        for byte in [b'0', b'9', b'"', b'\n', recording[at] ^ 1, recording[at] ^ 0x80] {
            changed[at] = byte;
            match replayed(&changed) {
                Ok(summary) if at == end => assert!(summary.is_cut || byte == b'\n'),
                Ok(summary) => {
                    assert_eq!(counts(summary), all, "byte {at}, line {line}");
                    equal += 1;
                }
                Err(ReplayError::Line { line: found, .. }) => assert_eq!(found, line, "byte {at}"),
                Err(ReplayError::Differs { line: found, .. }) => {
                    assert!(found >= line, "byte {at}, line {line}: {found}")
                }
                Err(ReplayError::Format(_) | ReplayError::Config(_)) => assert_eq!(line, 1, "byte {at}"),
                Err(error @ (ReplayError::Io(_) | ReplayError::Show(_))) => panic!("byte {at}: {error}"),
            }
        }
        changed[at] = recording[at];
        line += u64::from(recording[at] == b'\n');
    }
    assert!(equal > 0);
}

#[test]
fn calls_are_written_within_a_second_without_further_calls() {
    let (tape, written) = tape();
    let mut node = node(tape);
    exchange(&mut node, 0);
    let mut recording = Vec::new();
    while replayed(&recording).ok().is_none_or(|summary| summary.iterations < 8) {
        recording.extend(written.recv_timeout(DEADLINE).unwrap());
    }
}

#[test]
fn a_disk_that_hangs_ends_the_recording_at_a_whole_line_and_not_the_node() {
    let (gate, opened) = channel();
    let (tape, written) = tape();
    let mut node = node(Gated { opened, tape });
    // Half a megabyte per iteration, and more than 64 MB in all.
    exchange(&mut node, 0);
    for n in 1..200 {
        unknown(&mut node, Instant::from_epoch(Duration::from_secs(8) + n * Duration::from_millis(1)));
    }
    assert_eq!(node.sessions().map(|session| session.counters.messages_in.unknown).max(), Some(199 * 512));
    let (token, ended) = channel::<()>();
    node.finish(token);
    assert_eq!(ended.recv_timeout(DEADLINE), Err(RecvTimeoutError::Disconnected), "there is nothing to wait for");

    drop(gate);
    let recording: Vec<u8> = written.iter().flatten().collect();
    let summary = replayed(&recording).unwrap();
    assert!(!summary.is_cut);
    assert!((120..150).contains(&summary.iterations), "{summary:?}");
}

#[test]
fn the_token_is_dropped_when_everything_is_written() {
    let (gate, opened) = channel::<()>();
    let (tape, written) = tape();
    let mut node = node(Gated { opened, tape });
    exchange(&mut node, 0);
    let (token, ended) = channel::<()>();
    node.finish(token);
    assert_eq!(ended.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty));
    drop(gate);
    assert_eq!(ended.recv_timeout(DEADLINE), Err(RecvTimeoutError::Disconnected));
    let recording: Vec<u8> = written.try_iter().flatten().collect();
    assert_eq!(replayed(&recording).unwrap().iterations, 8);
}

#[test]
fn a_full_disk_ends_the_recording_and_not_the_node() {
    struct Full(Option<Sender<()>>);

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            self.0 = None;
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let (alive, tried) = channel();
    let mut node = node(Full(Some(alive)));
    exchange(&mut node, 0);
    assert_eq!(tried.recv_timeout(DEADLINE), Err(RecvTimeoutError::Disconnected));
    exchange(&mut node, 100);
    let (token, ended) = channel::<()>();
    node.finish(token);
    assert_eq!(ended.recv_timeout(DEADLINE), Err(RecvTimeoutError::Disconnected));
}

/// A writer that sends the written bytes to a test.
struct Tape(Sender<Vec<u8>>);

fn tape() -> (Tape, Receiver<Vec<u8>>) {
    let (sender, receiver) = channel();
    (Tape(sender), receiver)
}

impl Write for Tape {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Fails if the test has dropped the receiver.
        let _ = self.0.send(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A writer that blocks until the other end of `opened` is dropped.
struct Gated {
    opened: Receiver<()>,
    tape: Tape,
}

impl Write for Gated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.opened.recv();
        self.tape.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn replayed(recording: &[u8]) -> Result<Summary, ReplayError> {
    replay(recording, |_, _| Ok(()))
}

fn node(out: impl Write + Send + 'static) -> Recorded {
    Recorded::recording(seeded(Config::default()), Instant::EPOCH, out).unwrap()
}

fn recording() -> Vec<u8> {
    let (tape, written) = tape();
    let mut node = node(tape);
    exchange(&mut node, 0);
    let (token, ended) = channel::<()>();
    node.finish(token);
    assert_eq!(ended.recv_timeout(DEADLINE), Err(RecvTimeoutError::Disconnected));
    written.iter().flatten().collect()
}

/// Runs a server that is itself subscribed, with two clients: the first announces a route to the second. It takes eight iterations.
fn exchange(node: &mut Recorded, from: u64) {
    let at = |n: u64| Instant::from_epoch(Duration::from_secs(from + n));
    let [a, b] = [0, 1].map(|n| ConnId::accepted(from + n));
    let remote = ([127, 0, 0, 1], 4000).into();
    let next_hop = NextHop::standard([192, 0, 2, 1].into());
    let route = Route { vni: Vni(23), prefix: "10.0.0.0/8".parse().unwrap(), next_hop };
    let mut update = BytesMut::new();
    encode_update(&mut update, &Update { action: UpdateAction::Add, route });
    let iterations: [(u64, Vec<Input>); 7] = [
        (2, vec![Input::Accepted { conn: a, remote }, received(a, &[1, 0, 2, 1, 8, 60])]),
        (3, vec![received(a, &[1, 0, 0, 2])]),
        (4, vec![Input::Accepted { conn: b, remote }, received(b, &[1, 0, 2, 1, 8, 60, 1, 0, 0, 2])]),
        (5, vec![received(b, &[1, 0, 2, 3, 8, 23])]),
        (6, vec![received(a, &update)]),
        (7, vec![]),
        (8, vec![Input::Tick]),
    ];
    iterate(node, at(1), vec![Input::Command(Command::Subscribe(Vni(23)))]);
    for (n, inputs) in iterations {
        iterate(node, at(n), inputs);
    }
}

fn received(conn: ConnId, bytes: &[u8]) -> Input {
    Input::Received { conn, bytes: bytes.to_vec().into() }
}

/// Receives many messages of an unknown type, which a node ignores.
fn unknown(node: &mut Recorded, now: Instant) {
    let bytes = [&[1, 4, 0, 99][..], &[0; 1024]].concat().repeat(512);
    iterate(node, now, vec![received(ConnId::accepted(0), &bytes)]);
}

/// Makes the calls of a driver's iteration.
fn iterate(node: &mut Recorded, now: Instant, inputs: Vec<Input>) {
    for input in inputs {
        node.handle_input(now, input);
    }
    while let Some(transmit) = node.poll_transmit() {
        node.handle_input(now, Input::Sent { conn: transmit.conn });
    }
    while node.poll_change().is_some() {}
    node.end_iteration();
    let _: &Node = node;
}
