//! Messages for nexthop objects and nexthop groups. Source: `linux/nexthop.h`.

use std::net::Ipv6Addr;

use metalbond::fib::FoundObject;
use smallvec::SmallVec;

use crate::attribute::{Attributes, put, u32_at};
use crate::encap::{self, Encap, put_encap};
use crate::message::{self, CREATE, DUMP, EXCLUSIVE, REPLACE};

pub(crate) const RTM_NEWNEXTHOP: u16 = 104;
pub(crate) const RTM_DELNEXTHOP: u16 = 105;
const RTM_GETNEXTHOP: u16 = 106;

/// The size of the header: family, scope, protocol, a reserved byte, flags.
const HEADER: usize = 8;
/// The family of all objects: one for IPv6 serves IPv4 routes as well, but one for IPv4 would not serve IPv6 routes.
const AF_INET6: u8 = 10;
/// The family of groups, which have none.
const AF_UNSPEC: u8 = 0;

const NHA_ID: u16 = 1;
/// The members of a group. Each entry is an id, the weight - 1 in one byte (in newer kernels, its high byte in the next), and zeros.
const NHA_GROUP: u16 = 2;
const NHA_GROUP_TYPE: u16 = 3;
const NHA_BLACKHOLE: u16 = 4;
const NHA_OIF: u16 = 5;
const NHA_GATEWAY: u16 = 6;
const NHA_ENCAP_TYPE: u16 = 7;
const NHA_ENCAP: u16 = 8;
const NHA_FDB: u16 = 11;
const NHA_RES_GROUP: u16 = 12;

/// Appends the creation of an object that leads to `addr` through the device with the index `device`.
pub(crate) fn put_object(out: &mut Vec<u8>, sequence: u32, id: u32, addr: Ipv6Addr, device: u32, protocol: u8) {
    message::put(out, RTM_NEWNEXTHOP, CREATE | EXCLUSIVE, sequence, |out| {
        put_header(out, AF_INET6, protocol);
        put(out, NHA_ID, &id.to_ne_bytes());
        put(out, NHA_OIF, &device.to_ne_bytes());
        put_encap(out, NHA_ENCAP_TYPE, NHA_ENCAP, addr);
    });
}

/// Appends the creation of a group.
pub(crate) fn put_group(out: &mut Vec<u8>, sequence: u32, id: u32, members: &[(u32, u8)], protocol: u8) {
    put_members(out, CREATE | EXCLUSIVE, sequence, id, members, protocol);
}

/// Appends the replacement of a group's members.
pub(crate) fn put_replacement(out: &mut Vec<u8>, sequence: u32, id: u32, members: &[(u32, u8)], protocol: u8) {
    put_members(out, REPLACE, sequence, id, members, protocol);
}

fn put_members(out: &mut Vec<u8>, flags: u16, sequence: u32, id: u32, members: &[(u32, u8)], protocol: u8) {
    message::put(out, RTM_NEWNEXTHOP, flags, sequence, |out| {
        put_header(out, AF_UNSPEC, protocol);
        put(out, NHA_ID, &id.to_ne_bytes());
        let entry = |&(id, weight): &(u32, u8)| {
            let [a, b, c, d] = id.to_ne_bytes();
            [a, b, c, d, weight.saturating_sub(1), 0, 0, 0]
        };
        let entries: SmallVec<[u8; 256]> = members.iter().flat_map(entry).collect();
        put(out, NHA_GROUP, &entries);
    });
}

/// Appends the removal of an object or a group.
pub(crate) fn put_remove(out: &mut Vec<u8>, sequence: u32, id: u32) {
    message::put(out, RTM_DELNEXTHOP, 0, sequence, |out| {
        put_header(out, AF_UNSPEC, 0);
        put(out, NHA_ID, &id.to_ne_bytes());
    });
}

/// Appends the removal of an object without an id, which the kernel always refuses. The error shows whether the permission, nexthop
/// objects, or only the id is missing.
pub(crate) fn put_probe(out: &mut Vec<u8>, sequence: u32) {
    message::put(out, RTM_DELNEXTHOP, 0, sequence, |out| put_header(out, AF_UNSPEC, 0));
}

/// Appends a request for all objects.
pub(crate) fn put_dump(out: &mut Vec<u8>, sequence: u32) {
    message::put(out, RTM_GETNEXTHOP, DUMP, sequence, |out| put_header(out, AF_UNSPEC, 0));
}

fn put_header(out: &mut Vec<u8>, family: u8, protocol: u8) {
    out.extend_from_slice(&[family, 0, protocol, 0, 0, 0, 0, 0]);
}

