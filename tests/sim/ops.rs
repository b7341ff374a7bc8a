//! What can happen. Every operation is legal in every state, and every number in it has a meaning (it is taken modulo
//! the size of its domain), so that lists of operations shrink well and can be pasted into a regression test.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use metalbond::{NextHop, NextHopKind, PeerName, Prefix, Route, Vni};
use proptest::prelude::*;

use Op::*;

/// How a link is cut.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Cut {
    /// Both ends see FIN, after the bytes in flight.
    Fin,
    /// Both ends see RST; the bytes in flight are lost.
    Reset,
    /// The systems of both ends give up (ETIMEDOUT).
    TimedOut,
    /// Nothing passes any more in both directions, and neither end sees that.
    Silence,
    /// Nothing passes from the client to the server.
    SilenceUp,
    /// Nothing passes from the server to the client.
    SilenceDown,
    /// The client sees RST. The server receives nothing more on the connection and keeps it.
    ServerKeeps,
    /// The server sees RST. The client receives nothing more on the connection and keeps it.
    ClientKeeps,
}

pub(crate) const CUTS: [Cut; 8] = [
    Cut::Fin,
    Cut::Reset,
    Cut::TimedOut,
    Cut::Silence,
    Cut::SilenceUp,
    Cut::SilenceDown,
    Cut::ServerKeeps,
    Cut::ClientKeeps,
];

/// The direction, relative to a set of hosts or a server, that an operation applies to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Way {
    Both,
    /// To it.
    In,
    /// From it.
    Out,
}

/// How bytes are read from a link.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Chunking {
    /// All bytes that are there.
    Merged,
    /// One frame at a time.
    Frames,
    /// A piece of random size.
    Random,
    /// One or two bytes at a time.
    Tiny,
}

/// One operation. The first number is a host; for operations on a link, the second one is a server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Op {
    Subscribe(u8, u8),
    Unsubscribe(u8, u8),
    /// The application asks to be notified of all routes of a VNI again.
    Resync(u8, u8),
    /// Host; VNI, prefix, next hop.
    Announce(u8, u8, u8, u8),
    /// Numbers as for `Announce`.
    Withdraw(u8, u8, u8, u8),
    /// The process dies.
    Kill(u8),
    /// The host loses its power.
    Vanish(u8),
    /// A new process starts. It subscribes and announces the same as the last one, or nothing.
    Start(u8, bool),
    CutLink(u8, u8, Cut),
    /// Ends every silence of the link.
    Heal(u8, u8),
    Latency(u8, u8, u8),
    Chunks(u8, u8, Chunking),
    Window(u8, u8, u8),
    /// Time passes.
    Advance(u8),
    AddPeer(u8, u8),
    RemovePeer(u8, u8),
    ResetPeer(u8, u8),
    /// Resets the nth connection that the host knows.
    ResetConn(u8, u8),
    /// Stops the process, or continues it.
    Pause(u8),
    Resume(u8),
    /// The application stops reading changes, or reads them again.
    Deafen(u8),
    Hear(u8),
    /// With cleanup or without.
    Shutdown(u8, bool),
    /// Nothing passes any more between the hosts whose bits are set and the others, and no end of a connection sees
    /// that.
    Partition(u8, Way),
    /// Ends every silence.
    Reunite,
    /// Sets a delay for each server: two bits for the first one, two for the second one, and so on.
    Delays(u8),
    /// One byte per second passes between the two; to the server (`In`), from it (`Out`).
    Dribble(u8, u8, Way),
    /// Ends a `Dribble`.
    Flow(u8, u8),
    /// The host's clock jumps.
    Jump(u8, u8),
    /// Like `Pause`, with a clock that stands still meanwhile.
    Suspend(u8),
    /// The process reads nothing from its connections, and does everything else.
    StopReading(u8),
    ReadOn(u8),
    /// The process dies in the middle of its nth iteration from now.
    Doom(u8, u8),
    /// The world comes to rest, and everything is compared.
    Rest,
    /// The host gets the nth policy.
    Policy(u8, u8),
    /// The host's next connections come from the nth address: its own, or one that it shares with others.
    Address(u8, u8),
    /// The host's next process says that it is converging for the nth time span.
    Converge(u8, u8),
    /// True: the server's next connections are those of a server without the capabilities.
    Reference(u8, bool),
    /// The host's application sends a command that has to be refused.
    Refuse(u8, u8),
    /// The host has the nth certificate from its next connection on.
    Names(u8, u8),
    /// The first server dials the nth other one as a client does, or does so no longer.
    Dial(u8, u8, bool),
    /// Like `CutLink`, for the link from the first server to the nth other one.
    CutServers(u8, u8, Cut),
    /// Sets latency, window and chunking of such a link, each by two bits of the last number.
    LinkServers(u8, u8, u8),
}

