//! What goes out on a connection next: handshake and KEEPALIVEs, subscriptions, routes; whole frames within a budget of
//! bytes, in the order and the portions that the far end can take.

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use super::conn::Conn;
use super::jobs::Job;
use super::shared::{Chunk, Key, Shared};
use super::timers::TimerKey;
use super::upstream::{Upstream, Wire};
use super::{MessageCounts, Node, Shutdown, Transmit, TransmitMode};
use crate::rib::{Change, Order, Rib, Sink, SubscriberId};
use crate::session::Role;
use crate::wire::{self, Hello, MAX_SUBSCRIPTION, MAX_UPDATE, Update, UpdateAction};
use crate::{ConnId, Histogram, Instant, Route, SessionState};

/// A transmit is under 64 KiB.
const MAX_TRANSMIT: usize = 65_535;
/// Room that is kept in every transmit for KEEPALIVEs behind the routes.
const RESERVE: usize = 1024;
/// Routes are encoded in pieces of this size, to be shared; two fit a transmit.
const CHUNK: usize = 31 * 1024;
/// A piece for a peer that takes whole frames only: the smallest MSS of TCP over IPv6 with timestamps.
const SEGMENT: usize = 1208;
/// Room for one KEEPALIVE, and for one more behind it that may be due as a barrier.
const KEEPALIVES: usize = 8;
/// Journal entries passed before the driver gets its turn again.
const STEPS: usize = 65_536;

/// Frames for one transmit.
struct Frames {
    chunks: SmallVec<[Bytes; 4]>,
    control: BytesMut,
    len: usize,
    mode: TransmitMode,
    messages: MessageCounts,
}

impl Frames {
    fn new(mode: TransmitMode) -> Self {
        Self { chunks: SmallVec::new(), control: BytesMut::new(), len: 0, mode, messages: MessageCounts::default() }
    }

    fn room(&self) -> usize {
        MAX_TRANSMIT - self.len
    }

    /// Appends a small frame.
    fn put(&mut self, frame: impl FnOnce(&mut BytesMut), max: usize) {
        if self.mode == TransmitMode::Segments && self.control.len() + max > SEGMENT {
            self.seal();
        }
        let before = self.control.len();
        frame(&mut self.control);
        self.len += self.control.len() - before;
    }

    fn keepalive(&mut self) {
        self.messages.keepalive += 1;
        self.put(|out| out.extend_from_slice(&wire::keepalive()), 4);
    }

    /// Appends a piece that is encoded already.
    fn push(&mut self, chunk: Chunk) {
        self.seal();
        self.len += chunk.bytes.len();
        self.messages.update += u64::from(chunk.updates);
        self.chunks.push(chunk.bytes);
    }

    fn seal(&mut self) {
        if !self.control.is_empty() {
            self.chunks.push(self.control.split().freeze());
        }
    }

    /// The largest piece of routes that there is room for.
    fn chunk(&self) -> usize {
        match self.mode {
            TransmitMode::Stream => CHUNK,
            TransmitMode::Segments => SEGMENT,
        }
    }

    fn has_room_for_chunk(&self) -> bool {
        self.len + self.chunk() + RESERVE <= MAX_TRANSMIT
    }
}

/// Encodes what a walk tells.
struct Encoder {
    out: BytesMut,
    updates: u32,
    limit: usize,
}

impl Sink for Encoder {
    fn has_room(&self) -> bool {
        self.out.len() + MAX_UPDATE <= self.limit
    }

    fn len(&self) -> usize {
        self.out.len()
    }

    fn tell(&mut self, change: Change<'_>) {
        let action = if change.there { UpdateAction::Add } else { UpdateAction::Remove };
        let route = Route { vni: change.vni, prefix: *change.prefix, next_hop: *change.next_hop };
        self.updates += 1;
        wire::encode_update(&mut self.out, &Update { action, route });
    }
}