/// Returns the protocol number of an object.
pub(crate) fn protocol(body: &[u8]) -> Option<u8> {
    body.get(2).copied()
}

/// Returns the ids of the members, if the body is that of a group.
pub(crate) fn members(body: &[u8]) -> impl Iterator<Item = u32> {
    let attributes = Attributes::new(body.get(HEADER..).unwrap_or_default());
    let groups = attributes.filter(|&(kind, _)| kind == NHA_GROUP);
    groups.flat_map(|(_, entries)| entries.chunks_exact(8).filter_map(|entry| u32_at(entry, 0)))
}

/// What an object is, whatever device and encapsulation it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Group,
    /// One with an IPv6 encapsulation.
    Tunnel,
    Other,
}

/// Returns the id and the kind of an object, if it has this protocol number.
pub(crate) fn id_of_kind(body: &[u8], protocol: u8) -> Option<(u32, Kind)> {
    let attributes = Attributes::new(body.get(HEADER..)?);
    let (mut id, mut object) = (None, Kind::Other);
    for (kind, value) in attributes {
        match kind {
            NHA_ID => id = u32_at(value, 0),
            NHA_GROUP => object = Kind::Group,
            NHA_ENCAP_TYPE if encap::is_ip6(value) => object = Kind::Tunnel,
            _ => {}
        }
    }
    Some((id?, object)).filter(|_| body[2] == protocol)
}

/// Reads the body of a [`RTM_NEWNEXTHOP`] or a [`RTM_DELNEXTHOP`]. Returns the id, and what the object is to a program that uses this
/// protocol and the device with this index.
pub(crate) fn parse(body: &[u8], device: Option<u32>, protocol: u8) -> Option<(u32, FoundObject)> {
    let attributes = Attributes::new(body.get(HEADER..)?);
    let (mut id, mut oif, mut encap, mut members) = (None, None, Encap::default(), None);
    let mut is_strange = false;
    for (kind, value) in attributes {
        match kind {
            NHA_ID => id = u32_at(value, 0),
            NHA_OIF => oif = u32_at(value, 0),
            NHA_ENCAP_TYPE => encap.kind = Some(value),
            NHA_ENCAP => encap.value = Some(value),
            NHA_GROUP => members = parse_members(value),
            NHA_GROUP_TYPE => is_strange |= value.iter().any(|&byte| byte != 0),
            NHA_BLACKHOLE | NHA_GATEWAY | NHA_FDB | NHA_RES_GROUP => is_strange = true,
            _ => {}
        }
    }
    let what = if body[2] != protocol {
        FoundObject::Foreign
    } else if is_strange {
        FoundObject::Unknown
    } else if let Some(members) = members {
        FoundObject::Group(members)
    } else {
        match encap.addr() {
            Some(addr) if body[0] == AF_INET6 && oif.is_some() && oif == device => FoundObject::Nexthop(addr),
            _ => FoundObject::Unknown,
        }
    };
    Some((id?, what))
}

