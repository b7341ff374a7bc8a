//! Route distribution for virtual networks: the synchronous core.
//!
//! In a cloud, virtual machines run on hypervisors, and each hypervisor has to know on which other hypervisor an address is. The MetalBond
//! v1 protocol distributes these routes: clients announce routes per virtual network ([`Vni`]) to a server (a route reflector), which
//! advertises them to the clients that subscribed to that network.
//!
//! This crate is the protocol, the route table and its fan-out, without any I/O: a [`Node`] takes events ([`Input`]) and returns actions
//! ([`Action`]), bytes ([`Transmit`]) and route changes ([`RouteChange`]). It uses no clock, socket, thread or file, and logs nothing
//! (`no_std`, with `alloc`); a *driver* provides all that. The package `metalbond-driver` is a driver for asynchronous runtimes, and a test
//! or a simulator can be one. `metalbond-tokio` and `metalbond-smol` are the adapters of `metalbond-driver` to a runtime: most applications
//! use one of these two packages. The module [`fib`] decides which routes are installed in a kernel.
//!
//! # Terms
//!
//! - *Destination*: a prefix in a virtual network. *Next hop*: where packets for a destination are sent. *Route* ([`Route`]): a VNI, a
//!   prefix and one next hop; a destination with two next hops has two routes.
//! - *Node*: a server, a client or both. *Peer*: the far end of a session, or a configured server. *Session*: the protocol's state over a
//!   connection, which opens with the HELLOs.
//! - *Client*, *server*: the end of a connection that dials, and the end that listens. A *configured peer* is a server that the node dials.
//! - *Announcer*, *origin*: a peer, or the node itself, that announces routes. *Subscriber*: a peer that is sent the routes of a VNI.
//! - *Journal*, *cursor*: a table's changes in order, and a subscriber's position in them.
//! - *Hold time*: how long a session lives without a received byte, 2.5 keepalive intervals.
//! - *Reference*: the implementation in Go, <https://github.com/ironcore-dev/metalbond>.
//! - *`ordered`*: a capability in HELLO, which nodes of this crate have and the reference has not: see [`wire::Hello::ordered`].
//! - *Initial sync*: the sending of all routes of a new subscription. A server with `ordered` marks its end: it answers the KEEPALIVE after
//!   the SUBSCRIBE. This answer is the *End-of-RIB* (RFC 4724).
//! - *Converging*: a server says that its table may be incomplete, for the [convergence time](Config::convergence_time).
//! - *Stale route*: a route of a server whose session was lost, which its client keeps for the [stale time](Config::stale_time).
//! - *Departed client*, *retained route*: a client whose process went away, and a route of it, which the server keeps for the
//!   [restart time](Config::restart_time).
//! - *Tombstone*: a withdrawn route that stays in the table until all subscribers have been sent the withdrawal.
//! - *Refused*: a connection that is not accepted. *Banned*: an address whose connections are refused for a time, because a peer at it went
//!   over a limit. *Denied*: what a policy does not permit. *Dropped*: a received message without effect, because it is not valid, denied, or
//!   was not asked for.
//! - *Iteration*: one pass of the driver's loop.
//!
//! # The run loop
//!
//! 1. Wait for an event: a connection, received bytes, a command, or the time that [`Node::poll_timeout`] returned.
//! 2. Pass the event, and others that have arrived meanwhile, to [`Node::handle_input`]; carry out the [`Action`]s that it returns.
//!    [`Action::MeasureWindow`] is carried out by another input, [`Input::Window`].
//! 3. If the time of `poll_timeout` has come, pass [`Input::Tick`].
//! 4. Write each [`Transmit`] that [`Node::poll_transmit`] returns, until it returns `None`; pass [`Input::Sent`] when a transmit is written.
//! 5. Take what [`Node::poll_change`] returns, as long as the application has room for it.
//! 6. Ask [`Node::poll_timeout`] again, because the time to wake may have changed, and start over.
//!
//! Times are durations since an epoch of the driver's choice: with a `std::time::Instant` of its start, the time now is
//! [`Instant::from_epoch`]`(start.elapsed())`. The driver makes the ids of accepted connections ([`ConnId::accepted`]), the node those of
//! connections to dial ([`Action::Dial`]).
//!
//! A server and two clients in one thread, with neither sockets nor a clock. Time stands still, and no work is long, so the example leaves
//! out the steps 3 and 6:
//!
//! ```
//! use metalbond::{Action, Command, Config, ConnId, Input, Instant, NextHop, Node, Route, Vni};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = Instant::EPOCH;
//! let [server, alice, bob] = [0, 1, 2];
//! let mut nodes = [0, 1, 2].map(|seed| Node::new(Config { seed, ..Config::default() }, now).unwrap());
//!
//! // The next events, each with the node that it is for.
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
//! // The other end of a connection: client n has the server's nth connection.
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
//! Property tests check each of them.
//!
//! - *clock*: time never runs back. A `now` that is earlier than the latest one is taken as the latest.
//! - *progress*: an [`Input::Tick`] at the time of [`Node::poll_timeout`] moves that time later, or does a slice of the work that is left.
//!   So a driver does not loop without effect.
//! - *wakeup*: bytes that are to be sent are in flight, or [`Node::poll_transmit`] returns them. Nothing waits for an unrelated
//!   event.
//! - *bound*: the memory for a peer that does not read is bounded by the routes of its VNIs, however many updates pass. The memory
//!   for an application that does not fetch its changes is bounded by what was reported to it before; the rest is in the table anyway.
//! - *convergence*: when nothing is left to do, each subscriber has been sent exactly the routes that others announce in its VNIs: other
//!   peers and the node itself. Exception: a server is not sent the routes of another server.
//! - *no gap*: while a destination has at least one next hop for a subscriber with `ordered`, this subscriber is never sent a state in which
//!   the destination has none.
//! - *policy*: a route that the [`Policy`] denies is advertised to no peer. When nothing is left to do, a new policy holds for all that
//!   was announced before it.
//! - *replay*: the same seed and the same inputs give the same outputs, byte for byte.
//!
//! # Features
//!
//! `serde`, off by default: `Serialize` and `Deserialize` for the types that an application stores, sends or shows, and for [`Input`], so
//! that inputs can be recorded. It needs no standard library. Human-readable formats (JSON, TOML) have the shapes below, binary formats the
//! same values in a shorter form:
//!
//! | | for example |
//! |---|---|
//! | [`Vni`], [`PeerId`] | `23` (in texts, `Display` writes the `PeerId` as `p23`) |
//! | [`Prefix`], [`ConnId`] | `"10.0.23.0/24"`, `"a7"`: as `Display` writes them |
//! | [`Route`] | `{"vni":23,"prefix":"10.0.23.0/24","next_hop":{"addr":"2001:db8::1","target_vni":0,"kind":"STD"}}` |
//! | [`NextHopKind`] | `"STD"`, `"LB"`, `{"NAT":{"from":1024,"to":2047}}` |
//! | [`SessionState`], [`MessageType`] | `"ESTABLISHED"`, `"HELLO"`: the protocol's names |
//! | other enums | `"too_slow"`, `{"transport":"eof"}`, `{"transport":{"error":"..."}}`: a word, or an object with one field |
//! | durations | `60`, `0.25`: seconds |
//! | [`Instant`] | `"12.345678901"`: seconds, exact to the nanosecond |
//! | bytes | `"01000002"`: hexadecimal digits |
//! | [`Config`] | an object; a missing field has its default, an unknown field is an error |
//! | [`PeerName`], [`PeerPattern`] | `"dns:h7.example.org"`, `"from:10.0.0.0/8"`: as `Display` writes them |
//! | [`VniSet`], [`PrefixSet`], [`NextHopSet`], [`KindSet`] | `"23, 100-199"`; `[23, "100-199"]` and `23` are read, too |
//! | [`SessionInfo`] and other structs | an object with the fields' names |
//!
//! A value that the type's constructors refuse is refused here, too: a prefix that is too long for its address, for example. A new minor
//! version may add fields and words. A [`Config`] contains the seed that protects hash maps: do not show it to strangers.
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
mod bits;
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
pub use config::{Config, ConfigError, Echo, Pacing};
pub use error::{ApiMisuse, Closed, CommandError, DecodeError, Limit, MessageType, PeerMisbehaved, SessionState};
pub use histogram::Histogram;
pub use host::HostAddr;
pub use kind_set::{KindSet, ParseKindSetError};
pub use limits::{Limits, PeerLimit};
pub use node::{
    Action, Actions, ActionsIntoIter, Bookmark, Chunks, ChunksIntoIter, Close, Command, Counters, Denial, DeniedItem,
    Destination, Entry, Input, MessageCounts, Moved, Node, ParseBookmarkError, Peer, PeerInfo, Reply, SessionInfo,
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