impl Node {
    /// The next bytes for some connection. A connection that was handed bytes gets no more before
    /// [`Input::Sent`](crate::Input::Sent).
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.wake();
        let mut steps = STEPS;
        while steps > 0 {
            let id = self.ready.pop_front()?;
            if let Some(transmit) = self.build(id, &mut steps) {
                return Some(transmit);
            }
        }
        None
    }

    /// Subscribers of what has changed have something to be sent.
    pub(super) fn wake(&mut self) {
        let since = self.dirty_since.take().unwrap_or(self.clock.now());
        let Self { rib, own, conns, ready, .. } = self;
        let mut ready = |id: ConnId| {
            if let Some(conn) = conns.get_mut(&id) {
                conn.mark_ready(ready);
            }
        };
        rib.wake(since, &mut ready);
        own.wake(since, &mut ready);
    }

    fn build(&mut self, id: ConnId, steps: &mut usize) -> Option<Transmit> {
        let (is_listening, is_warming) = (self.is_listening, self.is_warming());
        let conn = self.conns.get_mut(&id)?;
        conn.is_ready = false;
        let is_legacy = conn.session.hello().is_some() && !conn.session.is_ordered();
        let mode = if is_legacy { TransmitMode::Segments } else { TransmitMode::Stream };
        let mut frames = Frames::new(mode);
        if core::mem::take(&mut conn.hello_due) {
            let is_dialler = conn.session.role() == Role::Dialler;
            let theirs = conn.session.hello();
            let hello = Hello {
                keepalive: self.config.keepalive.min(theirs.map_or(u32::MAX, |hello| hello.keepalive)),
                is_server: is_listening || !is_dialler,
                ordered: true,
                converging: is_warming,
                restart_time: if is_dialler {
                    self.config.restart_time
                } else {
                    theirs.map_or(0, |hello| self.config.grant_restart_time(hello.restart_time))
                },
            };
            frames.messages.hello += 1;
            frames.put(|out| out.extend_from_slice(&hello.encode()), 32);
        }
        if core::mem::take(&mut conn.first_answer_due) {
            frames.keepalive();
        }
        if !(conn.session.role() == Role::Acceptor && conn.session.is_ordered()) {
            keepalives(conn, &mut frames);
        }
        match conn.session.role() {
            _ if conn.session.state() != SessionState::Established => {}
            Role::Acceptor => self.routes_for_client(id, &mut frames, steps),
            Role::Dialler => self.news_for_server(id, &mut frames, steps),
        }
        frames.seal();
        let conn = self.conns.get_mut(&id)?;
        if frames.chunks.is_empty() {
            if *steps == 0 {
                conn.mark_ready(&mut self.ready);
            }
            return None;
        }
        conn.in_flight = true;
        conn.timers.writing(self.clock.now(), self.clock.uptime());
        conn.counters.bytes_out += frames.len as u64;
        conn.counters.messages_out.add(&frames.messages);
        self.set_conn_timer(id);
        Some(Transmit { conn: id, chunks: frames.chunks, mode: frames.mode })
    }

    /// Everybody's routes.
    fn routes_for_client(&mut self, id: ConnId, frames: &mut Frames, steps: &mut usize) {
        let now = self.clock.now();
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let Some(subscriber) = conn.subscriber else { return };
        let order = order(conn);
        let mut tokens = conn.bucket.as_mut().map_or(usize::MAX, |bucket| bucket.tokens(now));
        let Self { rib, shared, convergence, .. } = self;
        let mut routes = Routes { rib, shared: Some(shared), now, convergence };
        while frames.has_room_for_chunk() && tokens >= SEGMENT {
            let Some(chunk) = routes.next_chunk(subscriber, order, frames.chunk(), steps) else { break };
            if let Some(bucket) = &mut conn.bucket {
                bucket.take(chunk.bytes.len());
                tokens = tokens.saturating_sub(chunk.bytes.len());
            }
            frames.push(chunk);
        }
        if let Some(bucket) = &conn.bucket
            && tokens < SEGMENT
            && self.rib.next_pending(subscriber).is_some()
        {
            self.timers.set_by(&mut conn.timer, TimerKey::Conn(id), bucket.refilled());
        }
        if conn.session.is_ordered() {
            conn.release_answers(self.rib.first_unsynced(subscriber));
            keepalives(conn, frames);
        }
    }

    /// This node's own routes, and what it wants.
    fn news_for_server(&mut self, id: ConnId, frames: &mut Frames, steps: &mut usize) {
        let Some(conn) = self.conns.get(&id) else { return };
        if conn.session.is_ordered() {
            self.own_routes(id, frames, steps, usize::MAX);
            let subscriber = self.conns.get(&id).and_then(|conn| conn.subscriber);
            // Announcements first, so that routes are taken over from before a restart rather than seen to come back.
            if subscriber.is_some_and(|subscriber| self.own.first_unsynced(subscriber).is_none()) {
                self.subscriptions(id, frames, usize::MAX);
                // What was still to be asked for may have come to nothing.
                self.check_synced(id);
            }
            self.farewell(id);
        } else {
            self.subscriptions(id, frames, self.config.unproven_max);
            self.own_routes(id, frames, steps, self.config.unproven_max);
        }
        let Some(upstream) = self.conns.get_mut(&id).and_then(|conn| conn.upstream.as_mut()) else { return };
        // Half a window is under way while the proof for the other half is.
        let is_probed = upstream.probe.is_some() || upstream.unproven < self.config.unproven_max / 2;
        if upstream.barrier_due || !is_probed {
            upstream.barrier_due = false;
            upstream.sent += 1;
            if !is_probed {
                upstream.probe = Some((upstream.sent, upstream.unproven));
            }
            frames.keepalive();
        }
    }

    fn own_routes(&mut self, id: ConnId, frames: &mut Frames, steps: &mut usize, window: usize) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let (Some(subscriber), order) = (conn.subscriber, order(conn)) else { return };
        let Some(upstream) = &mut conn.upstream else { return };
        let (now, rib, convergence) = (self.clock.now(), &mut self.own, &mut self.convergence);
        let mut routes = Routes { rib, shared: None, now, convergence };
        while frames.has_room_for_chunk() && upstream.unproven.saturating_add(SEGMENT) <= window {
            let Some(chunk) = routes.next_chunk(subscriber, order, frames.chunk(), steps) else { return };
            if window != usize::MAX {
                upstream.unproven += chunk.bytes.len();
            }
            frames.push(chunk);
        }
    }

    /// SUBSCRIBEs and UNSUBSCRIBEs that are due.
    fn subscriptions(&mut self, id: ConnId, frames: &mut Frames, window: usize) {
        if self.shutdown != Shutdown::No {
            return;
        }
        let Self { conns, rib, own, jobs, .. } = self;
        let Some(conn) = conns.get_mut(&id) else { return };
        let is_ordered = conn.session.is_ordered();
        let Some(upstream) = &mut conn.upstream else { return };
        let mut waiting = SmallVec::<[_; 4]>::new();
        while let Some(vni) = upstream.todo.pop_first() {
            if frames.room() < RESERVE || upstream.unproven.saturating_add(MAX_SUBSCRIPTION) > window {
                waiting.push(vni);
                break;
            }
            let wanted = rib.is_wanted(vni);
            let subscribe = match upstream.wire(vni) {
                None if wanted && jobs.iter().any(|job| job.drops(vni)) => {
                    waiting.push(vni);
                    continue;
                }
                None if wanted => true,
                Some(Wire::Unwanted) => false,
                _ => continue,
            };
            let state = match (subscribe, is_ordered) {
                (true, true) => Wire::Subscribed { sync: upstream.next_barrier() },
                (true, false) => Wire::Subscribed { sync: u64::MAX },
                (false, true) => Wire::Unsubscribing { until: upstream.next_barrier() },
                (false, false) => Wire::Spent,
            };
            upstream.set_wire(vni, state);
            // What was announced meanwhile would be withdrawn.
            if state != Wire::Spent || !own.has_routes(vni) {
                let before = frames.len;
                let MessageCounts { subscribe: asked, unsubscribe: taken_back, .. } = &mut frames.messages;
                *(if subscribe { asked } else { taken_back }) += 1;
                frames.put(|out| wire::encode_subscription(out, subscribe, vni), MAX_SUBSCRIPTION);
                upstream.unproven += if window == usize::MAX { 0 } else { frames.len - before };
            }
        }
        upstream.todo.extend(waiting);
    }

    /// A node that leaves for good has told so: the answer to what follows proves that it was read.
    fn farewell(&mut self, id: ConnId) {
        if self.shutdown != Shutdown::Cleanup || self.jobs.iter().any(|job| matches!(job, Job::Leave)) {
            return;
        }
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let has_told = conn.subscriber.is_some_and(|subscriber| self.own.next_pending(subscriber).is_none());
        if let Some(upstream) = &mut conn.upstream
            && has_told
            && upstream.goodbye.is_none()
        {
            upstream.goodbye = Some(upstream.next_barrier());
        }
    }
}