const VNIS: [u32; 3] = [23, 0, 0x0100_0007];
pub(crate) const CHUNKINGS: [Chunking; 4] = [Chunking::Merged, Chunking::Frames, Chunking::Random, Chunking::Tiny];
const LATENCIES_MS: [u64; 4] = [0, 1, 30, 900];
const WINDOWS: [usize; 4] = [1 << 20, 2000, 100, 7];
const STEPS_MS: [u64; 8] = [0, 1, 40, 600, 3000, 9000, 14_000, 61_000];
const CONVERGENCE_SECS: [u64; 3] = [60, 3600, 0];
const JUMPS_MS: [i64; 8] = [200, 4900, 12_400, 30_000, 3_600_000, -1, -700, -15_000];

pub(crate) fn vni(n: u8) -> Vni {
    Vni(VNIS[usize::from(n) % VNIS.len()])
}

pub(crate) fn vnis() -> impl Iterator<Item = Vni> {
    VNIS.into_iter().map(Vni)
}

pub(crate) fn chunking(n: u8) -> Chunking {
    CHUNKINGS[usize::from(n) % CHUNKINGS.len()]
}

pub(crate) fn latency_ms(n: u8) -> u64 {
    LATENCIES_MS[usize::from(n) % LATENCIES_MS.len()]
}

pub(crate) fn window(n: u8) -> usize {
    WINDOWS[usize::from(n) % WINDOWS.len()]
}

pub(crate) fn step_ms(n: u8) -> u64 {
    STEPS_MS[usize::from(n) % STEPS_MS.len()]
}

pub(crate) fn convergence_secs(n: u8) -> u64 {
    CONVERGENCE_SECS[usize::from(n) % CONVERGENCE_SECS.len()]
}

pub(crate) fn jump_ms(n: u8) -> i64 {
    JUMPS_MS[usize::from(n) % JUMPS_MS.len()]
}

/// Number of a next hop that is an IPv4-mapped address.
const MAPPED: u8 = 254;
/// Number of a next hop to which no packet can be sent.
pub(crate) const MARTIAN: u8 = 255;

/// Returns a route of the tiny domain: IPv4 with host bits, IPv6, a default route; next hops of all kinds.
pub(crate) fn route(v: u8, p: u8, n: u8) -> Route {
    let prefix = match p % 3 {
        0 => Prefix::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 5)), 24),
        1 => Prefix::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xdead, 0, 0, 0, 0, 0)), 64),
        _ => Prefix::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
    };
    let v6 = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
    let mapped = |addr: Ipv4Addr| NextHop::standard(addr.to_ipv6_mapped().into());
    let next_hop = match n % 4 {
        _ if n == MAPPED => mapped(Ipv4Addr::new(192, 0, 2, 1)),
        _ if n == MARTIAN => mapped(Ipv4Addr::LOCALHOST),
        0 => NextHop::standard(v6),
        1 => NextHop { addr: v6, target_vni: Vni(0), kind: NextHopKind::Nat { from: 0, to: 2000 } },
        2 => NextHop { addr: v6, target_vni: Vni(0), kind: NextHopKind::LoadBalancer },
        _ => NextHop { addr: Ipv4Addr::new(192, 0, 2, 1).into(), target_vni: Vni(9), kind: NextHopKind::Standard },
    };
    Route { vni: vni(v), prefix: prefix.unwrap(), next_hop }
}

