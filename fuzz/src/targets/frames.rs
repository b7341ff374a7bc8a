//! Target `frames`: passes a byte stream through the deframer and the decoder, split in several ways. The first byte
//! seeds the splits; the others are the stream.

use bytes::BytesMut;
use metalbond::wire::{
    Decoded, Deframer, Frame, InvalidUpdate, MAX_FRAME, MAX_PAYLOAD, MAX_SUBSCRIPTION, MAX_UPDATE, Message,
    encode_subscription, encode_update, keepalive,
};
use metalbond::{DecodeError, MessageType, NextHop, Prefix, Route, Vni};

use super::source::Source;
use crate::sim::rng::Rng;
use crate::sim::wire::{self, Msg};

/// The contents of the stream.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Seen {
    /// The valid frames before the first error: type and payload.
    pub(crate) frames: Vec<(u8, Vec<u8>)>,
    /// The first error.
    pub(crate) error: Option<DecodeError>,
}

/// Splits the stream in every way, and decodes and encodes each frame.
///
/// # Panics
///
/// If there is a defect of the core.
pub(crate) fn run(data: &[u8]) -> Seen {
    let mut source = Source::new(data);
    let mut rng = Rng::new(source.byte().into());
    let stream = source.rest();
    let whole = take_apart(stream, || usize::MAX);
    assert_eq!(take_apart(stream, || 1), whole, "cut at each byte (left) or nowhere (right)");
    assert_eq!(take_apart(stream, || rng.up_to(11)), whole, "cut at random (left) or nowhere (right)");
    assert_eq!(take_apart(stream, || rng.up_to(2 * MAX_FRAME)), whole, "cut at random (left) or nowhere (right)");
    for (kind, payload) in &whole.frames {
        decode(Frame { kind: *kind, payload });
    }
    whole
}

fn take_apart(mut stream: &[u8], mut cut: impl FnMut() -> usize) -> Seen {
    let (mut deframer, mut seen) = (Deframer::default(), Seen::default());
    while !stream.is_empty() {
        let (mut chunk, rest) = stream.split_at(cut().min(stream.len()));
        stream = rest;
        loop {
            let before = chunk.len();
            match deframer.next(&mut chunk) {
                Ok(Some(frame)) => {
                    assert!(chunk.len() < before, "a frame was returned without reading a byte");
                    assert!(frame.payload.len() <= MAX_PAYLOAD);
                    seen.frames.push((frame.kind, frame.payload.to_vec()));
                }
                Ok(None) => {
                    assert!(chunk.is_empty(), "bytes are left over");
                    break;
                }
                Err(error) => {
                    seen.error = Some(error);
                    return seen;
                }
            }
        }
    }
    seen
}

fn decode(frame: Frame<'_>) {
    let decoded = match Message::decode(frame) {
        Ok(decoded) => decoded,
        Err(error) => return assert_fits(frame.kind, error),
    };
    match decoded {
        Decoded::Message(message) => {
            assert_eq!(message.kind() as u8, frame.kind);
            if let Message::Update(update) = &message {
                assert!(!wire::is_martian(&update.route), "{message:?}: no packet can be sent to this next hop");
            }
            encode(message);
        }
        Decoded::Unknown(kind) => assert!(kind == frame.kind && !(1..=5).contains(&kind)),
        Decoded::InvalidUpdate(why) => {
            assert_eq!(frame.kind, MessageType::Update as u8);
            // What is wrong is out of its range, and the text names it.
            let (what, is_wrong) = match why {
                InvalidUpdate::Action(n) => (n.to_string(), !(0..=1).contains(&n)),
                InvalidUpdate::PrefixBytes(n) | InvalidUpdate::AddressBytes(n) => (n.to_string(), n != 4 && n != 16),
                InvalidUpdate::PrefixLength(n) => (n.to_string(), n > 32),
                InvalidUpdate::Kind(n) => (n.to_string(), !(0..=2).contains(&n)),
                InvalidUpdate::Port(n) => (n.to_string(), n > 65_535),
                InvalidUpdate::Martian(addr, _) => {
                    let (prefix, next_hop) = (Prefix::from(addr), NextHop::standard(addr));
                    (addr.to_string(), wire::is_martian(&Route { vni: Vni(0), prefix, next_hop }))
                }
                _ => panic!("{why}: this target does not know how to check it"),
            };
            assert!(is_wrong && why.to_string().contains(&what), "{why}");
        }
    }
    // With an unknown field, prost decodes the message instead of the hand-written decoder. Both must give the same
    // result.
    let extended = [frame.payload, UNKNOWN_FIELD].concat();
    assert_eq!(Message::decode(Frame { kind: frame.kind, payload: &extended }), Ok(decoded));
}

/// Field 1000, a varint.
const UNKNOWN_FIELD: &[u8] = &[0xc0, 0x3e, 0x01];

/// Checks that the error can occur in a message of this type.
fn assert_fits(kind: u8, error: DecodeError) {
    let fits = match error {
        DecodeError::Protobuf(t) => t as u8 == kind && t != MessageType::Keepalive,
        DecodeError::NoDestination | DecodeError::NoNextHop => kind == MessageType::Update as u8,
        DecodeError::ZeroKeepalive => kind == MessageType::Hello as u8,
        _ => false,
    };
    assert!(fits, "{error} for a frame of type {kind}");
}

/// Checks that a message is encoded as one frame in the protocol's canonical form, which decodes to the same message.
fn encode(message: Message) {
    let mut out = BytesMut::new();
    let max = match &message {
        Message::Hello(hello) => {
            out.extend_from_slice(&hello.encode());
            4 + 22
        }
        Message::Keepalive => {
            out.extend_from_slice(&keepalive());
            4
        }
        Message::Subscribe(vni) => {
            encode_subscription(&mut out, true, *vni);
            MAX_SUBSCRIPTION
        }
        Message::Unsubscribe(vni) => {
            encode_subscription(&mut out, false, *vni);
            MAX_SUBSCRIPTION
        }
        Message::Update(update) => {
            encode_update(&mut out, update);
            MAX_UPDATE
        }
    };
    assert!(out.len() <= max, "{} bytes of {message:?}", out.len());
    let (mut deframer, mut input) = (Deframer::default(), &out[..]);
    let frame = deframer.next(&mut input).expect("a frame").expect("a whole frame");
    assert_eq!(Message::decode(frame), Ok(Decoded::Message(message)));
    assert!(input.is_empty());
    // The simulator's own codec decodes the same message, and encodes it to the same bytes.
    let msgs = wire::decode_all(&out);
    assert_eq!(msgs.len(), 1);
    assert_eq!(wire::encode_all(&msgs), out);
    let same = match (msgs[0], message) {
        (Msg::Hello(a), Message::Hello(b)) => {
            (a.keepalive, a.is_server, a.ordered(), a.converging(), a.restart_time)
                == (b.keepalive, b.is_server, b.ordered, b.converging, b.restart_time)
        }
        (Msg::Keepalive, Message::Keepalive) => true,
        (Msg::Subscribe(a), Message::Subscribe(b)) | (Msg::Unsubscribe(a), Message::Unsubscribe(b)) => a == b,
        (Msg::Add(a), Message::Update(b)) => a == b.route && b.action == metalbond::wire::UpdateAction::Add,
        (Msg::Remove(a), Message::Update(b)) => a == b.route && b.action == metalbond::wire::UpdateAction::Remove,
        _ => false,
    };
    assert!(same, "{:?} of {message:?}", msgs[0]);
}
