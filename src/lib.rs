//! Route distribution for virtual networks: the synchronous core.
//!
//! Clouds that run virtual machines on bare-metal hypervisors need every hypervisor to know behind which other one an
//! address lives. The MetalBond v1 protocol does that: clients announce routes per virtual network ([`Vni`]) to a
//! server (a route reflector), which passes them on to the clients that subscribed to that network.
//!
//! This crate is the protocol, the route table and its fan-out, without any I/O: a [`Node`] takes events
//! ([`Input`]) and gives actions ([`Action`]), bytes ([`Transmit`]) and route changes ([`RouteChange`]). It knows no
//! clock, socket, thread or file (`no_std`, with `alloc`); a driver brings them. `metalbond-tokio` is one; a test or
//! a simulator is another.
//!
//! # The run loop
//!
//! 1. Wait for something to happen: a connection, bytes, a command, the time that `poll_timeout` named.
//! 2. Feed it, and all that is queued behind it, to [`Node::handle_input`]; carry out the [`Action`]s.
//! 3. If it is time, feed [`Input::Tick`].
//! 4. Write what [`Node::poll_transmit`] gives, until it gives nothing; say [`Input::Sent`] of what is written.
//! 5. Take what [`Node::poll_change`] gives, as far as there is room for it.
//! 6. Ask [`Node::poll_timeout`] when to wake at the latest, and start over.
//!
//! A server and two clients in one thread, with neither sockets nor a clock:
//!
//! ```
//! use metalbond::{Action, Command, Config, ConnId, Input, Instant, NextHop, Node, Route, Vni};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = Instant::EPOCH;
//! let [server, alice, bob] = [0, 1, 2];
//! let mut nodes = [0, 1, 2].map(|seed| Node::new(Config { seed, ..Config::default() }, now).unwrap());
//!
//! // What happens next, and at which node.
//! let mut events = std::collections::VecDeque::from([(server, Input::Command(Command::SetListening(true)))]);
//! let red = Vni(23);
//! let route = Route {
//!     vni: red,
//!     prefix: "10.0.23.0/24".parse()?,
//!     next_hop: NextHop::standard("2001:db8::1".parse()?),
//! };
//! events.push_back((alice, Input::Command(Command::Announce(route))));
//! events.push_back((bob, Input::Command(Command::Subscribe(red))));
//! for client in [alice, bob] {
//!     events.push_back((client, Input::Command(Command::AddPeer { endpoint: "server".into() })));
//! }
//!
//! // Who is at the other end: client n's connection is the server's nth.
//! let far_end = |node: usize, conn: ConnId, dialled: &[Option<ConnId>; 3]| match node {
//!     0 => (1..3).find(|&n| ConnId::accepted(n as u64) == conn).map(|n| (n, dialled[n].unwrap())),
//!     n => Some((server, ConnId::accepted(n as u64))),
//! };
//! let mut dialled = [None; 3];
//! let remote = "[::1]:4711".parse()?;
//!
//! while let Some((n, input)) = events.pop_front() {
//!     for action in nodes[n].handle_input(now, input) {
//!         match action {
//!             Action::Dial { conn, .. } => {
//!                 dialled[n] = Some(conn);
//!                 let accepted = ConnId::accepted(n as u64);
//!                 events.push_back((server, Input::Accepted { conn: accepted, remote }));
//!                 events.push_back((n, Input::Connected { conn, remote }));
//!             }
//!             Action::State(transition) => println!("node {n}: {transition}"),
//!             _ => {}
//!         }
//!     }
//!     while let Some(transmit) = nodes[n].poll_transmit() {
//!         let (far, conn) = far_end(n, transmit.conn, &dialled).unwrap();
//!         for bytes in transmit.chunks {
//!             events.push_back((far, Input::Received { conn, bytes }));
//!         }
//!         events.push_back((n, Input::Sent { conn: transmit.conn }));
//!     }
//! }
//!
//! let change = nodes[bob].poll_change().expect("bob learns alice's route");
//! assert_eq!((change.prefix, change.next_hops()), (route.prefix, &[route.next_hop][..]));
//! assert!(nodes[bob].learned(red).eq([route]));
//! # Ok(())
//! # }
//! ```
//!
//! # Invariants
//!
//! Each has a property test of its name under `tests/`.
//!
//! - *clock*: time never runs back. An earlier `now` is taken as the latest.
//! - *progress*: a [`Input::Tick`] at [`Node::poll_timeout`] moves it later, or does a slice of the work that is left; nothing
//!   spins.
//! - *bell*: work that is pending is either under way or handed out by [`Node::poll_transmit`]; nothing waits for an
//!   unrelated event.
//! - *bound*: memory for a peer that does not read is bounded by the routes of its VNIs, however many updates pass; for an
//!   embedder that doesn't fetch its changes, by what it was told.
//! - *truth*: once drained, what each peer has been told equals the model: the routes of the VNIs it subscribed to that
//!   some other peer announces, and not from a server to a server.
//! - *no gap*: while such a peer's view always holds a next hop for a destination, a peer with the capability `ordered`
//!   never sees it with none.
//! - *policy*: with a [`Policy`], whatever it does not allow is told to nobody; and once drained, a new one holds for all that was said
//!   before.
//! - *replay*: same seed, same inputs, same outputs, byte for byte.
//!
//! # Features
//!
//! `serde`, off by default and still without the standard library: `Serialize` and `Deserialize` for what an embedder
//! stores, sends or shows, and for [`Input`], so that a recording is one value a line. Formats that people read get these
//! shapes, others the same values in short:
//!
//! | | for example |
//! |---|---|
//! | [`Vni`], [`PeerId`] | `23` |
//! | [`Prefix`], [`ConnId`] | `"10.0.23.0/24"`, `"a7"`: as they are printed |
//! | [`Route`] | `{"vni":23,"prefix":"10.0.23.0/24","next_hop":{"addr":"2001:db8::1","target_vni":0,"kind":"STD"}}` |
//! | [`NextHopKind`] | `"STD"`, `"LB"`, `{"NAT":{"from":1024,"to":2047}}` |
//! | [`SessionState`], [`MessageType`] | `"ESTABLISHED"`, `"HELLO"`: the protocol's names |
//! | other enums | `"too_slow"`, `{"transport":"eof"}`, `{"transport":{"error":"..."}}`: a word, or an object of one |
//! | durations | `60`, `0.25`: seconds |
//! | [`Instant`] | `"12.345678901"`: seconds, exact to the nanosecond |
//! | bytes | `"01000002"`: hexadecimal |
//! | [`Config`] | an object; what is missing when it is read is as by default, an unknown name is an error |
//! | [`PeerName`], [`PeerPattern`] | `"dns:h7.example.org"`, `"from:10.0.0.0/8"`: as they are printed |
//! | [`VniSet`], [`PrefixSet`], [`NextHopSet`], [`KindSet`] | `"23, 100-199"`; where people write, also `[23, "100-199"]` and `23` |
//! | [`SessionInfo`] and other structs | an object with the fields' names |
//!
//! What could not be made otherwise is refused, a prefix that is too long for its address for example. In a new minor
//! version fields and words may be added. A [`Config`] contains the seed that protects hash maps: not to be shown to
//! strangers.
//!
//! # Panics
//!
//! Errors are bad input; panics are bugs. Nothing that a peer sends makes this crate panic.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

