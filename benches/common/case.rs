//! The cases: the core's hot functions, each on its own prepared node, with only the public interface.

use std::hint::black_box;
use std::net::Ipv4Addr;

use bytes::{Bytes, BytesMut};
use metalbond::wire::{Deframer, Update, UpdateAction, encode_update, keepalive};
use metalbond::{AnnounceRule, Command, ConnId, Input, Instant, PeerPattern, Policy, Prefix, PrefixSet, Rule, VniSet};

use super::frames::{ADD, REMOVE, adds, cut, decode, reads};
use super::server::{ANNOUNCER, Server};
use super::updates::{VNI, update};

/// The work to measure, to be called once. Returns its amount: messages, routes or bytes.
pub(crate) type Work = Box<dyn FnMut() -> usize>;

/// One hot function, applied to a number of routes.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Number of updates for each route.
    pub(crate) times: usize,
    /// Prepares the work for a number of routes.
    pub(crate) prepare: fn(usize) -> Work,
    /// Returns the expected amount of work.
    pub(crate) expect: fn(usize) -> usize,
}

/// All cases. The first one is the baseline.
pub(crate) const CASES: &[Case] = &[
    Case { name: "decode", times: 1, prepare: |n| decoding(adds(n)), expect: |n| n },
    Case {
        name: "decode, an unknown field behind (prost)",
        times: 1,
        prepare: |n| decoding(with_unknown_field(&adds(n))),
        expect: |n| n,
    },
    Case { name: "encode", times: 1, prepare: encoding, expect: |n| n * ADD },
    Case {
        name: "announce",
        times: 1,
        prepare: |n| receiving(Server::new(0), ANNOUNCER, adds(n), |server| server.announced()),
        expect: |n| n,
    },
    Case { name: "announce, by a policy of 1,000 prefixes", times: 1, prepare: allowed, expect: |n| n },
    Case {
        name: "announce, one subscriber",
        times: 1,
        prepare: |n| receiving(Server::new(1), ANNOUNCER, adds(n), Server::take_delivered),
        expect: |n| n * ADD,
    },
    Case { name: "announce, the application subscribed", times: 1, prepare: embedded, expect: |n| n },
    Case {
        name: "announce again",
        times: 1,
        prepare: |n| receiving(announced(0, n), ANNOUNCER, adds(n), |server| server.announced()),
        expect: |n| n,
    },
    Case {
        name: "announce as the second",
        times: 1,
        prepare: |n| {
            let (mut server, second) = (announced(0, n), ConnId::accepted(1000));
            server.open(second);
            receiving(server, second, adds(n), |server| server.announced())
        },
        expect: |n| n * 2,
    },
    Case {
        name: "withdraw",
        times: 1,
        prepare: |n| receiving(announced(0, n), ANNOUNCER, removes(n), |server| 1 + server.announced()),
        expect: |_| 1,
    },
    Case {
        name: "withdraw and announce",
        times: 2,
        prepare: |n| receiving(announced(0, n), ANNOUNCER, rewrites(1, n), |server| server.announced()),
        expect: |n| n,
    },
    Case {
        name: "four rewrites, one subscriber",
        times: 8,
        prepare: |n| receiving(announced(1, n), ANNOUNCER, rewrites(4, n), Server::take_delivered),
        expect: |n| 4 * n * (ADD + REMOVE),
    },
    Case {
        name: "move to another next hop, one subscriber",
        times: 2,
        prepare: |n| receiving(announced(1, n), ANNOUNCER, moves(n), Server::take_delivered),
        expect: |n| n * (ADD + REMOVE),
    },
    Case { name: "one late joiner", times: 1, prepare: |n| joining(1, n), expect: |n| n * ADD },
    Case { name: "ten late joiners together", times: 10, prepare: |n| joining(10, n), expect: |n| 10 * n * ADD },
    Case { name: "behind by ten rewrites", times: 1, prepare: behind, expect: |n| n * ADD },
    Case { name: "compact the table", times: 1, prepare: sparse, expect: |n| n.div_ceil(16) },
    Case { name: "held to a new policy of 1,000 prefixes", times: 1, prepare: held_to, expect: |n| n },
    Case { name: "the announcer vanishes, one subscriber", times: 1, prepare: vanishing, expect: |n| n * REMOVE },
];

impl Server {
    /// Returns the number of routes of all announcers.
    fn announced(&self) -> usize {
        self.node.sessions().map(|session| session.routes).sum()
    }

    /// Sets a policy and works until it is applied to all existing routes.
    fn set_policy(&mut self, policy: Policy) {
        self.node.handle_input(Instant::EPOCH, Input::Command(Command::SetPolicy(Some(policy))));
        self.settle();
    }

    /// Makes a subscriber stop reading: the answer to its KEEPALIVE remains unwritten.
    fn stall(&mut self, n: u64) {
        let conn = ConnId::accepted(n);
        self.stalled = Some(conn);
        self.feed_and_drain(conn, &[keepalive()]);
    }

    /// Makes the stalled subscriber read everything.
    fn resume(&mut self) {
        if let Some(conn) = self.stalled.take() {
            self.node.handle_input(Instant::EPOCH, Input::Sent { conn });
            self.drain();
            self.settle();
        }
    }
}

fn decoding(reads: Vec<Bytes>) -> Work {
    Box::new(move || decode(&reads))
}

