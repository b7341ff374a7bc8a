//! The node: dispatches each input to the part that it belongs to, and asks the parts for output.

mod background;
mod ban;
mod changes;
mod client;
mod clock;
mod command;
mod conn;
mod convergence;
mod discard;
mod info;
mod input;
mod listening;
mod output;
mod owners;
mod ready;
mod server;
mod snapshot;
mod states;
mod statistics;
#[cfg(test)]
mod tests;
mod timers;
mod totals;
mod transmit;

pub use info::{Counters, MessageCounts, PeerInfo, SessionInfo};
pub use input::{Command, Input};
pub use output::{
    Action, Actions, ActionsIntoIter, Chunks, ChunksIntoIter, Close, Denial, DeniedItem, Peer, Reply, ShortRestartTime,
    Transition, Transmit, TransmitMode,
};
pub use snapshot::Entry;

use crate::rib::Rib;
pub use crate::rib::{Bookmark, Destination, Moved, ParseBookmarkError, TableInfo};
use crate::{CloseReason, Config, ConfigError, ConnId, Instant, RouteChange};
use background::Jobs;
use changes::Changes;
use client::Client;
use clock::Clock;
use convergence::Convergence;
use listening::Listening;
use owners::Origins;
use ready::Ready;
use server::Server;
use states::States;
use statistics::Statistics;
use timers::{TimerKey, Timers};
use transmit::Encoder;

/// Deadlines that one tick handles. The others are due at once.
const TIMERS_PER_TICK: usize = 256;
/// The budget of one [`Node::poll_transmit`]: journal entries passed, and subscribers woken.
const STEPS: usize = 32_768;
/// The budget of the tables' own work at one tick: each unit takes some 50 ns.
const MAINTENANCE: usize = 20_480;
/// What a ready connection costs of that budget, even if it has nothing to send.
const STEPS_PER_CONN: usize = 16;
/// What a walk from a cursor costs of it, even if there is nothing to send.
const STEPS_PER_WALK: usize = 8;

/// A node of the route distribution system: a server, a client, or both.
///
/// It does no I/O and reads no clock. A driver passes events to it, and carries out the actions that it returns; the [crate's
/// documentation](crate) has the run loop and an example. The contract:
///
/// - *Input*: [`handle_input`](Self::handle_input) takes one event, and returns actions. The time is its argument `now`; a `now` that is
///   earlier than the latest one is taken as the latest.
/// - *Output*: after the inputs of an iteration, the driver calls [`poll_transmit`](Self::poll_transmit) and
///   [`poll_change`](Self::poll_change), in any order, until they return `None`. It may stop calling `poll_change` earlier, when the
///   application has no room. Both use the `now` of the last input.
/// - *Time*: then [`poll_timeout`](Self::poll_timeout) returns the latest time for the next [`Input::Tick`]. Pending work is due at once.
/// - *Getters* borrow, and change nothing.
/// - *Bound*: the work of one call does not grow with the number of connections, nor with the number of VNIs that the node is subscribed to.
///   It is bounded by the size of the input ([`Input::Received`], a new policy's rules), by what one peer may hold
///   ([`Limits::vnis_per_peer`](crate::Limits::vnis_per_peer)), and by constants. Longer work is a background job, of which each tick does a
///   slice. A few calls visit each configured server ([`Config::peers_max`]). Exception: [`Command::Shutdown`] and its timeout end all
///   sessions in one call. [`poll_transmit`](Self::poll_transmit) also returns `None` when its budget is spent; `poll_timeout` then returns
///   the present.
#[derive(Debug)]
pub struct Node {
    common: Common,
    server: Server,
    client: Client,
    changes: Changes,
}

/// What both roles of a node work with: the arguments that their methods have in common. Each part protects its own invariant.
#[derive(Debug)]
struct Common {
    config: Config,
    clock: Clock,
    /// The routes of all origins, this node among them: advertised to the clients of this node and to its application.
    rib: Rib,
    /// This node's own routes, advertised to the servers that it dials.
    own: Rib,
    origins: Origins,
    timers: Timers,
    ready: Ready,
    jobs: Jobs,
    listening: Listening,
    convergence: Convergence,
    encoder: Encoder,
    statistics: Statistics,
    states: States,
    shutdown: Shutdown,
    /// The actions of the current input.
    actions: Actions,
}