extern crate alloc;

mod announcer;
mod backoff;
mod change;
mod chunked;
mod close;
mod comma_list;
mod config;
mod error;
pub mod fib;
mod histogram;
mod host;
mod index;
mod intern;
mod kind_set;
mod limits;
mod list;
mod node;
mod pieces;
mod policy;
mod pool;
mod prefix;
mod rate_limit;
mod rib;
#[cfg(feature = "serde")]
mod serde;
mod session;
mod splitmix;
mod time;
mod types;
pub mod wire;

pub use announcer::Announcer;
pub use backoff::Backoff;
pub use change::RouteChange;
pub use close::{CloseKind, CloseReason, TransportEnd};
pub use config::{Config, ConfigError, Pacing};
pub use error::{ApiMisuse, Closed, CommandError, DecodeError, Limit, MessageType, PeerMisbehaved, SessionState};
pub use histogram::Histogram;
pub use host::HostAddr;
pub use kind_set::{KindSet, ParseKindSetError};
pub use limits::{Limits, PeerLimit};
pub use node::{
    Action, Actions, ActionsIntoIter, Bookmark, Chunks, ChunksIntoIter, Close, Command, Counters, Destination, Entry,
    Input, MessageCounts, Moved, Node, ParseBookmarkError, Peer, PeerInfo, Refusal, Refused, Reply, SessionInfo,
    ShortRestartTime, TableInfo, Transition, Transmit, TransmitMode,
};
pub use policy::{
    AnnounceRule, Denied, NextHopSet, ParsePeerNameError, ParsePeerPatternError, ParsePrefixSetError, ParseVniSetError,
    PeerName, PeerPattern, Permit, Policy, PrefixSet, Rule, VniSet,
};
pub use prefix::{ParsePrefixError, Prefix, PrefixLengthError};
pub use rate_limit::RateLimit;
pub use time::Instant;
pub use types::{ConnId, Martian, NextHop, NextHopKind, ParseConnIdError, ParseRouteError, PeerId, Route, Vni};
