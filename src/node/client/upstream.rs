//! The open session with a server: this node's routes, which it is sent, and the subscriptions, which are asked of it.
//!
//! Invariant: a server with `ordered` is sent this node's routes before any SUBSCRIBE, so that it sees routes from before a restart taken over
//! rather than come back. A server without `ordered` is never sent more than a window of bytes that it has not proven to have read.

use super::super::transmit::{Chunk, Frames, SEGMENT};
use super::super::{Common, STEPS_PER_WALK, Shutdown};
use super::barriers::Barriers;
use super::subscriptions::{Change, Subscriptions};
use crate::rib::{Dialect, OriginId, Rib, SubscriberId};
use crate::wire::{MAX_SUBSCRIPTION, Update, UpdateAction};
use crate::{Echo, Vni};

/// VNIs with routes of this node that are subscribed to at once when a session opens. The others follow with the transmits.
const OPEN: usize = 1024;

/// What a SUBSCRIBE or UNSUBSCRIBE costs of the budget of a transmit.
const STEPS_PER_SUBSCRIPTION: usize = 16;
/// What it costs of that budget to subscribe the server to a VNI in which this node announces routes.
const STEPS_PER_OWN: usize = 16;

#[derive(Debug)]
pub(super) struct Upstream {
    /// The server as an announcer of routes, over all its sessions.
    origin: OriginId,
    /// The server as a subscriber of this node's own routes.
    subscriber: SubscriberId,
    dialect: Dialect,
    subscriptions: Subscriptions,
    barriers: Barriers,
    /// Own tables from this place on are yet to be subscribed to. `None`: none.
    own_from: Option<u32>,
}

/// What became of an UPDATE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Taken {
    Yes,
    /// It is for a VNI that was not asked for.
    Unasked,
}

impl Upstream {
    /// Opens a session that has just been established.
    pub(super) fn open(origin: OriginId, subscriber: SubscriberId, is_ordered: bool, own: &mut Rib) -> Self {
        let mut upstream = Self {
            origin,
            subscriber,
            dialect: if is_ordered { Dialect::Ordered } else { Dialect::Legacy(Echo::None) },
            subscriptions: Subscriptions::new(is_ordered, 1),
            barriers: Barriers::new(),
            own_from: Some(0),
        };
        let mut steps = OPEN * STEPS_PER_OWN;
        upstream.subscribe_own(own, &mut steps);
        upstream
    }

    /// Returns whether the server answers in order, so that an answer proves what it has read.
    pub(super) fn is_ordered(&self) -> bool {
        self.dialect == Dialect::Ordered
    }

    pub(super) fn origin(&self) -> OriginId {
        self.origin
    }

    pub(super) fn subscriber(&self) -> SubscriberId {
        self.subscriber
    }

    /// Returns the subscriptions of a session that has ended.
    pub(super) fn into_subscriptions(self) -> Subscriptions {
        self.subscriptions
    }

    pub(super) fn subscriptions(&mut self) -> &mut Subscriptions {
        &mut self.subscriptions
    }

    /// Returns whether updates of a VNI are carried out although it is not wanted.
    pub(super) fn is_filtered(&self, vni: Vni) -> bool {
        self.subscriptions.is_filtered(vni)
    }

    /// Notes that KEEPALIVEs were sent.
    pub(super) fn keepalives_sent(&mut self, n: u32) {
        self.barriers.sent(n);
    }

    /// Notes that a KEEPALIVE was answered. Returns whether the server has read that this node leaves for good.
    pub(super) fn answer(&mut self) -> bool {
        let number = self.barriers.answer();
        self.subscriptions.answered(number);
        self.barriers.is_last_answered()
    }

    /// Carries out an UPDATE.
    pub(super) fn update(&self, rib: &mut Rib, update: &Update) -> Taken {
        if !self.subscriptions.takes(update.route.vni) {
            return Taken::Unasked;
        }
        match update.action {
            // The reference sends a node its own routes back, and never says when they are gone.
            UpdateAction::Add if !self.is_ordered() && rib.is_announced(OriginId::LOCAL, &update.route) => {}
            UpdateAction::Add => {
                rib.announce(self.origin, &update.route);
            }
            UpdateAction::Remove => {
                rib.withdraw(self.origin, &update.route);
                rib.withdraw_stale(&update.route);
            }
        }
        Taken::Yes
    }

