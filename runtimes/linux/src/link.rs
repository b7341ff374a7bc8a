//! Links: the name, the index and the state of a device. Source: `linux/rtnetlink.h`, `linux/if_link.h`.

use crate::attribute::{Attributes, put, u32_at};
use crate::message;

pub(crate) const RTM_NEWLINK: u16 = 16;
pub(crate) const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;

/// The size of the header: family, a byte of padding, type, index, flags, and a mask of changed flags.
const HEADER: usize = 16;
const IFLA_IFNAME: u16 = 3;
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
    /// Whether it can carry routes.
    pub(crate) up: bool,
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
        let mut attributes = Attributes::new(body.get(HEADER..)?);
        let (_, name) = attributes.find(|&(kind, _)| kind == IFLA_IFNAME)?;
        let name = name.split(|&byte| byte == 0).next()?;
        let up = IFF_UP | IFF_LOWER_UP;
        Some(Self { index, name, up: flags & up == up })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
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
    fn a_link_is_up_if_it_has_the_flag_up_and_a_carrier() {
        for (flags, up) in [(0x11043, true), (0x1003, false), (0x10042, false)] {
            assert_eq!(Link::parse(&link(0, flags)), Some(Link { index: 5, name: b"t0", up }));
        }
    }

    #[test]
    fn a_bridges_port_is_not_a_link() {
        assert_eq!(Link::parse(&link(7, 0x11043)), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..100), zero: bool) {
            if let (Some(family), true) = (bytes.first_mut(), zero) {
                *family = 0;
            }
            Link::parse(&bytes);
        }
    }
}
