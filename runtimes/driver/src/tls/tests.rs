//! Tests of two TLS engines in memory. The ciphertext between them is cut at any place.

use std::iter;
use std::sync::LazyLock;

use bytes::Bytes;
use metalbond::{ConnId, PeerName, Transmit, TransmitMode, TransportEnd};
use metalbond_conformance::{Authority, HELLO, Identity};
use proptest::prelude::*;

use super::engine::Tls;

static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);
static SERVER: LazyLock<Identity> = LazyLock::new(|| AUTHORITY.issue(&["Server.Example"]));
static CLIENT: LazyLock<Identity> =
    LazyLock::new(|| AUTHORITY.issue(&["H7.example", "192.0.2.7", "2001:db8::7", "spiffe://example/h/7"]));

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn plaintext_arrives_wherever_the_ciphertext_is_cut(
        cuts in prop::collection::vec(1..3000usize, 1..20),
        ours in prop::collection::vec(0..40_000usize, 0..5),
        theirs in prop::collection::vec(0..40_000usize, 0..5),
    ) {
        let (mut one, mut other) = pair();
        let mut cuts = cuts.into_iter().cycle();
        shake(&mut one, &mut other, &mut cuts);
        for sizes in [ours, theirs] {
            let mut said = Vec::new();
            for (n, size) in sizes.into_iter().enumerate() {
                let bytes = Bytes::from(vec![n as u8; size]);
                said.extend_from_slice(&bytes);
                one.seal(&transmit(&[bytes], TransmitMode::Stream));
            }
            let heard = deliver(&mut one, &mut other, &mut cuts);
            prop_assert_eq!(heard, (said, None));
            std::mem::swap(&mut one, &mut other);
        }
    }

    #[test]
    fn a_stream_that_is_cut_delivers_its_whole_records_and_no_end(
        sizes in prop::collection::vec(1..40_000usize, 1..4),
        is_closed: bool,
        at in prop::option::of(any::<prop::sample::Index>()),
        cuts in prop::collection::vec(1..3000usize, 1..20),
    ) {
        let Stream { mut server, said, mut sealed, records } = stream(sizes, is_closed);
        let at = at.map_or(sealed.len(), |at| at.index(sealed.len()));
        let whole: usize = records.iter().filter(|record| record.end <= at).map(|record| record.plain).sum();
        let is_whole = at == sealed.len();
        sealed.truncate(at);
        let end = (is_closed && is_whole).then_some(TransportEnd::Eof);
        prop_assert_eq!(receive(&mut server, &sealed, &mut cuts.into_iter().cycle()), (said[..whole].to_vec(), end));
    }

    #[test]
    fn a_stream_with_a_changed_byte_delivers_the_records_before_it_and_an_error(
        sizes in prop::collection::vec(1..40_000usize, 1..4),
        is_closed: bool,
        at: prop::sample::Index,
        place in prop::option::of(0..8usize),
        change in 1..=255u8,
        cuts in prop::collection::vec(1..3000usize, 1..20),
    ) {
        let Stream { mut server, said, mut sealed, records } = stream(sizes, is_closed);
        let mut at = at.index(sealed.len());
        let n = records.iter().position(|record| at < record.end).unwrap();
        // Most bytes are not in the header of a record, where each means something else.
        if let Some(place) = place {
            at = records[n].begin + place;
        }
        sealed[at] ^= change;
        let before = said[..records[..n].iter().map(|record| record.plain).sum()].to_vec();
        let (heard, end) = receive(&mut server, &sealed, &mut cuts.into_iter().cycle());
        match (at - records[n].begin, end) {
            // The type of an encrypted record, and the version. RFC 8446 gives them no meaning: section 5.1, legacy_record_version, and
            // 5.2, opaque_type. A record of each type may be refused.
            (0..3, end @ (None | Some(TransportEnd::Eof))) => {
                prop_assert_eq!((heard, end), (said, is_closed.then_some(TransportEnd::Eof)));
            }
            // A record that should be longer than the rest of the stream.
            (3..5, None) => prop_assert_eq!(heard, before),
            (_, end) => {
                prop_assert_eq!(heard, before);
                ends_for_good(&mut server, end)?;
                prop_assert!(server.take().is_some(), "an alert");
            }
        }
    }

    #[test]
    fn a_handshake_with_a_changed_byte_fails_or_the_byte_says_nothing(
        flight in 0..3usize,
        at: prop::sample::Index,
        change in 1..=255u8,
        cuts in prop::collection::vec(1..3000usize, 1..20),
    ) {
        let (mut client, mut server) = pair();
        let mut cuts = cuts.into_iter().cycle();
        let mut ends = [None, None];
        let mut says_nothing = false;
        for n in 0..6 {
            let (from, to) = if n % 2 == 0 { (&mut client, &mut server) } else { (&mut server, &mut client) };
            let mut sealed = Vec::from(from.take().unwrap_or_default());
            if n == flight {
                let at = at.index(sealed.len());
                // The type of a record that is encrypted, and the version: see above.
                says_nothing = records(&sealed).iter().any(|record| (record.begin..record.begin + 3).contains(&at));
                sealed[at] ^= change;
            }
            let (heard, end) = receive(to, &sealed, &mut cuts);
            prop_assert_eq!(heard, b"");
            let ended = &mut ends[n % 2];
            if ended.is_none() && end.is_some() {
                ends_for_good(to, end.clone())?;
                *ended = end;
            }
        }
        if ends == [None, None] && !client.is_handshaking() && !server.is_handshaking() {
            prop_assert!(says_nothing);
            has_names(&client, &server);
            client.seal(&transmit(&[Bytes::from_static(b"hello")], TransmitMode::Stream));
            prop_assert_eq!(deliver(&mut client, &mut server, &mut cuts), (b"hello".to_vec(), None));
        }
    }

    #[test]
    fn bytes_that_nobody_encrypted_deliver_nothing_and_end_the_connection(
        mut bytes in prop::collection::vec(any::<u8>(), 1..2000),
        header in prop::option::of((0x14..=0x18u8, 0..5u8)),
        passes in 0..4usize,
    ) {
        let (mut client, mut server) = pair();
        for _ in 0..passes {
            pass(&mut client, &mut server);
            pass(&mut server, &mut client);
        }
        if let (Some((kind, minor)), [first, second, third, ..]) = (header, &mut bytes[..]) {
            (*first, *second, *third) = (kind, 3, minor);
        }
        for end in [&mut client, &mut server] {
            let opened = end.open(&bytes);
            prop_assert_eq!(&opened.plain[..], b"");
            match opened.end {
                // An alert that closes may come in plain text, before the handshake is done.
                Some(TransportEnd::Eof) => prop_assert!(bytes[0] == 0x15 && passes < 2),
                None => {
                    prop_assert!(bytes.len() < 5 || (0x14..=0x18).contains(&bytes[0]), "it can be the begin of a record");
                    let opened = end.open(&[0; 40_000]);
                    prop_assert_eq!(&opened.plain[..], b"");
                    ends_for_good(end, opened.end)?;
                }
                ended => ends_for_good(end, ended)?,
            }
        }
    }
}

