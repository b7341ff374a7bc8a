//! Messages for routes. Source: `linux/rtnetlink.h`.

use std::net::{IpAddr, Ipv6Addr};

use metalbond::Prefix;
use metalbond::fib::{Nexthop, Nexthops, Rival, RouteTarget, SurplusRoute};

use crate::attribute::{Attributes, array_at, nest, padded, put, set_u16_len, u16_at, u32_at};
use crate::encap::{self, Encap, put_encap};
use crate::message::{self, DUMP, REPLACE};

pub(crate) const RTM_NEWROUTE: u16 = 24;
pub(crate) const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;

/// The size of the header: family, lengths of destination and source, type of service, table, protocol, scope, type, flags.
const HEADER: usize = 12;
pub(crate) const AF_INET: u8 = 2;
pub(crate) const AF_INET6: u8 = 10;
/// The type of a route for packets to this machine.
const RTN_LOCAL: u8 = 2;
/// The table of this machine's own addresses (RT_TABLE_LOCAL).
pub(crate) const LOCAL_TABLE: u32 = 255;
/// The type of an ordinary route, which is `unicast` in the commands of `ip`.
const RTN_UNICAST: u8 = 1;
/// The type of a route whose packets are refused.
const RTN_UNREACHABLE: u8 = 7;
/// The types of routes by number, as in the commands of `ip`, with a space. An ordinary one needs no word.
const KINDS: [&str; 10] =
    ["", "", "local ", "broadcast ", "anycast ", "multicast ", "blackhole ", "unreachable ", "prohibit ", "throw "];
/// In the removal of an IPv4 route: any scope.
const RT_SCOPE_NOWHERE: u8 = 255;
/// The flag of an entry in a cache, which is no route of a table.
const RTM_F_CLONED: u32 = 0x200;

const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
/// The nexthops of a route. Each entry has a length, flags, the weight - 1, a device, and attributes.
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;
const RTA_ENCAP_TYPE: u16 = 21;
const RTA_ENCAP: u16 = 22;
const RTA_NH_ID: u16 = 30;

/// The size of the fixed part of an entry in [`RTA_MULTIPATH`].
const ENTRY: usize = 8;

/// Appends the creation of a route, or its replacement, depending on the flags. Only IPv4 routes can have several nexthops without an
/// object.
pub(crate) fn put_route(out: &mut Vec<u8>, flags: u16, sequence: u32, route: &NewRoute<'_>) {
    message::put(out, RTM_NEWROUTE, flags, sequence, |out| {
        put_destination(out, route.table, route.prefix, route.metric, route.protocol, 0, RTN_UNICAST);
        match route.target {
            RouteTarget::Object(id) => {
                put(out, RTA_NH_ID, &id.to_ne_bytes());
                // Without this attribute, the kernel takes over an MTU and the like that another program has put on any of our IPv4 routes with
                // the object. With it, a route shares nothing, and takes longer to install. So it is for replacements, which put such a
                // route right.
                if flags & REPLACE != 0 && !route.prefix.is_ipv6() {
                    put(out, RTA_METRICS, &[]);
                }
            }
            RouteTarget::Nexthops(nexthops) => match nexthops.as_slice() {
                [nexthop] => {
                    put(out, RTA_OIF, &route.device.to_ne_bytes());
                    put_encap(out, RTA_ENCAP_TYPE, RTA_ENCAP, nexthop.addr);
                }
                nexthops => nest(out, RTA_MULTIPATH, |out| {
                    nexthops.iter().for_each(|nexthop| put_nexthop(out, nexthop, route.device))
                }),
            },
        }
    });
}

/// The route that [`put_route`] makes.
pub(crate) struct NewRoute<'a> {
    pub(crate) table: u32,
    pub(crate) prefix: Prefix,
    pub(crate) metric: u32,
    pub(crate) protocol: u8,
    pub(crate) target: &'a RouteTarget,
    /// The device of nexthops that are in the route itself.
    pub(crate) device: u32,
}

/// Appends the removal of a route of this protocol and metric, with any nexthops. If there are several, the kernel removes the first.
pub(crate) fn put_remove(out: &mut Vec<u8>, sequence: u32, table: u32, prefix: Prefix, metric: u32, protocol: u8) {
    message::put(out, RTM_DELROUTE, 0, sequence, |out| {
        let scope = if prefix.is_ipv6() { 0 } else { RT_SCOPE_NOWHERE };
        put_destination(out, table, prefix, metric, protocol, scope, 0);
    });
}

