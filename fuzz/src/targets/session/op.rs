//! The operations. Every operation is legal in every state; a number selects an item modulo the size of its domain.
//! Codes are only added and never changed, because the corpus depends on them.

use metalbond::{NextHop, NextHopKind, Prefix, Route, Vni};

use crate::sim::ops;
use crate::sim::rig::{LEGACY, LEGACY_SERVER, NO_RESTART_TIME, OUR_SERVER, OURS};
use crate::sim::wire::{CONVERGING, Hello, Msg};
use crate::targets::source::Source;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Op<'a> {
    /// A connection is accepted.
    Accept,
    /// The nth dial succeeds.
    Connect(u8),
    /// The nth dial fails.
    FailDial(u8),
    /// A peer sends a message.
    Say(u8, Msg),
    /// The same, one byte at a time.
    Dribble(u8, Msg),
    Raw(u8, &'a [u8]),
    Frame(u8, u8, &'a [u8]),
    /// A peer sends several ADDs (or REMOVEs) of consecutive routes.
    Burst(u8, bool, u8, u8),
    /// The peer stops reading.
    Stall(u8),
    /// The peer reads again.
    Resume(u8),
    /// The connection ends.
    End(u8, u8),
    /// Time passes, and the node is woken at its deadlines.
    Advance(u8),
    /// Time passes, and the node is not woken.
    Oversleep(u8),
    /// Time runs back for the next input.
    RunBack(u8),
    Command(u8, u8, u8),
    /// The driver reports something superfluous.
    Stray(u8, u8),
    /// The application stops reading changes.
    Deafen,
    /// The application reads changes again.
    Hear,
    /// A client connects and opens its session in one write.
    Join(Hello),
    /// The oldest dial reaches a server, which opens the session in one write.
    Reach(Hello),
}

impl<'a> Op<'a> {
    /// Returns the next operation, and true if the iteration continues after it.
    pub(super) fn decode(source: &mut Source<'a>) -> (Self, bool) {
        let [code, a, b, c] = source.array();
        let op = match code & 0x7f {
            0 => Self::Accept,
            1 => Self::Connect(a),
            2 => Self::FailDial(a),
            3 => Self::Say(a, msg(b, c)),
            4 => Self::Raw(a, source.slice(b.into())),
            5 => Self::Frame(a, c, source.slice(b.into())),
            6 => Self::Stall(a),
            7 => Self::Resume(a),
            8 => Self::End(a, b),
            9 => Self::Advance(b),
            10 => Self::Oversleep(b),
            11 => Self::RunBack(b),
            12 => Self::Command(a, b, c),
            13 => Self::Stray(a, b),
            14 => Self::Deafen,
            15 => Self::Hear,
            16 => Self::Burst(a, true, b, c),
            17 => Self::Burst(a, false, b, c),
            18 => Self::Dribble(a, msg(b, c)),
            19 => Self::Join(hello(b)),
            20 => Self::Reach(hello(b)),
            _ => Self::Say(a, msg(b, c)),
        };
        (op, code & 0x80 != 0)
    }
}

fn msg(b: u8, c: u8) -> Msg {
    let vni = ops::vni(b >> 4);
    match b & 0x0f {
        0 => Msg::Hello(hello(c)),
        1 => Msg::Keepalive,
        2 => Msg::Subscribe(vni),
        3 => Msg::Unsubscribe(vni),
        4..8 => Msg::Add(route(b >> 4, c)),
        8..11 => Msg::Remove(route(b >> 4, c)),
        11 => Msg::Unknown(c),
        12 => Msg::Subscribe(Vni(c.into())),
        _ => Msg::Keepalive,
    }
}

pub(super) fn hello(n: u8) -> Hello {
    match n % 8 {
        0 => OURS,
        1 => LEGACY,
        2 => NO_RESTART_TIME,
        3 => OUR_SERVER,
        4 => LEGACY_SERVER,
        5 => Hello { capabilities: OUR_SERVER.capabilities | CONVERGING, ..OUR_SERVER },
        6 => Hello { keepalive: 1, ..OURS },
        _ => Hello { keepalive: u32::MAX, restart_time: u32::MAX, capabilities: u32::MAX, is_server: false },
    }
}

/// Returns one of a few destinations. The first one has so many next hops that the table stores it as a wide one.
pub(super) fn route(v: u8, n: u8) -> Route {
    let prefix: Prefix =
        ["10.0.0.5/24", "10.0.0.1/32", "0.0.0.0/0", "2001:db8:dead::/64"][usize::from(n & 3)].parse().unwrap();
    let n = n >> 2;
    let kind = match n % 4 {
        0 | 1 => NextHopKind::Standard,
        2 => NextHopKind::Nat { from: n.into(), to: u16::MAX },
        _ => NextHopKind::LoadBalancer,
    };
    let addr = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(n)).into();
    Route { vni: ops::vni(v), prefix, next_hop: NextHop { addr, target_vni: Vni(u32::from(n / 16)), kind } }
}

/// Returns one of many destinations.
pub(super) fn nth_route(n: u16) -> Route {
    crate::sim::rig::route_in(ops::vni(0).0, (n & 0xff) as u8, n >> 8)
}
