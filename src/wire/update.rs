//! UPDATE, the message that comes by the million: judged in one place, decoded by hand where it looks as every known
//! implementation writes it, and by prost where it doesn't.

use core::net::IpAddr;

use prost::Message as _;

use super::{Decoded, Impossible, Message, proto};
use crate::{DecodeError, MessageType, NextHop, NextHopKind, Prefix, Route, Vni};

/// What an UPDATE does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum UpdateAction {
    /// The route exists.
    Add = 0,
    /// It does not any more.
    Remove = 1,
}

/// A route, added or removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Update {
    /// Which of the two.
    pub action: UpdateAction,
    /// The route.
    pub route: Route,
}

/// An UPDATE's fields, before anything is judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Fields<'a> {
    action: i32,
    vni: u32,
    prefix: &'a [u8],
    prefix_length: u32,
    address: &'a [u8],
    target_vni: u32,
    kind: i32,
    from: u32,
    to: u32,
}

#[inline]
pub(super) fn decode(payload: &[u8]) -> Result<Decoded, DecodeError> {
    if let Some(fields) = canonical(payload) {
        return Ok(judge(&fields));
    }
    with_prost(payload)
}

/// Anything that is not written as every known implementation does.
#[cold]
fn with_prost(payload: &[u8]) -> Result<Decoded, DecodeError> {
    let update = proto::Update::decode(payload).map_err(|_| DecodeError::Protobuf(MessageType::Update))?;
    let destination = update.destination.as_ref().ok_or(DecodeError::NoDestination)?;
    let next_hop = update.next_hop.as_ref().ok_or(DecodeError::NoNextHop)?;
    Ok(judge(&Fields {
        action: update.action,
        vni: update.vni,
        prefix: &destination.prefix,
        prefix_length: destination.prefix_length,
        address: &next_hop.target_address,
        target_vni: next_hop.target_vni,
        kind: next_hop.kind,
        from: next_hop.nat_port_range_from,
        to: next_hop.nat_port_range_to,
    }))
}

#[inline(always)]
fn judge(fields: &Fields<'_>) -> Decoded {
    match possible(fields) {
        Ok(update) => Decoded::Message(Message::Update(update)),
        Err(why) => Decoded::Impossible(why),
    }
}

/// The rules of protocol.md: the byte length decides the family, ports count for NAT only.
#[inline(always)]
fn possible(fields: &Fields<'_>) -> Result<Update, Impossible> {
    let action = match fields.action {
        0 => UpdateAction::Add,
        1 => UpdateAction::Remove,
        n => return Err(Impossible::Action(n)),
    };
    let dest = address(fields.prefix).ok_or(Impossible::PrefixBytes(fields.prefix.len()))?;
    let prefix = Prefix::new(dest, fields.prefix_length).map_err(|e| Impossible::PrefixLength(e.length))?;
    let addr = address(fields.address).ok_or(Impossible::AddressBytes(fields.address.len()))?;
    let port = |n| u16::try_from(n).map_err(|_| Impossible::Port(n));
    let kind = match fields.kind {
        0 => NextHopKind::Standard,
        1 => NextHopKind::Nat { from: port(fields.from)?, to: port(fields.to)? },
        2 => NextHopKind::LoadBalancer,
        n => return Err(Impossible::Kind(n)),
    };
    let next_hop = NextHop { addr, target_vni: fields.target_vni, kind };
    Ok(Update { action, route: Route { vni: Vni(fields.vni), prefix, next_hop } })
}

#[inline(always)]
fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

/// The fields of an UPDATE whose known fields all come once at most and in order, in the shortest form. 3 times as fast as
/// prost, without allocation. `None`: anything else, for prost to judge.
#[inline(always)]
fn canonical(payload: &[u8]) -> Option<Fields<'_>> {
    let mut fields = Fields::default();
    let mut bytes = payload;
    fields.action = optional(&mut bytes, 0x08)?.try_into().ok()?;
    fields.vni = optional(&mut bytes, 0x10)?;
    let mut dest = delimited(&mut bytes, 0x1a)?;
    let mut hop = delimited(&mut bytes, 0x22)?;
    optional(&mut dest, 0x08)?; // ipVersion: the byte length decides
    fields.prefix = delimited(&mut dest, 0x12)?;
    fields.prefix_length = optional(&mut dest, 0x18)?;
    fields.address = delimited(&mut hop, 0x0a)?;
    fields.target_vni = optional(&mut hop, 0x10)?;
    fields.kind = optional(&mut hop, 0x18)?.try_into().ok()?;
    fields.from = optional(&mut hop, 0x20)?;
    fields.to = optional(&mut hop, 0x28)?;
    (bytes.is_empty() && dest.is_empty() && hop.is_empty()).then_some(fields)
}

