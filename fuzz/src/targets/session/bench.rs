//! The bench: performs operations on a node, and compares it with the model after each iteration.

use std::collections::BTreeSet;
use std::time::Duration;

use metalbond::{
    Action, CloseReason, Command, Config, ConnId, Input, Instant, Route, RouteChange, SessionState, Transition,
    Transmit, TransportEnd, Vni,
};

use super::Seen;
use super::far::{Far, State};
use super::stale::StaleRoutes;
use crate::sim::model::{Model, Routes, Who};
use crate::sim::ops;
use crate::sim::rig::Rig;
use crate::sim::sabotage::Saboteur;
use crate::sim::seat::{Event, Recording};

/// Maximum number of connections that are remembered, including ended ones.
const MAX_FARS: usize = 24;
/// Tables up to this size are compared after each iteration, others at the end.
const SMALL: usize = 200;

pub(super) struct Bench {
    pub(super) rig: Rig,
    /// The settings that the node is checked against.
    pub(super) config: Config,
    /// The far ends. If there are many, the oldest ended ones are removed.
    pub(super) fars: Vec<Far>,
    pub(super) model: Model,
    /// The departed clients, with the end of their restart times.
    pub(super) restart_times: Vec<(ConnId, Instant)>,
    pub(super) stale: StaleRoutes,
    /// All VNIs that occurred in a message or command.
    pub(super) vnis: BTreeSet<Vni>,
    /// All routes that this node has ever announced.
    pub(super) own: Routes,
    /// The table that an application computes from the changes.
    pub(super) installed: Routes,
    /// How far time runs back for the next input.
    pub(super) back: Duration,
    pub(super) bursts: usize,
    pub(super) events_seen: usize,
    /// Changes what is received, to test that the checks notice it.
    saboteur: Option<Saboteur>,
    /// True after the command to shut down.
    pub(super) closing: bool,
    pub(super) seen: Seen,
}

impl Bench {
    pub(super) fn new(runs_with: Config, config: Config, saboteur: Option<Saboteur>) -> Self {
        let (stale, echo) = (StaleRoutes::new(&config), config.echo);
        let mut rig = Rig::new(runs_with);
        // Its peers may send invalid data.
        rig.seat.is_watched = false;
        Self {
            rig,
            config,
            fars: Vec::new(),
            model: Model::under(0, echo),
            restart_times: Vec::new(),
            stale,
            vnis: ops::vnis().collect(),
            own: Routes::new(),
            installed: Routes::new(),
            back: Duration::ZERO,
            bursts: 0,
            events_seen: 0,
            saboteur,
            closing: false,
            seen: Seen::default(),
        }
    }

    pub(super) fn feed(&mut self, input: Input, goes_on: bool) {
        let back = std::mem::take(&mut self.back);
        if goes_on || !back.is_zero() {
            let now = self.rig.now;
            self.rig.now = now.saturating_sub(back);
            self.rig.feed_within_turn(input);
            self.rig.now = now;
            self.follow();
        } else {
            self.rig.feed(input);
            self.turn_ended();
        }
    }

    /// Advances the time, and wakes the node at each of its deadlines.
    pub(super) fn advance(&mut self, time: Duration) {
        let until = self.rig.now + time;
        while let Some(due) = self.rig.seat.timeout().filter(|t| *t <= until) {
            self.rig.now = self.rig.now.max(due);
            self.feed(Input::Tick, false);
        }
        self.rig.now = until;
    }

    /// Applies the node's new events to the model.
    fn follow(&mut self) {
        let (node, model) = (&self.rig.seat.node, &mut self.model);
        let own: Routes = node.announcements().collect();
        model.announced(Who::Own).difference(&own).for_each(|route| model.withdraw(Who::Own, route));
        own.iter().for_each(|route| model.announce(Who::Own, *route));
        self.own.extend(own);
        let events = self.rig.seat.recording.events[self.events_seen..].to_vec();
        self.events_seen += events.len();
        for event in events {
            match event {
                Event::Input(_, _, actions) => {
                    for action in actions.into_iter() {
                        if let Action::Dial { conn, peer, .. } = action {
                            self.fars.push(Far::new(conn, Some(peer)));
                        }
                    }
                }
                Event::Iteration { transmits, changes, .. } => {
                    transmits.into_iter().for_each(|transmit| self.hear(transmit));
                    changes.iter().for_each(|change| self.install(change));
                }
            }
        }
        self.stale.follow(&self.rig.seat.node, &self.fars);
        for transition in self.rig.transitions.split_off(0) {
            self.transition(&transition);
        }
        while self.fars.len() > MAX_FARS
            && let Some(n) = self.fars.iter().position(|far| far.state == State::Over)
        {
            self.fars.remove(n);
        }
        for far in &self.fars {
            assert!(far.broken.is_none() || far.state == State::Over, "{} goes on after {:?}", far.conn, far.broken);
        }
    }

