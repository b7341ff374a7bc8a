//! The dissector for Wireshark, `docs/wireshark/metalbond.lua`, run by `tshark` on a capture of a real exchange and on
//! generated captures. Its summaries are compared with the words of `metalbond replay --print`, and so with our own
//! decoder. Its trees are compared with text files in this directory, which METALBOND_RENEW=1 writes again.
//!
//! Skipped if there is no `tshark`.

mod capture;
mod tshark;

#[path = "../../src/steps.rs"]
mod steps;

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use metalbond::{Input, Instant};
use metalbond_conformance::has_program;
use metalbond_tokio::Step;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use capture::Capture;
use steps::Steps;

const EXCHANGE: &[u8] = include_bytes!("../../../../docs/wireshark/metalbond.pcapng");
const PORT: u16 = 4711;

#[test]
fn all_messages_of_an_exchange_are_summarised_as_in_a_replay() {
    if !has_program("tshark") {
        return;
    }
    let names = ["tcp.stream", "tcp.srcport", "tcp.payload", "metalbond.message", "tcp.segment"];
    let (mut sent, mut shown) = (BTreeMap::<_, Vec<u8>>::new(), BTreeMap::<_, Vec<String>>::new());
    let mut reassembled = 0;
    for packet in tshark::fields(EXCHANGE, &names, &[]) {
        let [stream, source, payload, messages, segments] = <[_; 5]>::try_from(packet).unwrap();
        let direction = (stream, source);
        payload.iter().for_each(|payload| sent.entry(direction.clone()).or_default().extend(hex(payload)));
        shown.entry(direction).or_default().extend(messages);
        reassembled += usize::from(!segments.is_empty());
    }
    let expected: BTreeMap<_, _> = sent.into_iter().map(|(direction, bytes)| (direction, replayed(&bytes))).collect();
    assert_eq!(shown, expected);

    // Checks that the exchange contains the expected messages.
    let all: Vec<&String> = shown.values().flatten().collect();
    for kind in ["HELLO", "KEEPALIVE", "SUBSCRIBE", "UNSUBSCRIBE", "ADD", "REMOVE"] {
        assert!(all.iter().any(|message| message.split(' ').next() == Some(kind)), "no {kind}");
    }
    assert_eq!((shown.len(), all.len(), reassembled), (4, 348, 5));
}

