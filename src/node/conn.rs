//! What every connection has, accepted or dialled: its session and timers, received bytes that are not a whole frame yet, what the session
//! itself still has to send, and counters.
//!
//! Invariant: while the connection exists, its timer fires no later than its session's next deadline ([`set_timer`](Conn::set_timer) after each
//! change of the session). Between two inputs, `recent` is empty.

use alloc::sync::Arc;
use core::net::SocketAddr;

use super::ready::{Progress, Ready};
use super::statistics::Statistics;
use super::timers::{Timer, TimerKey, Timers};
use super::transmit::Frames;
use super::{Common, Counters, MessageCounts, Transition, Transmit, TransmitMode};
use crate::session::{Role, Session, SessionTimers, Step};
use crate::wire::{Deframer, Hello, Message, Update};
use crate::{CloseReason, ConnId, HostAddr, Instant, PeerName, SessionState};

#[derive(Debug)]
pub(super) struct Conn {
    id: ConnId,
    remote: Option<SocketAddr>,
    /// The names in the certificate; `None` without one.
    names: Option<Arc<[PeerName]>>,
    session: Session,
    /// The state as which the node counts the peer.
    counted: SessionState,
    timers: SessionTimers,
    timer: Timer,
    deframer: Deframer,
    /// This node's HELLO is yet to be sent.
    hello_due: bool,
    /// KEEPALIVEs that are to be sent.
    keepalives_due: u32,
    progress: Progress,
    /// When the session's state changed last.
    since: Instant,
    /// When bytes were received last; at first, when the connection began.
    last_received: Instant,
    counters: Counters,
    /// What was counted since `counters` and the node's sum were brought up to date.
    recent: Counters,
}

impl Conn {
    /// A connection that begins now, with its timer set.
    pub(super) fn new(id: ConnId, role: Role, remote: Option<SocketAddr>, common: &mut Common) -> Self {
        let now = common.clock.now();
        let mut conn = Self {
            id,
            remote,
            names: None,
            session: Session::new(role),
            counted: SessionState::Closed,
            timers: common.clock.session_timers(&common.config),
            timer: Timer::default(),
            deframer: Deframer::default(),
            hello_due: false,
            keepalives_due: 0,
            progress: Progress::default(),
            since: now,
            last_received: now,
            counters: Counters::default(),
            recent: Counters::default(),
        };
        conn.set_timer(common);
        conn
    }

    pub(super) fn id(&self) -> ConnId {
        self.id
    }