/// Returns the members of a group; `None` if a weight is over 255.
fn parse_members(value: &[u8]) -> Option<Vec<(u32, u8)>> {
    let (entries, []) = value.as_chunks::<8>() else { return None };
    entries.iter().map(|entry| Some((u32_at(entry, 0)?, entry[4].checked_add(1).filter(|_| entry[5] == 0)?))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::attribute;
    use crate::message::Messages;

    const ADDR: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x17);

    /// The expected bytes are those of a machine with the low byte first.
    #[cfg(target_endian = "little")]
    #[test]
    fn an_object_is_sent_as_these_bytes() {
        let mut out = Vec::new();
        put_object(&mut out, 7, 0x1000, ADDR, 3, 254);
        #[rustfmt::skip]
        assert_eq!(out, [
            72, 0, 0, 0, 104, 0, 0x01, 0x06, 7, 0, 0, 0, 0, 0, 0, 0,
            10, 0, 254, 0, 0, 0, 0, 0,
            8, 0, 1, 0, 0, 16, 0, 0,
            8, 0, 5, 0, 3, 0, 0, 0,
            6, 0, 7, 0, 4, 0, 0, 0,
            24, 0, 8, 0x80, 20, 0, 2, 0, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x17,
        ]);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn a_group_is_sent_as_these_bytes() {
        let mut out = Vec::new();
        put_group(&mut out, 8, 0x2000, &[(0x1000, 1), (0x1001, 99)], 254);
        #[rustfmt::skip]
        assert_eq!(out, [
            52, 0, 0, 0, 104, 0, 0x01, 0x06, 8, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 254, 0, 0, 0, 0, 0,
            8, 0, 1, 0, 0, 32, 0, 0,
            20, 0, 2, 0, 0, 16, 0, 0, 0, 0, 0, 0, 1, 16, 0, 0, 98, 0, 0, 0,
        ]);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn a_replacement_of_a_group_is_sent_as_these_bytes() {
        let mut out = Vec::new();
        put_replacement(&mut out, 8, 0x2000, &[(0x1000, 1)], 254);
        #[rustfmt::skip]
        assert_eq!(out, [
            44, 0, 0, 0, 104, 0, 0x01, 0x01, 8, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 254, 0, 0, 0, 0, 0,
            8, 0, 1, 0, 0, 32, 0, 0,
            12, 0, 2, 0, 0, 16, 0, 0, 0, 0, 0, 0,
        ]);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn a_removal_and_a_dump_are_sent_as_these_bytes() {
        let mut out = Vec::new();
        put_remove(&mut out, 9, 0x1000);
        put_dump(&mut out, 10);
        #[rustfmt::skip]
        assert_eq!(out, [
            32, 0, 0, 0, 105, 0, 0x01, 0, 9, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0,
            8, 0, 1, 0, 0, 16, 0, 0,
            24, 0, 0, 0, 106, 0, 0x01, 0x03, 10, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0,
        ]);
    }

    fn read(out: &[u8], device: Option<u32>, protocol: u8) -> Option<(u32, FoundObject)> {
        parse(Messages::new(out).next().unwrap().body, device, protocol)
    }

    #[test]
    fn an_object_is_ours_by_protocol_and_device() {
        let mut out = Vec::new();
        put_object(&mut out, 7, 1, ADDR, 3, 254);
        assert_eq!(read(&out, Some(3), 254), Some((1, FoundObject::Nexthop(ADDR))));
        assert_eq!(read(&out, Some(4), 254), Some((1, FoundObject::Unknown)));
        assert_eq!(read(&out, None, 254), Some((1, FoundObject::Unknown)));
        assert_eq!(read(&out, Some(3), 4), Some((1, FoundObject::Foreign)));
    }

    #[test]
    fn a_group_is_read_as_it_was_sent() {
        let members = vec![(1, 1), (2, 99), (3, 255)];
        let mut out = Vec::new();
        put_group(&mut out, 7, 9, &members, 254);
        assert_eq!(read(&out, None, 254), Some((9, FoundObject::Group(members))));
        assert_eq!(read(&out, None, 4), Some((9, FoundObject::Foreign)));
    }

    #[test]
    fn weights_over_255_other_kinds_of_groups_and_gateways_are_unknown() {
        let object = |kind, value: &[u8]| {
            let mut body = vec![AF_INET6, 0, 254, 0, 0, 0, 0, 0];
            put(&mut body, NHA_ID, &1u32.to_ne_bytes());
            put(&mut body, kind, value);
            parse(&body, Some(3), 254)
        };
        let strange = Some((1, FoundObject::Unknown));
        assert_eq!(object(NHA_GROUP, &[1, 0, 0, 0, 255, 0, 0, 0]), strange);
        assert_eq!(object(NHA_GROUP, &[1, 0, 0, 0, 0, 1, 0, 0]), strange);
        assert_eq!(object(NHA_GROUP, &[1, 0, 0, 0, 0, 1]), strange);
        assert_eq!(object(NHA_GROUP_TYPE, &[1, 0]), strange);
        assert_eq!(object(NHA_GATEWAY, &[0; 16]), strange);
        assert_eq!(object(NHA_BLACKHOLE, &[]), strange);
    }

    fn body(out: &[u8]) -> Vec<u8> {
        Messages::new(out).next().unwrap().body.to_vec()
    }

    fn number(bytes: &[u8], at: usize) -> u32 {
        u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
    }

    proptest! {
        /// The header ends at 8, the id at 16, the device at 24, the kind of encapsulation at 32; the address begins at 40.
        #[test]
        fn an_object_that_is_cut_or_changed_is_whole_or_unknown(
            id: u32, addr: u128, device: u32, protocol: u8, at in 0..56usize, change in 1..=255u8,
        ) {
            let mut out = Vec::new();
            put_object(&mut out, 7, id, addr.into(), device, protocol);
            let mut body = body(&out);
            let parse = |body: &[u8]| parse(body, Some(device), protocol);
            let (nexthop, unknown) = (FoundObject::Nexthop(addr.into()), FoundObject::Unknown);
            for cut in 0..body.len() {
                prop_assert_eq!(parse(&body[..cut]), (cut >= 16).then(|| (id, unknown.clone())), "cut at {}", cut);
            }
            prop_assert_eq!(parse(&body), Some((id, nexthop.clone())));

            body[at] ^= change;
            let changed = parse(&body);
            match at {
                0 | 20..24 | 28..30 => prop_assert_eq!(changed, Some((id, unknown))),
                1 | 3..8 | 30..32 => prop_assert_eq!(changed, Some((id, nexthop))),
                2 => prop_assert_eq!(changed, Some((id, FoundObject::Foreign))),
                12..16 => prop_assert_eq!(changed, Some((number(&body, 12), nexthop))),
                40..56 => {
                    let addr: [u8; 16] = body[40..].try_into().unwrap();
                    prop_assert_eq!(changed, Some((id, FoundObject::Nexthop(addr.into()))));
                }
                // The length or the kind of an attribute.
                _ => prop_assert!(changed.is_none_or(|(_, what)| what == nexthop || what == unknown)),
            }
        }

        /// The header ends at 8, the id at 16; the members begin at 20, with eight bytes each.
        #[test]
        fn a_group_that_is_cut_or_changed_is_whole_or_unknown(
            id: u32, members in prop::collection::vec((any::<u32>(), 1..=255u8), 1..9), protocol: u8,
            at: prop::sample::Index, change in 1..=255u8,
        ) {
            let mut out = Vec::new();
            put_group(&mut out, 7, id, &members, protocol);
            let mut body = body(&out);
            let parse = |body: &[u8]| parse(body, None, protocol);
            let (group, unknown) = (FoundObject::Group(members.clone()), FoundObject::Unknown);
            for cut in 0..body.len() {
                prop_assert_eq!(parse(&body[..cut]), (cut >= 16).then(|| (id, unknown.clone())), "cut at {}", cut);
            }
            prop_assert_eq!(parse(&body), Some((id, group.clone())));

            let at = at.index(body.len());
            body[at] ^= change;
            let changed = parse(&body);
            match at {
                0..2 | 3..8 => prop_assert_eq!(changed, Some((id, group))),
                2 => prop_assert_eq!(changed, Some((id, FoundObject::Foreign))),
                12..16 => prop_assert_eq!(changed, Some((number(&body, 12), group))),
                20.. => {
                    let (n, place) = ((at - 20) / 8, (at - 20) % 8);
                    let mut members = members;
                    match place {
                        0..4 => members[n].0 = number(&body, at - place),
                        4 => members[n].1 = body[at].wrapping_add(1),
                        _ => {}
                    }
                    // 256 is too much for a weight. The next byte is the high one of a weight; the last two are zeros that nobody reads.
                    let is_known = members[n].1 != 0 && place != 5;
                    prop_assert_eq!(changed, Some((id, if is_known { FoundObject::Group(members) } else { unknown })));
                }
                // The length or the kind of an attribute. A shorter list of members ends earlier.
                _ => {
                    let is_less = |what: FoundObject| match what {
                        FoundObject::Group(some) => members.starts_with(&some),
                        what => what == unknown,
                    };
                    prop_assert!(changed.is_none_or(|(_, what)| is_less(what)));
                }
            }
        }

        #[test]
        fn what_an_object_says_stands_in_its_message(
            header in prop::collection::vec(any::<u8>(), 0..8), attributes in attribute::tests::almost(), is_own: bool,
        ) {
            let mut body = header;
            if is_own {
                body = vec![AF_INET6, 0, 254, 0, 0, 0, 0, 0];
            }
            body.extend(attributes);
            let Some((id, what)) = parse(&body, Some(3), 254) else { return Ok(()) };
            let has = |kind: u16, start: &[u8]| {
                Attributes::new(&body[HEADER..]).any(|(other, value)| other == kind && value.starts_with(start))
            };
            prop_assert!(has(NHA_ID, &id.to_ne_bytes()));
            prop_assert_eq!(what == FoundObject::Foreign, body[2] != 254);
            match what {
                FoundObject::Nexthop(addr) => {
                    prop_assert!(has(NHA_OIF, &3u32.to_ne_bytes()) && has(NHA_ENCAP_TYPE, &4u16.to_ne_bytes()));
                    prop_assert!(body.windows(16).any(|bytes| bytes == addr.octets()));
                }
                FoundObject::Group(members) => {
                    let mut groups = Attributes::new(&body[HEADER..]).filter(|(kind, _)| *kind == NHA_GROUP);
                    let member = |entry: &[u8]| (number(entry, 0), entry[4].wrapping_add(1));
                    let is_whole = |entries: &[u8]| entries.len() == 8 * members.len();
                    let is_same = |entries: &[u8]| entries.chunks(8).map(member).eq(members.iter().copied());
                    prop_assert!(groups.any(|(_, entries)| is_whole(entries) && is_same(entries)));
                }
                FoundObject::Foreign | FoundObject::Unknown => {}
            }
        }
    }
}