/// The varint behind `tag`, or 0 if the next field is another. `None` if it doesn't fit 31 bits.
#[inline(always)]
fn optional(bytes: &mut &[u8], tag: u8) -> Option<u32> {
    let [first, rest @ ..] = *bytes else { return Some(0) };
    if *first != tag {
        return Some(0);
    }
    let (mut value, mut rest) = (0, rest);
    for shift in [0, 7, 14, 21] {
        let [byte, tail @ ..] = rest else { return None };
        rest = tail;
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            *bytes = rest;
            return Some(value);
        }
    }
    None
}

/// The bytes behind `tag` and a length of one byte.
#[inline(always)]
fn delimited<'a>(bytes: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let [first, len, rest @ ..] = *bytes else { return None };
    if *first != tag || *len >= 0x80 || rest.len() < usize::from(*len) {
        return None;
    }
    let (value, rest) = rest.split_at(usize::from(*len));
    *bytes = rest;
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::super::put_update;
    use super::*;
    use alloc::vec::Vec;
    use bytes::BytesMut;
    use proptest::prelude::*;

    fn with_prost(payload: &[u8]) -> Option<proto::Update> {
        proto::Update::decode(payload).ok()
    }

    fn number() -> impl Strategy<Value = u32> {
        prop_oneof![Just(0), 0u32..300, any::<u32>(), Just(65535), Just(65536)]
    }

    prop_compose! {
        fn update()(
            action in prop_oneof![4 => 0..2i32, 1 => any::<i32>()],
            vni in number(),
            prefix in prop_oneof![prop::collection::vec(any::<u8>(), 4), prop::collection::vec(any::<u8>(), 16), prop::collection::vec(any::<u8>(), 0..20)],
            address in prop_oneof![prop::collection::vec(any::<u8>(), 4), prop::collection::vec(any::<u8>(), 16), prop::collection::vec(any::<u8>(), 0..20)],
            (ip_version, prefix_length, target_vni, kind) in (0..3i32, 0..140u32, number(), prop_oneof![4 => 0..3i32, 1 => any::<i32>()]),
            (from, to) in (number(), number()),
        ) -> proto::Update {
            proto::Update {
                action, vni,
                destination: Some(proto::Destination { ip_version, prefix, prefix_length }),
                next_hop: Some(proto::NextHop { target_address: address, target_vni, kind, nat_port_range_from: from, nat_port_range_to: to }),
            }
        }
    }

    /// What the canonical decoder reads is what prost reads.
    fn agrees(payload: &[u8]) {
        if let Some(ours) = canonical(payload) {
            let theirs = with_prost(payload).expect("prost reads whatever the canonical decoder does");
            let (dest, hop) = (theirs.destination.unwrap(), theirs.next_hop.unwrap());
            assert_eq!(ours.prefix, dest.prefix);
            assert_eq!(ours.address, hop.target_address);
            assert_eq!(
                (ours.action, ours.vni, ours.prefix_length, ours.target_vni, ours.kind, ours.from, ours.to),
                (
                    theirs.action,
                    theirs.vni,
                    dest.prefix_length,
                    hop.target_vni,
                    hop.kind,
                    hop.nat_port_range_from,
                    hop.nat_port_range_to
                )
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn the_canonical_decoder_agrees_with_prost_on_updates(update in update()) {
            agrees(&update.encode_to_vec());
        }

        #[test]
        fn the_canonical_decoder_agrees_with_prost_on_mangled_updates(
            update in update(), at in any::<prop::sample::Index>(), byte in any::<u8>(), insert in any::<bool>()
        ) {
            let mut bytes: Vec<u8> = update.encode_to_vec();
            let at = at.index(bytes.len());
            if insert { bytes.insert(at, byte) } else { bytes[at] = byte }
            agrees(&bytes);
            bytes.truncate(at);
            agrees(&bytes);
        }

        #[test]
        fn what_is_encoded_is_what_prost_encodes_and_decodes_to_the_same(update in update()) {
            if let Decoded::Message(Message::Update(ours)) = decode(&update.encode_to_vec()).unwrap() {
                let mut frame = BytesMut::new();
                put_update(&mut frame, &ours);
                prop_assert_eq!(usize::from(frame[2]), frame.len() - 4);
                let mut normal = update;
                let dest = normal.destination.as_mut().unwrap();
                dest.ip_version = i32::from(dest.prefix.len() == 16);
                let hop = normal.next_hop.as_mut().unwrap();
                if hop.kind != 1 {
                    (hop.nat_port_range_from, hop.nat_port_range_to) = (0, 0);
                }
                prop_assert_eq!(&frame[4..], &normal.encode_to_vec()[..]);
                prop_assert_eq!(decode(&frame[4..]).unwrap(), Decoded::Message(Message::Update(ours)));
            }
        }
    }
}