    pub(super) fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }

    /// Returns the host of the far end, once connected.
    pub(super) fn host(&self) -> Option<HostAddr> {
        self.remote.map(HostAddr::from)
    }

    pub(super) fn names(&self) -> Option<&Arc<[PeerName]>> {
        self.names.as_ref()
    }

    pub(super) fn identify(&mut self, names: Arc<[PeerName]>) {
        self.names = Some(names);
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// Returns the interval of KEEPALIVE that both ends agreed on, in seconds. `None` before the peer's HELLO.
    pub(super) fn keepalive_interval(&self, ours: u32) -> Option<u32> {
        self.session.hello().map(|hello| ours.min(hello.keepalive))
    }

    pub(super) fn since(&self) -> Instant {
        self.since
    }

    pub(super) fn last_received(&self) -> Instant {
        self.last_received
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Returns the counters that the next [`count_up`](Self::count_up) adds.
    pub(super) fn recent(&mut self) -> &mut Counters {
        &mut self.recent
    }

    /// Adds what was counted recently to the connection's counters and to the node's.
    pub(super) fn count_up(&mut self, statistics: &mut Statistics) {
        let recent = core::mem::take(&mut self.recent);
        self.counters.add(&recent);
        statistics.add(&recent);
    }

    /// Notes that the dial has succeeded: the HELLO is due.
    pub(super) fn connected(&mut self, remote: SocketAddr, common: &mut Common) {
        self.remote = Some(remote);
        self.session.connected();
        self.hello_due = true;
        self.step_timers(common);
    }

    /// Notes that bytes were received, before they are read.
    pub(super) fn hear(&mut self, bytes: usize, common: &Common) {
        self.recent.bytes_in += bytes as u64;
        self.last_received = common.clock.now();
        self.timers.received(self.last_received, common.clock.uptime(), self.session.state());
    }

    /// Reads messages from `input` and passes UPDATEs to `update`, up to the first message that is something else. Returns what follows from
    /// that one; `None` if all of `input` is taken. Inlined, because it is the hottest loop of a node; and it matches on results instead of
    /// converting them, so that a frame stays in registers: read back from memory, it would wait for the table's writes before it.
    ///
    /// # Errors
    /// If a message is not valid, or may not come now. The connection is to be closed.
    #[inline(always)]
    pub(super) fn receive(
        &mut self,
        input: &mut &[u8],
        mut update: impl FnMut(&mut Counters, &Update),
    ) -> Result<Option<Step>, CloseReason> {
        loop {
            let frame = match self.deframer.next(input) {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(None),
                Err(error) => return Err(CloseReason::Decode(error)),
            };
            let message = match Message::decode(frame) {
                Ok(message) => message,
                Err(error) => return Err(CloseReason::Decode(error)),
            };
            match self.session.receive(message).map_err(CloseReason::Misbehaved)? {
                Step::Update(received) => {
                    self.recent.messages_in.update += 1;
                    update(&mut self.recent, &received);
                }
                Step::InvalidUpdate => {
                    self.recent.messages_in.update += 1;
                    self.recent.invalid_updates += 1;
                }
                Step::Unknown => self.recent.messages_in.unknown += 1,
                step => {
                    self.count(step);
                    return Ok(Some(step));
                }
            }
        }
    }

    fn count(&mut self, step: Step) {
        let MessageCounts { hello, keepalive, subscribe, unsubscribe, .. } = &mut self.recent.messages_in;
        let count = match step {
            Step::Hello(_) => hello,
            Step::Established | Step::Keepalive => keepalive,
            Step::Subscribe(_) => subscribe,
            Step::Unsubscribe(_) => unsubscribe,
            // Counted where they are read.
            Step::Update(_) | Step::InvalidUpdate | Step::Unknown => return,
        };
        *count += 1;
    }

    /// Notes that the peer's HELLO was received: an acceptor answers with its own, a dialler with a KEEPALIVE.
    pub(super) fn greeted(&mut self, common: &mut Common) {
        match self.session.role() {
            Role::Dialler => self.keepalives_due = 1,
            Role::Acceptor => self.hello_due = true,
        }
        self.step_timers(common);
    }

    /// Starts the timers of the session's new state, and has the connection asked for its next transmit.
    pub(super) fn step_timers(&mut self, common: &mut Common) {
        let keepalive = {
            let ours = common.config.keepalive_secs();
            self.keepalive_interval(ours).unwrap_or(ours)
        };
        self.timers.step(common.clock.now(), common.clock.uptime(), &self.session, keepalive);
        self.set_timer(common);
        self.mark_ready(&mut common.ready);
    }

    /// Handles the connection's deadline.
    ///
    /// # Errors
    /// If the session has expired. The connection is to be closed.
    pub(super) fn due(&mut self, common: &mut Common) -> Result<(), CloseReason> {
        let (now, uptime) = (common.clock.now(), common.clock.uptime());
        self.timer.fired();
        if let Some(reason) = self.timers.expired(now, uptime, self.session.state()) {
            return Err(reason);
        }
        if self.timers.keepalive_due(now) {
            self.owe_keepalives(1);
        }
        self.mark_ready(&mut common.ready);
        self.set_timer(common);
        Ok(())
    }

    fn set_timer(&mut self, common: &mut Common) {
        let at = self.timers.next(common.clock.uptime());
        self.wake_at(at, &mut common.timers);
    }

    /// Has the connection marked ready at `at`, or earlier.
    pub(super) fn wake_at(&mut self, at: Instant, timers: &mut Timers) {
        timers.set_by(&mut self.timer, TimerKey::Conn(self.id), at);
    }

    /// Has the connection marked ready at this time, if it is one, or earlier.
    pub(super) fn wake_by(&mut self, at: Option<Instant>, timers: &mut Timers) {
        if let Some(at) = at {
            self.wake_at(at, timers);
        }
    }

    /// Removes the timer of a connection that has ended.
    pub(super) fn clear_timer(&mut self, timers: &mut Timers) {
        timers.set(&mut self.timer, TimerKey::Conn(self.id), None);
    }

    /// Has the connection asked for its next transmit.
    pub(super) fn mark_ready(&mut self, ready: &mut Ready) {
        ready.add(self.id, &mut self.progress);
    }

    /// Notes that the transmit in flight was written.
    pub(super) fn sent(&mut self, ready: &mut Ready) {
        self.progress.sent();
        self.timers.written();
        self.mark_ready(ready);
    }

    /// Adds KEEPALIVEs that are to be sent.
    pub(super) fn owe_keepalives(&mut self, n: u32) {
        self.keepalives_due = self.keepalives_due.saturating_add(n);
    }

    /// Begins a transmit. `hello`: this node's HELLO as an answer to the peer's, for when it is due.
    pub(super) fn begin_frames(&mut self, hello: impl FnOnce(Option<&Hello>) -> Hello) -> Frames {
        self.progress.begin();
        let theirs = self.session.hello();
        let is_legacy = theirs.is_some_and(|hello| !hello.ordered);
        let mut frames = Frames::new(if is_legacy { TransmitMode::Segments } else { TransmitMode::Stream });
        if core::mem::take(&mut self.hello_due) {
            frames.hello(&hello(theirs));
        }
        frames
    }

    /// Adds KEEPALIVEs that are due to a transmit. Returns how many.
    pub(super) fn put_keepalives(&mut self, frames: &mut Frames) -> u32 {
        let before = self.keepalives_due;
        while self.keepalives_due > 0 && frames.has_room_for_keepalives() {
            self.keepalives_due -= 1;
            frames.keepalive();
        }
        before - self.keepalives_due
    }

    /// Ends a transmit. Returns it unless it is empty. `steps`: what is left of the budget; without any, an empty one is tried again.
    pub(super) fn end_frames(&mut self, frames: Frames, steps: usize, common: &mut Common) -> Option<Transmit> {
        let Some((transmit, messages)) = frames.finish(self.id) else {
            if steps == 0 {
                self.mark_ready(&mut common.ready);
            }
            return None;
        };
        self.progress.sending();
        self.timers.writing(common.clock.now(), common.clock.uptime());
        self.recent.bytes_out += transmit.len() as u64;
        self.recent.messages_out.add(&messages);
        self.count_up(&mut common.statistics);
        self.set_timer(common);
        Some(transmit)
    }

    /// Has the peer counted in the session's state from now on. `old`: the state as which it was counted before this connection.
    pub(super) fn begin_counting(&mut self, old: SessionState, common: &mut Common) {
        self.counted = self.session.state();
        common.states.move_to(old, self.counted);
    }

    /// Notes that the session's state changed just now. Returns what is reported of that.
    pub(super) fn transition(&mut self, old: SessionState, common: &mut Common) -> Transition {
        self.since = common.clock.now();
        let new = self.session.state();
        common.states.move_to(core::mem::replace(&mut self.counted, new), new);
        self.describe(old, new)
    }

    /// Notes that the connection has ended. Returns what is reported of that.
    pub(super) fn end(&self, new: SessionState, reason: CloseReason, common: &mut Common) -> Transition {
        common.states.move_to(self.counted, new);
        Transition { reason: Some(reason), ..self.describe(self.session.state(), new) }
    }

    fn describe(&self, old: SessionState, new: SessionState) -> Transition {
        Transition { remote: self.remote, names: self.names.clone(), ..Transition::new(self.id, old, new) }
    }
}
