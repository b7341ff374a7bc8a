//! UPDATE, by far the most frequent message. The usual form, which every known implementation writes, is decoded by hand; any
//! other form by prost.
//!
//! Invariant: both decoders agree on every payload that the first one accepts.

use core::net::{IpAddr, Ipv6Addr};

use prost::Message as _;

use super::{Decoded, InvalidUpdate, Message, proto};
use crate::{DecodeError, MessageType, NextHop, NextHopKind, Prefix, Route, Vni};

/// The action of an UPDATE: whether its route is added or removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum UpdateAction {
    /// The sender announces or advertises the route.
    Add = 0,
    /// The sender withdraws the route.
    Remove = 1,
}

/// The content of an UPDATE: a route that is added or removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Update {
    /// Whether the route is added or removed.
    pub action: UpdateAction,
    /// The route.
    pub route: Route,
}

#[inline]
pub(super) fn decode(payload: &[u8]) -> Result<Decoded, DecodeError> {
    match canonical(payload) {
        Some(update) => Ok(Decoded::Message(Message::Update(update))),
        None => with_prost(payload),
    }
}

/// Decodes a valid UPDATE in the usual form: fields in order and none twice, exact lengths, ports for NAT only. Allocates nothing,
/// and takes a sixth of prost's time. Returns `None` for any other payload.
#[inline(always)]
fn canonical(payload: &[u8]) -> Option<Update> {
    let (action, mut rest) = match payload {
        [0x08, 1, rest @ ..] => (UpdateAction::Remove, rest),
        _ => (UpdateAction::Add, payload),
    };
    let vni = Vni(optional(&mut rest, 0x10)?);
    let (prefix, rest) = destination(rest)?;
    let (addr, mut rest) = address(rest)?;
    let mut next_hop = NextHop::standard(addr);
    if next_hop.martian().is_some() {
        return None;
    }
    if !rest.is_empty() {
        next_hop.target_vni = Vni(optional(&mut rest, 0x10)?);
        next_hop.kind = kind(rest)?;
    }
    Some(Update { action, route: Route { vni, prefix, next_hop } })
}

/// Returns the destination and the bytes after it. `None` also for a default route.
#[inline(always)]
fn destination(bytes: &[u8]) -> Option<(Prefix, &[u8])> {
    if let Some(([0x1a, 8, 0x12, 4, v4 @ .., 0x18, len @ ..0x80], rest)) = bytes.split_first_chunk::<10>() {
        return Some((Prefix::new((*v4).into(), (*len).into()).ok()?, rest));
    }
    if let Some(([0x1a, 22, 0x08, 1, 0x12, 16, v6 @ .., 0x18, len @ ..0x80], rest)) = bytes.split_first_chunk::<24>() {
        return Some((Prefix::new((*v6).into(), (*len).into()).ok()?, rest));
    }
    if let Some(([0x1a, 23, 0x08, 1, 0x12, 16, v6 @ .., 0x18, 0x80, 1], rest)) = bytes.split_first_chunk::<25>() {
        return Some((Ipv6Addr::from(*v6).into(), rest));
    }
    None
}

/// Returns the next hop's address and its other fields, which end the payload. The next hop's length is always one byte.
#[inline(always)]
fn address(bytes: &[u8]) -> Option<(IpAddr, &[u8])> {
    if let Some(([0x22, len, 0x0a, 16, v6 @ ..], rest)) = bytes.split_first_chunk::<20>() {
        return (usize::from(*len) == 18 + rest.len()).then_some(((*v6).into(), rest));
    }
    if let Some(([0x22, len, 0x0a, 4, v4 @ ..], rest)) = bytes.split_first_chunk::<8>() {
        return (usize::from(*len) == 6 + rest.len()).then_some(((*v4).into(), rest));
    }
    None
}

/// Returns the kind of a next hop from its last fields.
fn kind(fields: &[u8]) -> Option<NextHopKind> {
    match fields {
        [] => Some(NextHopKind::Standard),
        [0x18, 2] => Some(NextHopKind::LoadBalancer),
        [0x18, 1, ports @ ..] => {
            let mut rest = ports;
            let from = optional(&mut rest, 0x20)?.try_into().ok()?;
            let to = optional(&mut rest, 0x28)?.try_into().ok()?;
            rest.is_empty().then_some(NextHopKind::Nat { from, to })
        }
        _ => None,
    }
}

/// Returns the varint after `tag`, or 0 if the next field has another tag. `None`: the varint has more than 28 bits.
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

