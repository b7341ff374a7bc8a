//! The node: sessions, route table and configured peers behind `handle_input` and the `poll_*`.

mod clock;
mod command;
mod conn;
mod departed;
mod dial;
mod info;
mod input;
mod jobs;
mod limits;
mod local;
mod offences;
mod output;
mod pace;
mod peer;
mod permits;
mod receive;
mod shared;
mod sources;
mod stale;
mod states;
mod timers;
mod totals;
mod transmit;
mod upstream;
mod view;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use core::time::Duration;

pub use info::{Announcer, Counters, Destination, MessageCounts, PeerInfo, SessionInfo, TableInfo};
pub use input::{Command, Input};
pub use output::{
    Action, Actions, ActionsIntoIter, Chunks, ChunksIntoIter, Close, Peer, Refusal, Refused, Reply, ShortRestartTime,
    Transition, Transmit, TransmitMode,
};

use crate::rib::Rib;
pub use crate::rib::{Bookmark, Entry, Moved, ParseBookmarkError};
use crate::session::Role;
use crate::{
    CloseKind, CloseReason, Config, ConfigError, ConnId, Histogram, HostAddr, Instant, PeerId, SessionState,
    TransportEnd,
};
use clock::Clock;
use conn::Conn;
use departed::{Departed, DepartedClients};
use jobs::Job;
use shared::Shared;
use sources::Sources;
use states::States;
use timers::{TimerKey, Timers};
use totals::Totals;

/// A node of the route distribution system: a server, a client, or both.
///
/// It does no I/O and reads no clock. A driver feeds it what happens and carries out what it says; the crate's
/// documentation has the loop. The contract:
///
/// - *Input*: [`handle_input`](Self::handle_input) takes one event, does bounded work, and returns control actions. Time
///   comes in as `now`; an earlier `now` than the latest is taken as the latest.
/// - *Output*: after the inputs of a turn, [`poll_transmit`](Self::poll_transmit) and
///   [`poll_change`](Self::poll_change) are called until they return `None` (the latter: as long as the embedder has
///   room), in any order. Both use the `now` of the last input.
/// - *Time*: then [`poll_timeout`](Self::poll_timeout) says when to feed [`Input::Tick`] at the latest. Pending work
///   counts as due now.
/// - *Getters* borrow, and change nothing.
#[derive(Debug)]
pub struct Node {
    config: Config,
    clock: Clock,
    /// Everybody's routes, this node's own among them. Told to the peers that this node accepted, and to itself.
    rib: Rib,
    /// This node's own routes, told to the servers that it dials.
    own: Rib,
    /// The last look for a change ended before it found one; the next may.
    is_searching: bool,
    conns: BTreeMap<ConnId, Box<Conn>>,
    peers: BTreeMap<PeerId, peer::Peer>,
    /// Connections that may have something to be sent.
    ready: VecDeque<ConnId>,
    timers: Timers,
    jobs: VecDeque<Job>,
    /// Bytes received since the last slice of a job: who brings much work has some done.
    received: usize,
    sources: Sources,
    /// How often the policy was replaced.
    policies: u32,
    departed: DepartedClients,
    /// Since when tables have changed that nobody was woken for.
    dirty_since: Option<Instant>,
    /// From a change to when each subscriber was told.
    convergence: Histogram,
    /// What came and went on all connections, those that have ended included; without the counts of the connection `receiving`.
    total: Counters,
    /// The connection whose input is being carried out.
    receiving: Option<ConnId>,
    states: States,
    /// The same by the address of an accepted peer, and by the endpoint of a configured peer that was removed.
    totals: Totals<HostAddr>,
    removed: Totals<Arc<str>>,
    /// How many connections ended, by why.
    closed: BTreeMap<CloseKind, u64>,
    shared: Shared,
    /// What the current input leads to.
    actions: Actions,
    next_conn: u64,
    next_peer: u32,
    random: u64,
    is_listening: bool,
    /// The time of `warming` counts from here: since it began to listen, or last lost a client that may be back.
    warming_since: Option<Instant>,
    shutdown: Shutdown,
}

/// How far the end has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shutdown {
    No,
    /// Servers are being told that this node leaves for good.
    Cleanup,
    Done,
}

impl Node {
    /// A node without peers that begins `now`.
    ///
    /// # Errors
    /// If a setting is out of its range.
    pub fn new(config: Config, now: Instant) -> Result<Self, ConfigError> {
        config.validate()?;
        let rib = Rib::new(config.seed, config.limits.next_hops);
        let own = Rib::new(config.seed.rotate_left(32), usize::MAX);
        let (totals, removed) = (Totals::new(config.limits.connections), Totals::new(config.peers_max));
        Ok(Self {
            clock: Clock::new(now),
            random: config.seed,
            sources: Sources::new(&config.limits, now),
            config,
            rib,
            own,
            is_searching: false,
            conns: BTreeMap::new(),
            peers: BTreeMap::new(),
            ready: VecDeque::new(),
            timers: Timers::default(),
            jobs: VecDeque::new(),
            received: 0,
            policies: 0,
            departed: DepartedClients::default(),
            dirty_since: None,
            convergence: Histogram::default(),
            total: Counters::default(),
            receiving: None,
            states: States::default(),
            totals,
            removed,
            closed: BTreeMap::new(),
            shared: Shared::default(),
            actions: Actions::new(),
            next_conn: 0,
            next_peer: 0,
            is_listening: false,
            warming_since: None,
            shutdown: Shutdown::No,
        })
    }

