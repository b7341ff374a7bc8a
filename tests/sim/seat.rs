//! One node with its watcher: feeds it, drains it as a driver does, and records everything.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Debug;
use std::time::Duration;

use bytes::Bytes;
use metalbond::{Action, Actions, Config, ConnId, Input, Instant, Node, RouteChange, Transmit};

use super::check::Watch;
use super::clock::Clock;
use super::sabotage::Saboteur;
use super::wire::decode_all;

/// A line of a recording.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Event {
    Input(Instant, Input, Box<Actions>),
    /// The end of an iteration: everything was polled, changes only if the application reads them.
    Iteration {
        transmits: Vec<Transmit>,
        deaf: bool,
        changes: Vec<RouteChange>,
        timeout: Option<Instant>,
    },
}

/// All inputs and outputs of a node.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Recording {
    pub(crate) config: Config,
    pub(crate) start: Instant,
    pub(crate) events: Vec<Event>,
}

pub(crate) struct Seat {
    pub(crate) node: Node,
    pub(crate) watch: Watch,
    pub(crate) clock: Clock,
    /// False if a peer sends garbage on purpose.
    pub(crate) is_watched: bool,
    pub(crate) inbox: VecDeque<Input>,
    pub(crate) recording: Recording,
    /// The application reads no changes.
    pub(crate) deaf: bool,
    /// Connections with a transmit in flight.
    busy: BTreeSet<ConnId>,
    accepted: u64,
    spins: (Instant, u32),
    saboteur: Option<Saboteur>,
    /// True if METALBOND_SIM_TRACE is set: prints everything that happens, to debug a single case.
    traces: bool,
}

impl Seat {
    pub(crate) fn new(config: Config, now: Duration, strict: bool, saboteur: Option<Saboteur>) -> Self {
        let mut clock = Clock::new(now);
        let now = clock.read(now);
        Self {
            node: Node::new(saboteur.as_ref().map_or_else(|| config.clone(), |s| s.config(config.clone())), now)
                .unwrap(),
            watch: Watch::new(config.clone(), now, strict),
            clock,
            is_watched: true,
            inbox: VecDeque::new(),
            recording: Recording { config, start: now, events: Vec::new() },
            deaf: false,
            busy: BTreeSet::new(),
            accepted: 0,
            spins: (now, 0),
            saboteur,
            traces: std::env::var_os("METALBOND_SIM_TRACE").is_some(),
        }
    }

    /// Returns an id for the next connection that is accepted.
    pub(crate) fn next_conn(&mut self) -> ConnId {
        self.accepted += 1;
        ConnId::accepted(self.accepted)
    }

    pub(crate) fn feed(&mut self, now: Duration, input: Input) -> Actions {
        let said = self.clock.read(now);
        // The time that the node uses if its clock runs back.
        let now = self.clock.latest();
        match &input {
            Input::Sent { conn } => {
                self.busy.remove(conn);
            }
            Input::Tick => self.count_spins(now),
            _ => self.spins.1 = 0,
        }
        let due = self.node.poll_timeout();
        let before = (self.is_watched && matches!(input, Input::Command(_))).then(|| state(&self.node));
        let actions = self.handle_input(said, input.clone());
        for action in &actions {
            if let Action::Close { conn, .. } = action {
                self.busy.remove(conn);
                let gone = *conn;
                self.inbox.retain(|i| !matches!(i, Input::Closed { conn, .. } if *conn == gone));
            }
        }
        if self.traces {
            eprintln!("{} {said:?} {input:?} -> {actions:?}", self.recording.config.seed);
        }
        if self.is_watched {
            let is_refused = actions.iter().any(|action| matches!(action, Action::Reply(Err(_))));
            if let Some(before) = before.filter(|_| is_refused) {
                assert_eq!(
                    state(&self.node),
                    before,
                    "the state after a refused command (left) is not the state before (right)"
                );
                self.watch.refused();
            }
            self.watch.input(now, due, &input, actions.as_slice());
            self.watch.follow_syncs(&self.node);
            self.watch.check_counts(&self.node);
        }
        self.recording.events.push(Event::Input(said, input, Box::new(actions.clone())));
        actions
    }

    fn handle_input(&mut self, said: Instant, input: Input) -> Actions {
        let Some(saboteur) = &mut self.saboteur else { return self.node.handle_input(said, input) };
        if saboteur.keeps_back(&input) {
            return Actions::new();
        }
        let mut actions = Actions::new();
        if saboteur.makes_noise(&input) {
            let conns: Vec<_> = self.node.sessions().map(|s| s.conn).collect();
            for conn in conns {
                actions.extend(self.node.handle_input(said, Input::Received { conn, bytes: Bytes::new() }));
            }
        }
        let input = saboteur.mishears(input);
        actions.extend(self.node.handle_input(said, input));
        actions
    }

    /// Checks the invariant *progress*: the number of consecutive Ticks while time stands still is limited.
    fn count_spins(&mut self, now: Instant) {
        let (at, n) = self.spins;
        self.spins = if at == now { (now, n + 1) } else { (now, 0) };
        assert!(self.spins.1 < 200, "the timer spins");
    }

    /// Ends the iteration.
    pub(crate) fn drain(&mut self) -> Vec<Transmit> {
        let now = self.clock.latest();
        let mut transmits = Vec::new();
        while let Some(transmit) = self.node.poll_transmit() {
            let fresh = self.busy.insert(transmit.conn);
            assert!(fresh, "a transmit for {} while another is under way", transmit.conn);
            transmits.push(transmit);
        }
        let deaf = self.deaf;
        let changes: Vec<_> = std::iter::from_fn(|| if deaf { None } else { self.node.poll_change() }).collect();
        let timeout = self.node.poll_timeout();
        let event = Event::Iteration { transmits: transmits.clone(), deaf, changes: changes.clone(), timeout };
        self.recording.events.push(event);
        if let Some(saboteur) = &mut self.saboteur {
            transmits.iter_mut().for_each(|t| saboteur.spoil(t));
            transmits.retain(|t| !t.is_empty());
        }
        for transmit in transmits.iter().filter(|_| self.traces) {
            let msgs: Vec<_> = transmit.chunks.iter().flat_map(|c| decode_all(c)).collect();
            eprintln!("{} {now:?} {} <- {msgs:?}", self.recording.config.seed, transmit.conn);
        }
        if !self.is_watched {
            return transmits;
        }
        transmits.iter().for_each(|t| self.watch.transmit(t));
        self.watch.follow_syncs(&self.node);
        changes.iter().for_each(|c| self.watch.change(c));
        if timeout.is_none_or(|t| t > now) {
            let busy = &self.busy;
            self.watch.turn_ended(now, &self.node, deaf, |conn| !busy.contains(&conn));
        }
        transmits
    }

    /// Returns when the node wants to be called, in the world's time.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.node.poll_timeout().map(|at| self.clock.when(at))
    }
}

/// Returns the visible state of a node that a command may change.
fn state(node: &Node) -> impl PartialEq + Debug + use<> {
    let tables: Vec<_> = node.tables(0).map(|(_, info)| info).collect();
    let (sessions, peers): (Vec<_>, Vec<_>) = (node.sessions().collect(), node.peers().collect());
    let (vnis, own): (Vec<_>, Vec<_>) = (node.subscribed_vnis().collect(), node.announcements().collect());
    (tables, sessions, peers, vnis, own)
}