#[test]
fn the_info_column_lists_the_messages_that_end_in_a_segment() {
    if !has_program("tshark") {
        return;
    }
    let info = tshark::read(EXCHANGE, &["-Y", "metalbond", "-o", r#"gui.column.format:"Info","%i""#]);
    let packets = tshark::fields(EXCHANGE, &["metalbond.message"], &["-Y", "metalbond"]);
    assert_eq!(info.lines().count(), packets.len());
    for (info, messages) in info.lines().zip(packets) {
        let messages = messages[0].join(", ");
        // The column is cut off at this length.
        assert!(info == messages || info.len() > 1000 && messages.starts_with(info), "{info}");
    }
}

#[test]
fn every_field_of_an_exchange_is_shown() {
    if !has_program("tshark") {
        return;
    }
    // HELLO of both ends; SUBSCRIBE; routes of every kind; UNSUBSCRIBE; REMOVE.
    let trees = tshark::trees(EXCHANGE, &["-Y", "frame.number in {4, 6, 10, 13, 52, 61}"]);
    as_in("exchange.txt", &trees);
}

#[test]
fn errors_are_shown_at_their_position_and_no_message_is_lost() {
    if !has_program("tshark") {
        return;
    }
    let payloads = [
        // Types: an unknown one; a KEEPALIVE that is not empty.
        "09 010203",
        "02 ff",
        // Protobuf: a truncated number, bytes field and message; numbers that are too long; bad keys; wrong wire types.
        "03 08ffff",
        "05 10171a0812",
        "05 10171a07120a0a00170018",
        "03 0880808080808080808002",
        "03 08ffffffff7f",
        "03 000817",
        "03 08170f00",
        "03 0d17000000",
        "01 0a0105",
        // Unknown fields of each wire type, a group in a group, and groups that are closed with a wrong number.
        "03 0817 38ffffffffffffffffff01 390102030405060708 3a03010203 3d01020304 3b430801443c",
        "03 3b433c",
        "03 3c",
        // HELLO: an interval of 0; an unknown capability.
        "01",
        "01 0805a00607",
        // UPDATE: missing parts; a part that comes twice; empty parts.
        "05 10171a00",
        "05 2200",
        "05 1a06 12040a001700 1a02 1818 2206 0a04c0000201",
        "05 1a002200",
        // Invalid: an action and a type; a prefix length; addresses of a wrong length; a port; a martian next hop of
        // each kind.
        "05 0802 1a0612040a001700 2208 0a04c0000201 1803",
        "05 1a08 12040a001700 1821 2206 0a04c0000201",
        "05 1a05 12030a0017 2206 0a04c0000201",
        "05 1a06 12040a001700 2203 0a0101",
        "05 1a06 12040a001700 220e 0a04c0000201 1801 2001 28808004",
        "05 1a06 12040a001700 2206 0a0400000000",
        "05 1a06 12040a001700 2206 0a047fffffff",
        "05 1a06 12040a001700 2206 0a04a9fe0001",
        "05 1a06 12040a001700 2206 0a04efffffff",
        "05 1a06 12040a001700 2206 0a04ffffffff",
        "05 1a06 12040a001700 2212 0a1000000000000000000000000000000000",
        "05 1a06 12040a001700 2212 0a1000000000000000000000000000000001",
        "05 1a06 12040a001700 2212 0a10febf0000000000000000000000000001",
        "05 1a06 12040a001700 2212 0a10ff020000000000000000000000000001",
        "05 1a06 12040a001700 2212 0a1000000000000000000000ffffe0000001",
        // Unusual: the other version of IP; ports without NAT.
        "05 1a08 0801 12040a001700 2208 0a04c0000201 2007",
    ];
    // A wrong version; a payload that is too long, with its type still missing.
    let headers = [hex("02 0000 02"), hex("01 04a5")];
    let frames: Vec<_> = headers.into_iter().chain(payloads.map(|payload| framed(1, &hex(payload)))).collect();
    let mut capture = Capture::new(PORT);
    for (stream, frame) in frames.iter().enumerate() {
        capture.segment(stream, frame);
    }
    as_in("malformed.txt", &tshark::trees(capture.bytes(), &[]));
    let shown = tshark::fields(capture.bytes(), &["metalbond.message"], &[]);
    for (frame, packet) in frames.iter().zip(shown) {
        assert_eq!(packet[0].len(), 1, "{frame:02x?}");
        assert_eq!(packet[0], replayed(frame), "{frame:02x?}");
    }
}

#[test]
fn frames_are_reassembled_wherever_the_stream_is_split() {
    if !has_program("tshark") {
        return;
    }
    let stream =
        hex("01 0002 01 0805 01 0000 02 01 0005 03 08ffffff07 01 0012 05 10171a0612040000000022060a04c0000201");
    let mut capture = Capture::new(PORT);
    let whole = replayed(&stream);
    for at in 1..stream.len() {
        capture.segment(at, &stream[..at]);
        capture.segment(at, &stream[at..]);
    }
    stream.iter().for_each(|byte| capture.segment(0, &[*byte]));
    let mut shown = BTreeMap::<_, Vec<String>>::new();
    for packet in tshark::fields(capture.bytes(), &["tcp.stream", "metalbond.message"], &[]) {
        shown.entry(packet[0].clone()).or_default().extend(packet[1].clone());
    }
    assert_eq!(shown.len(), stream.len());
    shown.values().for_each(|messages| assert_eq!(*messages, whole));
}

#[test]
fn a_message_that_cannot_be_reassembled_is_shown_as_bytes() {
    if !has_program("tshark") {
        return;
    }
    let mut capture = Capture::new(PORT);
    capture.cut_segment(0, &hex("01 0000 02 01 0002 03 0817"), 1);
    capture.segment(1, &hex("01 0000 02 01 00"));
    capture.segment(1, &hex("02 03 0817"));
    let names = ["metalbond.message", "metalbond.undecoded", "metalbond.incomplete"];
    let options = ["-o", "tcp.desegment_tcp_streams:FALSE"];
    let shown = tshark::fields(capture.bytes(), &names, &options);
    let incomplete = "frame of which the rest is not in the capture, or not put together by TCP";
    assert_eq!(shown[0][0], ["KEEPALIVE", incomplete]);
    assert_eq!(shown[0][1], ["0100020308"]);
    assert_eq!(shown[1][0], ["KEEPALIVE", incomplete]);
    assert_eq!(shown[1][1], ["0100"]);
    assert_eq!(shown[2][0], ["frame of protocol version 2, not 1"]);
    assert_eq!(shown.iter().map(|packet| packet[2].len()).collect::<Vec<_>>(), [1, 1, 0]);
    // With reassembly, data that is not in the capture is still missing, and messages that TCP split are complete.
    let shown = tshark::fields(capture.bytes(), &names, &[]);
    assert_eq!(shown[0][0], ["KEEPALIVE", incomplete]);
    assert_eq!((&shown[1][0][..], &shown[2][0][..]), (&["KEEPALIVE".to_owned()][..], &["SUBSCRIBE 23".to_owned()][..]));
}

#[test]
fn the_port_is_a_preference_and_decode_as_takes_any() {
    if !has_program("tshark") {
        return;
    }
    let mut other = Capture::new(14711);
    other.segment(0, &hex("01 0000 02"));
    let mut usual = Capture::new(PORT);
    usual.segment(0, &hex("01 0000 02"));
    let shown = |capture: &Capture, args: &[&str]| {
        let packets = tshark::fields(capture.bytes(), &["metalbond.message"], args);
        packets == [[["KEEPALIVE"]]]
    };
    assert!(shown(&usual, &[]));
    assert!(!shown(&other, &[]));
    assert!(shown(&other, &["-o", "metalbond.port:14711"]));
    assert!(!shown(&usual, &["-o", "metalbond.port:14711"]));
    assert!(!shown(&usual, &["-o", "metalbond.port:0"]));
    assert!(shown(&other, &["-d", "tcp.port==14711,metalbond"]));
    assert!(shown(&other, &["-o", "metalbond.port:0", "-d", "tcp.port==14711,metalbond"]));
}

#[test]
fn the_readmes_commands_print_what_it_says_and_its_filters_are_accepted() {
    if !has_program("tshark") {
        return;
    }
    let readme = include_str!("../../../../docs/wireshark/README.md");
    let console = readme.split("```console\n$ ").nth(1).unwrap().split("```").next().unwrap();
    let (command, output) = console.split_once('\n').unwrap();
    assert_eq!(tshark::shell(command), output);

    let filters: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split("` |").next()).collect();
    assert_eq!(filters.len(), 12);
    for filter in filters {
        let is_for_faults = ["malformed", "invalid", "odd"].iter().any(|word| filter.contains(word));
        let found = tshark::read(EXCHANGE, &["-Y", &filter.replace('\\', "")]);
        assert_eq!(found.is_empty(), is_for_faults, "{filter}");
    }
}

// Not a `proptest!`: one run of tshark checks many streams, and each is small enough to read.
#[test]
fn random_messages_are_shown_as_in_a_replay() {
    if !has_program("tshark") {
        return;
    }
    let mut runner = TestRunner::default();
    let streams: Vec<_> = (0..3000).map(|_| stream().new_tree(&mut runner).unwrap().current()).collect();
    let mut capture = Capture::new(PORT);
    for (number, (bytes, cuts)) in streams.iter().enumerate() {
        let mut rest = &bytes[..];
        for cut in cuts.iter().cycle() {
            let (segment, tail) = rest.split_at((*cut).min(rest.len()));
            capture.segment(number, segment);
            rest = tail;
            if rest.is_empty() {
                break;
            }
        }
    }
    let mut shown = vec![Vec::new(); streams.len()];
    for packet in tshark::fields(capture.bytes(), &["tcp.stream", "metalbond.message"], &[]) {
        let stream: usize = packet[0][0].parse().unwrap();
        shown[stream].extend(packet[1].clone());
    }
    for ((bytes, cuts), mut shown) in streams.iter().zip(shown) {
        let expected = replayed(bytes);
        // A node closes the session at the first error. The dissector continues.
        let errors = ["frame ", "TLS", " that is not valid protobuf", " without ", " interval of 0"];
        if expected.last().is_some_and(|text| errors.iter().any(|error| text.contains(error))) {
            shown.truncate(expected.len());
        }
        assert_eq!(shown, expected, "{bytes:02x?} cut by {cuts:?}");
    }
}

/// A strategy for a few frames, some of them modified, and the positions at which to split them.
fn stream() -> impl Strategy<Value = (Vec<u8>, Vec<usize>)> {
    let cuts = prop_oneof![3 => Just(vec![60_000]), 1 => prop::collection::vec(1usize..40, 1..9)];
    (prop::collection::vec(frame(), 1..4).prop_map(|frames| frames.concat()), cuts)
}

/// A strategy for a frame with the right length. The payload is a valid message, a similar one, or random.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let seeds: Vec<Vec<u8>> = [
        "01 0805 1001 a00603 a8060a",
        "02",
        "03 08ffffff07",
        "04 0817 3b430801443c 3a03010203",
        "05 0801 10ffffffff0f 1a16 0801 1210 20010db8000000000000ffff00000000 1840 2206 0a04c0000201",
        "05 1017 1a08 12040a001700 1818 221c 0a10 00000000000000000000ffff01020304 102a 1801 20e807 28d00f",
        "05 1017 1a08 12040a001700 1818 2214 0a10 20010db8000000010000000000000000 1802",
    ]
    .map(hex)
    .to_vec();
    let mangled =
        (prop::sample::select(seeds), prop::collection::vec((any::<prop::sample::Index>(), 0..3, byte()), 0..4))
            .prop_map(|(mut frame, changes)| {
                for (at, how, byte) in changes {
                    let at = at.index(frame.len());
                    match how {
                        0 => frame[at] = byte,
                        1 => frame.insert(at, byte),
                        _ if frame.len() > 1 => drop(frame.remove(at)),
                        _ => {}
                    }
                }
                frame
            });
    let anything = (1u8..7, prop::collection::vec(byte(), 0..30)).prop_map(|(kind, mut payload)| {
        payload.insert(0, kind);
        payload
    });
    let version = prop_oneof![50 => Just(1), 1 => any::<u8>()];
    (version, prop_oneof![4 => mangled, 1 => anything]).prop_map(|(version, frame)| framed(version, &frame))
}