    /// Takes one event; returns what the driver is to do at once, in order.
    pub fn handle_input(&mut self, now: Instant, input: Input) -> Actions {
        self.clock.advance(now, self.timers.next());
        match input {
            Input::Tick => self.tick(),
            Input::Accepted { conn, remote } => {
                self.accepted(conn, remote);
            }
            Input::Identified { conn, names } => {
                if let Some(found) = self.conns.get_mut(&conn) {
                    found.names = Some(names);
                }
            }
            Input::Connected { conn, remote } => self.connected(conn, remote),
            Input::DialFailed { conn, why } => self.close(conn, CloseReason::DialFailed(why), None),
            Input::Received { conn, bytes } => {
                self.begin_counting(conn);
                self.received(conn, &bytes);
                self.end_counting();
            }
            Input::Sent { conn } => {
                if let Some(found) = self.conns.get_mut(&conn) {
                    found.in_flight = false;
                    found.timers.written();
                    self.mark_ready(conn);
                }
            }
            Input::Closed { conn, end } => self.close(conn, CloseReason::Transport(end), None),
            Input::Command(command) => self.command(command),
        }
        if self.dirty_since.is_none() && (self.rib.is_dirty() || self.own.is_dirty()) {
            self.dirty_since = Some(self.clock.now());
        }
        let slow = self.rib.too_slow().into_iter().chain(self.own.too_slow());
        for conn in slow {
            self.close(conn, CloseReason::TooSlow, Some(Close::Now));
        }
        core::mem::take(&mut self.actions)
    }

    /// Takes the counts of a connection out of the total, until [`end_counting`](Self::end_counting) or its end: so that what is received
    /// is counted once.
    fn begin_counting(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get(&id) {
            self.total.sub(&conn.counters);
            self.receiving = Some(id);
        }
    }

    fn end_counting(&mut self) {
        if let Some(conn) = self.receiving.take().and_then(|id| self.conns.get(&id)) {
            self.total.add(&conn.counters);
        }
    }