/// Appends the removal of a route that [`Route::as_surplus`] has returned.
pub(crate) fn put_remove_surplus(out: &mut Vec<u8>, sequence: u32, route: &SurplusRoute) {
    message::put(out, RTM_DELROUTE, 0, sequence, |out| out.extend_from_slice(route.as_bytes()));
}

/// Appends the creation or removal of a route whose packets are refused.
#[expect(clippy::too_many_arguments, reason = "all numbers of one route")]
pub(crate) fn put_unreachable(
    out: &mut Vec<u8>,
    message: u16,
    flags: u16,
    sequence: u32,
    table: u32,
    prefix: Prefix,
    metric: u32,
    protocol: u8,
) {
    message::put(out, message, flags, sequence, |out| {
        put_destination(out, table, prefix, metric, protocol, 0, RTN_UNREACHABLE);
    });
}

/// Appends a request for the IPv6 routes of all tables whose packets are refused. An old kernel returns those of other types, too.
pub(crate) fn put_dump_unreachable(out: &mut Vec<u8>, sequence: u32) {
    message::put(out, RTM_GETROUTE, DUMP, sequence, |out| {
        out.extend_from_slice(&[AF_INET6, 0, 0, 0, 0, 0, 0, RTN_UNREACHABLE, 0, 0, 0, 0]);
    });
}

/// Appends a request for the routes of this family in a table, or in all tables. A kernel before 4.20 returns those of all tables.
pub(crate) fn put_dump(out: &mut Vec<u8>, sequence: u32, family: u8, table: Option<u32>) {
    message::put(out, RTM_GETROUTE, DUMP, sequence, |out| {
        out.extend_from_slice(&[family, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        if let Some(table) = table {
            put(out, RTA_TABLE, &table.to_ne_bytes());
        }
    });
}

fn put_destination(out: &mut Vec<u8>, table: u32, prefix: Prefix, metric: u32, protocol: u8, scope: u8, kind: u8) {
    let family = if prefix.is_ipv6() { AF_INET6 } else { AF_INET };
    // The table is in an attribute, because this field has only one byte.
    out.extend_from_slice(&[family, prefix.prefix_len(), 0, 0, 0, protocol, scope, kind, 0, 0, 0, 0]);
    put(out, RTA_TABLE, &table.to_ne_bytes());
    match prefix.addr() {
        IpAddr::V4(addr) => put(out, RTA_DST, &addr.octets()),
        IpAddr::V6(addr) => put(out, RTA_DST, &addr.octets()),
    }
    put(out, RTA_PRIORITY, &metric.to_ne_bytes());
}

fn put_nexthop(out: &mut Vec<u8>, nexthop: &Nexthop, device: u32) {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, nexthop.weight.saturating_sub(1)]);
    out.extend_from_slice(&device.to_ne_bytes());
    put_encap(out, RTA_ENCAP_TYPE, RTA_ENCAP, nexthop.addr);
    set_u16_len(out, start);
}

/// A route in a message of the kernel.
#[derive(Clone)]
pub(crate) struct Route<'a> {
    pub(crate) table: u32,
    pub(crate) protocol: u8,
    pub(crate) prefix: Prefix,
    /// Its metric, type of service, and the prefix length of its source.
    metric: u32,
    tos: u8,
    source_len: u8,
    kind: u8,
    /// Whether it is an ordinary route that has nothing which this program's routes do not have.
    is_plain: bool,
    body: &'a [u8],
    attributes: Attributes<'a>,
}

impl<'a> Route<'a> {
    /// Reads the body of a [`RTM_NEWROUTE`] or a [`RTM_DELROUTE`]. Returns `None` for a cache entry, for another address family, and for one
    /// without a destination that is not a default route.
    pub(crate) fn parse(body: &'a [u8]) -> Option<Self> {
        let [family, len, source_len, tos, table, protocol, _scope, kind] = array_at(body, 0)?;
        if u32_at(body, 8)? & RTM_F_CLONED != 0 {
            return None;
        }
        let attributes = Attributes::new(body.get(HEADER..)?);
        let (mut table, mut dst, mut metric) = (u32::from(table), None, 0);
        let mut is_plain = kind == RTN_UNICAST;
        for (attribute, value) in attributes.clone() {
            match attribute {
                RTA_TABLE => table = u32_at(value, 0)?,
                RTA_DST => dst = Some(value),
                RTA_PRIORITY => metric = u32_at(value, 0)?,
                RTA_PREFSRC => is_plain = false,
                RTA_METRICS => is_plain &= value.is_empty(),
                _ => {}
            }
        }
        let addr: IpAddr = match (family, dst) {
            (AF_INET, Some(dst)) => <[u8; 4]>::try_from(dst).ok()?.into(),
            (AF_INET6, Some(dst)) => <[u8; 16]>::try_from(dst).ok()?.into(),
            (AF_INET, None) if len == 0 => [0; 4].into(),
            (AF_INET6, None) if len == 0 => [0; 16].into(),
            _ => return None,
        };
        let prefix = Prefix::new(addr, len.into()).ok()?;
        Some(Self { table, protocol, prefix, metric, tos, source_len, kind, is_plain, body, attributes })
    }