#[test]
fn each_end_has_the_others_names_after_the_handshake() {
    let (mut client, mut server) = pair();
    assert_eq!((client.names(), server.names()), (None, None));
    shake(&mut client, &mut server, &mut iter::repeat(1000));
    has_names(&client, &server);
}

#[test]
fn held_bytes_are_bounded_and_one_step_takes_them_all() {
    let (mut client, mut server) = pair();
    let hello = client.take().unwrap();
    let (first, rest) = hello.split_at(100);
    assert_eq!((server.hold(first), server.hold(rest)), (Ok(true), Ok(false)));
    assert!(server.is_holding());
    assert_eq!(server.step().end, None);
    assert!(!server.is_holding() && server.take().is_some(), "it answers");

    assert_eq!(server.hold(&[0x16; 64 * 1024]), Ok(true));
    let TransportEnd::Error(words) = server.hold(&[0x16]).unwrap_err() else { panic!("no words") };
    assert_eq!(&*words, "TLS: the client sends too much before the handshake is done");
}

#[test]
fn plain_metalbond_is_recognised_and_answered_with_an_alert() {
    let (_, mut server) = pair();
    assert_eq!(words(server.open(HELLO).end), "TLS: plain MetalBond, where TLS is spoken");
    // The record has the type alert and the level fatal.
    let alert = server.take().unwrap();
    assert_eq!((alert[0], alert[5]), (0x15, 2));
    assert_eq!(words(server.open(HELLO).end), "TLS: plain MetalBond, where TLS is spoken", "an error stays");
}

