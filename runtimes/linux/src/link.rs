//! Links: the name, the index and the state of a device. Source: `linux/rtnetlink.h`, `linux/if_link.h`.

use crate::attribute::{Attributes, put, u32_at};
use crate::message;

pub(crate) const RTM_NEWLINK: u16 = 16;
pub(crate) const RTM_DELLINK: u16 = 17;
/// The removal of an address.
pub(crate) const RTM_DELADDR: u16 = 21;
const RTM_GETLINK: u16 = 18;

/// The size of the header: family, a byte of padding, type, index, flags, and a mask of changed flags.
const HEADER: usize = 16;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_EXT_MASK: u16 = 29;
const SKIP_STATISTICS: u32 = 1 << 3;

/// The flag of a link that is administratively up.
const IFF_UP: u32 = 1;
/// The flag of a link with a carrier. On a device without one, the kernel accepts no nexthop object, and drops those that it has.
const IFF_LOWER_UP: u32 = 1 << 16;

/// A link in a message of the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Link<'a> {
    pub(crate) index: u32,
    pub(crate) name: &'a [u8],
    /// Whether it is up, administratively.
    pub(crate) is_up: bool,
    pub(crate) has_carrier: bool,
    /// In bytes. `None`: the message does not say.
    pub(crate) mtu: Option<u32>,
}

/// Appends a request for the link with this name.
pub(crate) fn put_get(out: &mut Vec<u8>, sequence: u32, name: &str) {
    message::put(out, RTM_GETLINK, 0, sequence, |out| {
        out.extend_from_slice(&[0; HEADER]);
        put(out, IFLA_EXT_MASK, &SKIP_STATISTICS.to_ne_bytes());
        let mut name = name.as_bytes().to_vec();
        name.push(0);
        put(out, IFLA_IFNAME, &name);
    });
}

impl<'a> Link<'a> {
    /// Reads the body of a [`RTM_NEWLINK`] or a [`RTM_DELLINK`]. Returns `None` for a message of another kind of object, a bridge's port
    /// for example.
    pub(crate) fn parse(body: &'a [u8]) -> Option<Self> {
        if *body.first()? != 0 {
            return None;
        }
        let (index, flags) = (u32_at(body, 4)?, u32_at(body, 8)?);
        let attributes = Attributes::new(body.get(HEADER..)?);
        let (_, name) = attributes.clone().find(|&(kind, _)| kind == IFLA_IFNAME)?;
        let name = name.split(|&byte| byte == 0).next()?;
        let mtu = attributes.clone().find(|&(kind, _)| kind == IFLA_MTU).and_then(|(_, mtu)| u32_at(mtu, 0));
        Some(Self { index, name, is_up: flags & IFF_UP != 0, has_carrier: flags & IFF_LOWER_UP != 0, mtu })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::attribute;
    use crate::message::Messages;

    #[test]
    fn a_request_has_the_devices_name_and_asks_for_no_statistics() {
        let mut out = Vec::new();
        put_get(&mut out, 7, "t0");
        let message = Messages::new(&out).next().unwrap();
        assert_eq!((message.kind, message.flags, message.sequence), (RTM_GETLINK, message::REQUEST, 7));
        assert_eq!(message.body[..HEADER], [0; HEADER]);
        let attributes: Vec<_> = Attributes::new(&message.body[HEADER..]).collect();
        assert_eq!(attributes, [(IFLA_EXT_MASK, &8u32.to_ne_bytes()[..]), (IFLA_IFNAME, &b"t0\0"[..])]);
    }

    fn link(family: u8, flags: u32) -> Vec<u8> {
        let mut body = vec![family, 0, 0, 0];
        body.extend_from_slice(&5u32.to_ne_bytes());
        body.extend_from_slice(&flags.to_ne_bytes());
        body.extend_from_slice(&[0; 4]);
        put(&mut body, 99, b"unknown");
        put(&mut body, IFLA_IFNAME, b"t0\0");
        body
    }

    #[test]
    fn a_link_has_a_state_a_carrier_and_an_mtu() {
        for (flags, is_up, has_carrier) in [(0x11043, true, true), (0x1003, true, false), (0x10042, false, true)] {
            let mut body = link(0, flags);
            let without = Link { index: 5, name: b"t0", is_up, has_carrier, mtu: None };
            assert_eq!(Link::parse(&body), Some(without));
            put(&mut body, IFLA_MTU, &1500u32.to_ne_bytes());
            assert_eq!(Link::parse(&body), Some(Link { mtu: Some(1500), ..without }));
        }
    }

    #[test]
    fn a_bridges_port_is_not_a_link() {
        assert_eq!(Link::parse(&link(7, 0x11043)), None);
    }

    /// Generates attributes of other kinds than the name and the MTU.
    fn others() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec((IFLA_MTU + 1..60, prop::collection::vec(any::<u8>(), 0..12)), 0..3).prop_map(|all| {
            let mut out = Vec::new();
            all.iter().for_each(|(kind, value)| put(&mut out, *kind, value));
            out
        })
    }

