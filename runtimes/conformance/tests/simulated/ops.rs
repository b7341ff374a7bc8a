//! The operations. Each is legal in every state, and each number in it is valid: it is taken modulo the size of its domain. So lists of
//! operations shrink well, and a failing one can be pasted into a test.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use metalbond_driver::{NextHop, Prefix, Route, Vni};
use proptest::prelude::*;

/// An operation. The first number is that of a node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Op {
    /// The application makes a call, after its earlier calls of this kind.
    Call(u8, Call),
    /// Another task of the application makes a query.
    Ask(u8, Query),
    /// Many tasks make a query at the same time.
    AskMany(u8, u8),
    /// The future of a call is polled this many times, with some steps in between, and dropped.
    Abandon(u8, Call, u8),
    /// Another task makes a call, and is kept.
    Keep(u8, Call),
    /// The kept tasks are dropped.
    DropKept(u8),
    /// Notices are sent without waiting, until the mailbox is full.
    Flood(u8, u8),
    Clone(u8),
    /// A clone of the handle is dropped, unless it is the last.
    DropClone(u8),
    /// All handles are dropped.
    DropAll(u8),
    Read(u8, Reading),
    /// The process ends: its runtime drops all tasks.
    Kill(u8),
    /// A new node is started. If there was one with this number, its handles are dropped.
    Start(u8),
    /// A failure occurs between two nodes, or at the first.
    Fail(u8, u8, Failure),
    /// All failures end.
    Heal,
    /// The lookups of the nth server's name get another result.
    Name(u8, Outcome),
    /// The executor runs four times this many steps.
    Steps(u8),
    /// Time passes.
    Advance(u8),
}

/// A call that changes something. Its numbers select a VNI, a route, a server, or a peer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Call {
    Subscribe(u8),
    Unsubscribe(u8),
    Resync(u8),
    Announce(u8, u8),
    Withdraw(u8, u8),
    AnnounceMany(u8),
    WithdrawMany(u8),
    /// A route is announced and withdrawn, eight times this number.
    Flap(u8, u8, u8),
    AddPeer(u8),
    RemovePeer(u8),
    ResetPeer(u8),
    /// The nth peer is reset, which may be a client.
    Reset(u8),
    /// The nth policy is set.
    SetPolicy(u8),
    Listen(u8),
    Notify(u8, u8),
    Shutdown,
    ShutdownWithCleanup,
}

/// A call that changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Query {
    PeerState,
    Peers,
    IsSubscribed,
    SubscribedVnis,
    IsRouteAnnounced,
    AnnouncedRoutes,
    Table,
    Inspect,
    /// The function for `inspect` panics.
    InspectAndPanic,
    IterationTimes,
}

/// The way in which the application reads the stream of changes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Reading {
    On,
    Off,
    /// The stream is dropped.
    Drop,
    /// `apply_to` reads, with a handler whose nth calls fail; with 0, no call fails.
    Apply(u8),
}

/// A failure. If it needs two nodes, it concerns packets from the first to the second.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Failure {
    /// No packet passes in this direction.
    Stall,
    /// No packet passes in both directions.
    Partition,
    /// No packet passes from one end of the nth connection.
    StallConnection,
    /// The nth connection is reset.
    Reset,
    /// Connections to the first node are refused.
    Refuse,
    /// Connections to the first node are not answered.
    Hang,
    /// The first node has no descriptors for connections that it accepts.
    CannotAccept,
    /// The first node has no descriptors for connections that it opens.
    CannotOpen,
}

/// The result of the lookups of a name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Outcome {
    Right,
    /// The right address, after a time longer than a dial may take.
    Late,
    /// An address without a server, before the right one.
    WrongFirst,
    Failure,
    Never,
}

const VNIS: [u32; 2] = [23, 0x0100_0007];
const STEPS_MS: [u64; 7] = [0, 1, 20, 150, 800, 2000, 6000];
/// The possible numbers of routes that one call announces.
const MANY: [u8; 3] = [3, 40, 200];

pub(crate) fn vni(n: u8) -> Vni {
    Vni(VNIS[usize::from(n) % VNIS.len()])
}

pub(crate) fn advance(n: u8) -> Duration {
    Duration::from_millis(STEPS_MS[usize::from(n) % STEPS_MS.len()])
}

/// Returns a route of a small domain. Half of the routes may be announced by several nodes.
pub(crate) fn route(node: usize, v: u8, n: u8) -> Route {
    let prefix = match n % 3 {
        0 => "10.0.0.0/24",
        1 => "2001:db8:dead::/64",
        _ => "0.0.0.0/0",
    };
    let own = if n.is_multiple_of(2) { node as u16 + 1 } else { 0 };
    with(v, prefix.parse().expect("it is a prefix"), own)
}