fn order(conn: &Conn) -> Order {
    if conn.session.is_ordered() { Order::AdditionsFirst } else { Order::RemovalsFirst }
}

/// The KEEPALIVEs that are due.
fn keepalives(conn: &mut Conn, frames: &mut Frames) {
    while conn.keepalives_due > 0 && frames.room() >= KEEPALIVES {
        conn.keepalives_due -= 1;
        frames.keepalive();
        if let Some(Upstream { sent, .. }) = conn.upstream.as_deref_mut() {
            *sent += 1;
        }
    }
}

/// A table to be told of.
struct Routes<'a> {
    rib: &'a mut Rib,
    /// What was encoded for others, if there are any.
    shared: Option<&'a mut Shared>,
    now: Instant,
    convergence: &'a mut Histogram,
}

impl Routes<'_> {
    /// The next routes for a subscriber, encoded: once for all who stand in the same place, or for it alone.
    fn next_chunk(&mut self, id: SubscriberId, order: Order, limit: usize, steps: &mut usize) -> Option<Chunk> {
        let Self { rib, shared, now, convergence } = self;
        while *steps > 0
            && let Some(pending) = rib.next_pending(id)
        {
            let (position, viewer) = (rib.position(pending), rib.viewer(id));
            let mut encode = |rib: &Rib, viewer| {
                let mut encoder = Encoder { out: BytesMut::new(), updates: 0, limit };
                let walked = rib.walk(pending.table, position, viewer, order, steps, &mut encoder);
                Chunk { bytes: encoder.out.freeze(), updates: encoder.updates, walked }
            };
            let sharing = shared.as_deref_mut().filter(|_| position.is_sharable() && !rib.is_alone(pending.table));
            let chunk = match sharing {
                None => encode(rib, viewer),
                Some(shared) => {
                    let (version, viewers) = (rib.version(pending.table), viewer.anybody());
                    let key = Key { version, position: position.clone(), viewer: viewers, order, limit };
                    let chunk = shared.get_or_insert(key, || encode(rib, viewers));
                    if chunk.walked.is_exception(viewer) { encode(rib, viewer) } else { chunk.cut(viewer) }
                }
            };
            if let Some(since) = rib.advance(id, pending, &chunk.walked) {
                convergence.observe(now.saturating_since(since));
            }
            if !chunk.bytes.is_empty() {
                return Some(chunk);
            }
        }
        None
    }
}
