//! The routes that a client is sent: its subscriptions' changes, encoded once for all subscribers at the same position, at the pace that the
//! client can take, and the answers to its KEEPALIVEs in order with them.
//!
//! Invariant: to a client with `ordered`, no answer to a KEEPALIVE is sent before the routes of all subscriptions before it.

use super::super::conn::Conn;
use super::super::transmit::{Chunk, Frames, SEGMENT};
use super::super::{Action, Common, STEPS_PER_WALK};
use super::answers::Answers;
use super::encodings::{Encodings, Key};
use super::window::{Next, Window};
use crate::rib::{Dialect, Rib, SubscriberId};
use crate::{CloseReason, Echo, Instant, Pacing};

#[derive(Debug)]
pub(super) struct Outbound {
    subscriber: SubscriberId,
    dialect: Dialect,
    answers: Answers,
    /// How much a client without `ordered` may be sent. `None`: as much as the socket takes.
    window: Option<Window>,
    /// The answer to the first KEEPALIVE is yet to be sent: before any route, because a client takes none before it.
    first_answer_due: bool,
}

impl Outbound {
    /// For a client with `ordered`. The answer to its first KEEPALIVE is due.
    pub(super) fn ordered(subscriber: SubscriberId) -> Self {
        let (dialect, answers) = (Dialect::Ordered, Answers::default());
        Self { subscriber, dialect, answers, window: None, first_answer_due: true }
    }

    /// For a client without `ordered`, which is sent routes no faster than it reads and than `pacing` says, and those of its own that `echo`
    /// says.
    pub(super) fn legacy(subscriber: SubscriberId, echo: Echo, pacing: Option<Pacing>, now: Instant) -> Self {
        let window = pacing.map(|pacing| Window::new(pacing, now));
        let (dialect, answers) = (Dialect::Legacy(echo), Answers::default());
        Self { subscriber, dialect, answers, window, first_answer_due: false }
    }

    pub(super) fn subscriber(&self) -> SubscriberId {
        self.subscriber
    }

    fn is_ordered(&self) -> bool {
        self.dialect == Dialect::Ordered
    }

    /// Adds the answer to a KEEPALIVE: to be sent at once, or with `ordered` after the sync of every subscription before it.
    pub(super) fn answer(&mut self, conn: &mut Conn, rib: &Rib) {
        let last_unsynced = if self.is_ordered() { rib.last_unsynced(self.subscriber) } else { None };
        conn.owe_keepalives(self.answers.add(last_unsynced));
    }

    /// Asks the driver for the client's window if the routes to be sent depend on it.
    pub(super) fn open_window(&self, conn: &Conn, common: &mut Common) {
        if self.window.is_some() {
            common.actions.push(Action::MeasureWindow { conn: conn.id() });
        }
    }

    /// Notes that the transmit in flight was written.
    pub(super) fn sent(&mut self) {
        if let Some(window) = &mut self.window {
            window.sent();
        }
    }

    /// Handles the connection's deadline: asks the driver for the client's window if it is time.
    pub(super) fn due(&mut self, conn: &mut Conn, common: &mut Common) {
        let Some(window) = &mut self.window else { return };
        if window.ask(common.clock.now()) {
            common.actions.push(Action::MeasureWindow { conn: conn.id() });
        }
        conn.wake_by(window.next(), &mut common.timers);
    }

    /// Takes a measurement of the client's window.
    ///
    /// # Errors
    /// If routes have waited for the send hold time, and nothing shows that the client reads. The connection is to be closed.
    pub(super) fn measure(
        &mut self,
        conn: &mut Conn,
        bytes: u32,
        unacknowledged: u32,
        common: &mut Common,
    ) -> Result<(), CloseReason> {
        let Some(window) = &mut self.window else { return Ok(()) };
        let is_pending = common.rib.next_pending(self.subscriber).is_some();
        match window.measure(bytes, unacknowledged, is_pending, common.clock.now()) {
            Next::Send => conn.mark_ready(&mut common.ready),
            Next::Probe => {
                conn.owe_keepalives(1);
                conn.mark_ready(&mut common.ready);
            }
            Next::Wait => {}
        }
        conn.wake_by(window.next(), &mut common.timers);
        let unread = window.unread_for(is_pending, common.clock.uptime().at(common.clock.now()));
        if unread >= common.config.send_hold_time { Err(CloseReason::NotReading(unread)) } else { Ok(()) }
    }

    /// Adds answers and routes to a transmit.
    pub(super) fn fill(
        &mut self,
        conn: &mut Conn,
        frames: &mut Frames,
        encodings: &mut Encodings,
        steps: &mut usize,
        common: &mut Common,
    ) {
        if core::mem::take(&mut self.first_answer_due) {
            frames.keepalive();
        }
        if !self.is_ordered() {
            conn.put_keepalives(frames);
        }
        self.put_routes(conn, frames, encodings, steps, common);
        if self.is_ordered() {
            conn.owe_keepalives(self.answers.release(common.rib.first_unsynced(self.subscriber)));
            conn.put_keepalives(frames);
        }
    }

    fn put_routes(
        &mut self,
        conn: &mut Conn,
        frames: &mut Frames,
        encodings: &mut Encodings,
        steps: &mut usize,
        common: &mut Common,
    ) {
        let now = common.clock.now();
        let available = self.window.as_mut().map_or(usize::MAX, |window| window.available(now));
        let mut taken = 0;
        while frames.has_room_for_chunk() && available - taken >= SEGMENT {
            let Some(chunk) = self.next_chunk(frames.chunk(), encodings, steps, common) else { break };
            taken += chunk.len();
            frames.push(chunk);
        }
        if let Some(window) = &mut self.window {
            window.take(taken, now);
            conn.wake_by(window.next(), &mut common.timers);
            if available - taken < SEGMENT && common.rib.next_pending(self.subscriber).is_some() {
                conn.wake_by(window.refilled(), &mut common.timers);
            }
        }
    }

    /// Returns the next routes, encoded for all subscribers at the same position, or for this one alone. `limit`: the most bytes. `None`: there
    /// are none, or the budget `steps` is spent.
    fn next_chunk(
        &self,
        limit: usize,
        encodings: &mut Encodings,
        steps: &mut usize,
        common: &mut Common,
    ) -> Option<Chunk> {
        let (id, dialect) = (self.subscriber, self.dialect);
        let Common { rib, clock, convergence, encoder, .. } = common;
        while *steps > 0
            && let Some(pending) = rib.next_pending(id)
        {
            *steps = steps.saturating_sub(STEPS_PER_WALK);
            let (position, viewer) = (rib.position(pending), rib.viewer(id));
            let mut encode = |viewer| encoder.encode(rib, pending, viewer, dialect, limit, steps);
            let chunk = if position.is_sharable() && !rib.is_alone(pending.table) {
                let (version, viewers) = (rib.version(pending.table), viewer.anybody());
                let key = Key::new(version, position.clone(), viewers, dialect, limit);
                let chunk = encodings.get_or_insert(key, || encode(viewers));
                if chunk.walked().is_exception(viewer) { encode(viewer) } else { chunk.cut(viewer) }
            } else {
                encode(viewer)
            };
            if let Some(stamp) = rib.advance(id, pending, chunk.walked()) {
                convergence.caught_up(clock.now(), stamp);
            }
            if !chunk.is_empty() {
                return Some(chunk);
            }
        }
        None
    }
}