/// Returns routes of one node.
pub(crate) fn routes(node: usize, n: u8) -> impl Iterator<Item = Route> + Clone {
    let count = MANY[usize::from(n) % MANY.len()];
    (0..count).map(move |i| {
        let prefix = Prefix::new(IpAddr::from([10, 1, node as u8, i]), 32).expect("32 bits are a prefix");
        with(n, prefix, node as u16 + 1)
    })
}

fn with(v: u8, prefix: Prefix, hypervisor: u16) -> Route {
    let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, hypervisor);
    Route { vni: vni(v), prefix, next_hop: NextHop::standard(address.into()) }
}

pub(crate) fn call() -> impl Strategy<Value = Call> {
    let (v, r, n) = (0..2u8, 0..6u8, 0..4u8);
    prop_oneof![
        6 => v.clone().prop_map(Call::Subscribe),
        2 => v.clone().prop_map(Call::Unsubscribe),
        1 => v.clone().prop_map(Call::Resync),
        8 => (v.clone(), r.clone()).prop_map(|(v, r)| Call::Announce(v, r)),
        4 => (v.clone(), r.clone()).prop_map(|(v, r)| Call::Withdraw(v, r)),
        2 => n.clone().prop_map(Call::AnnounceMany),
        1 => n.clone().prop_map(Call::WithdrawMany),
        1 => (v, r, n.clone()).prop_map(|(v, r, n)| Call::Flap(v, r, n)),
        4 => (0..6u8).prop_map(Call::AddPeer),
        1 => n.clone().prop_map(Call::RemovePeer),
        1 => n.clone().prop_map(Call::ResetPeer),
        1 => n.clone().prop_map(Call::Reset),
        1 => n.clone().prop_map(Call::SetPolicy),
        1 => n.clone().prop_map(Call::Listen),
        2 => (0..8u8, n).prop_map(|(kind, n)| Call::Notify(kind, n)),
        1 => prop_oneof![Just(Call::Shutdown), Just(Call::ShutdownWithCleanup)],
    ]
}

fn query() -> impl Strategy<Value = Query> {
    prop_oneof![
        Just(Query::PeerState),
        Just(Query::Peers),
        Just(Query::IsSubscribed),
        Just(Query::SubscribedVnis),
        Just(Query::IsRouteAnnounced),
        Just(Query::AnnouncedRoutes),
        Just(Query::Table),
        Just(Query::Inspect),
        Just(Query::InspectAndPanic),
        Just(Query::IterationTimes),
    ]
}

fn failure() -> impl Strategy<Value = Failure> {
    prop_oneof![
        2 => Just(Failure::Stall),
        2 => Just(Failure::Partition),
        2 => Just(Failure::StallConnection),
        3 => Just(Failure::Reset),
        1 => Just(Failure::Refuse),
        1 => Just(Failure::Hang),
        1 => Just(Failure::CannotAccept),
        1 => Just(Failure::CannotOpen),
    ]
}

/// Returns a strategy for operations: mostly calls, with failures in between.
pub(crate) fn op() -> impl Strategy<Value = Op> {
    let s = 0..5u8;
    let reading = prop_oneof![
        3 => Just(Reading::On),
        3 => Just(Reading::Off),
        1 => Just(Reading::Drop),
        2 => (0..4u8).prop_map(Reading::Apply),
    ];
    let outcome = prop_oneof![
        2 => Just(Outcome::Right),
        1 => Just(Outcome::Late),
        1 => Just(Outcome::WrongFirst),
        1 => Just(Outcome::Failure),
        1 => Just(Outcome::Never),
    ];
    prop_oneof![
        24 => (s.clone(), call()).prop_map(|(s, call)| Op::Call(s, call)),
        4 => (s.clone(), query()).prop_map(|(s, query)| Op::Ask(s, query)),
        1 => (s.clone(), any::<u8>()).prop_map(|(s, n)| Op::AskMany(s, n)),
        2 => (s.clone(), call(), 0..6u8).prop_map(|(s, call, polls)| Op::Abandon(s, call, polls)),
        1 => (s.clone(), call()).prop_map(|(s, call)| Op::Keep(s, call)),
        1 => s.clone().prop_map(Op::DropKept),
        1 => (s.clone(), 0..8u8).prop_map(|(s, n)| Op::Flood(s, n)),
        1 => s.clone().prop_map(Op::Clone),
        1 => s.clone().prop_map(Op::DropClone),
        1 => s.clone().prop_map(Op::DropAll),
        4 => (s.clone(), reading).prop_map(|(s, reading)| Op::Read(s, reading)),
        1 => s.clone().prop_map(Op::Kill),
        2 => s.clone().prop_map(Op::Start),
        5 => (s.clone(), s.clone(), failure()).prop_map(|(a, b, failure)| Op::Fail(a, b, failure)),
        2 => Just(Op::Heal),
        2 => (s, outcome).prop_map(|(n, outcome)| Op::Name(n, outcome)),
        6 => (0..20u8).prop_map(Op::Steps),
        10 => (0..7u8).prop_map(Op::Advance),
    ]
}
