//! Frames and protobuf, implemented apart from the core's: the simulator watches every direction with it and plays raw
//! peers. Strict: it understands what a peer may send, and `encode` returns the only bytes that a node may send for it.

use std::collections::VecDeque;
use std::net::IpAddr;

use metalbond::{NextHop, NextHopKind, Prefix, Route, Vni};

/// Capability bit 0 of HELLO.
pub(crate) const ORDERED: u32 = 1;
/// Capability bit 1 of HELLO.
pub(crate) const CONVERGING: u32 = 2;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Hello {
    pub(crate) keepalive: u32,
    pub(crate) is_server: bool,
    pub(crate) capabilities: u32,
    pub(crate) restart_time: u32,
}

impl Hello {
    pub(crate) fn ordered(&self) -> bool {
        self.capabilities & ORDERED != 0
    }

    pub(crate) fn converging(&self) -> bool {
        self.capabilities & CONVERGING != 0
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Msg {
    Hello(Hello),
    Keepalive,
    Subscribe(Vni),
    Unsubscribe(Vni),
    Add(Route),
    Remove(Route),
    /// A type that the protocol does not have.
    Unknown(u8),
}

/// Returns true if no packet can be sent to a route's next hop, so that no node passes such a route on. Uses the
/// prefixes in the RFCs, independently of the core.
pub(crate) fn is_martian(route: &Route) -> bool {
    const MARTIANS: [&str; 9] = [
        "0.0.0.0/32",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "224.0.0.0/4",
        "255.255.255.255/32",
        "::/128",
        "::1/128",
        "fe80::/10",
        "ff00::/8",
    ];
    let addr = route.next_hop.addr.to_canonical();
    MARTIANS.iter().any(|text| text.parse::<Prefix>().unwrap().contains(addr))
}

/// Returns the canonical bytes of a message.
pub(crate) fn encode(msg: &Msg) -> Vec<u8> {
    let mut p = Vec::new();
    let kind = match *msg {
        Msg::Hello(h) => {
            put_uint(&mut p, 1, h.keepalive.into());
            put_uint(&mut p, 2, h.is_server.into());
            put_uint(&mut p, 100, h.capabilities.into());
            put_uint(&mut p, 101, h.restart_time.into());
            1
        }
        Msg::Keepalive => 2,
        Msg::Subscribe(vni) => {
            put_uint(&mut p, 1, vni.0.into());
            3
        }
        Msg::Unsubscribe(vni) => {
            put_uint(&mut p, 1, vni.0.into());
            4
        }
        Msg::Add(route) => {
            put_route(&mut p, &route);
            5
        }
        Msg::Remove(route) => {
            put_uint(&mut p, 1, 1);
            put_route(&mut p, &route);
            5
        }
        Msg::Unknown(kind) => kind,
    };
    frame(kind, &p)
}

pub(crate) fn encode_all<'a>(msgs: impl IntoIterator<Item = &'a Msg>) -> Vec<u8> {
    msgs.into_iter().flat_map(encode).collect()
}

pub(crate) fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![1];
    out.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
    out.push(kind);
    out.extend_from_slice(payload);
    out
}

/// Converts hexadecimal digits to bytes. Blanks are ignored.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    assert!(digits.len().is_multiple_of(2), "half a byte in {text}");
    digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()).collect()
}

/// Splits a stream of bytes into messages, in whatever pieces it arrives.
#[derive(Clone, Default, Debug)]
pub(crate) struct Frames {
    // A queue: taking a frame off its front costs no more than the frame.
    buf: VecDeque<u8>,
}

impl Frames {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buf.extend(bytes);
    }

    /// Returns the next whole message, with its bytes.
    pub(crate) fn next(&mut self) -> Option<(Msg, Vec<u8>)> {
        let header: Vec<u8> = self.buf.iter().take(4).copied().collect();
        let len = frame_len(&header)?;
        if self.buf.len() < len {
            return None;
        }
        let raw: Vec<u8> = self.buf.drain(..len).collect();
        Some((decode(&raw), raw))
    }

    pub(crate) fn all(&mut self) -> Vec<Msg> {
        std::iter::from_fn(|| self.next().map(|(msg, _)| msg)).collect()
    }

    /// Returns true if no part of a frame is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.buf.is_empty()
    }
}

/// Decodes bytes that must be whole frames.
pub(crate) fn decode_all(bytes: &[u8]) -> Vec<Msg> {
    let mut frames = Frames::default();
    frames.push(bytes);
    let all = frames.all();
    assert!(frames.is_empty(), "a cut frame: {:02x?}", frames.buf);
    all
}

/// Returns the length of the frame that starts here, once its header is there.
pub(crate) fn frame_len(buf: &[u8]) -> Option<usize> {
    let &[version, hi, lo, _, ..] = buf else { return None };
    assert_eq!(version, 1, "a frame of another version");
    Some(4 + usize::from(u16::from_be_bytes([hi, lo])))
}