/// Decodes an UPDATE in any form.
#[cold]
fn with_prost(payload: &[u8]) -> Result<Decoded, DecodeError> {
    let update = proto::Update::decode(payload).map_err(|_| DecodeError::Protobuf(MessageType::Update))?;
    let destination = update.destination.as_ref().ok_or(DecodeError::NoDestination)?;
    let next_hop = update.next_hop.as_ref().ok_or(DecodeError::NoNextHop)?;
    Ok(match validate(&update, destination, next_hop) {
        Ok(update) => Decoded::Message(Message::Update(update)),
        Err(why) => Decoded::InvalidUpdate(why),
    })
}

/// Checks an UPDATE by the rules of docs/wire.md: the number of bytes decides the address family, ports count for NAT only, and a
/// next hop is an address to which packets can be sent.
fn validate(update: &proto::Update, dest: &proto::Destination, hop: &proto::NextHop) -> Result<Update, InvalidUpdate> {
    let action = match update.action {
        0 => UpdateAction::Add,
        1 => UpdateAction::Remove,
        n => return Err(InvalidUpdate::Action(n)),
    };
    let addr = of_any_family(&dest.prefix).ok_or(InvalidUpdate::PrefixBytes(dest.prefix.len()))?;
    let prefix = Prefix::new(addr, dest.prefix_length).map_err(|e| InvalidUpdate::PrefixLength(e.length))?;
    let addr = of_any_family(&hop.target_address).ok_or(InvalidUpdate::AddressBytes(hop.target_address.len()))?;
    let port = |n| u16::try_from(n).map_err(|_| InvalidUpdate::Port(n));
    let kind = match hop.kind {
        0 => NextHopKind::Standard,
        1 => NextHopKind::Nat { from: port(hop.nat_port_range_from)?, to: port(hop.nat_port_range_to)? },
        2 => NextHopKind::LoadBalancer,
        n => return Err(InvalidUpdate::Kind(n)),
    };
    let next_hop = NextHop { addr, target_vni: Vni(hop.target_vni), kind };
    if let Some(why) = next_hop.martian() {
        return Err(InvalidUpdate::Martian(addr, why));
    }
    Ok(Update { action, route: Route { vni: Vni(update.vni), prefix, next_hop } })
}