    /// Returns the destination if it is this machine itself, by an address that can be a next hop.
    pub(crate) fn local(&self) -> Option<Prefix> {
        let IpAddr::V6(addr) = self.prefix.addr() else { return None };
        let is_next_hop = !addr.is_unicast_link_local() && !addr.is_loopback();
        (self.table == LOCAL_TABLE && self.body[7] == RTN_LOCAL && self.source_len == 0 && is_next_hop)
            .then_some(self.prefix)
    }

    /// Returns whether packets to its destination are refused.
    pub(crate) fn is_unreachable(&self) -> bool {
        self.kind == RTN_UNREACHABLE
    }

    pub(crate) const fn metric(&self) -> u32 {
        self.metric
    }

    /// Returns whether it is for packets of every type of service and source.
    pub(crate) fn is_for_all(&self) -> bool {
        (self.tos, self.source_len) == (0, 0)
    }

    /// Returns whether it is in the place of a route that this program installs with a metric.
    pub(crate) fn is_in_place(&self, metric: u32) -> bool {
        self.is_for_all() && self.metric == metric
    }

    /// Returns what it is to a route that this program installs with a metric; `None` if the kernel prefers that one.
    pub(crate) fn rival(&self, metric: u32) -> Option<Rival> {
        let rival = Rival {
            is_in_place: self.is_in_place(metric),
            metric: self.metric,
            tos: self.tos,
            source_len: self.source_len,
        };
        (!self.is_for_all() || self.metric <= metric).then_some(rival)
    }

    /// Returns whether it has IPv6 encapsulations of its own.
    pub(crate) fn is_tunnel(&self) -> bool {
        let is_ip6 = |(kind, value): (u16, &[u8])| kind == RTA_ENCAP_TYPE && encap::is_ip6(value);
        self.attributes.clone().any(|(kind, value)| match kind {
            RTA_MULTIPATH => Attributes::new(value.get(ENTRY..).unwrap_or_default()).any(is_ip6),
            _ => is_ip6((kind, value)),
        })
    }

    /// Returns the id of its nexthop object, if it has one.
    pub(crate) fn object(&self) -> Option<u32> {
        let (_, id) = self.attributes.clone().find(|&(kind, _)| kind == RTA_NH_ID)?;
        u32_at(id, 0)
    }

    /// Returns the command that removes the route.
    pub(crate) fn removal(&self) -> String {
        let mut command = String::from(if self.prefix.is_ipv6() { "ip -6 route del " } else { "ip route del " });
        if let Some(kind) = KINDS.get(usize::from(self.kind)) {
            command += kind;
        }
        command += &self.prefix.to_string();
        let source = self.attributes.clone().find(|&(kind, _)| kind == RTA_SRC);
        if let Some(addr) = source.and_then(|(_, addr)| <[u8; 16]>::try_from(addr).ok()) {
            command += &format!(" from {}/{}", Ipv6Addr::from(addr), self.source_len);
        }
        if self.tos != 0 {
            command += &format!(" tos {:#x}", self.tos);
        }
        command += &format!(" table {} proto {}", self.table, self.protocol);
        if self.metric != 0 {
            command += &format!(" metric {}", self.metric);
        }
        command
    }

    /// Returns what identifies the route in a removal.
    pub(crate) fn as_surplus(&self) -> SurplusRoute {
        let mut out = self.body[..HEADER].to_vec();
        // Flags, which say in what state the device is.
        out[8..].fill(0);
        let has_object = self.object().is_some();
        for (kind, value) in self.attributes.clone() {
            match kind {
                RTA_DST | RTA_SRC | RTA_PRIORITY | RTA_TABLE | RTA_PREFSRC | RTA_NH_ID => put(&mut out, kind, value),
                // Besides an object, the kernel accepts none of its nexthops.
                RTA_OIF | RTA_GATEWAY | RTA_VIA | RTA_ENCAP_TYPE if !has_object => put(&mut out, kind, value),
                RTA_MULTIPATH | RTA_ENCAP if !has_object => nest(&mut out, kind, |out| out.extend_from_slice(value)),
                RTA_METRICS => nest(&mut out, kind, |out| out.extend_from_slice(value)),
                _ => {}
            }
        }
        SurplusRoute::new(out)
    }