    fn hear(&mut self, mut transmit: Transmit) {
        let far = self.fars.iter_mut().find(|far| far.conn == transmit.conn && far.state != State::Over);
        let far = far.expect("bytes for an existing connection");
        if let Some(saboteur) = &mut self.saboteur {
            saboteur.spoil(&mut transmit);
        }
        if self.saboteur.is_none() || !transmit.is_empty() {
            self.seen.sent += far.hear(&transmit, &self.model, &self.rig.seat.node, &self.own);
        }
    }

    fn install(&mut self, change: &RouteChange) {
        self.seen.changes += 1;
        let (vni, prefix) = (change.vni, change.prefix);
        self.installed.retain(|r| (r.vni, r.prefix) != (vni, prefix));
        self.installed.extend(change.next_hops().iter().map(|&next_hop| Route { vni, prefix, next_hop }));
    }

    fn transition(&mut self, t: &Transition) {
        assert_ne!(t.old, t.new, "a transition to the same state");
        if t.new == SessionState::Established {
            *(if t.conn.is_dialled() { &mut self.seen.dialled } else { &mut self.seen.accepted }) += 1;
        }
        if let Some(far) = self.fars.iter().find(|far| far.conn == t.conn && far.is_open()) {
            match t.new {
                SessionState::Established => self.stale.opened(far, &self.rig.seat.node),
                _ if t.old == SessionState::Established => self.stale.lost(far, &self.own, &self.rig.seat.node),
                // The peer sent everything before its session opened in one read with the message that opens it.
                _ => {}
            }
        }
        if let Some(reason) = &t.reason {
            self.over(t.conn, reason);
        }
    }

    fn over(&mut self, conn: ConnId, reason: &CloseReason) {
        let Some(far) = self.fars.iter_mut().find(|far| far.conn == conn && far.state != State::Over) else { return };
        far.state = State::Over;
        if matches!(reason, CloseReason::Decode(_) | CloseReason::Misbehaved(_)) || far.broken.is_some() {
            assert_eq!(Some(reason), far.broken.as_ref(), "why {conn} is closed");
            self.seen.misbehaved += 1;
        }
        self.seen.limited += usize::from(matches!(reason, CloseReason::Limit { .. } | CloseReason::Banned(_)));
        let host_stands = matches!(
            reason,
            CloseReason::Transport(TransportEnd::Eof | TransportEnd::Reset) | CloseReason::ResetRequested
        );
        let restart_time = far.restart_time.min(self.config.restart_time_max.as_secs() as u32);
        if host_stands && restart_time > 0 && !conn.is_dialled() {
            self.model.depart(conn);
            self.restart_times.push((conn, self.rig.seat.node.now() + Duration::from_secs(restart_time.into())));
        } else {
            self.model.end(Who::Live(conn));
        }
    }

    pub(super) fn turn_ended(&mut self) {
        self.follow();
        let node = &self.rig.seat.node;
        let now = node.now();
        let model = &mut self.model;
        self.restart_times.retain(|(conn, until)| {
            if *until <= now {
                model.end(Who::Departed(*conn));
            }
            *until > now
        });
        // If time has run back, the node has more work than is due by the bench's clock.
        let is_done = self.rig.seat.node.poll_timeout().is_none_or(|at| at > now);
        let is_polled = matches!(self.rig.seat.recording.events.last(), Some(Event::Iteration { .. }));
        if is_done && is_polled {
            self.stale.rest();
            if self.rig.seat.node.route_count() <= SMALL {
                self.check();
            }
        }
    }

    /// Lets all peers read and then disconnects them. Checks that nothing of them stays.
    pub(super) fn finish(mut self) -> (Seen, Recording) {
        self.back = Duration::ZERO;
        self.rig.seat.deaf = false;
        for n in 0..self.fars.len() {
            self.fars[n].is_stalled = false;
            self.rig.resume(self.fars[n].conn);
        }
        self.feed(Input::Tick, false);
        self.check();
        let conns: Vec<_> = self.fars.iter().map(|far| far.conn).collect();
        for conn in conns {
            self.feed(Input::Closed { conn, end: TransportEnd::Eof }, false);
        }
        self.outlive_hold();
        let peers: Vec<_> = self.rig.seat.node.peers().map(|peer| peer.id).collect();
        for peer in peers {
            self.feed(Input::Command(Command::RemovePeer(peer)), false);
        }
        self.advance(Duration::from_secs(200));
        self.check();
        let node = &self.rig.seat.node;
        if !self.closing {
            assert_eq!(node.route_count(), node.announcements().count(), "routes without an announcer");
        }
        assert_eq!((node.sessions().count(), node.poll_timeout()), (0, None), "sessions and deadlines that are left");
        (self.seen, self.rig.seat.recording)
    }

    /// Checks that stale routes of servers stay until the last moment of the stale time, and no longer.
    fn outlive_hold(&mut self) {
        self.check_held();
        let now = self.rig.now;
        let Some(end) = self.config.stale_time.and_then(|time| now.checked_add(time)) else { return };
        for at in [end.saturating_sub(Duration::from_nanos(1)).max(now), end] {
            // In one step, because dialling at each deadline would only take time.
            self.rig.now = at;
            self.feed(Input::Tick, false);
            self.check_held();
        }
    }
}
