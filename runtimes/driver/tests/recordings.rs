//! Replays of recorded exchanges with other implementations: this version gets the bytes that the peers sent then, and its outputs have to
//! be the same, byte for byte.
//!
//! If outputs were changed on purpose, METALBOND_RENEW=1 writes the new ones into the file, to be reviewed as a diff.

use std::fs;
use std::io;
use std::net::IpAddr;

use metalbond::wire::{Decoded, Deframer, Message, UpdateAction};
use metalbond::{ConnId, Input, NextHop, NextHopKind, Prefix, Route, Transmit, Vni};
use metalbond_driver::{ReplayError, Step, Summary, replay};

/// A node with two clients: one of the Go reference, v0.5, and one of this project. Both subscribe to VNI 23. The reference's client
/// announces three routes and withdraws two, one of which the other client announces meanwhile as well; then it ends.
const GO_CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/go_client.jsonl");

#[test]
fn an_exchange_with_the_references_client_is_replayed_the_same() {
    let (ours, theirs) = (ConnId::accepted(0), ConnId::accepted(1));
    let mut sent = Vec::new();
    let mut delivered = Vec::new();
    let summary = replay_or_renew(GO_CLIENT, |_, step| {
        match step {
            Step::Input(_, Input::Received { conn, bytes }) if *conn == theirs => sent.extend(messages([&bytes[..]])),
            Step::Transmit(transmit) => delivered.extend(messages_of(transmit).into_iter().map(|m| (transmit.conn, m))),
            _ => {}
        }
        Ok(())
    });
    assert_eq!((summary.is_cut, summary.changes), (false, 0));

    let [Message::Hello(hello), rest @ ..] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((hello.keepalive, hello.is_server, hello.ordered, hello.restart_time), (5, false, false, 0));
    assert_eq!(rest.first(), Some(&Message::Keepalive));
    assert!(rest.contains(&Message::Subscribe(Vni(23))));

    let net = route("10.0.2.0/24", "2001:db8::2", NextHopKind::Standard);
    let lb = route("10.0.2.80/32", "2001:db8::2", NextHopKind::LoadBalancer);
    let nat = route("2001:db8:2::/64", "192.0.2.2", NextHopKind::Nat { from: 1000, to: 2000 });
    use UpdateAction::{Add, Remove};
    assert_eq!(updates(rest), [(Add, net), (Add, lb), (Add, nat), (Remove, net), (Remove, lb)]);

    let received_by = |to| updates(delivered.iter().filter(|(conn, _)| *conn == to).map(|(_, message)| message));
    // The end of the reference's client withdraws its other routes.
    assert_eq!(received_by(ours), [(Add, net), (Add, lb), (Add, nat), (Remove, net), (Remove, lb), (Remove, nat)]);
    let of_ours = |prefix| route(prefix, "2001:db8::1", NextHopKind::Standard);
    let (early, early6, brief) = (of_ours("10.0.1.0/24"), of_ours("2001:db8:1::/64"), of_ours("10.0.1.9/32"));
    // The reference's client receives its own route from the other announcer.
    assert_eq!(received_by(theirs), [(Add, early), (Add, early6), (Add, brief), (Remove, brief), (Add, net)]);
}

fn route(prefix: &str, addr: &str, kind: NextHopKind) -> Route {
    let addr: IpAddr = addr.parse().unwrap();
    let prefix: Prefix = prefix.parse().unwrap();
    Route { vni: Vni(23), prefix, next_hop: NextHop { addr, target_vni: Vni(0), kind } }
}

fn updates<'a>(messages: impl IntoIterator<Item = &'a Message>) -> Vec<(UpdateAction, Route)> {
    let update = |message: &Message| if let Message::Update(u) = message { Some((u.action, u.route)) } else { None };
    messages.into_iter().filter_map(update).collect()
}

fn messages_of(transmit: &Transmit) -> Vec<Message> {
    messages(transmit.chunks.iter().map(|chunk| &chunk[..]))
}

/// Returns the whole messages in chunks, which may be cut at their ends.
fn messages<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Message> {
    let mut messages = Vec::new();
    for mut bytes in chunks {
        let mut deframer = Deframer::default();
        while let Some(frame) = deframer.next(&mut bytes).unwrap() {
            let Ok(Decoded::Message(message)) = Message::decode(frame) else { panic!("{frame:?}") };
            messages.push(message);
        }
    }
    messages
}

fn replay_or_renew(path: &str, show: impl FnMut(u64, Step<'_>) -> io::Result<()>) -> Summary {
    let mut recording = fs::read_to_string(path).unwrap();
    if std::env::var_os("METALBOND_RENEW").is_some() {
        while let Err(ReplayError::Differs { line, what, now, .. }) = replay(recording.as_bytes(), |_, _| Ok(())) {
            recording = renewed(&recording, line, what, &now);
        }
        fs::write(path, &recording).unwrap();
    }
    replay(recording.as_bytes(), show).unwrap()
}

/// Returns the recording with another value in one line. A `crc` that the line did not have is added at its end.
fn renewed(recording: &str, number: u64, what: &str, now: &str) -> String {
    let value = if now == "null" { now.to_owned() } else { format!("{now:?}") };
    let renew = |line: &str| {
        let name = format!("{what:?}:");
        match line.split_once(&name) {
            Some((before, after)) => {
                let end = after.find([',', '}']).unwrap();
                format!("{before}{name}{value}{}", &after[end..])
            }
            None => format!("{},{name}{value}}}", line.strip_suffix('}').unwrap()),
        }
    };
    let lines = (1..).zip(recording.lines());
    lines.map(|(n, line)| if n == number { renew(line) } else { line.to_owned() } + "\n").collect()
}