/// Returns a frame with this type and payload.
fn framed(version: u8, type_and_payload: &[u8]) -> Vec<u8> {
    let [high, low] = (type_and_payload.len() as u16 - 1).to_be_bytes();
    [&[version, high, low], type_and_payload].concat()
}

/// A strategy for a byte. Small numbers are more likely, because keys and lengths are small.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![0u8..48, any::<u8>(), Just(0x80), Just(0xff)]
}

/// Returns what a replay prints for these bytes from a peer, without the time and the connection.
fn replayed(bytes: &[u8]) -> Vec<String> {
    let (mut printed, mut steps) = (Vec::new(), Steps::default());
    let input = Input::Received { conn: "a0".parse().unwrap(), bytes: Bytes::copy_from_slice(bytes) };
    steps.write(&mut printed, &Step::Input(Instant::default(), &input)).unwrap();
    let printed = String::from_utf8(printed).unwrap();
    let lines = printed.lines().map(|line| line.strip_prefix("0.000000 a0 -> ").unwrap().to_owned());
    // For an incomplete message, a replay prints the number of bytes.
    lines.filter(|line| !line.starts_with(|first: char| first.is_ascii_digit())).collect()
}

/// Compares a text with a file in this directory.
fn as_in(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wireshark").join(name);
    if std::env::var_os("METALBOND_RENEW").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    for (line, (is, should)) in text.lines().zip(expected.lines()).enumerate() {
        assert_eq!(is, should, "line {} of {name}", line + 1);
    }
    assert_eq!(text.len(), expected.len());
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