    /// When to feed [`Input::Tick`] at the latest; the present while work is left. `None`: not at all.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let is_busy = !self.jobs.is_empty()
            || !self.ready.is_empty()
            || self.rib.is_dirty()
            || self.own.is_dirty()
            || self.rib.has_crowd()
            || self.is_searching;
        if is_busy { Some(self.clock.now()) } else { self.timers.next() }
    }

    /// Everything that is due, and a slice of the work that is left.
    fn tick(&mut self) {
        let now = self.clock.now();
        // The embedder has been called; whether it has room is its business.
        self.is_searching = false;
        while let Some(key) = self.timers.pop(now) {
            match key {
                TimerKey::Conn(conn) => self.conn_due(conn),
                TimerKey::Peer(peer) => self.peer_due(peer),
                TimerKey::Grace(origin) => self.end_grace(origin),
                TimerKey::Shutdown => self.terminate(),
            }
        }
        self.run_jobs();
        self.thin_crowds();
    }

    fn conn_due(&mut self, id: ConnId) {
        let (now, uptime) = (self.clock.now(), self.clock.uptime());
        let Some(conn) = self.conns.get_mut(&id) else { return };
        Timers::fired(&mut conn.timer);
        if let Some(reason) = conn.timers.expired(now, uptime, conn.session.state()) {
            return self.close(id, reason, Some(Close::Now));
        }
        if conn.timers.keepalive_due(now) {
            conn.keepalives_due = conn.keepalives_due.saturating_add(1);
        }
        self.mark_ready(id);
        self.set_conn_timer(id);
    }

    fn set_conn_timer(&mut self, id: ConnId) {
        let uptime = self.clock.uptime();
        if let Some(conn) = self.conns.get_mut(&id) {
            let at = conn.timers.next(uptime);
            self.timers.set_by(&mut conn.timer, TimerKey::Conn(id), at);
        }
    }

    /// There may be something to send on a connection.
    fn mark_ready(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.mark_ready(&mut self.ready);
        }
    }

    fn new_conn(&self, id: ConnId, role: Role) -> Box<Conn> {
        let timers = self.clock.session_timers(&self.config);
        Box::new(Conn::new(id, role, timers, self.clock.now()))
    }

    /// A connection changed its state.
    fn transition(&mut self, id: ConnId, old: SessionState) {
        let now = self.clock.now();
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.since = now;
        let (peer, remote, new) = (conn.peer, conn.remote, conn.session.state());
        self.states.move_to(core::mem::replace(&mut conn.counted, new), new);
        let names = conn.names.clone();
        let restart_time = self.short_restart_time(id);
        let peer = peer.and_then(|peer| self.named(peer));
        let transition = Transition { conn: id, peer, remote, names, old, new, reason: None, restart_time };
        self.actions.push(Action::State(transition));
    }

    /// Says whether the server at the other end of a session that has just opened retains this node's routes for a shorter time
    /// than it was asked to, or does not say for how long.
    fn short_restart_time(&self, id: ConnId) -> Option<ShortRestartTime> {
        let conn = self.conns.get(&id).filter(|conn| conn.peer.is_some() && conn.session.is_established())?;
        let (asked, granted) =
            (self.config.restart_time, Duration::from_secs(conn.session.hello()?.restart_time.into()));
        (granted < asked).then_some(ShortRestartTime { asked, granted: (!granted.is_zero()).then_some(granted) })
    }

    fn named(&self, id: PeerId) -> Option<Peer> {
        self.peers.get(&id).map(|peer| Peer { id, endpoint: peer.endpoint.clone() })
    }

    /// A connection is over. `how`: what the driver is to do, unless it knows.
    fn close(&mut self, id: ConnId, reason: CloseReason, how: Option<Close>) {
        let Some(mut conn) = self.conns.remove(&id) else { return };
        self.timers.set(&mut conn.timer, TimerKey::Conn(id), None);
        self.count(&reason);
        if self.receiving.take_if(|receiving| *receiving == id).is_some() {
            self.total.add(&conn.counters);
        }
        self.actions.extend(how.map(|how| Action::Close { conn: id, how }));
        let old = conn.session.state();
        let (peer, new) = match conn.peer {
            None => {
                self.depart(&conn, &reason);
                self.left(&conn, &reason);
                (None, SessionState::Closed)
            }
            Some(peer) => {
                if let Some(subscriber) = conn.subscriber {
                    self.own.remove_subscriber(subscriber);
                }
                let named = self.named(peer);
                (named, self.lost(peer, &conn, &reason))
            }
        };
        self.states.move_to(conn.counted, new);
        let (remote, names) = (conn.remote, conn.names);
        let reason = Some(reason);
        let transition = Transition { conn: id, peer, remote, names, old, new, reason, restart_time: None };
        self.actions.push(Action::State(transition));
        if self.shutdown == Shutdown::Cleanup && self.conns.is_empty() {
            self.terminate();
        }
    }

    /// A peer that this node accepted is gone: its routes go too, at once or after its grace.
    fn depart(&mut self, conn: &Conn, reason: &CloseReason) {
        if let Some(subscriber) = conn.subscriber {
            self.rib.remove_subscriber(subscriber);
        }
        let Some(origin) = conn.origin else { return };
        // Whoever resets a client's session here doesn't mean its host's traffic.
        let host_stands = matches!(
            reason,
            CloseReason::Transport(TransportEnd::Eof | TransportEnd::Reset)
                | CloseReason::ResetRequested
                | CloseReason::PolicyChanged
        );
        let grace = conn.session.hello().map_or(0, |hello| self.config.grant_restart_time(hello.restart_time));
        // It may leave before the node has come to it with a new policy.
        let held = self.permit_of(conn.names.as_deref(), conn.remote);
        if host_stands && grace > 0 && self.rib.route_count(origin) > 0 && held.is_ok() {
            let until = self.clock.now() + Duration::from_secs(grace.into());
            self.timers.once(TimerKey::Grace(origin), until);
            let (remote, names) = (conn.remote, conn.names.clone());
            let client = self.departed.insert(origin, Departed { until, remote, names });
            self.rib.depart(origin, client);
            if conn.policy != self.policies {
                self.filter(origin, held);
            }
        } else {
            // One that fell silent may be cut off, and others with it: the first who is back must not take the table without the
            // others' routes for the whole.
            let is_cut_off = matches!(
                reason,
                CloseReason::Silence(_) | CloseReason::Transport(TransportEnd::TimedOut | TransportEnd::Error(_))
            );
            if is_cut_off && self.rib.route_count(origin) > 0 {
                self.warming_since = self.warming_since.map(|_| self.clock.now());
            }
            self.leave(origin);
        }
    }

    /// The end, at once: every connection is closed.
    fn terminate(&mut self) {
        if self.shutdown == Shutdown::Done {
            return;
        }
        self.shutdown = Shutdown::Done;
        while let Some((&id, _)) = self.conns.first_key_value() {
            self.close(id, CloseReason::Shutdown, Some(Close::Now));
        }
        self.timers = Timers::default();
        self.jobs.clear();
        self.actions.push(Action::Terminated);
    }

    /// The next number of a sequence that the seed determines (splitmix64).
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