/// How far the shutdown has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shutdown {
    No,
    /// This node's routes are being withdrawn from its servers, because it leaves for good.
    Cleanup,
    Done,
}

impl Common {
    /// Returns whether this node's table may still be incomplete.
    fn is_converging(&self) -> bool {
        self.listening.is_converging(self.clock.now(), self.config.convergence_time)
    }
}

impl Node {
    /// Returns a node without peers that begins at `now`.
    ///
    /// # Errors
    /// If a setting is out of its range: the first one.
    pub fn new(config: Config, now: Instant) -> Result<Self, ConfigError> {
        config.validate()?;
        let (server, client) = (Server::new(&config.limits, now), Client::new(&config));
        let common = Common {
            clock: Clock::new(now),
            rib: Rib::new(config.seed, config.limits.next_hops),
            own: Rib::new(config.seed.rotate_left(32), usize::MAX),
            config,
            origins: Origins::new(),
            timers: Timers::default(),
            ready: Ready::default(),
            jobs: Jobs::default(),
            listening: Listening::default(),
            convergence: Convergence::default(),
            encoder: Encoder::default(),
            statistics: Statistics::default(),
            states: States::default(),
            shutdown: Shutdown::No,
            actions: Actions::new(),
        };
        Ok(Self { common, server, client, changes: Changes::default() })
    }

    /// Handles one event. Returns the actions that the driver has to carry out at once, in their order.
    pub fn handle_input(&mut self, now: Instant, input: Input) -> Actions {
        let Self { common, server, client, .. } = self;
        common.clock.advance(now, common.timers.next());
        match input {
            Input::Received { conn, bytes } if conn.is_dialled() => client.received(common, conn, &bytes),
            Input::Received { conn, bytes } => server.received(common, conn, &bytes),
            Input::Sent { conn } if conn.is_dialled() => client.sent(common, conn),
            Input::Sent { conn } => server.sent(common, conn),
            Input::Window { conn, .. } if conn.is_dialled() => {}
            Input::Window { conn, window, unacknowledged } => server.measured(common, conn, window, unacknowledged),
            // A driver's mistake, without effect on the connection that has this id.
            Input::Accepted { conn, .. } if client.has_conn(conn) => {}
            Input::Accepted { conn, remote } => server.accepted(common, conn, remote),
            Input::Identified { conn, names } if conn.is_dialled() => client.identified(conn, names),
            Input::Identified { conn, names } => server.identified(conn, names),
            Input::Connected { conn, remote } => client.connected(common, conn, remote),
            Input::DialFailed { conn, why } => self.close(conn, CloseReason::DialFailed(why), None),
            Input::Closed { conn, end } => self.close(conn, CloseReason::Transport(end), None),
            Input::Tick => self.tick(),
            Input::Command(command) => self.command(command),
        }
        if self.common.shutdown == Shutdown::Cleanup && self.server.is_empty() && self.client.is_empty() {
            self.terminate();
        }
        let Common { rib, own, convergence, clock, actions, .. } = &mut self.common;
        if rib.is_dirty() || own.is_dirty() {
            convergence.changed(clock.now());
        }
        core::mem::take(actions)
    }

