//! One connection of a node: its session, what it announces and is told, and what it still has to be sent.

use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::sync::Arc;
use core::net::SocketAddr;

use super::pace::Bucket;
use super::timers::Timer;
use super::upstream::Upstream;
use super::{Counters, MessageCounts, Refused};
use crate::rib::{OriginId, Rib, SubscriberId};
use crate::session::{Role, Session, SessionTimers, Step};
use crate::wire::{Deframer, Message, Update, UpdateAction};
use crate::{CloseReason, ConnId, Denied, HostAddr, Instant, PeerId, PeerName, Permit, SessionState, Vni};

/// More runs of withheld answers than this are joined: a peer must not fill our memory with KEEPALIVEs.
const MAX_RUNS: usize = 256;

#[derive(Debug)]
pub(super) struct Conn {
    pub(super) id: ConnId,
    pub(super) peer: Option<PeerId>,
    pub(super) remote: Option<SocketAddr>,
    /// What its certificate says, if it has shown one.
    pub(super) names: Option<Arc<[PeerName]>>,
    /// What it may do, if there is a policy; of an accepted one, from its HELLO on.
    pub(super) permit: Option<Permit>,
    /// The number of the policy that this is by.
    pub(super) policy: u32,
    /// Something that it said was refused, or withdrawn, by the policy: under another one, it would have to say it again.
    pub(super) was_refused: bool,
    /// VNIs to which a peer without `ordered` is not subscribed, and doesn't know it: its UNSUBSCRIBE withdraws what it announces there.
    pub(super) refused_vnis: BTreeSet<Vni>,
    /// Of what is being received, the first that was refused, why, and how many were.
    pub(super) refused: Option<(Refused, Denied, u64)>,
    pub(super) session: Session,
    /// The state as which the node counts it.
    pub(super) counted: SessionState,
    pub(super) timers: SessionTimers,
    pub(super) timer: Timer,
    pub(super) deframer: Deframer,
    /// What it announces. An accepted one's is its own, from ESTABLISHED on; a dialled one's is its peer's.
    pub(super) origin: Option<OriginId>,
    /// The same, if no policy is in the way.
    free_origin: Option<OriginId>,
    /// What it is told: accepted, the routes of all; dialled, this node's own. From ESTABLISHED on.
    pub(super) subscriber: Option<SubscriberId>,
    /// Our HELLO is yet to be sent.
    pub(super) hello_due: bool,
    /// The answer to the first KEEPALIVE of a peer with `ordered` is yet to be sent.
    pub(super) first_answer_due: bool,
    /// KEEPALIVEs that are to be sent, ahead of routes if the far end lacks `ordered`, or is the server.
    pub(super) keepalives_due: u32,
    /// Answers that wait for the sync of a subscription: (its number, how many answers).
    withheld: VecDeque<(u64, u32)>,
    /// What a dialled server has been asked for.
    pub(super) upstream: Option<Box<Upstream>>,
    /// How fast a client without `ordered` is fed.
    pub(super) bucket: Option<Bucket>,
    pub(super) in_flight: bool,
    pub(super) is_ready: bool,
    /// When its state changed last, and when something was received last.
    pub(super) since: Instant,
    pub(super) heard: Instant,
    pub(super) counters: Counters,
}

impl Conn {
    pub(super) fn new(id: ConnId, role: Role, timers: SessionTimers, now: Instant) -> Self {
        Self {
            id,
            peer: None,
            remote: None,
            names: None,
            permit: None,
            policy: 0,
            was_refused: false,
            refused_vnis: BTreeSet::new(),
            refused: None,
            session: Session::new(role),
            counted: SessionState::Closed,
            timers,
            timer: Timer::default(),
            deframer: Deframer::default(),
            origin: None,
            free_origin: None,
            subscriber: None,
            hello_due: false,
            first_answer_due: false,
            keepalives_due: 0,
            withheld: VecDeque::new(),
            upstream: None,
            bucket: None,
            in_flight: false,
            is_ready: false,
            since: now,
            heard: now,
            counters: Counters::default(),
        }
    }

    /// Where it comes from, once it is connected.
    pub(super) fn host(&self) -> Option<HostAddr> {
        self.remote.map(HostAddr::from)
    }

    /// There may be something to send: puts it in the queue, unless something is under way.
    pub(super) fn mark_ready(&mut self, ready: &mut VecDeque<ConnId>) {
        if !self.in_flight && !self.is_ready {
            self.is_ready = true;
            ready.push_back(self.id);
        }
    }

