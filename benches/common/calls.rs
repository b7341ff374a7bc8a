//! Situations in which a single call could take time in proportion to a table or to the list of all peers, and nodes
//! whose every call is observed.
//!
//! `longest_call` measures the time of each call, `instructions` counts its instructions.

use std::net::{Ipv6Addr, SocketAddr};

use bytes::{Bytes, BytesMut};
use metalbond::wire::{Hello, UpdateAction, encode_subscription, encode_update, keepalive};
use metalbond::{
    Action, Command, Config, ConnId, Input, Instant, Limits, NextHop, Node, PeerPattern, Policy, Route, Rule,
    TransportEnd, Vni, VniSet,
};

use super::updates::{VNI, update};

/// Observes each call into a node.
pub(crate) trait Watch {
    /// Makes a call. `what` is the kind of call.
    fn call<R>(&mut self, what: &'static str, call: impl FnOnce() -> R) -> R;
}

/// Makes the calls without observing them.
pub(crate) struct Unwatched;

impl Watch for Unwatched {
    fn call<R>(&mut self, _: &'static str, call: impl FnOnce() -> R) -> R {
        call()
    }
}

/// A situation that can be set up in any size.
#[derive(Clone, Copy)]
pub(crate) struct Situation {
    pub(crate) name: &'static str,
    /// The number of routes, VNIs or peers: the maximum of the default limits for one table or one node, or as many as
    /// can be handled in a few seconds.
    pub(crate) full: usize,
    /// A smaller size for valgrind, at which unbounded work is still noticeable.
    pub(crate) small: usize,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Table,
    Withheld,
    ManyVnis,
    FanOut,
    Limit,
    Policy,
    Scrape,
    Client,
}

pub(crate) const SITUATIONS: [Situation; 8] = [
    Situation { name: "a table grows, empties and is compacted", full: 2_000_000, small: 250_000, kind: Kind::Table },
    Situation {
        name: "a subscriber reads nothing while a table empties",
        full: 2_000_000,
        small: 250_000,
        kind: Kind::Withheld,
    },
    Situation { name: "a peer with many VNIs leaves", full: 16_384, small: 16_384, kind: Kind::ManyVnis },
    Situation { name: "a change for many subscribers", full: 65_536, small: 1_024, kind: Kind::FanOut },
    Situation { name: "a limit of all peers is exceeded", full: 65_536, small: 16_384, kind: Kind::Limit },
    Situation { name: "the policy is replaced", full: 65_536, small: 16_384, kind: Kind::Policy },
    Situation { name: "many peers and one scraper", full: 65_536, small: 16_384, kind: Kind::Scrape },
    Situation { name: "a client with many subscriptions", full: 1_000_000, small: 65_536, kind: Kind::Client },
];

impl Situation {
    /// Sets up the situation in a new node. Calls that only prepare it go to `prepare`.
    pub(crate) fn run(self, size: usize, prepare: &mut impl Watch, watch: &mut impl Watch) {
        assert!(size <= self.full, "{size} is more than a node handles: {}", self.name);
        match self.kind {
            Kind::Table => table(size, prepare, watch),
            Kind::Withheld => withheld(size, prepare, watch),
            Kind::ManyVnis => many_vnis(size, prepare, watch),
            Kind::FanOut => fan_out(size, prepare, watch),
            Kind::Limit => limit(size, prepare, watch),
            Kind::Policy => policy(size, prepare, watch),
            Kind::Scrape => scrape(size, prepare, watch),
            Kind::Client => client(size, prepare, watch),
        }
    }
}

/// Number of bytes in one read: the most that a driver passes to the node at once.
const READ: usize = 64 * 1024;
/// Number of sessions that are read at once.
const PAGE: usize = 256;
const NOW: Instant = Instant::EPOCH;

struct Host {
    node: Node,
    /// A connection whose peer reads nothing.
    stalled: Option<ConnId>,
}

impl Host {
    fn new(config: Config) -> Self {
        let mut node = Node::new(config, NOW).unwrap();
        node.handle_input(NOW, Input::Command(Command::SetListening(true)));
        Self { node, stalled: None }
    }

    fn input(&mut self, watch: &mut impl Watch, what: &'static str, input: Input) {
        watch.call(what, || self.node.handle_input(NOW, input));
    }

    fn feed(&mut self, watch: &mut impl Watch, conn: ConnId, bytes: &Bytes) {
        for at in (0..bytes.len()).step_by(READ) {
            let bytes = bytes.slice(at..bytes.len().min(at + READ));
            self.input(watch, "received", Input::Received { conn, bytes });
            self.drain(watch);
        }
    }

