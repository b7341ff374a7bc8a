//! The kernel's routes and objects, read over a netlink socket of the test's own, without the code under test.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use metalbond::Prefix;
use netlink_sys::protocols::NETLINK_ROUTE;

const DUMP: u16 = 0x301;
const REQUEST_AND_ACK: u16 = 0x5;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
const RTM_GETNEXTHOP: u16 = 106;

const RTA_DST: u16 = 1;
const RTA_PRIORITY: u16 = 6;
const RTA_METRICS: u16 = 8;
const RTA_TABLE: u16 = 15;
const RTA_ENCAP: u16 = 22;
const RTA_NH_ID: u16 = 30;
/// What a removal says of a route that has no object: device, gateways, next hops and encapsulation.
const RTA_NEXTHOPS: [u16; 6] = [4, 5, 9, 18, 21, 22];
/// Source, preferred source.
const RTA_OTHERS: [u16; 2] = [2, 7];
const NHA_ID: u16 = 1;
const NHA_GROUP: u16 = 2;
const NHA_ENCAP: u16 = 8;
const IP6_DST: u16 = 2;

/// A route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    pub(crate) table: u32,
    pub(crate) prefix: Prefix,
    pub(crate) metric: u32,
    pub(crate) protocol: u8,
    pub(crate) kind: u8,
    pub(crate) tos: u8,
    pub(crate) source_len: u8,
    pub(crate) object: Option<u32>,
    pub(crate) is_tunnel: bool,
    /// Whether it has an MTU or the like.
    pub(crate) has_metrics: bool,
    body: Vec<u8>,
}

impl Seen {
    /// Returns whether it is for a part of the packets only.
    pub(crate) fn is_special(&self) -> bool {
        self.tos != 0 || self.source_len != 0
    }

    fn parse(body: &[u8]) -> Self {
        let [family, len, source_len, tos, table, protocol, _, kind, ..] = *body else { panic!("{body:?}") };
        let (mut table, mut metric, mut object) = (u32::from(table), 0, None);
        let mut addr: IpAddr = if family == 2 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let (mut is_tunnel, mut has_metrics) = (false, false);
        for (kind, value) in attributes(&body[12..]) {
            match kind {
                RTA_TABLE => table = number(value),
                RTA_PRIORITY => metric = number(value),
                RTA_NH_ID => object = Some(number(value)),
                RTA_METRICS => has_metrics |= !value.is_empty(),
                RTA_ENCAP => is_tunnel = true,
                RTA_DST if family == 2 => addr = <[u8; 4]>::try_from(value).unwrap().into(),
                RTA_DST => addr = <[u8; 16]>::try_from(value).unwrap().into(),
                // Next hops. Each begins with eight bytes.
                9 => is_tunnel |= attributes(&value[8..]).any(|(kind, _)| kind == RTA_ENCAP),
                _ => {}
            }
        }
        let prefix = Prefix::new(addr, len.into()).unwrap();
        let body = body.to_vec();
        Self { table, prefix, metric, protocol, kind, tos, source_len, object, is_tunnel, has_metrics, body }
    }
}

/// A nexthop object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Object {
    pub(crate) id: u32,
    pub(crate) protocol: u8,
    pub(crate) addr: Option<Ipv6Addr>,
    pub(crate) members: Vec<u32>,
}

impl Object {
    fn parse(body: &[u8]) -> Self {
        let mut object = Self { id: 0, protocol: body[2], addr: None, members: Vec::new() };
        for (kind, value) in attributes(&body[8..]) {
            match kind {
                NHA_ID => object.id = number(value),
                NHA_GROUP => object.members = value.chunks(8).map(number).collect(),
                NHA_ENCAP => {
                    let addr = attributes(value).find(|(kind, _)| *kind == IP6_DST);
                    object.addr = addr.map(|(_, addr)| <[u8; 16]>::try_from(addr).unwrap().into());
                }
                _ => {}
            }
        }
        object
    }
}

pub(crate) struct Raw(netlink_sys::Socket);

impl Raw {
    pub(crate) fn open() -> Self {
        let mut socket = netlink_sys::Socket::new(NETLINK_ROUTE).unwrap();
        socket.bind_auto().unwrap();
        Self(socket)
    }

    /// Returns the routes of both families in all tables, in the kernel's order.
    pub(crate) fn routes(&mut self) -> Vec<Seen> {
        let of_family = |family| self.ask(RTM_GETROUTE, DUMP, &[family, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let bodies = [2, 10].map(of_family).concat();
        bodies.iter().map(|body| Seen::parse(body)).collect()
    }

    pub(crate) fn objects(&mut self) -> Vec<Object> {
        self.ask(RTM_GETNEXTHOP, DUMP, &[0; 8]).iter().map(|body| Object::parse(body)).collect()
    }

    /// Removes a route, if it is there.
    pub(crate) fn remove(&mut self, route: &Seen) {
        let mut body = route.body[..8].to_vec();
        body.extend([0; 4]);
        for (kind, value) in attributes(&route.body[12..]) {
            let is_place = [RTA_DST, RTA_PRIORITY, RTA_TABLE, RTA_NH_ID].contains(&kind) || RTA_OTHERS.contains(&kind);
            if is_place || route.object.is_none() && RTA_NEXTHOPS.contains(&kind) {
                body.extend((value.len() as u16 + 4).to_ne_bytes());
                body.extend(kind.to_ne_bytes());
                body.extend(value);
                body.resize(body.len().next_multiple_of(4), 0);
            }
        }
        self.ask(RTM_DELROUTE, REQUEST_AND_ACK, &body);
    }

    /// Sends a request. Returns the bodies of the messages until the end of the answer.
    fn ask(&self, kind: u16, flags: u16, body: &[u8]) -> Vec<Vec<u8>> {
        let mut out = (16 + body.len() as u32).to_ne_bytes().to_vec();
        out.extend([kind, flags].map(u16::to_ne_bytes).as_flattened());
        out.extend([1u32, 0].map(u32::to_ne_bytes).as_flattened());
        out.extend(body);
        self.0.send(&out, 0).unwrap();
        let mut bodies = Vec::new();
        loop {
            let (datagram, _) = self.0.recv_from_full().unwrap();
            let mut rest = &datagram[..];
            while rest.len() >= 16 {
                let (len, kind) = (number(rest) as usize, u16::from_ne_bytes([rest[4], rest[5]]));
                if kind == DONE || kind == ERROR {
                    return bodies;
                }
                bodies.push(rest[16..len].to_vec());
                rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }
}

fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (len, kind) = (bytes.get(..2)?, bytes.get(2..4)?);
        let len = usize::from(u16::from_ne_bytes([len[0], len[1]]));
        let value = bytes.get(4..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        // The upper bits are flags.
        Some((u16::from_ne_bytes([kind[0], kind[1]]) & 0x3fff, value))
    })
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_ne_bytes(bytes[..4].try_into().unwrap())
}