    /// Returns the target of the route; `None` if [`put_route`] makes no such route for the device with this index.
    pub(crate) fn target(&self, device: Option<u32>) -> Option<RouteTarget> {
        if !self.is_plain {
            return None;
        }
        // The kernel may add the object's next hops as attributes.
        if let Some(id) = self.object() {
            return Some(RouteTarget::Object(id));
        }
        if let Some((_, entries)) = self.attributes.clone().find(|&(kind, _)| kind == RTA_MULTIPATH) {
            return Some(RouteTarget::Nexthops(parse_nexthops(entries, device)?));
        }
        let oif = self.attributes.clone().find(|&(kind, _)| kind == RTA_OIF)?.1;
        Some(RouteTarget::Nexthops(Nexthops::from(parse_nexthop(self.attributes.clone(), u32_at(oif, 0)?, 1, device)?)))
    }
}

fn parse_nexthops(mut entries: &[u8], device: Option<u32>) -> Option<Nexthops> {
    let mut nexthops = Vec::new();
    while !entries.is_empty() {
        let len = usize::from(u16_at(entries, 0)?);
        let attributes = Attributes::new(entries.get(ENTRY..len)?);
        nexthops.push(parse_nexthop(attributes, u32_at(entries, 4)?, entries[3].checked_add(1)?, device)?);
        entries = entries.get(padded(len)..).unwrap_or_default();
    }
    Some(nexthops.into_iter().collect())
}