fn decode(raw: &[u8]) -> Msg {
    let (kind, payload) = (raw[3], &raw[4..]);
    assert!(payload.len() <= 1188, "a payload of {} bytes", payload.len());
    match kind {
        1 => Msg::Hello(Hello {
            keepalive: uint(payload, 1),
            is_server: uint(payload, 2) != 0,
            capabilities: uint(payload, 100),
            restart_time: uint(payload, 101),
        }),
        2 => {
            assert!(payload.is_empty(), "a KEEPALIVE with a payload");
            Msg::Keepalive
        }
        3 => Msg::Subscribe(Vni(uint(payload, 1))),
        4 => Msg::Unsubscribe(Vni(uint(payload, 1))),
        5 => {
            let route = route(payload);
            match uint(payload, 1) {
                0 => Msg::Add(route),
                1 => Msg::Remove(route),
                action => panic!("UPDATE with action {action}"),
            }
        }
        kind => Msg::Unknown(kind),
    }
}

fn route(payload: &[u8]) -> Route {
    let destination = bytes(payload, 3).expect("an UPDATE has a destination");
    let hop = bytes(payload, 4).expect("an UPDATE has a next hop");
    let addr = address(bytes(destination, 2).unwrap_or_default());
    assert_eq!(uint(destination, 1) == 1, addr.is_ipv6(), "ipVersion contradicts the address");
    let kind = match uint(hop, 3) {
        0 => NextHopKind::Standard,
        1 => NextHopKind::Nat { from: uint(hop, 4).try_into().unwrap(), to: uint(hop, 5).try_into().unwrap() },
        2 => NextHopKind::LoadBalancer,
        kind => panic!("next hop of type {kind}"),
    };
    Route {
        vni: Vni(uint(payload, 2)),
        prefix: Prefix::new(addr, uint(destination, 3)).expect("a prefix length within its address"),
        next_hop: NextHop { addr: address(bytes(hop, 1).unwrap_or_default()), target_vni: Vni(uint(hop, 2)), kind },
    }
}

fn address(octets: &[u8]) -> IpAddr {
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets).unwrap().into(),
        16 => <[u8; 16]>::try_from(octets).unwrap().into(),
        n => panic!("an address of {n} bytes"),
    }
}

enum Value<'a> {
    Uint(u64),
    Bytes(&'a [u8]),
}

fn fields(mut p: &[u8]) -> Vec<(u64, Value<'_>)> {
    let mut out = Vec::new();
    while !p.is_empty() {
        let key = take_varint(&mut p);
        let value = match key & 7 {
            0 => Value::Uint(take_varint(&mut p)),
            2 => {
                let len = usize::try_from(take_varint(&mut p)).unwrap();
                let (head, rest) = p.split_at(len);
                p = rest;
                Value::Bytes(head)
            }
            kind => panic!("wire type {kind}"),
        };
        out.push((key >> 3, value));
    }
    out
}

fn uint(payload: &[u8], field: u64) -> u32 {
    let found = fields(payload).into_iter().rev().find_map(|(f, v)| match v {
        Value::Uint(n) if f == field => Some(n),
        _ => None,
    });
    u32::try_from(found.unwrap_or(0)).expect("a number of 32 bits")
}

fn bytes(payload: &[u8], field: u64) -> Option<&[u8]> {
    fields(payload).into_iter().rev().find_map(|(f, v)| match v {
        Value::Bytes(b) if f == field => Some(b),
        _ => None,
    })
}

fn take_varint(p: &mut &[u8]) -> u64 {
    let mut n = 0;
    for shift in (0..64).step_by(7) {
        let (&b, rest) = p.split_first().expect("a whole varint");
        *p = rest;
        n |= u64::from(b & 0x7f) << shift;
        if b < 0x80 {
            return n;
        }
    }
    panic!("a varint over ten bytes");
}

fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Appends a number, which proto3 omits if it is zero.
pub(crate) fn put_uint(out: &mut Vec<u8>, field: u64, n: u64) {
    if n != 0 {
        put_varint(out, field << 3);
        put_varint(out, n);
    }
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_route(out: &mut Vec<u8>, route: &Route) {
    put_uint(out, 2, route.vni.0.into());
    let mut destination = Vec::new();
    put_uint(&mut destination, 1, route.prefix.is_ipv6().into());
    put_bytes(&mut destination, 2, &octets(route.prefix.addr()));
    put_uint(&mut destination, 3, route.prefix.prefix_len().into());
    put_bytes(out, 3, &destination);
    let mut hop = Vec::new();
    put_bytes(&mut hop, 1, &octets(route.next_hop.addr));
    put_uint(&mut hop, 2, route.next_hop.target_vni.0.into());
    match route.next_hop.kind {
        NextHopKind::Standard => {}
        NextHopKind::Nat { from, to } => {
            put_uint(&mut hop, 3, 1);
            put_uint(&mut hop, 4, from.into());
            put_uint(&mut hop, 5, to.into());
        }
        NextHopKind::LoadBalancer => put_uint(&mut hop, 3, 2),
    }
    put_bytes(out, 4, &hop);
}

fn octets(addr: IpAddr) -> Vec<u8> {
    match addr {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}