    fn drain(&mut self, watch: &mut impl Watch) {
        while let Some(transmit) = watch.call("transmit", || self.node.poll_transmit()) {
            if self.stalled != Some(transmit.conn) {
                self.input(watch, "sent", Input::Sent { conn: transmit.conn });
            }
        }
    }

    /// Ticks until the node has no work left.
    fn settle(&mut self, watch: &mut impl Watch) {
        self.drain(watch);
        while self.node.poll_timeout() == Some(NOW) {
            self.input(watch, "tick", Input::Tick);
            self.drain(watch);
        }
    }

    /// Opens a session from its own address.
    fn open(&mut self, watch: &mut impl Watch, n: usize) -> ConnId {
        let conn = ConnId::accepted(n as u64);
        self.input(watch, "accepted", Input::Accepted { conn, remote: address(n) });
        let hello = Hello { keepalive: 5, is_server: false, ordered: true, converging: false, restart_time: 0 };
        self.feed(watch, conn, &[hello.encode(), keepalive()].concat().into());
        conn
    }

    fn close(&mut self, watch: &mut impl Watch, conn: ConnId) {
        self.input(watch, "closed", Input::Closed { conn, end: TransportEnd::Eof });
    }
}

fn address(n: usize) -> SocketAddr {
    let n = n as u32;
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, (n >> 16) as u16, n as u16), 1025).into()
}

fn many_peers() -> Config {
    let limits = Limits { connections: 1 << 20, connections_per_second: 1 << 30, ..Limits::default() };
    Config { limits, ..Config::default() }
}

fn subscribe(vnis: impl Iterator<Item = Vni>) -> Bytes {
    let mut out = BytesMut::new();
    vnis.for_each(|vni| encode_subscription(&mut out, true, vni));
    out.freeze()
}

fn updates(action: UpdateAction, of: impl Iterator<Item = usize>) -> Bytes {
    let mut out = BytesMut::new();
    of.for_each(|n| encode_update(&mut out, &update(action, n, 1)));
    out.freeze()
}

/// Returns announcements of one route in each of some VNIs.
fn one_each(vnis: usize) -> Bytes {
    let mut out = BytesMut::new();
    for n in 0..vnis {
        let mut update = update(UpdateAction::Add, n, 1);
        update.route.vni = Vni(n as u32);
        encode_update(&mut out, &update);
    }
    out.freeze()
}

fn table(routes: usize, prepare: &mut impl Watch, watch: &mut impl Watch) {
    let mut host = Host::new(Config::default());
    let (announcer, subscriber) = (host.open(prepare, 0), host.open(prepare, 1));
    host.feed(prepare, subscriber, &subscribe([VNI].into_iter()));
    host.feed(watch, announcer, &updates(UpdateAction::Add, 0..routes));
    host.settle(watch);
    host.feed(watch, announcer, &updates(UpdateAction::Remove, (0..routes).filter(|n| n % 16 != 0)));
    host.settle(watch);
    assert_eq!(host.node.route_count(), routes.div_ceil(16));
    host.close(watch, announcer);
    host.settle(watch);
    assert_eq!(host.node.route_count(), 0);
}

fn withheld(routes: usize, prepare: &mut impl Watch, watch: &mut impl Watch) {
    let mut host = Host::new(Config::default());
    let (announcer, subscriber) = (host.open(prepare, 0), host.open(prepare, 1));
    host.feed(prepare, subscriber, &subscribe([VNI].into_iter()));
    host.feed(prepare, announcer, &updates(UpdateAction::Add, 0..routes));
    host.settle(prepare);
    host.stalled = Some(subscriber);
    host.feed(prepare, subscriber, &keepalive().to_vec().into());
    host.feed(watch, announcer, &updates(UpdateAction::Remove, 0..routes));
    host.settle(watch);
    host.stalled = None;
    host.input(watch, "sent", Input::Sent { conn: subscriber });
    host.settle(watch);
    assert_eq!(host.node.route_count(), 0);
}

fn many_vnis(vnis: usize, prepare: &mut impl Watch, watch: &mut impl Watch) {
    let mut host = Host::new(Config::default());
    let peers = [host.open(prepare, 0), host.open(prepare, 1)];
    for peer in peers {
        host.feed(prepare, peer, &one_each(vnis));
        host.feed(prepare, peer, &subscribe((0..vnis).map(|n| Vni(n as u32))));
    }
    host.settle(prepare);
    for peer in peers {
        host.close(watch, peer);
        host.settle(watch);
    }
    assert_eq!(host.node.vnis().count(), 0);
}