    fn state(flags: u32) -> (bool, bool) {
        (flags & 1 != 0, flags & 0x1_0000 != 0)
    }

    proptest! {
        #[test]
        fn a_link_that_is_cut_or_changed_is_whole_or_refused(
            index: u32, flags in prop_oneof![any::<u32>(), any::<u32>().prop_map(|flags| flags | 0x1_0001)],
            name in "[a-z0-9.]{1,15}", before in others(), after in others(), at: prop::sample::Index, change in 1..=255u8,
        ) {
            let mut body = vec![0; 4];
            body.extend([index, flags, 0].map(u32::to_ne_bytes).as_flattened());
            body.extend(&before);
            let name_at = body.len() + 4;
            put(&mut body, IFLA_IFNAME, format!("{name}\0").as_bytes());
            let name_end = name_at + name.len() + 1;
            body.extend(&after);

            let (is_up, has_carrier) = state(flags);
            let link = Link { index, name: name.as_bytes(), is_up, has_carrier, mtu: None };
            for cut in 0..=body.len() {
                prop_assert_eq!(Link::parse(&body[..cut]), (cut >= name_end).then_some(link), "cut at {}", cut);
            }

            let at = at.index(body.len());
            body[at] ^= change;
            let number = |at: usize| u32::from_ne_bytes(body[at..at + 4].try_into().unwrap());
            let changed = Link::parse(&body);
            match at {
                0 => prop_assert_eq!(changed, None),
                1..4 | 12..16 => prop_assert_eq!(changed, Some(link)),
                4..8 => prop_assert_eq!(changed, Some(Link { index: number(4), ..link })),
                8..12 => {
                    let (is_up, has_carrier) = state(number(8));
                    prop_assert_eq!(changed, Some(Link { is_up, has_carrier, ..link }));
                }
                at if (name_at..name_end).contains(&at) => {
                    let name = body[name_at..name_end].split(|&byte| byte == 0).next().unwrap();
                    prop_assert_eq!(changed, Some(Link { name, ..link }));
                }
                // Another attribute, or the length or the kind of one: the name may be another one, or there may be none.
                _ => {
                    let is_same = |changed: Link<'_>| Link { name: link.name, mtu: None, ..changed } == link;
                    prop_assert!(changed.is_none_or(is_same));
                }
            }
        }

        #[test]
        fn what_a_link_says_stands_in_its_message(
            bytes in prop::collection::vec(any::<u8>(), 0..20), attributes in attribute::tests::almost(), is_link: bool,
        ) {
            let mut body = [bytes, attributes].concat();
            if let (Some(family), true) = (body.first_mut(), is_link) {
                *family = 0;
            }
            if let Some(link) = Link::parse(&body) {
                prop_assert_eq!(body[0], 0);
                prop_assert!(body[4..8] == link.index.to_ne_bytes());
                prop_assert_eq!((link.is_up, link.has_carrier), state(u32::from_ne_bytes(body[8..12].try_into().unwrap())));
                let begin = link.name.as_ptr_range().start as usize - body.as_ptr_range().start as usize;
                prop_assert!(begin >= HEADER + 4 && begin + link.name.len() <= body.len());
                prop_assert!(!link.name.contains(&0));
            }
        }
    }
}
