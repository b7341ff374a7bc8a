//! Marks: routes without effect, by which a table says for which VNIs a program uses it, and with which settings.
//!
//! The kernel has no other place for that: a route has no VNI, realms exist for IPv4 only, and a nexthop object serves all VNIs. A mark is
//! in the table itself, so it is there as long as the table's routes are: it outlives the process, and ends with the network namespace.
//! Its destination is in the prefix whose packets are to be discarded (100::/64, RFC 6666), so no packet is treated other than without it.

use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;

use metalbond::{Prefix, Vni};

use crate::message::{CREATE, EXCLUSIVE, REPLACE};
use crate::route::{self, Route};

/// The upper half of a mark's destination. The lower half has the number of object ids less 1, and the VNI.
const PREFIX: [u16; 4] = [0x100, 0, 0, 0];
/// The lowest protocol number that a program may use. Lower ones are those of the kernel and of administrators.
const PROTOCOL_MIN: u8 = 5;

/// The statement that a table has routes of a VNI, with a protocol number, and objects with these ids.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Mark {
    pub(crate) table: u32,
    pub(crate) vni: Vni,
    pub(crate) protocol: u8,
    pub(crate) ids: RangeInclusive<u32>,
}

impl Mark {
    /// Returns the mark that a route is.
    pub(crate) fn parse(route: &Route<'_>) -> Option<Self> {
        // Of nearly all routes, this is the end.
        if !route.is_unreachable() || !route.is_for_all() || route.prefix.prefix_len() != 128 {
            return None;
        }
        let IpAddr::V6(addr) = route.prefix.addr() else { return None };
        let ([upper @ .., _, _, _, _], [_, _, _, _, lower @ ..]) = (addr.segments(), addr.segments());
        if upper != PREFIX || route.protocol < PROTOCOL_MIN {
            return None;
        }
        let number = |high: u16, low: u16| u32::from(high) << 16 | u32::from(low);
        let first = route.metric();
        let last = first.checked_add(number(lower[0], lower[1]))?;
        let vni = Vni(number(lower[2], lower[3]));
        (first > 0).then_some(Self { table: route.table, vni, protocol: route.protocol, ids: first..=last })
    }

    /// Returns whether it is of the same settings as another one.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        (self.protocol, &self.ids) == (other.protocol, &other.ids)
    }

    /// Returns whether the two are the same route but for the protocol number, so that the kernel has one of them only.
    pub(crate) fn is_in_place_of(&self, other: &Self) -> bool {
        (self.table, self.vni, &self.ids) == (other.table, other.vni, &other.ids)
    }

    /// Appends its creation, which fails if there is one in its place.
    pub(crate) fn put(&self, out: &mut Vec<u8>, sequence: u32) {
        self.put_as(out, route::RTM_NEWROUTE, CREATE | EXCLUSIVE, sequence);
    }

    /// Appends its creation in the place of another one.
    pub(crate) fn put_in_place(&self, out: &mut Vec<u8>, sequence: u32) {
        self.put_as(out, route::RTM_NEWROUTE, CREATE | REPLACE, sequence);
    }

    /// Appends its removal.
    pub(crate) fn put_remove(&self, out: &mut Vec<u8>, sequence: u32) {
        self.put_as(out, route::RTM_DELROUTE, 0, sequence);
    }

    fn put_as(&self, out: &mut Vec<u8>, kind: u16, flags: u16, sequence: u32) {
        route::put_unreachable(
            out,
            kind,
            flags,
            sequence,
            self.table,
            self.destination(),
            *self.ids.start(),
            self.protocol,
        );
    }

    fn destination(&self) -> Prefix {
        let halves = |number: u32| [(number >> 16) as u16, number as u16];
        let [a, b, c, d] = PREFIX;
        let ([e, f], [g, h]) = (halves(self.ids.end() - self.ids.start()), halves(self.vni.0));
        let addr = Ipv6Addr::new(a, b, c, d, e, f, g, h);
        Prefix::new(addr.into(), 128).expect("an IPv6 address has 128 bits")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::Messages;

    fn mark(table: u32, vni: u32, protocol: u8, ids: RangeInclusive<u32>) -> Mark {
        Mark { table, vni: Vni(vni), protocol, ids }
    }

    fn route_of(mark: &Mark) -> Vec<u8> {
        let mut out = Vec::new();
        mark.put(&mut out, 7);
        Messages::new(&out).next().unwrap().body.to_vec()
    }

    #[test]
    fn the_destination_shows_the_vni() {
        let destination = |mark: Mark| mark.destination().to_string();
        assert_eq!(destination(mark(1000, 0x23, 254, 2_000_000_000..=2_099_999_999)), "100::5f5:e0ff:0:23/128");
        assert_eq!(destination(mark(1000, 0x12_3456, 254, 7..=7)), "100::12:3456/128");
    }

    #[test]
    fn other_routes_are_no_marks() {
        let parse = |body: &[u8]| Route::parse(body).and_then(|route| Mark::parse(&route));
        let body = route_of(&mark(1000, 23, 254, 1..=9));
        assert_eq!(parse(&body), Some(mark(1000, 23, 254, 1..=9)));
        // Of an administrator, for a source, of another type, of a shorter prefix.
        for (at, byte) in [(5, 4), (2, 64), (7, 1), (1, 127)] {
            let mut other = body.clone();
            other[at] = byte;
            assert_eq!(parse(&other), None, "{at}");
        }
    }

    proptest! {
        #[test]
        fn a_mark_is_read_as_it_was_written(table in 1_u32.., vni: u32, protocol in 5_u8.., first in 1_u32.., more: u32) {
            let mark = mark(table, vni, protocol, first..=first.saturating_add(more));
            let body = route_of(&mark);
            prop_assert_eq!(Mark::parse(&Route::parse(&body).unwrap()), Some(mark));
        }
    }
}