    /// Returns the latest time for the next [`Input::Tick`]. While work is left, this is the `now` of the last input. `None`: no tick is needed
    /// before another event.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let Common { rib, own, jobs, ready, .. } = &self.common;
        let is_busy = !jobs.is_empty()
            || !ready.is_empty()
            || rib.is_dirty()
            || own.is_dirty()
            || rib.has_over_limit()
            || rib.needs_maintenance()
            || own.needs_maintenance()
            || self.server.is_relieving()
            || self.changes.is_unfinished();
        if is_busy { Some(self.common.clock.now()) } else { self.common.timers.next() }
    }

    /// Returns the next bytes to write, and their connection. The connection has no other transmit before [`Input::Sent`]. `None`: there are no
    /// bytes to write, or the budget of the call is spent.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.wake();
        let Self { common, server, client, .. } = self;
        let mut steps = STEPS;
        while steps > 0 {
            let id = common.ready.pop()?;
            steps = steps.saturating_sub(STEPS_PER_CONN);
            let transmit = if id.is_dialled() {
                client.next_transmit(common, id, &mut steps)
            } else {
                server.next_transmit(common, id, &mut steps)
            };
            if transmit.is_some() {
                return transmit;
            }
        }
        None
    }

    /// Returns the next change of the routes that this node subscribed to: a destination with all of its next hops. `None`: there is no
    /// change, or the budget of the call is spent; [`has_changes`](Self::has_changes) distinguishes the two. After an unsubscription, the
    /// VNI's destinations are reported as removed. Routes that this node announces itself are not reported.
    ///
    /// A change has the state at the time of the call. Changes that were not fetched merge: a slow application gets fewer changes, and none
    /// that is outdated. For an application that does not fetch its changes, the node stores the routes that it reported before, and no more.
    /// A node that is shut down, or about to be, reports nothing: routes that an application has installed may outlive the node.
    pub fn poll_change(&mut self) -> Option<RouteChange> {
        if self.common.shutdown != Shutdown::No {
            return None;
        }
        self.changes.next(&mut self.common.rib)
    }

    /// Returns whether [`poll_change`](Self::poll_change) may have a change to return.
    pub fn has_changes(&self) -> bool {
        self.common.shutdown == Shutdown::No && self.common.rib.has_changes()
    }

    /// Handles deadlines that are due, and does a slice of the work that is left.
    fn tick(&mut self) {
        self.changes.pause();
        for _ in 0..TIMERS_PER_TICK {
            let Self { common, server, client, .. } = &mut *self;
            let Some(key) = common.timers.pop(common.clock.now()) else { break };
            match key {
                TimerKey::Conn(conn) if conn.is_dialled() => client.due(common, conn),
                TimerKey::Conn(conn) => server.due(common, conn),
                TimerKey::Peer(peer) => client.peer_due(common, peer),
                TimerKey::RestartTime(origin) => server.end_restart_time(common, origin),
                TimerKey::Shutdown => self.terminate(),
            }
        }
        let Self { common, server, client, .. } = self;
        server.relieve_more(common);
        background::run(common, server, client);
        self.maintain();
        self.server.relieve_next_hops(&mut self.common);
    }

    /// Does a slice of the tables' own work, and closes the connections of subscribers that are too slow.
    fn maintain(&mut self) {
        let Self { common, server, client, .. } = self;
        if common.rib.needs_maintenance() {
            for subscriber in common.rib.maintain(&mut MAINTENANCE.clone()) {
                server.close_slow(common, subscriber);
            }
        }
        if common.own.needs_maintenance() {
            for subscriber in common.own.maintain(&mut MAINTENANCE.clone()) {
                client.close_slow(common, subscriber);
            }
        }
    }

    /// Marks connections as ready of which a subscribed table has changed.
    fn wake(&mut self) {
        let Self { common, server, client, .. } = self;
        let is_own_dirty = common.own.is_dirty();
        if !common.rib.is_dirty() && !is_own_dirty {
            return;
        }
        let stamp = common.convergence.stamp(common.clock.now());
        server.wake(common, stamp, &mut STEPS.clone());
        client.wake(common, stamp, &mut STEPS.clone());
        if is_own_dirty && !common.own.is_dirty() && common.shutdown == Shutdown::Cleanup {
            // The KEEPALIVE that ends the session may have waited for this.
            client.mark_all_ready(common);
        }
        if !common.rib.is_dirty() && !common.own.is_dirty() {
            common.convergence.all_woken();
        }
    }

    /// Ends a connection. `how`: what the driver is to do, unless it ended the connection itself.
    fn close(&mut self, id: ConnId, reason: CloseReason, how: Option<Close>) {
        if id.is_dialled() {
            self.client.close(&mut self.common, id, reason, how);
        } else {
            self.server.close(&mut self.common, id, reason, how);
        }
    }

    /// Ends the node at once: closes every connection.
    fn terminate(&mut self) {
        let Self { common, server, client, .. } = self;
        if common.shutdown == Shutdown::Done {
            return;
        }
        common.shutdown = Shutdown::Done;
        server.close_all(common);
        client.close_all(common);
        common.timers.clear();
        common.jobs.clear();
        common.actions.push(Action::Terminated);
    }
}