/// Encodes in pieces, as the node does.
fn encoding(routes: usize) -> Work {
    let updates: Vec<Update> = (0..routes).map(|n| update(UpdateAction::Add, n, 1)).collect();
    Box::new(move || {
        let mut bytes = 0;
        for updates in updates.chunks(860) {
            let mut out = BytesMut::new();
            updates.iter().for_each(|update| encode_update(&mut out, update));
            bytes += black_box(out.freeze()).len();
        }
        bytes
    })
}

fn receiving(mut server: Server, conn: ConnId, reads: Vec<Bytes>, done: fn(&mut Server) -> usize) -> Work {
    server.take_delivered();
    Box::new(move || {
        server.feed_and_drain(conn, &reads);
        done(&mut server)
    })
}

/// Returns a server whose subscribers have all routes.
fn announced(subscribers: u64, routes: usize) -> Server {
    let mut server = Server::new(subscribers);
    server.feed_and_drain(ANNOUNCER, &adds(routes));
    server.take_delivered();
    server
}

/// Returns the withdrawals of the same routes.
fn removes(routes: usize) -> Vec<Bytes> {
    reads((0..routes).map(|n| update(UpdateAction::Remove, n, 1)))
}

/// Returns the same frames, each with an additional unknown field, which no known implementation writes.
fn with_unknown_field(reads: &[Bytes]) -> Vec<Bytes> {
    let (mut out, mut deframer) = (BytesMut::new(), Deframer::default());
    for read in reads {
        let mut input = &read[..];
        while let Some(frame) = deframer.next(&mut input).unwrap() {
            out.extend_from_slice(&[1, 0, frame.payload.len() as u8 + 2, frame.kind]);
            out.extend_from_slice(frame.payload);
            out.extend_from_slice(&[0x28, 1]);
        }
    }
    cut(out)
}

/// Returns UPDATEs that remove all routes and add all of them, several times.
fn rewrites(times: usize, routes: usize) -> Vec<Bytes> {
    let once = [removes(routes), adds(routes)].concat();
    (0..times).flat_map(|_| once.clone()).collect()
}

fn moves(routes: usize) -> Vec<Bytes> {
    reads((0..routes).flat_map(|n| [update(UpdateAction::Add, n, 2), update(UpdateAction::Remove, n, 1)]))
}

/// Measures a node that is subscribed itself, and whose application reads the changes.
fn embedded(routes: usize) -> Work {
    let (mut server, reads) = (Server::new(0), adds(routes));
    server.node.handle_input(Instant::EPOCH, Input::Command(Command::Subscribe(VNI)));
    Box::new(move || {
        let mut changes = 0;
        for read in &reads {
            server.feed(ANNOUNCER, read);
            server.drain();
            while let Some(change) = server.node.poll_change() {
                changes += black_box(change).added().len();
            }
        }
        changes
    })
}

/// Measures open sessions that subscribe.
fn joining(joiners: u64, routes: usize) -> Work {
    let mut server = announced(0, routes);
    (1..=joiners).for_each(|n| server.open(ConnId::accepted(n)));
    server.take_delivered();
    Box::new(move || {
        (1..=joiners).for_each(|n| server.subscribe(n));
        server.drain();
        server.take_delivered()
    })
}

/// Measures a subscriber that reads again after many changes, which another one has received.
fn behind(routes: usize) -> Work {
    let mut server = announced(2, routes);
    server.stall(2);
    server.feed_and_drain(ANNOUNCER, &rewrites(10, routes));
    server.take_delivered();
    Box::new(move || {
        server.resume();
        server.take_delivered()
    })
}

/// Measures the shrinking of a table after all but one in sixteen routes were withdrawn. It is done in slices at the
/// following ticks.
fn sparse(routes: usize) -> Work {
    let mut server = announced(0, routes);
    let withdrawn = (0..routes).filter(|n| n % 16 != 0).map(|n| update(UpdateAction::Remove, n, 1));
    reads(withdrawn).iter().for_each(|read| server.feed(ANNOUNCER, read));
    Box::new(move || {
        server.drain();
        server.settle();
        server.announced()
    })
}

/// Returns a policy with 1,000 prefixes and 100 VNIs; all routes are in one of these prefixes and one of these VNIs.
fn policy() -> Policy {
    let others = (0..999u32).map(|n| Prefix::new(Ipv4Addr::from(0xc000_0000 + (n << 8)).into(), 24).unwrap());
    let prefixes: PrefixSet = others.chain(["10.0.0.0/8".parse().unwrap()]).collect();
    let vnis = (0..100).map(|n| VNI.0 + 2 * n..=VNI.0 + 2 * n).collect();
    let next_hops = "2001:db8::/32".parse().unwrap();
    let grant = AnnounceRule { prefixes, next_hops, ..AnnounceRule::own(vnis) };
    Policy::new([Rule { announce: vec![grant], subscribe: VniSet::ALL, ..Rule::new("all", [PeerPattern::Any]) }])
}

fn allowed(routes: usize) -> Work {
    let mut server = Server::new(0);
    server.set_policy(policy());
    receiving(server, ANNOUNCER, adds(routes), |server| server.announced())
}

fn held_to(routes: usize) -> Work {
    let (mut server, mut policy) = (announced(0, routes), Some(policy()));
    Box::new(move || {
        policy.take().into_iter().for_each(|policy| server.set_policy(policy));
        server.announced()
    })
}

fn vanishing(routes: usize) -> Work {
    let mut server = announced(1, routes);
    Box::new(move || {
        server.lose_announcer();
        server.take_delivered()
    })
}