    /// Takes UPDATEs from `input` up to the first message that is something else, and says what that is. `None`: all of
    /// `input` is taken.
    pub(super) fn receive(&mut self, rib: &mut Rib, input: &mut &[u8]) -> Result<Option<Step>, CloseReason> {
        while let Some(frame) = self.deframer.next(input).map_err(CloseReason::Decode)? {
            let message = Message::decode(frame).map_err(CloseReason::Decode)?;
            match self.session.receive(message).map_err(CloseReason::Misbehaved)? {
                Step::Update(update) => self.update(rib, &update),
                Step::Impossible => {
                    self.counters.messages_in.update += 1;
                    self.counters.impossible += 1;
                }
                Step::Unknown => self.counters.messages_in.unknown += 1,
                step => {
                    self.count(step);
                    return Ok(Some(step));
                }
            }
        }
        Ok(None)
    }

    fn count(&mut self, step: Step) {
        let MessageCounts { hello, keepalive, subscribe, unsubscribe, .. } = &mut self.counters.messages_in;
        let count = match step {
            Step::Hello(_) => hello,
            Step::Established | Step::Keepalive => keepalive,
            Step::Subscribe(_) => subscribe,
            Step::Unsubscribe(_) => unsubscribe,
            // Counted where they are carried out.
            Step::Update(_) | Step::Impossible | Step::Unknown => return,
        };
        *count += 1;
    }

    /// Whether a policy is in the way is found out together with whether there is an origin, which has to be known anyway.
    fn update(&mut self, rib: &mut Rib, update: &Update) {
        self.counters.messages_in.update += 1;
        match self.free_origin {
            Some(origin) => self.carry_out(rib, origin, update),
            None => self.update_by_rule(rib, update),
        }
    }

    #[inline(never)]
    fn update_by_rule(&mut self, rib: &mut Rib, update: &Update) {
        let Some(origin) = self.origin else { return };
        // To withdraw something is always allowed.
        if update.action == UpdateAction::Add
            && let Some(Err(why)) = self.permit.as_ref().map(|permit| permit.announce(&update.route))
        {
            self.counters.refused_routes += 1;
            return self.refuse(Refused::Announcement(update.route), why);
        }
        self.carry_out(rib, origin, update);
    }

    /// In both of its places, for one is the hottest of the node.
    #[inline(always)]
    fn carry_out(&mut self, rib: &mut Rib, origin: OriginId, update: &Update) {
        match &self.upstream {
            Some(upstream) if !upstream.is_asked_for(update.route.vni) => self.counters.unasked += 1,
            // The reference sends a node its own routes back, and never says when they are gone.
            Some(_)
                if update.action == UpdateAction::Add
                    && !self.session.is_ordered()
                    && rib.is_announced(OriginId::LOCAL, &update.route) => {}
            upstream => match update.action {
                UpdateAction::Add => {
                    rib.announce(origin, &update.route);
                }
                UpdateAction::Remove => {
                    rib.withdraw(origin, &update.route);
                    if upstream.is_some() {
                        rib.withdraw_stale(&update.route);
                    }
                }
            },
        }
    }

    /// Its origin or what it may do has changed.
    pub(super) fn steer(&mut self) {
        self.free_origin = self.origin.filter(|_| self.permit.is_none());
    }

    /// The policy refuses something that it said.
    #[cold]
    pub(super) fn refuse(&mut self, what: Refused, why: Denied) {
        self.was_refused = true;
        self.refused.get_or_insert((what, why, 0)).2 += 1;
    }

    /// A KEEPALIVE is to be answered: at once, or (`ordered`) after the sync of every SUBSCRIBE before it.
    pub(super) fn owe_answer(&mut self, last_unsynced: Option<u64>) {
        let is_full = self.withheld.len() >= MAX_RUNS;
        match (last_unsynced, self.withheld.back_mut()) {
            (None, None) => self.keepalives_due = self.keepalives_due.saturating_add(1),
            (Some(until), Some((last, answers))) if *last == until => *answers = answers.saturating_add(1),
            (Some(until), Some((last, answers))) if is_full => {
                *last = until.max(*last);
                *answers = answers.saturating_add(1);
            }
            (Some(until), _) => self.withheld.push_back((until, 1)),
            // Everything is synced but what an earlier answer waits for is gone too: in order, behind it.
            (None, Some((_, answers))) => *answers = answers.saturating_add(1),
        }
    }

    /// Subscriptions before `first_unsynced` are synced (or ended): their answers may go.
    pub(super) fn release_answers(&mut self, first_unsynced: Option<u64>) {
        while let Some(&(until, answers)) = self.withheld.front()
            && first_unsynced.is_none_or(|first| until < first)
        {
            self.keepalives_due = self.keepalives_due.saturating_add(answers);
            self.withheld.pop_front();
        }
    }
}