fn of_any_family(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

#[cfg(test)]
mod tests {
    use super::super::encode_update;
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use bytes::BytesMut;
    use core::cell::Cell;
    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;

    fn number() -> impl Strategy<Value = u32> {
        prop_oneof![Just(0), 0u32..300, any::<u32>(), Just(65535), Just(65536)]
    }

    /// One that an UPDATE may well have somewhere else.
    fn byte() -> impl Strategy<Value = u8> {
        let known = vec![0, 1, 2, 4, 6, 8, 16, 18, 20, 22, 23, 0x0a, 0x1a, 0x20, 0x28, 0x7f, 0x80, 0xff];
        prop_oneof![prop::sample::select(known), any::<u8>()]
    }

    prop_compose! {
        /// Generates what nobody sends: fields that contradict each other, and that are out of their range.
        fn strange()(
            action in prop_oneof![4 => 0..2i32, 1 => any::<i32>()],
            vni in number(),
            prefix in prop_oneof![prop::collection::vec(any::<u8>(), 4), prop::collection::vec(any::<u8>(), 16), prop::collection::vec(any::<u8>(), 0..20)],
            address in prop_oneof![prop::collection::vec(any::<u8>(), 4), prop::collection::vec(any::<u8>(), 16), prop::collection::vec(any::<u8>(), 0..20)],
            (ip_version, prefix_length, target_vni, kind) in (0..3i32, prop_oneof![0..140u32, prop::sample::select(vec![0, 32, 128, 256])], number(), prop_oneof![4 => 0..3i32, 1 => any::<i32>()]),
            (from, to) in (number(), number()),
        ) -> proto::Update {
            proto::Update {
                action, vni,
                destination: Some(proto::Destination { ip_version, prefix, prefix_length }),
                next_hop: Some(proto::NextHop { target_address: address, target_vni, kind, nat_port_range_from: from, nat_port_range_to: to }),
            }
        }
    }

    /// Generates what every implementation sends.
    fn usual() -> impl Strategy<Value = proto::Update> {
        let octets = |addr| match addr {
            IpAddr::V4(addr) => addr.octets().to_vec(),
            IpAddr::V6(addr) => addr.octets().to_vec(),
        };
        let vni = || prop_oneof![Just(0), 0..300u32, 0..1u32 << 28];
        let next_hop = any::<IpAddr>().prop_filter("a martian", |addr| NextHop::standard(*addr).martian().is_none());
        let kind =
            prop_oneof![Just((0, 0, 0)), Just((2, 0, 0)), any::<(u16, u16)>().prop_map(|(from, to)| (1, from, to))];
        (0..2i32, vni(), any::<IpAddr>(), 0..128u32, next_hop, vni(), kind).prop_map(
            move |(action, vni, addr, len, next_hop, target_vni, (kind, from, to))| {
                let max = if addr.is_ipv4() { 32 } else { 128 };
                proto::Update {
                    action,
                    vni,
                    destination: Some(proto::Destination {
                        ip_version: addr.is_ipv6().into(),
                        prefix: octets(addr),
                        prefix_length: 1 + len % max,
                    }),
                    next_hop: Some(proto::NextHop {
                        target_address: octets(next_hop),
                        target_vni,
                        kind,
                        nat_port_range_from: from.into(),
                        nat_port_range_to: to.into(),
                    }),
                }
            },
        )
    }

    fn update() -> impl Strategy<Value = proto::Update> {
        prop_oneof![2 => usual(), 1 => strange()]
    }

    /// Returns the payload that this package sends for an UPDATE.
    fn encoded(update: &Update) -> BytesMut {
        let mut frame = BytesMut::new();
        encode_update(&mut frame, update);
        frame.split_off(4)
    }

    /// Returns true if the canonical decoder decodes the UPDATE that this package sends.
    fn is_usual(route: &Route) -> bool {
        !route.prefix.is_default() && [route.vni, route.next_hop.target_vni].iter().all(|vni| vni.0 < 1 << 28)
    }

    /// Checks that both decoders agree, and that the canonical one declines no payload that this package sends, except for rare routes.
    /// Returns true if it has not declined this one.
    fn agrees(payload: &[u8]) -> bool {
        let with_prost = with_prost(payload);
        let ours = canonical(payload);
        match (ours, &with_prost) {
            (Some(ours), _) => assert_eq!(with_prost, Ok(Decoded::Message(Message::Update(ours)))),
            (None, Ok(Decoded::Message(Message::Update(update)))) => {
                assert!(!is_usual(&update.route) || encoded(update) != payload, "declined: {update:?}");
            }
            (None, _) => {}
        }
        ours.is_some()
    }

    /// Checks many payloads. Returns how many of a hundred the canonical decoder has not declined.
    fn accepted<T: core::fmt::Debug>(inputs: impl Strategy<Value = T>, payloads: impl Fn(T) -> Vec<Vec<u8>>) -> usize {
        let (accepted, all) = (Cell::new(0), Cell::new(0));
        let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4000) };
        let checked = TestRunner::new(config).run(&inputs, |input| {
            for payload in payloads(input) {
                all.set(all.get() + 1);
                accepted.set(accepted.get() + usize::from(agrees(&payload)));
            }
            Ok(())
        });
        checked.unwrap_or_else(|error| panic!("{error}"));
        accepted.get() * 100 / all.get()
    }

    #[test]
    fn the_canonical_decoder_agrees_with_prost_and_declines_nothing_that_implementations_send() {
        assert_eq!(accepted(usual(), |update| vec![update.encode_to_vec()]), 100);
    }

    #[test]
    fn the_canonical_decoder_agrees_with_prost_on_updates_of_which_it_declines_a_part() {
        let accepted = accepted(update(), |update| vec![update.encode_to_vec()]);
        assert!((60..=80).contains(&accepted), "{accepted} % were not declined");
    }

    #[test]
    fn the_canonical_decoder_agrees_with_prost_on_mangled_updates_of_which_it_declines_most() {
        let mangled = prop::collection::vec((any::<prop::sample::Index>(), byte(), any::<bool>()), 1..4);
        let inputs = (update(), mangled, any::<prop::sample::Index>(), prop::collection::vec(byte(), 0..8));
        let accepted = accepted(inputs, |(update, mangled, end, more)| {
            let mut bytes: Vec<u8> = update.encode_to_vec();
            let mut all = Vec::new();
            for (at, byte, insert) in mangled {
                let at = at.index(bytes.len());
                if insert {
                    bytes.insert(at, byte)
                } else {
                    bytes[at] = byte
                }
                all.push(bytes.clone());
            }
            bytes.truncate(end.index(bytes.len()));
            all.push(bytes.clone());
            bytes.extend(more);
            all.push(bytes);
            all
        });
        assert!((2..=20).contains(&accepted), "{accepted} % were not declined");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn what_is_encoded_is_what_prost_encodes_and_decodes_to_the_same(update in update()) {
            if let Decoded::Message(Message::Update(ours)) = decode(&update.encode_to_vec()).unwrap() {
                let mut frame = BytesMut::new();
                encode_update(&mut frame, &ours);
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
                prop_assert_eq!(canonical(&frame[4..]).is_some(), is_usual(&ours.route), "prost is not needed");
            }
        }
    }
}