    /// Adds routes and subscriptions to a transmit, and the KEEPALIVE that is to follow them.
    pub(super) fn fill(&mut self, frames: &mut Frames, steps: &mut usize, common: &mut Common) {
        self.subscribe_own(&mut common.own, steps);
        if self.is_ordered() {
            self.put_routes(frames, steps, usize::MAX, common);
            if self.own_from.is_none() && common.own.first_unsynced(self.subscriber).is_none() {
                self.put_subscriptions(frames, steps, usize::MAX, common);
            }
            self.put_last(common);
        } else {
            self.put_subscriptions(frames, steps, common.config.unproven_max, common);
            self.put_routes(frames, steps, common.config.unproven_max, common);
        }
        self.barriers.put_due(frames, common.config.unproven_max);
    }

    /// Subscribes the server to the VNIs in which this node announces routes, as far as `steps` allow. VNIs that come later are subscribed to
    /// when they come.
    fn subscribe_own(&mut self, own: &mut Rib, steps: &mut usize) {
        while let Some(from) = self.own_from
            && *steps > 0
        {
            let tables = own.infos(from).take(steps.div_ceil(STEPS_PER_OWN).min(OPEN));
            let tables: alloc::vec::Vec<_> = tables.map(|(place, info)| (place, info.vni, info.routes)).collect();
            *steps = steps.saturating_sub(tables.len() * STEPS_PER_OWN);
            self.own_from = tables.last().map(|(place, ..)| place + 1);
            for (_, vni, _) in tables.into_iter().filter(|(.., routes)| *routes > 0) {
                own.subscribe(self.subscriber, vni);
            }
        }
    }

    fn put_routes(&mut self, frames: &mut Frames, steps: &mut usize, window: usize, common: &mut Common) {
        while frames.has_room_for_chunk() && self.barriers.has_room(SEGMENT, window) {
            let Some(chunk) = self.next_chunk(frames.chunk(), steps, common) else { return };
            if window != usize::MAX {
                self.barriers.add_unproven(chunk.len());
            }
            frames.push(chunk);
        }
    }

    /// Returns the next routes, at most `limit` bytes. `None`: there are none, or the budget `steps` is spent.
    fn next_chunk(&self, limit: usize, steps: &mut usize, common: &mut Common) -> Option<Chunk> {
        let (id, own) = (self.subscriber, &mut common.own);
        while *steps > 0
            && let Some(pending) = own.next_pending(id)
        {
            *steps = steps.saturating_sub(STEPS_PER_WALK);
            let viewer = own.viewer(id);
            let chunk = common.encoder.encode(own, pending, viewer, self.dialect, limit, steps);
            if let Some(stamp) = own.advance(id, pending, chunk.walked()) {
                common.convergence.caught_up(common.clock.now(), stamp);
            }
            if !chunk.is_empty() {
                return Some(chunk);
            }
        }
        None
    }

    /// Adds SUBSCRIBEs and UNSUBSCRIBEs that are due.
    fn put_subscriptions(&mut self, frames: &mut Frames, steps: &mut usize, window: usize, common: &Common) {
        if common.shutdown != Shutdown::No {
            return;
        }
        while *steps > 0
            && let Some(vni) = self.subscriptions.pop(|from| common.rib.next_wanted(from))
        {
            *steps = steps.saturating_sub(STEPS_PER_SUBSCRIPTION);
            if !frames.has_room_for_subscription() || !self.barriers.has_room(MAX_SUBSCRIPTION, window) {
                self.subscriptions.put_back(vni);
                return;
            }
            let is_wanted = common.rib.is_wanted(vni);
            let Some(change) = self.subscriptions.change(vni, is_wanted, common.jobs.is_dropping(vni)) else {
                continue;
            };
            let barrier = self.is_ordered().then(|| self.barriers.next());
            self.subscriptions.changed(vni, change, barrier, is_wanted);
            // A server without `ordered` withdraws at an UNSUBSCRIBE what this node announces there.
            let would_withdraw = change == Change::Unsubscribe && !self.is_ordered() && common.own.has_routes(vni);
            if !would_withdraw {
                let bytes = frames.subscription(change == Change::Subscribe, vni);
                if window != usize::MAX {
                    self.barriers.add_unproven(bytes);
                }
            }
        }
    }

    /// Once a node that leaves for good has sent all its withdrawals, waits for the answer that proves that the server has read them.
    fn put_last(&mut self, common: &mut Common) {
        let is_leaving = common.shutdown == Shutdown::Cleanup && !common.jobs.is_leaving();
        // Cursors that are yet to be woken have withdrawals to send, too.
        let is_caught_up = !common.own.is_dirty() && common.own.next_pending(self.subscriber).is_none();
        if is_leaving && self.own_from.is_none() && is_caught_up {
            self.barriers.put_last();
        }
    }

    /// Notes a route that this node announces. Returns whether the server has something to be sent that it was not subscribed to.
    pub(super) fn announced(&self, own: &mut Rib, vni: Vni) -> bool {
        own.subscribe(self.subscriber, vni)
    }
}