/// Returns the nth address from which connections of a host may come. The first one is its own.
pub(crate) fn address(host: usize, n: u8) -> SocketAddr {
    let of_host = |host: u128| IpAddr::from(Ipv6Addr::from(0x2001_0db8_u128 << 96 | host));
    let addr = match n % 4 {
        0 => of_host(host as u128),
        1 => of_host(0xf0),
        2 => of_host(0xf1),
        _ => Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped().into(),
    };
    (addr, 4711).into()
}

/// Returns the names in the nth certificate that a host may have. The first one has none.
pub(crate) fn names(host: usize, n: u8) -> Option<Arc<[PeerName]>> {
    let own = format!("dns:h{host}.hosts.example.org");
    let (twin, cluster) = ("dns:twin.hosts.example.org", "dns:cluster.example.org");
    let names: &[&str] = match n % 8 {
        0 => return None,
        1 => &[],
        2 => &[&own],
        3 => &[twin],
        4 => &[&own, cluster],
        // The same names, written in another way.
        5 => &[cluster, &own, &own],
        6 => &[twin, "ip:2001:db8::1"],
        _ => &["ip:::ffff:192.0.2.1"],
    };
    Some(names.iter().map(|name| name.parse().unwrap()).collect())
}

/// Generates any operation.
pub(crate) fn all() -> impl Strategy<Value = Op> {
    prop_oneof![9 => op(), 1 => circumstance()]
}

/// Generates what identifies hosts, what servers know and can do, and commands that are refused.
pub(crate) fn circumstance() -> impl Strategy<Value = Op> {
    let h = 0..7u8;
    let cut = prop_oneof![Just(Cut::ServerKeeps), Just(Cut::ClientKeeps)];
    prop_oneof![
        1 => (h.clone(), 0..4u8).prop_map(|(h, n)| Address(h, n)),
        2 => (h.clone(), 0..8u8).prop_map(|(h, n)| Names(h, n)),
        1 => (0..3u8, 0..3u8).prop_map(|(h, n)| Converge(h, n)),
        1 => (0..3u8, any::<bool>()).prop_map(|(s, on)| Reference(s, on)),
        1 => (h.clone(), 0..4u8).prop_map(|(h, n)| Refuse(h, n)),
        2 => (h, 0..3u8, cut).prop_map(|(h, s, cut)| CutLink(h, s, cut)),
        4 => between_servers(),
    ]
}

/// Generates what happens between servers: one dials another one, and the link between them.
pub(crate) fn between_servers() -> impl Strategy<Value = Op> {
    let (s, n) = (0..3u8, 0..2u8);
    let on = prop_oneof![4 => Just(true), 1 => Just(false)];
    let cut = proptest::sample::select(&CUTS);
    prop_oneof![
        5 => (s.clone(), n.clone(), on).prop_map(|(s, n, on)| Dial(s, n, on)),
        2 => (s.clone(), n.clone(), cut).prop_map(|(s, n, cut)| CutServers(s, n, cut)),
        1 => (s, n, any::<u8>()).prop_map(|(s, n, link)| LinkServers(s, n, link)),
    ]
}