fn fan_out(peers: usize, prepare: &mut impl Watch, watch: &mut impl Watch) {
    let mut host = Host::new(many_peers());
    let announcer = host.open(prepare, 0);
    for n in 1..=peers {
        let conn = host.open(prepare, n);
        host.feed(prepare, conn, &subscribe([VNI].into_iter()));
    }
    host.settle(prepare);
    for action in [UpdateAction::Add, UpdateAction::Remove] {
        host.feed(watch, announcer, &updates(action, 0..1));
        host.settle(watch);
    }
}

fn limit(peers: usize, prepare: &mut impl Watch, watch: &mut impl Watch) {
    let mut config = many_peers();
    config.limits.routes = peers;
    let mut host = Host::new(config);
    let mut conn = host.open(prepare, 0);
    for n in 0..peers {
        conn = host.open(prepare, n + 1);
        host.feed(prepare, conn, &updates(UpdateAction::Add, n..n + 1));
    }
    host.settle(prepare);
    host.feed(watch, conn, &updates(UpdateAction::Add, peers..peers + 1));
    host.settle(watch);
    assert!(host.node.route_count() <= peers);
}

fn policy(peers: usize, prepare: &mut impl Watch, watch: &mut impl Watch) {
    let mut host = Host::new(many_peers());
    for n in 0..peers {
        let conn = host.open(prepare, n);
        host.feed(prepare, conn, &updates(UpdateAction::Add, n..n + 1));
    }
    host.settle(prepare);
    let rule = Rule { subscribe: VniSet::ALL, ..Rule::new("all", [PeerPattern::Any]) };
    host.input(watch, "command", Input::Command(Command::SetPolicy(Some(Policy::new([rule])))));
    host.settle(watch);
    assert_eq!(host.node.route_count(), 0, "the rule permits no announcement");
}

fn scrape(peers: usize, prepare: &mut impl Watch, watch: &mut impl Watch) {
    let mut host = Host::new(many_peers());
    for n in 0..peers {
        let conn = host.open(prepare, n);
        host.feed(prepare, conn, &one_each(1));
    }
    host.settle(prepare);
    // In pages, as the drivers read them.
    let (mut seen, mut last) = (0, None);
    loop {
        let page = watch.call("sessions", || host.node.sessions_after(last).take(PAGE).collect::<Vec<_>>());
        seen += page.len();
        let Some(session) = page.last() else { break };
        last = Some(session.conn);
    }
    assert_eq!(seen, peers);
    assert!(watch.call("counters", || host.node.counters()).bytes_in > 0);
    assert_eq!(watch.call("routes", || host.node.route_count()), 1);
}

fn client(vnis: usize, prepare: &mut impl Watch, watch: &mut impl Watch) {
    let mut host = Host::new(Config::default());
    for n in 0..vnis {
        let vni = Vni(n as u32);
        host.input(prepare, "command", Input::Command(Command::Subscribe(vni)));
        if n % 16 == 0 {
            let next_hop = NextHop::standard(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into());
            let route = Route { vni, prefix: "10.0.0.0/24".parse().unwrap(), next_hop };
            host.input(prepare, "command", Input::Command(Command::Announce(route)));
        }
    }
    let endpoint = "server:4711".into();
    let actions = host.node.handle_input(NOW, Input::Command(Command::AddPeer { endpoint }));
    let dialled = actions.into_iter().find_map(|action| match action {
        Action::Dial { conn, .. } => Some(conn),
        _ => None,
    });
    let conn = dialled.expect("a server that is added is dialled");
    host.input(prepare, "connected", Input::Connected { conn, remote: address(0) });
    host.drain(prepare);
    let hello = Hello { keepalive: 5, is_server: true, ordered: true, converging: false, restart_time: 60 };
    host.feed(watch, conn, &[hello.encode(), keepalive()].concat().into());
    host.settle(watch);
    // The server answers each KEEPALIVE, and the node sends at most one per transmit.
    for _ in 0..vnis {
        host.feed(watch, conn, &keepalive().to_vec().into());
        host.settle(watch);
        if host.node.peers().all(|peer| peer.synced) {
            break;
        }
    }
    host.input(watch, "command", Input::Command(Command::Unsubscribe(Vni(0))));
    host.feed(watch, conn, &keepalive().to_vec().into());
    host.settle(watch);
    assert!(host.node.peers().all(|peer| peer.synced), "all that was subscribed to has been received");
    host.close(watch, conn);
    host.settle(watch);
}
