//! The routes that a client is sent: its subscriptions' changes, encoded once for all subscribers at the same position, at the pace that the
//! client can take, and the answers to its KEEPALIVEs in order with them.
//!
//! Invariant: to a client with `ordered`, no answer to a KEEPALIVE is sent before the routes of all subscriptions before it.

use super::super::conn::Conn;
use super::super::transmit::{Chunk, Frames, SEGMENT};
use super::super::{Common, STEPS_PER_WALK};
use super::answers::Answers;
use super::bucket::Bucket;
use super::encodings::{Encodings, Key};
use crate::rib::{Dialect, Rib, SubscriberId};
use crate::{Echo, Instant, Pacing};

#[derive(Debug)]
pub(super) struct Outbound {
    subscriber: SubscriberId,
    dialect: Dialect,
    answers: Answers,
    /// How fast a client without `ordered` is sent routes.
    bucket: Option<Bucket>,
    /// The answer to the first KEEPALIVE is yet to be sent: before any route, because a client takes none before it.
    first_answer_due: bool,
}

impl Outbound {
    /// For a client with `ordered`. The answer to its first KEEPALIVE is due.
    pub(super) fn ordered(subscriber: SubscriberId) -> Self {
        let (dialect, answers) = (Dialect::Ordered, Answers::default());
        Self { subscriber, dialect, answers, bucket: None, first_answer_due: true }
    }

    /// For a client without `ordered`, which is sent routes no faster than `pacing` says, and those of its own that `echo` says.
    pub(super) fn legacy(subscriber: SubscriberId, echo: Echo, pacing: Option<Pacing>, now: Instant) -> Self {
        let bucket = pacing.map(|pacing| Bucket::new(pacing, now));
        let (dialect, answers) = (Dialect::Legacy(echo), Answers::default());
        Self { subscriber, dialect, answers, bucket, first_answer_due: false }
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
        let mut tokens = self.bucket.as_mut().map_or(usize::MAX, |bucket| bucket.tokens(common.clock.now()));
        while frames.has_room_for_chunk() && tokens >= SEGMENT {
            let Some(chunk) = self.next_chunk(frames.chunk(), encodings, steps, common) else { break };
            if let Some(bucket) = &mut self.bucket {
                bucket.take(chunk.len());
                tokens = tokens.saturating_sub(chunk.len());
            }
            frames.push(chunk);
        }
        if let Some(bucket) = &self.bucket
            && tokens < SEGMENT
            && common.rib.next_pending(self.subscriber).is_some()
        {
            conn.wake_at(bucket.refilled(), &mut common.timers);
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