#[test]
fn a_changed_record_ends_the_connection_and_is_not_delivered() {
    let (mut client, mut server) = established();
    client.seal(&transmit(&[Bytes::from_static(b"first")], TransmitMode::Stream));
    let first = client.take().unwrap();
    client.seal(&transmit(&[Bytes::from_static(b"second")], TransmitMode::Stream));
    let mut second = Vec::from(client.take().unwrap());
    *second.last_mut().unwrap() ^= 1;
    let opened = server.open(&[&first[..], &second].concat());
    assert_eq!(&opened.plain[..], b"first");
    assert!(words(opened.end).starts_with("TLS: "));
    assert!(server.take().is_some(), "an alert");
}

#[test]
fn bytes_before_the_end_are_delivered_and_bytes_after_it_are_not() {
    let (mut client, mut server) = established();
    client.seal(&transmit(&[Bytes::from_static(b"last words")], TransmitMode::Stream));
    client.close();
    let opened = server.open(&[&client.take().unwrap()[..], b"and more"].concat());
    assert_eq!((&opened.plain[..], opened.end), (&b"last words"[..], Some(TransportEnd::Eof)));
}

#[test]
fn in_segments_each_chunk_is_a_record() {
    let chunks = [Bytes::from_static(b"one"), Bytes::from_static(b"two"), Bytes::from_static(b"three")];
    for (mode, count) in [(TransmitMode::Stream, 1), (TransmitMode::Segments, 3)] {
        let (mut client, mut server) = established();
        client.seal(&transmit(&chunks, mode));
        let sealed = client.take().unwrap();
        assert_eq!(records(&sealed).len(), count, "{mode:?}");
        assert_eq!(&server.open(&sealed).plain[..], b"onetwothree");
    }
}

#[test]
fn an_end_during_the_handshake_has_a_reason_about_the_peer() {
    let (mut client, mut server) = pair();
    assert!(words(Some(client.end(TransportEnd::Eof))).ends_with("it may speak plain MetalBond"));
    assert!(words(Some(client.end(TransportEnd::Reset))).ends_with("it may speak plain MetalBond"));
    assert_eq!(server.end(TransportEnd::Eof), TransportEnd::Eof, "it said nothing");
    assert_eq!(server.end(TransportEnd::TimedOut), TransportEnd::TimedOut);
    pass(&mut client, &mut server);
    assert_eq!(words(Some(server.end(TransportEnd::Eof))), "TLS: the client ended the connection during the handshake");
    shake(&mut client, &mut server, &mut iter::repeat(1000));
    assert_eq!(client.end(TransportEnd::Eof), TransportEnd::Eof);
    assert_eq!(server.end(TransportEnd::Reset), TransportEnd::Reset);
}

/// Checks that each end has the names in the other's certificate.
fn has_names(client: &Tls, server: &Tls) {
    let dns = |name: &str| PeerName::Dns(name.into());
    assert_eq!(*client.names().unwrap(), [dns("server.example")]);
    let addrs = ["192.0.2.7", "2001:db8::7"].map(|addr| PeerName::Ip(addr.parse().unwrap()));
    let uri = PeerName::Uri("spiffe://example/h/7".into());
    assert_eq!(*server.names().unwrap(), [&[dns("h7.example")], &addrs[..], &[uri]].concat());
}

/// Checks that a connection has ended with an error, and that it says the same of all bytes that come after that.
fn ends_for_good(tls: &mut Tls, end: Option<TransportEnd>) -> Result<(), TestCaseError> {
    prop_assert!(matches!(&end, Some(TransportEnd::Error(words)) if words.starts_with("TLS: ")), "{:?}", end);
    let again = tls.open(&[0x17, 3, 3, 0, 20]);
    prop_assert_eq!((&again.plain[..], again.end), (&b""[..], end));
    Ok(())
}