/// Generates mostly operations on routes, with trouble in between.
pub(crate) fn op() -> impl Strategy<Value = Op> {
    let (h, s, v, p, n) = (0..6u8, 0..3u8, 0..3u8, 0..3u8, 0..4u8);
    let hop = (0..64u8).prop_map(|n| match n {
        0..60 => n % 4,
        60..62 => MAPPED,
        _ => MARTIAN,
    });
    let cut = prop_oneof![
        Just(Cut::Fin),
        Just(Cut::Reset),
        Just(Cut::TimedOut),
        Just(Cut::Silence),
        Just(Cut::SilenceUp),
        Just(Cut::SilenceDown)
    ];
    let chunking =
        prop_oneof![Just(Chunking::Merged), Just(Chunking::Frames), Just(Chunking::Random), Just(Chunking::Tiny)];
    prop_oneof![
        10 => (h.clone(), v.clone()).prop_map(|(h, v)| Subscribe(h, v)),
        4 => (h.clone(), v.clone()).prop_map(|(h, v)| Unsubscribe(h, v)),
        1 => (h.clone(), v.clone()).prop_map(|(h, v)| Resync(h, v)),
        20 => (h.clone(), v.clone(), p.clone(), hop.clone()).prop_map(|(h, v, p, n)| Announce(h, v, p, n)),
        12 => (h.clone(), v, p, hop).prop_map(|(h, v, p, n)| Withdraw(h, v, p, n)),
        14 => (0..8u8).prop_map(Advance),
        2 => h.clone().prop_map(Kill),
        1 => h.clone().prop_map(Vanish),
        3 => (h.clone(), any::<bool>()).prop_map(|(h, keep)| Start(h, keep)),
        3 => (h.clone(), s.clone(), cut).prop_map(|(h, s, cut)| CutLink(h, s, cut)),
        3 => (h.clone(), s.clone()).prop_map(|(h, s)| Heal(h, s)),
        1 => (h.clone(), s.clone(), n.clone()).prop_map(|(h, s, n)| Latency(h, s, n)),
        2 => (h.clone(), s.clone(), chunking).prop_map(|(h, s, chunking)| Chunks(h, s, chunking)),
        2 => (h.clone(), s.clone(), n.clone()).prop_map(|(h, s, n)| Window(h, s, n)),
        1 => (h.clone(), s.clone()).prop_map(|(h, s)| AddPeer(h, s)),
        1 => (h.clone(), s.clone()).prop_map(|(h, s)| RemovePeer(h, s)),
        1 => (h.clone(), s).prop_map(|(h, s)| ResetPeer(h, s)),
        1 => (h.clone(), n).prop_map(|(h, n)| ResetConn(h, n)),
        1 => h.clone().prop_map(Pause),
        1 => h.clone().prop_map(Resume),
        1 => h.clone().prop_map(Deafen),
        1 => h.clone().prop_map(Hear),
        1 => (h, any::<bool>()).prop_map(|(h, cleanup)| Shutdown(h, cleanup)),
        4 => fault(),
    ]
}

/// Generates faults beyond single processes and links.
pub(crate) fn fault() -> impl Strategy<Value = Op> {
    let (h, s, n) = (0..7u8, 0..3u8, 0..8u8);
    let h0 = h.clone();
    let way = prop_oneof![2 => Just(Way::Both), 1 => Just(Way::In), 1 => Just(Way::Out)];
    let one_or_some = prop_oneof![h.clone().prop_map(|h| 1 << h), any::<u8>()];
    prop_oneof![
        2 => (one_or_some, way.clone()).prop_map(|(set, way)| Partition(set, way)),
        2 => Just(Reunite),
        1 => any::<u8>().prop_map(Delays),
        1 => (h.clone(), s.clone(), way).prop_map(|(h, s, way)| Dribble(h, s, way)),
        1 => (h.clone(), s).prop_map(|(h, s)| Flow(h, s)),
        3 => (h.clone(), n.clone()).prop_map(|(h, n)| Jump(h, n)),
        1 => h.clone().prop_map(Suspend),
        2 => h.clone().prop_map(StopReading),
        1 => h.clone().prop_map(ReadOn),
        2 => (h, n).prop_map(|(h, n)| Doom(h, n)),
        1 => Just(Rest),
        3 => (h0, any::<u8>()).prop_map(|(h, n)| Policy(h, n)),
    ]
}