fn parse_nexthop(attributes: Attributes<'_>, oif: u32, weight: u8, device: Option<u32>) -> Option<Nexthop> {
    let mut encap = Encap::default();
    for (kind, value) in attributes {
        match kind {
            RTA_ENCAP_TYPE => encap.kind = Some(value),
            RTA_ENCAP => encap.value = Some(value),
            RTA_GATEWAY | RTA_VIA => return None,
            _ => {}
        }
    }
    (device == Some(oif)).then_some(Nexthop { addr: encap.addr()?, weight })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::attribute;
    use crate::message::{CREATE, EXCLUSIVE, Messages, REPLACE};

    const ADDR: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x17);

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn nexthops(weights: &[u8]) -> RouteTarget {
        RouteTarget::Nexthops(weights.iter().map(|&weight| Nexthop { addr: ADDR, weight }).collect())
    }

    fn sent(flags: u16, prefix: Prefix, target: &RouteTarget) -> Vec<u8> {
        let mut out = Vec::new();
        put_route(
            &mut out,
            flags,
            7,
            &NewRoute { table: 1000, prefix, metric: 2048, protocol: 254, target, device: 3 },
        );
        out
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn an_ipv4_route_by_object_is_sent_as_these_bytes() {
        #[rustfmt::skip]
        let bytes = [
            60, 0, 0, 0, 24, 0, 0x01, 0x06, 7, 0, 0, 0, 0, 0, 0, 0,
            2, 24, 0, 0, 0, 254, 0, 1, 0, 0, 0, 0,
            8, 0, 15, 0, 0xe8, 3, 0, 0,
            8, 0, 1, 0, 10, 1, 2, 0,
            8, 0, 6, 0, 0, 8, 0, 0,
            8, 0, 30, 0, 0, 16, 0, 0,
        ];
        let target = RouteTarget::Object(0x1000);
        assert_eq!(sent(CREATE | EXCLUSIVE, prefix("10.1.2.0/24"), &target), bytes);
        // A replacement has no metrics.
        let replacement = sent(CREATE | REPLACE, prefix("10.1.2.0/24"), &target);
        assert_eq!((replacement[6], &replacement[16..60], &replacement[60..]), (0x01, &bytes[16..], &[4, 0, 8, 0][..]));
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn an_ipv6_route_by_object_is_sent_as_these_bytes() {
        #[rustfmt::skip]
        assert_eq!(sent(CREATE | REPLACE, prefix("fd10::/64"), &RouteTarget::Object(0x1000)), [
            72, 0, 0, 0, 24, 0, 0x01, 0x05, 7, 0, 0, 0, 0, 0, 0, 0,
            10, 64, 0, 0, 0, 254, 0, 1, 0, 0, 0, 0,
            8, 0, 15, 0, 0xe8, 3, 0, 0,
            20, 0, 1, 0, 0xfd, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            8, 0, 6, 0, 0, 8, 0, 0,
            8, 0, 30, 0, 0, 16, 0, 0,
        ]);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn a_route_with_a_nexthop_of_its_own_is_sent_as_these_bytes() {
        #[rustfmt::skip]
        assert_eq!(sent(CREATE | EXCLUSIVE, prefix("10.1.2.0/24"), &nexthops(&[1])), [
            92, 0, 0, 0, 24, 0, 0x01, 0x06, 7, 0, 0, 0, 0, 0, 0, 0,
            2, 24, 0, 0, 0, 254, 0, 1, 0, 0, 0, 0,
            8, 0, 15, 0, 0xe8, 3, 0, 0,
            8, 0, 1, 0, 10, 1, 2, 0,
            8, 0, 6, 0, 0, 8, 0, 0,
            8, 0, 4, 0, 3, 0, 0, 0,
            6, 0, 21, 0, 4, 0, 0, 0,
            24, 0, 22, 0x80, 20, 0, 2, 0, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x17,
        ]);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn a_route_with_several_nexthops_of_its_own_is_sent_as_these_bytes() {
        #[rustfmt::skip]
        assert_eq!(sent(CREATE | EXCLUSIVE, prefix("10.1.2.0/24"), &nexthops(&[1, 99])), [
            136, 0, 0, 0, 24, 0, 0x01, 0x06, 7, 0, 0, 0, 0, 0, 0, 0,
            2, 24, 0, 0, 0, 254, 0, 1, 0, 0, 0, 0,
            8, 0, 15, 0, 0xe8, 3, 0, 0,
            8, 0, 1, 0, 10, 1, 2, 0,
            8, 0, 6, 0, 0, 8, 0, 0,
            84, 0, 9, 0x80,
            40, 0, 0, 0, 3, 0, 0, 0,
            6, 0, 21, 0, 4, 0, 0, 0,
            24, 0, 22, 0x80, 20, 0, 2, 0, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x17,
            40, 0, 0, 98, 3, 0, 0, 0,
            6, 0, 21, 0, 4, 0, 0, 0,
            24, 0, 22, 0x80, 20, 0, 2, 0, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x17,
        ]);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn removals_are_sent_as_these_bytes() {
        let mut out = Vec::new();
        put_remove(&mut out, 8, 1000, prefix("10.1.2.0/24"), 2048, 254);
        put_remove(&mut out, 9, 1000, prefix("::/0"), 2048, 254);
        #[rustfmt::skip]
        assert_eq!(out, [
            52, 0, 0, 0, 25, 0, 0x01, 0, 8, 0, 0, 0, 0, 0, 0, 0,
            2, 24, 0, 0, 0, 254, 255, 0, 0, 0, 0, 0,
            8, 0, 15, 0, 0xe8, 3, 0, 0,
            8, 0, 1, 0, 10, 1, 2, 0,
            8, 0, 6, 0, 0, 8, 0, 0,
            64, 0, 0, 0, 25, 0, 0x01, 0, 9, 0, 0, 0, 0, 0, 0, 0,
            10, 0, 0, 0, 0, 254, 0, 0, 0, 0, 0, 0,
            8, 0, 15, 0, 0xe8, 3, 0, 0,
            20, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            8, 0, 6, 0, 0, 8, 0, 0,
        ]);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn a_dump_is_sent_as_these_bytes() {
        let mut out = Vec::new();
        put_dump(&mut out, 8, AF_INET6, Some(1000));
        put_dump(&mut out, 9, AF_INET, None);
        #[rustfmt::skip]
        assert_eq!(out, [
            36, 0, 0, 0, 26, 0, 0x01, 0x03, 8, 0, 0, 0, 0, 0, 0, 0,
            10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            8, 0, 15, 0, 0xe8, 3, 0, 0,
            28, 0, 0, 0, 26, 0, 0x01, 0x03, 9, 0, 0, 0, 0, 0, 0, 0,
            2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ]);
    }

    #[test]
    fn a_route_is_read_as_it_was_sent() {
        for (prefix, target) in [
            (prefix("10.1.2.0/24"), RouteTarget::Object(7)),
            (prefix("0.0.0.0/0"), nexthops(&[1])),
            (prefix("10.1.2.3/32"), nexthops(&[1, 99, 255])),
            (prefix("::/0"), RouteTarget::Object(u32::MAX)),
            (prefix("fd10::1/128"), nexthops(&[1])),
        ] {
            let out = sent(CREATE, prefix, &target);
            let route = Route::parse(Messages::new(&out).next().unwrap().body).unwrap();
            assert_eq!((route.table, route.protocol, route.prefix), (1000, 254, prefix));
            assert!(route.is_in_place(2048) && !route.is_in_place(2049));
            assert_eq!(route.target(Some(3)), Some(target.clone()));
            let is_by_object = matches!(target, RouteTarget::Object(_));
            assert_eq!(route.target(Some(4)), Some(target).filter(|_| is_by_object));
        }
    }

    #[test]
    fn a_route_with_a_gateway_a_source_or_of_another_kind_is_not_like_own_ones() {
        let route = |kind: u8, attribute: u16| {
            let mut body = vec![AF_INET, 24, 0, 0, 254, 254, 0, kind, 0, 0, 0, 0];
            put(&mut body, RTA_DST, &[10, 0, 0, 0]);
            put(&mut body, RTA_OIF, &3u32.to_ne_bytes());
            put_encap(&mut body, RTA_ENCAP_TYPE, RTA_ENCAP, ADDR);
            put(&mut body, attribute, &[1; 4]);
            let route = Route::parse(&body).unwrap();
            assert_eq!(route.table, 254);
            route.target(Some(3))
        };
        assert_eq!(route(RTN_UNICAST, 99), Some(nexthops(&[1])));
        assert_eq!(route(6, 99), None);
        assert_eq!(route(RTN_UNICAST, RTA_GATEWAY), None);
        assert_eq!(route(RTN_UNICAST, RTA_VIA), None);
        assert_eq!(route(RTN_UNICAST, RTA_PREFSRC), None);
        assert_eq!(route(RTN_UNICAST, RTA_METRICS), None);
    }

    #[test]
    fn a_rival_has_a_lower_metric_or_the_same_or_is_for_a_part_of_the_packets() {
        let rival = |source_len: u8, tos: u8, metric: u32| {
            let mut body = vec![AF_INET6, 0, source_len, tos, 254, 4, 0, RTN_UNICAST, 0, 0, 0, 0];
            put(&mut body, RTA_PRIORITY, &metric.to_ne_bytes());
            let rival = Route::parse(&body).unwrap().rival(2048)?;
            assert_eq!((rival.source_len, rival.tos, rival.metric), (source_len, tos, metric));
            Some(rival.is_in_place)
        };
        assert_eq!(
            [rival(0, 0, 0), rival(0, 0, 2047), rival(0, 0, 2048), rival(0, 0, 2049)],
            [Some(false), Some(false), Some(true), None]
        );
        assert_eq!([rival(64, 0, 2048), rival(0, 16, 2048), rival(64, 0, 9000)], [Some(false); 3]);
    }

    #[test]
    fn a_surplus_route_is_removed_by_its_object_or_by_its_nexthops() {
        let surplus = |target: &RouteTarget| {
            let out = sent(CREATE | REPLACE, prefix("10.1.2.0/24"), target);
            let mut body = Messages::new(&out).next().unwrap().body.to_vec();
            // The state of the device, and the object's next hops, as a kernel adds them.
            body[8] = 0x10;
            put(&mut body, RTA_OIF, &3u32.to_ne_bytes());
            let mut out = Vec::new();
            put_remove_surplus(&mut out, 7, &Route::parse(&body).unwrap().as_surplus());
            let message = Messages::new(&out).next().unwrap();
            assert_eq!((message.kind, message.body[8]), (RTM_DELROUTE, 0));
            Attributes::new(&message.body[HEADER..]).map(|(kind, _)| kind).collect::<Vec<_>>()
        };
        assert_eq!(surplus(&RouteTarget::Object(7)), [RTA_TABLE, RTA_DST, RTA_PRIORITY, RTA_NH_ID, RTA_METRICS]);
        let all = [RTA_TABLE, RTA_DST, RTA_PRIORITY, RTA_OIF, RTA_ENCAP_TYPE, RTA_ENCAP, RTA_OIF];
        assert_eq!(surplus(&nexthops(&[1])), all);
    }

    #[test]
    fn without_a_destination_only_a_default_route_is_a_route() {
        let prefix = |family: u8, len: u8| {
            let route = [family, len, 0, 0, 254, 254, 0, RTN_UNICAST, 0, 0, 0, 0];
            Route::parse(&route).map(|route| route.prefix.to_string())
        };
        assert_eq!(prefix(AF_INET, 0).as_deref(), Some("0.0.0.0/0"));
        assert_eq!(prefix(AF_INET6, 0).as_deref(), Some("::/0"));
        assert_eq!([prefix(AF_INET, 24), prefix(AF_INET6, 64)], [None, None]);
    }

    /// What a message says: table, protocol, destination, whether metric, type of service and source are this program's, and the target.
    type Said = (u32, u8, Prefix, bool, Option<RouteTarget>);

    fn read(body: &[u8]) -> Option<Said> {
        let route = Route::parse(body)?;
        Some((route.table, route.protocol, route.prefix, route.is_in_place(2048), route.target(Some(3))))
    }

    fn any_prefix() -> impl Strategy<Value = Prefix> {
        (any::<IpAddr>(), 0..=128u32)
            .prop_map(|(addr, len)| Prefix::new(addr, if addr.is_ipv4() { len.min(32) } else { len }).unwrap())
    }

    fn any_target() -> impl Strategy<Value = RouteTarget> {
        let nexthop = (any::<Ipv6Addr>(), 1..=255u8).prop_map(|(addr, weight)| Nexthop { addr, weight });
        let one = any::<Ipv6Addr>().prop_map(|addr| RouteTarget::Nexthops(Nexthop { addr, weight: 1 }.into()));
        let several =
            prop::collection::vec(nexthop, 2..6).prop_map(|all| RouteTarget::Nexthops(all.into_iter().collect()));
        prop_oneof![any::<u32>().prop_map(RouteTarget::Object), one, several]
    }

    fn number(body: &[u8], at: usize) -> u32 {
        u32::from_ne_bytes(body[at..at + 4].try_into().unwrap())
    }

    /// Returns the target after its byte at `at` has changed: a place after the first attribute's header, of which `body` begins with the
    /// value. `Err` for the length or the kind of an attribute.
    fn changed_target(target: RouteTarget, body: &[u8], at: usize) -> Result<Option<RouteTarget>, ()> {
        // In an encapsulation: its kind is after a header, and padded; the address is after two.
        let encap = |nexthop: Nexthop, body: &[u8], at: usize| match at {
            4..6 => Ok(None),
            6..8 => Ok(Some(nexthop)),
            16..32 => Ok(Some(Nexthop { addr: <[u8; 16]>::try_from(&body[16..32]).unwrap().into(), ..nexthop })),
            _ => Err(()),
        };
        match target {
            RouteTarget::Object(_) if at < 4 => Ok(Some(RouteTarget::Object(number(body, 0)))),
            // The attribute without a value after it.
            RouteTarget::Object(_) => Err(()),
            RouteTarget::Nexthops(nexthops) => match nexthops.as_slice() {
                // The device, which is another one now, or the encapsulation.
                [_] if at < 4 => Ok(None),
                [nexthop] => {
                    let nexthop = encap(*nexthop, &body[4..], at - 4)?;
                    Ok(nexthop.map(|nexthop| RouteTarget::Nexthops(nexthop.into())))
                }
                all => {
                    let (n, at) = (at / 40, at % 40);
                    let entry = &body[n * 40..][..40];
                    let changed = match at {
                        0..2 => return Err(()),
                        2 => Some(all[n]),
                        3 => entry[3].checked_add(1).map(|weight| Nexthop { weight, ..all[n] }),
                        4..8 => None,
                        _ => encap(all[n], &entry[8..], at - 8)?,
                    };
                    let Some(changed) = changed else { return Ok(None) };
                    let mut all = all.to_vec();
                    all[n] = changed;
                    Ok(Some(RouteTarget::Nexthops(all.into_iter().collect())))
                }
            },
        }
    }

    /// Checks what the length or the kind of an attribute cannot change: it may hide that attribute and those after it.
    fn has_protocol(changed: Option<Said>, protocol: u8) -> Result<(), TestCaseError> {
        prop_assert!(changed.is_none_or(|route| route.1 == protocol));
        Ok(())
    }

    proptest! {
        #[test]
        fn a_route_that_is_cut_leads_nowhere_and_to_no_other_destination(
            table: u32, protocol: u8, prefix in any_prefix(), target in any_target(),
        ) {
            let mut out = Vec::new();
            put_route(&mut out, CREATE | REPLACE, 7, &NewRoute { table, prefix, metric: 2048, protocol, target: &target, device: 3 });
            let body = Messages::new(&out).next().unwrap().body;
            prop_assert_eq!(read(body), Some((table, protocol, prefix, true, Some(target.clone()))));
            let is_by_object = !prefix.is_ipv6() && matches!(target, RouteTarget::Object(_));
            for cut in 0..body.len() {
                let Some((read_table, read_protocol, read_prefix, _, read_target)) = read(&body[..cut]) else { continue };
                // In the header, the table is 0.
                prop_assert!(read_table == if cut >= 20 { table } else { 0 }, "cut at {}", cut);
                prop_assert!(read_prefix.network() == prefix.network(), "cut at {}: {}", cut, read_prefix);
                prop_assert_eq!(read_protocol, protocol);
                // After the object's id is only an attribute without a value.
                let is_whole = is_by_object && cut + 4 >= body.len();
                prop_assert_eq!(read_target, is_whole.then(|| target.clone()), "cut at {}", cut);
            }
        }

        /// The header ends at 12, the table at 20; the destination begins at 24. The metric after it, and the first attribute of the target,
        /// have a header of 4 bytes each.
        #[test]
        fn a_changed_byte_changes_in_a_route_what_it_stands_for(
            table: u32, protocol: u8, prefix in any_prefix(), target in any_target(), at: prop::sample::Index, change in 1..=255u8,
        ) {
            let mut out = Vec::new();
            put_route(&mut out, CREATE | REPLACE, 7, &NewRoute { table, prefix, metric: 2048, protocol, target: &target, device: 3 });
            let mut body = Messages::new(&out).next().unwrap().body.to_vec();
            let at = at.index(body.len());
            body[at] ^= change;
            let changed = read(&body);

            let dst_end = if prefix.is_ipv6() { 40 } else { 28 };
            let target_at = dst_end + 12;
            let some_target = Some(target.clone());
            let expected = match at {
                0 => None,
                1 => Prefix::new(prefix.addr(), body[1].into()).ok().map(|prefix| (table, protocol, prefix, true, some_target)),
                2 | 3 => Some((table, protocol, prefix, false, some_target)),
                4 | 6 => Some((table, protocol, prefix, true, some_target)),
                5 => Some((table, body[5], prefix, true, some_target)),
                7 => Some((table, protocol, prefix, true, None)),
                8..12 => (number(&body, 8) & 0x200 == 0).then_some((table, protocol, prefix, true, some_target)),
                16..20 => Some((number(&body, 16), protocol, prefix, true, some_target)),
                at if (24..dst_end).contains(&at) => {
                    let addr = match prefix.addr() {
                        IpAddr::V4(_) => <[u8; 4]>::try_from(&body[24..28]).unwrap().into(),
                        IpAddr::V6(_) => <[u8; 16]>::try_from(&body[24..40]).unwrap().into(),
                    };
                    Some((table, protocol, Prefix::new(addr, prefix.prefix_len().into()).unwrap(), true, some_target))
                }
                at if (dst_end + 4..dst_end + 8).contains(&at) => Some((table, protocol, prefix, false, some_target)),
                at if at >= target_at => match changed_target(target, &body[target_at..], at - target_at) {
                    Ok(target) => Some((table, protocol, prefix, true, target)),
                    Err(()) => return has_protocol(changed, protocol),
                },
                _ => return has_protocol(changed, protocol),
            };
            prop_assert_eq!(changed, expected, "changed at {}", at);
        }

        #[test]
        fn what_a_route_says_stands_in_its_message(
            header in any::<[u8; 12]>(), is_route: bool, family in prop::sample::select(vec![AF_INET, AF_INET6]), len in 0..130u8,
            attributes in attribute::tests::almost(),
        ) {
            let mut body = if is_route { vec![family, len, 0, 0, 254, 254, 0, 1, 0, 0, 0, 0] } else { header.to_vec() };
            body.extend(attributes);
            let Some((table, protocol, prefix, _, target)) = read(&body) else { return Ok(()) };
            let has = |kind: u16, start: &[u8]| {
                Attributes::new(&body[HEADER..]).any(|(other, value)| other == kind && value.starts_with(start))
            };
            prop_assert_eq!((protocol, prefix.prefix_len(), prefix.is_ipv6()), (body[5], body[1], body[0] == AF_INET6));
            prop_assert!(table == body[4].into() || has(RTA_TABLE, &table.to_ne_bytes()));
            let has_destination = match prefix.addr() {
                IpAddr::V4(addr) => has(RTA_DST, &addr.octets()),
                IpAddr::V6(addr) => has(RTA_DST, &addr.octets()),
            };
            prop_assert!(has_destination || prefix.is_default() && prefix.addr().is_unspecified(), "{}", prefix);
            match target {
                None => {}
                Some(RouteTarget::Object(id)) => prop_assert!(has(RTA_NH_ID, &id.to_ne_bytes())),
                Some(RouteTarget::Nexthops(nexthops)) => {
                    for Nexthop { addr, .. } in nexthops.as_slice() {
                        prop_assert!(body.windows(16).any(|bytes| bytes == addr.octets()), "{}", addr);
                    }
                    prop_assert!(has(RTA_MULTIPATH, &[]) || has(RTA_OIF, &3u32.to_ne_bytes()));
                }
            }
        }
    }
}