/// What a client has said to a server, and the bytes in which it said it.
struct Stream {
    server: Tls,
    said: Vec<u8>,
    sealed: Vec<u8>,
    records: Vec<Record>,
}

/// A record in a stream: its place, and how many bytes of plaintext it delivers.
struct Record {
    begin: usize,
    end: usize,
    plain: usize,
}

/// Returns a stream with texts of these sizes, which has not been received yet. If it is closed, its last record is an alert.
fn stream(sizes: Vec<usize>, is_closed: bool) -> Stream {
    let (mut client, server) = established();
    let mut said = Vec::new();
    for (n, size) in sizes.into_iter().enumerate() {
        let bytes = Bytes::from(vec![n as u8; size]);
        said.extend_from_slice(&bytes);
        client.seal(&transmit(&[bytes], TransmitMode::Stream));
    }
    if is_closed {
        client.close();
    }
    let sealed = Vec::from(client.take().unwrap());
    let mut records = records(&sealed);
    if is_closed {
        records.last_mut().unwrap().plain = 0;
    }
    Stream { server, said, sealed, records }
}

/// Returns the records of a stream, which has to be whole: the length of each is in the last two bytes of its header (RFC 8446, section
/// 5.2). The plaintext of an encrypted one is 17 bytes shorter: by its type, and by a tag.
fn records(sealed: &[u8]) -> Vec<Record> {
    let mut all = Vec::new();
    let mut begin = 0;
    while begin < sealed.len() {
        let len = usize::from(u16::from_be_bytes([sealed[begin + 3], sealed[begin + 4]]));
        let end = begin + 5 + len;
        all.push(Record { begin, end, plain: len.saturating_sub(17) });
        begin = end;
    }
    all
}

/// Returns a client and a server that trust each other, before the handshake.
fn pair() -> (Tls, Tls) {
    let name = "server.example".try_into().unwrap();
    (Tls::client(AUTHORITY.client(&CLIENT), name).unwrap(), Tls::server(AUTHORITY.server(&SERVER)).unwrap())
}

fn established() -> (Tls, Tls) {
    let (mut client, mut server) = pair();
    shake(&mut client, &mut server, &mut iter::repeat(1000));
    (client, server)
}

fn shake(client: &mut Tls, server: &mut Tls, cuts: &mut impl Iterator<Item = usize>) {
    while client.is_handshaking() || server.is_handshaking() {
        let heard = [deliver(client, server, cuts), deliver(server, client, cuts)];
        assert_eq!(heard, [(Vec::new(), None), (Vec::new(), None)]);
    }
}

/// Delivers the bytes that one end has to send, in pieces. Returns the plaintext at the other end, and the end if there was one.
fn deliver(from: &mut Tls, to: &mut Tls, cuts: &mut impl Iterator<Item = usize>) -> (Vec<u8>, Option<TransportEnd>) {
    receive(to, &from.take().unwrap_or_default(), cuts)
}

/// Receives bytes in pieces. Returns their plaintext, and the end if there was one.
fn receive(to: &mut Tls, mut sealed: &[u8], cuts: &mut impl Iterator<Item = usize>) -> (Vec<u8>, Option<TransportEnd>) {
    let mut heard = Vec::new();
    while !sealed.is_empty() {
        let (piece, rest) = sealed.split_at(cuts.next().unwrap().min(sealed.len()));
        sealed = rest;
        let opened = to.open(piece);
        heard.extend_from_slice(&opened.plain);
        if opened.end.is_some() {
            return (heard, opened.end);
        }
    }
    (heard, None)
}

fn pass(from: &mut Tls, to: &mut Tls) {
    deliver(from, to, &mut iter::repeat(usize::MAX));
}

fn transmit(chunks: &[Bytes], mode: TransmitMode) -> Transmit {
    Transmit::new(ConnId::accepted(0), chunks.iter().cloned(), mode)
}

fn words(end: Option<TransportEnd>) -> String {
    let Some(TransportEnd::Error(words)) = end else { panic!("no words: {end:?}") };
    words.into()
}
