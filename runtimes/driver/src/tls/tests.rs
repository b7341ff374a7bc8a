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
    fn no_bytes_of_a_peer_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 1..2000), at in 0..4usize) {
        let (mut client, mut server) = pair();
        for _ in 0..at {
            pass(&mut client, &mut server);
            pass(&mut server, &mut client);
        }
        for end in [&mut client, &mut server] {
            let _ = end.open(&bytes);
            end.close();
            let _ = end.take();
        }
    }
}

#[test]
fn each_end_has_the_others_names_after_the_handshake() {
    let (mut client, mut server) = pair();
    assert_eq!((client.names(), server.names()), (None, None));
    shake(&mut client, &mut server, &mut iter::repeat(1000));
    let dns = |name: &str| PeerName::Dns(name.into());
    assert_eq!(*client.names().unwrap(), [dns("server.example")]);
    let addrs = ["192.0.2.7", "2001:db8::7"].map(|addr| PeerName::Ip(addr.parse().unwrap()));
    let uri = PeerName::Uri("spiffe://example/h/7".into());
    assert_eq!(*server.names().unwrap(), [&[dns("h7.example")], &addrs[..], &[uri]].concat());
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
    for (mode, records) in [(TransmitMode::Stream, 1), (TransmitMode::Segments, 3)] {
        let (mut client, mut server) = established();
        client.seal(&transmit(&chunks, mode));
        let sealed = client.take().unwrap();
        let mut rest = &sealed[..];
        let mut count = 0;
        while !rest.is_empty() {
            let len = usize::from(u16::from_be_bytes([rest[3], rest[4]]));
            rest = &rest[5 + len..];
            count += 1;
        }
        assert_eq!(count, records, "{mode:?}");
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
    let (mut heard, mut sealed) = (Vec::new(), from.take().unwrap_or_default());
    while !sealed.is_empty() {
        let cut = cuts.next().unwrap().min(sealed.len());
        let opened = to.open(&sealed.split_to(cut));
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
