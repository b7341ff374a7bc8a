//! The node as a server: the connections that it accepted, and clients that have departed while their routes are retained.
//!
//! Invariant: each connection was admitted once and leaves the admission once. The subscriber and the origin of a connection are removed when it
//! ends, the origin after its routes: at once, or when its restart time is over.

mod accepted;
mod admission;
mod answers;
mod bucket;
mod encodings;
mod outbound;
mod permits;
mod relief;
mod retained;
mod window;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::ops::Bound;
use core::time::Duration;

use bytes::Bytes;

pub(super) use permits::Filter;

use super::background::{Job, SLICE};
use super::conn::Conn;
use super::discard::Discarded;
use super::info::seconds;
use super::owners::Subscribers;
use super::timers::TimerKey;
use super::{Action, Close, Common, Counters, SessionInfo, Shutdown, Transition, Transmit};
use crate::rib::{OriginId, SubscriberId, Viewer};
use crate::session::{Role, Step};
use crate::wire::Hello;
use crate::{
    Announcer, CloseReason, ConnId, HostAddr, Instant, Limits, PeerLimit, PeerName, Policy, SessionState, TransportEnd,
    Vni,
};
use accepted::Accepted;
use admission::Admission;
use encodings::Encodings;
use outbound::Outbound;
use permits::{NotPermitted, Walk};
pub(super) use relief::Relief;
use relief::{Holder, Stage};
use retained::{Departed, Retained};

/// What it costs of a slice's budget to apply a new policy to one peer, beside what its subscriptions cost.
const APPLY: usize = 16;
/// The most peers that are closed in one tick because a destination has too many next hops.
const NEXT_HOPS_EVICT_MAX: usize = 256;

#[derive(Debug)]
pub(super) struct Server {
    conns: BTreeMap<ConnId, Box<Accepted>>,
    subscribers: Subscribers,
    admission: Admission,
    retained: Retained,
    encodings: Encodings,
    /// How often the policy was replaced.
    policies: u32,
    /// How far the latest policy is applied; `None`: to all.
    walk: Option<Walk>,
    /// Limits that are being relieved, each once.
    reliefs: Vec<Relief>,
}

impl Server {
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        Self {
            conns: BTreeMap::new(),
            subscribers: Subscribers::default(),
            admission: Admission::new(limits, now),
            retained: Retained::default(),
            encodings: Encodings::default(),
            policies: 0,
            walk: None,
            reliefs: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.conns.is_empty()
    }

    /// Admits or refuses a connection that was accepted.
    pub(super) fn accepted(&mut self, common: &mut Common, id: ConnId, remote: SocketAddr) {
        if self.conns.contains_key(&id) {
            return;
        }
        if common.shutdown != Shutdown::No || id.is_dialled() {
            common.actions.push(Action::Close { conn: id, how: Close::Now });
            return;
        }
        let entered = self.admission.enter(remote.into(), &common.config.limits, common.clock.now());
        if let Err(reason) = entered {
            common.statistics.closed(&reason);
            common.actions.push(Action::Close { conn: id, how: Close::Now });
            let (remote, old, new) = (Some(remote), SessionState::Connecting, SessionState::Closed);
            let mut refused = Transition::new(id, old, new);
            (refused.remote, refused.reason) = (remote, Some(reason));
            common.actions.push(Action::State(refused));
            return;
        }
        let mut conn = Conn::new(id, Role::Acceptor, Some(remote), common);
        conn.begin_counting(SessionState::Closed, common);
        self.conns.insert(id, Box::new(Accepted::new(conn)));
    }

    /// Notes the names in a connection's certificate.
    pub(super) fn identified(&mut self, id: ConnId, names: Arc<[PeerName]>) {
        if let Some(accepted) = self.conns.get_mut(&id) {
            accepted.conn_mut().identify(names);
        }
    }

    /// Carries out what a client says. A function of its own, because decoding wants all registers: as a part of `handle_input` an UPDATE
    /// takes 15 instructions more.
    #[inline(never)]
    pub(super) fn received(&mut self, common: &mut Common, id: ConnId, bytes: &Bytes) {
        self.apply_policy_to(common, id);
        let Some(accepted) = self.conns.get_mut(&id) else { return };
        accepted.conn_mut().hear(bytes.len(), common);
        common.jobs.received(bytes.len());
        let mut input = &bytes[..];
        while let Some(accepted) = self.conns.get_mut(&id) {
            let old = accepted.conn().session().state();
            match accepted.receive(&mut common.rib, &mut input) {
                Ok(None) => break,
                Ok(Some(step)) => self.step(common, id, old, step),
                Err(reason) => {
                    self.report_refused(common, id);
                    return self.close(common, id, reason, Some(Close::Now));
                }
            }
        }
        self.report_refused(common, id);
        self.check_limits(common, id);
        if let Some(accepted) = self.conns.get_mut(&id) {
            accepted.conn_mut().count_up(&mut common.statistics);
        }
    }

    fn step(&mut self, common: &mut Common, id: ConnId, old: SessionState, step: Step) {
        match step {
            Step::Hello(_) => self.greeted(common, id, old),
            Step::Established => self.established(common, id, old),
            Step::Keepalive => self.keepalive(common, id),
            Step::Subscribe(vni) => self.subscribe(common, id, vni),
            Step::Unsubscribe(vni) => self.unsubscribe(common, id, vni),
            // Handled where they are read.
            Step::Update(_) | Step::InvalidUpdate | Step::Unknown => {}
        }
    }

    fn greeted(&mut self, common: &mut Common, id: ConnId, old: SessionState) {
        let Some(accepted) = self.conns.get_mut(&id) else { return };
        if accepted.renew_permit(self.policies, common.config.policy.as_ref()).is_err() {
            return self.close(common, id, CloseReason::NotPermitted, Some(Close::Now));
        }
        let conn = accepted.conn_mut();
        conn.greeted(common);
        let transition = conn.transition(old, common);
        common.actions.push(Action::State(transition));
    }

    fn established(&mut self, common: &mut Common, id: ConnId, old: SessionState) {
        let Some(accepted) = self.conns.get_mut(&id) else { return };
        let conn = accepted.conn_mut();
        let Some(&hello) = conn.session().hello() else { return };
        let now = common.clock.now();
        let successor_of = self.retained.keys_of(conn.names().map(|names| &names[..]), conn.remote());
        let origin = common.rib.add_origin(hello.is_server, successor_of);
        common.origins.set(origin, Announcer::Conn(id));
        let viewer = if hello.is_server { Viewer::Server } else { Viewer::Client(common.rib.key(origin)) };
        let subscriber = common.rib.add_subscriber(viewer);
        self.subscribers.set(subscriber, id);
        conn.step_timers(common);
        let outbound = if hello.ordered {
            Outbound::ordered(subscriber)
        } else {
            conn.owe_keepalives(1);
            common.rib.keep_by_table(origin);
            Outbound::legacy(subscriber, common.config.echo, common.config.pacing, now)
        };
        let transition = conn.transition(old, common);
        common.actions.push(Action::State(transition));
        outbound.open_window(conn, common);
        accepted.open(origin, outbound);
    }

    fn keepalive(&mut self, common: &mut Common, id: ConnId) {
        let Some(accepted) = self.conns.get_mut(&id) else { return };
        let (Some(outbound), conn) = accepted.outbound_mut() else { return };
        outbound.answer(conn, &common.rib);
        conn.mark_ready(&mut common.ready);
    }

    fn subscribe(&mut self, common: &mut Common, id: ConnId, vni: Vni) {
        let Some(accepted) = self.conns.get_mut(&id) else { return };
        let Some(subscriber) = accepted.outbound().map(Outbound::subscriber) else { return };
        let (permission, conn) = accepted.permission_mut();
        let remember_max = if conn.session().is_ordered() { 0 } else { common.config.limits.vnis_per_peer };
        if permission.subscribe(vni, remember_max) {
            common.rib.subscribe(subscriber, vni);
            conn.mark_ready(&mut common.ready);
        } else {
            conn.recent().denied_subscriptions += 1;
        }
    }

    fn unsubscribe(&mut self, common: &mut Common, id: ConnId, vni: Vni) {
        let Some(accepted) = self.conns.get_mut(&id) else { return };
        let subscriber = accepted.outbound().map(Outbound::subscriber);
        let (Some(subscriber), Some(origin)) = (subscriber, accepted.origin()) else { return };
        let (permission, conn) = accepted.permission_mut();
        let was_refused = permission.forget_refused_vni(vni);
        if common.rib.unsubscribe(subscriber, vni) || was_refused {
            // The reference does so, and clients of its production fork rely on it.
            if !conn.session().is_ordered() && common.rib.take_table(origin, vni) {
                common.jobs.push(Job::Withdraw(origin));
            }
            conn.mark_ready(&mut common.ready);
        }
    }

    /// Notes that a connection's transmit was written.
    pub(super) fn sent(&mut self, common: &mut Common, id: ConnId) {
        if let Some(accepted) = self.conns.get_mut(&id) {
            let (outbound, conn) = accepted.outbound_mut();
            if let Some(outbound) = outbound {
                outbound.sent();
            }
            conn.sent(&mut common.ready);
        }
    }

    /// Handles a connection's deadline.
    pub(super) fn due(&mut self, common: &mut Common, id: ConnId) {
        let Some(accepted) = self.conns.get_mut(&id) else { return };
        let (outbound, conn) = accepted.outbound_mut();
        if let Err(reason) = conn.due(common) {
            return self.close(common, id, reason, Some(Close::Now));
        }
        if let Some(outbound) = outbound {
            outbound.due(conn, common);
        }
    }

    /// Takes a measurement of a client's window.
    pub(super) fn measured(&mut self, common: &mut Common, id: ConnId, window: u32, unacknowledged: u32) {
        let Some(accepted) = self.conns.get_mut(&id) else { return };
        let (Some(outbound), conn) = accepted.outbound_mut() else { return };
        if let Err(reason) = outbound.measure(conn, window, unacknowledged, common) {
            self.close(common, id, reason, Some(Close::Now));
        }
    }

    /// Marks the connection of a subscriber that was woken as ready.
    pub(super) fn wake(&mut self, common: &mut Common, stamp: u64, budget: &mut usize) {
        let Self { conns, subscribers, .. } = self;
        let Common { rib, ready, .. } = common;
        rib.wake(stamp, budget, |subscriber| {
            if let Some(accepted) = subscribers.get(subscriber).and_then(|id| conns.get_mut(&id)) {
                accepted.conn_mut().mark_ready(ready);
            }
        });
    }

    /// Closes the connection of a subscriber that is too slow.
    pub(super) fn close_slow(&mut self, common: &mut Common, subscriber: SubscriberId) {
        if let Some(id) = self.subscribers.get(subscriber) {
            self.close(common, id, CloseReason::TooSlow, Some(Close::Now));
        }
    }

    /// Returns the next transmit of a connection that is ready, if it has something to send.
    pub(super) fn next_transmit(&mut self, common: &mut Common, id: ConnId, steps: &mut usize) -> Option<Transmit> {
        let accepted = self.conns.get_mut(&id)?;
        let (outbound, conn) = accepted.outbound_mut();
        let mut frames = conn.begin_frames(|theirs| {
            let (keepalive, restart_time) = theirs.map_or((u32::MAX, 0), |hello| (hello.keepalive, hello.restart_time));
            Hello {
                keepalive: common.config.keepalive_secs().min(keepalive),
                is_server: true,
                ordered: true,
                converging: common.is_converging(),
                restart_time: common.config.grant_restart_time(restart_time),
            }
        });
        if let Some(outbound) = outbound {
            outbound.fill(conn, &mut frames, &mut self.encodings, steps, common);
        }
        conn.end_frames(frames, *steps, common)
    }

    /// Ends a connection. `how`: what the driver is to do, unless it ended the connection itself.
    pub(super) fn close(&mut self, common: &mut Common, id: ConnId, reason: CloseReason, how: Option<Close>) {
        let Some(mut accepted) = self.conns.remove(&id) else { return };
        let conn = accepted.conn_mut();
        conn.clear_timer(&mut common.timers);
        conn.count_up(&mut common.statistics);
        common.statistics.closed(&reason);
        common.actions.extend(how.map(|how| Action::Close { conn: id, how }));
        if let Some(outbound) = accepted.outbound() {
            common.rib.remove_subscriber(outbound.subscriber());
        }
        if let Some(origin) = accepted.origin() {
            self.end_origin(common, &accepted, origin, &reason);
        }
        let (conn, now) = (accepted.conn(), common.clock.now());
        if let Some(host) = conn.host() {
            if matches!(reason, CloseReason::Limit { limit, .. } if limit.is_on_content()) {
                self.admission.ban(host, &common.config.limits, now);
            }
            self.admission.leave(host, conn.counters(), now);
        }
        let transition = conn.end(SessionState::Closed, reason, common);
        common.actions.push(Action::State(transition));
    }

    /// Closes all connections: the node ends.
    pub(super) fn close_all(&mut self, common: &mut Common) {
        while let Some((&id, _)) = self.conns.first_key_value() {
            self.close(common, id, CloseReason::Shutdown, Some(Close::Now));
        }
        self.reliefs.clear();
    }

    /// Retains the routes of a client whose connection has ended for its restart time, or removes them.
    fn end_origin(&mut self, common: &mut Common, accepted: &Accepted, origin: OriginId, reason: &CloseReason) {
        let conn = accepted.conn();
        let has_routes = common.rib.route_count(origin) > 0;
        // If a session is reset here, the traffic of the client's host is to go on.
        let host_stands = matches!(
            reason,
            CloseReason::Transport(TransportEnd::Eof | TransportEnd::Reset)
                | CloseReason::ResetRequested
                | CloseReason::PolicyChanged
        );
        let asked = conn.session().hello().map_or(0, |hello| hello.restart_time);
        let restart_time = common.config.grant_restart_time(asked);
        // The connection may end before the latest policy was applied to it.
        let names = conn.names().map(|names| &names[..]);
        let permit = permits::permit_of(common.config.policy.as_ref(), names, conn.remote());
        if host_stands
            && restart_time > 0
            && has_routes
            && let Ok(permit) = permit
        {
            let until = common.clock.now() + Duration::from_secs(restart_time.into());
            common.timers.once(TimerKey::RestartTime(origin), until);
            let client = self.retained.insert(origin, Departed::new(until, conn.remote(), conn.names().cloned()));
            common.origins.set(origin, Announcer::Departed);
            common.rib.depart(origin, client);
            if !accepted.permission().is_by(self.policies)
                && let Some(permit) = permit
            {
                common.jobs.push(Job::Filter(Filter::new(origin, permit, self.policies)));
            }
            return;
        }
        // A client that fell silent may be cut off, and others with it: the first one that is back must not take the table without the
        // others' routes for complete.
        let is_cut_off = matches!(
            reason,
            CloseReason::HoldTime(_) | CloseReason::Transport(TransportEnd::TimedOut | TransportEnd::Error(_))
        );
        if is_cut_off && has_routes {
            common.listening.client_cut_off(common.clock.now());
        }
        remove_routes(common, origin);
    }

    /// Ends a departed client's restart time, because it is over.
    pub(super) fn end_restart_time(&mut self, common: &mut Common, origin: OriginId) {
        self.retained.remove(origin);
        remove_routes(common, origin);
    }

    /// Ends a departed client's restart time early.
    fn cut_restart_time(&mut self, common: &mut Common, origin: OriginId) {
        if let Some(departed) = self.retained.get(origin) {
            common.timers.cancel(TimerKey::RestartTime(origin), departed.until());
        }
        self.end_restart_time(common, origin);
    }

    /// Replaces the policy. It is applied to departed clients first, then to connections, in slices. A filter by an earlier policy ends at its next
    /// slice.
    pub(super) fn set_policy(&mut self, common: &mut Common, policy: Option<Policy>) {
        // What the filter under way has withdrawn so far is to be known when the new policy is applied to its client.
        if let Some(filter) = common.jobs.take_filter() {
            self.filtered(common, &filter);
        }
        common.config.policy = policy;
        self.policies = self.policies.wrapping_add(1);
        let is_queued = self.walk.replace(Walk::Departed(None)).is_some();
        let mut budget = SLICE;
        let is_done = self.apply_policy(common, &mut budget);
        if !is_done && !is_queued {
            common.jobs.push(Job::ApplyPolicy);
        }
    }

    /// Applies the latest policy to more peers, as far as `budget` allows. Returns whether it is applied to all.
    pub(super) fn apply_policy(&mut self, common: &mut Common, budget: &mut usize) -> bool {
        while let Some(walk) = self.walk {
            if *budget == 0 {
                return false;
            }
            *budget = budget.saturating_sub(APPLY);
            match walk {
                Walk::Departed(last) => match self.retained.next(last) {
                    Some((origin, _)) => {
                        self.walk = Some(Walk::Departed(Some(origin)));
                        self.apply_policy_to_departed(common, origin);
                    }
                    None if self.conns.is_empty() => self.walk = None,
                    None => {
                        self.walk = Some(Walk::Conns(None));
                        return false;
                    }
                },
                Walk::Conns(last) => match next_conn(&self.conns, last) {
                    Some((id, accepted)) => {
                        let outbound = accepted.outbound();
                        *budget = budget.saturating_sub(
                            common.rib.subscription_count_of(outbound.map(Outbound::subscriber)) / APPLY,
                        );
                        self.walk = Some(Walk::Conns(Some(id)));
                        self.apply_policy_to(common, id);
                    }
                    None => self.walk = None,
                },
            }
        }
        true
    }

    fn apply_policy_to_departed(&mut self, common: &mut Common, origin: OriginId) {
        let Some(departed) = self.retained.get(origin) else { return };
        let names = departed.names().map(|names| &names[..]);
        match permits::permit_of(common.config.policy.as_ref(), names, departed.remote()) {
            Ok(Some(permit)) => common.jobs.push(Job::Filter(Filter::new(origin, permit, self.policies))),
            Ok(None) => {}
            Err(NotPermitted) => self.cut_restart_time(common, origin),
        }
    }

    /// Applies the latest policy to a connection, unless that is done: before the client's next bytes are processed, or when the walk comes to it.
    fn apply_policy_to(&mut self, common: &mut Common, id: ConnId) {
        let Some(accepted) = self.conns.get_mut(&id) else { return };
        if accepted.permission().is_by(self.policies) || accepted.conn().session().hello().is_none() {
            return;
        }
        let Ok(old) = accepted.renew_permit(self.policies, common.config.policy.as_ref()) else {
            return self.close(common, id, CloseReason::NotPermitted, Some(Close::Now));
        };
        let permission = accepted.permission();
        let subscriber = accepted.outbound().map(Outbound::subscriber);
        let is_denied = permission.permit().zip(subscriber).is_some_and(|(permit, subscriber)| {
            common.rib.subscribed(subscriber).any(|vni| permit.subscribe(vni).is_err())
        });
        // A client does not repeat by itself what was denied, and does not remove by itself what it was sent.
        let begins_anew = is_denied || permission.may_have_missed(old.as_ref());
        if let (Some(permit), Some(origin)) = (permission.permit(), accepted.origin()) {
            common.jobs.push(Job::Filter(Filter::new(origin, permit.clone(), self.policies)));
        }
        if begins_anew {
            self.close(common, id, CloseReason::PolicyChanged, Some(Close::Now));
        }
    }

    /// Does a slice of a filter. Returns whether it is done.
    pub(super) fn filter(&mut self, common: &mut Common, filter: &mut Filter, budget: &mut usize) -> bool {
        filter.run(self.policies, &mut common.rib, budget)
    }

    /// Reports what a filter that is done has withdrawn.
    pub(super) fn filtered(&mut self, common: &mut Common, filter: &Filter) {
        let id = match common.origins.get(filter.origin()) {
            Announcer::Conn(id) => Some(id).filter(|id| self.conns.contains_key(id)),
            _ => None,
        };
        let withdrawn = filter.withdrawn();
        let (mut remote, mut names) = (None, None);
        if let Some(accepted) = id.and_then(|id| self.conns.get_mut(&id)) {
            let (permission, conn) = accepted.permission_mut();
            if withdrawn > 0 {
                permission.withdrawn();
                conn.recent().denied_routes += withdrawn;
                conn.count_up(&mut common.statistics);
            }
            (remote, names) = (conn.remote(), conn.names().cloned());
        } else {
            common.statistics.refused_retained(withdrawn);
            if let Some(departed) = self.retained.get(filter.origin()) {
                (remote, names) = (departed.remote(), departed.names().cloned());
            }
        }
        common.actions.extend(filter.denial(id, remote, names).map(Action::Denied));
        if let Some(id) = id {
            self.check_limits(common, id);
        }
    }

    /// Reports what was denied of a client's last messages.
    fn report_refused(&mut self, common: &mut Common, id: ConnId) {
        if let Some(accepted) = self.conns.get_mut(&id) {
            let (permission, conn) = accepted.permission_mut();
            common.actions.extend(permission.take_denial(conn).map(Action::Denied));
        }
    }

    /// Closes a client that holds more than it may, and begins to relieve what all clients together hold too much of.
    fn check_limits(&mut self, common: &mut Common, id: ConnId) {
        let Some(accepted) = self.conns.get(&id) else { return };
        let Some(origin) = accepted.origin() else { return };
        let limits = &common.config.limits;
        let routes = common.rib.route_count(origin);
        let subscriber = accepted.outbound().map(Outbound::subscriber);
        let vnis = common.rib.subscription_count_of(subscriber).max(common.rib.vni_count(origin));
        let rule = accepted.permission().permit().map(|permit| permit.rule());
        let max_routes = rule.and_then(|rule| rule.max_routes).unwrap_or(limits.routes_per_peer);
        let max_vnis = rule.and_then(|rule| rule.max_vnis).unwrap_or(limits.vnis_per_peer);
        let over = |limit, max| CloseReason::Limit { limit, max: max as u64 };
        if routes > max_routes {
            self.close(common, id, over(PeerLimit::RoutesPerPeer, max_routes), Some(Close::Now));
        } else if vnis > max_vnis {
            self.close(common, id, over(PeerLimit::VnisPerPeer, max_vnis), Some(Close::Now));
        }
        for limit in relief::LIMITS {
            if relief::is_over(limit, &common.config.limits, &common.rib)
                && !self.reliefs.iter().any(|relief| relief.limit() == limit)
            {
                let (mut relief, mut budget) = (Relief::new(limit), SLICE);
                // With few connections, the first slice does it all.
                if !self.relieve(common, &mut relief, &mut budget) {
                    self.reliefs.push(relief);
                }
            }
        }
    }

    /// Returns whether a limit is being relieved.
    pub(super) fn is_relieving(&self) -> bool {
        !self.reliefs.is_empty()
    }

    /// Does a slice of each relief.
    pub(super) fn relieve_more(&mut self, common: &mut Common) {
        for mut relief in core::mem::take(&mut self.reliefs) {
            if self.relieve(common, &mut relief, &mut SLICE.clone()) {
                common.jobs.discard(Discarded::Relief(Box::new(relief)));
            } else {
                self.reliefs.push(relief);
            }
        }
    }

    /// Does a slice of a relief, as far as `budget` allows. Returns whether it is done.
    fn relieve(&mut self, common: &mut Common, relief: &mut Relief, budget: &mut usize) -> bool {
        while !relief.is_done(&common.config.limits, &common.rib) {
            if *budget == 0 {
                return false;
            }
            match relief.stage() {
                Stage::Conns(last) => {
                    let next = next_conn(&self.conns, last).map(|(id, _)| id);
                    relief.set_stage(next.map_or(Stage::Departed(None), |id| Stage::Conns(Some(id))));
                    if let Some(id) = next {
                        self.add_up(common, relief, Holder::Conn(id));
                    }
                    *budget = budget.saturating_sub(relief::LOOK);
                }
                Stage::Departed(last) => {
                    let next = self.retained.next(last).map(|(origin, _)| origin);
                    relief.set_stage(next.map_or(Stage::Evicting, |origin| Stage::Departed(Some(origin))));
                    if let Some(origin) = next {
                        self.add_up(common, relief, Holder::Departed(origin));
                    }
                    *budget = budget.saturating_sub(relief::LOOK);
                }
                Stage::Evicting => {
                    let Some((host, holder, part)) = relief.pop() else {
                        // Peers that departed or came during the walk may have been missed.
                        if relief.begin_again() {
                            continue;
                        }
                        return true;
                    };
                    if self.part(common, relief, holder) == Some((host, part)) {
                        self.evict(common, holder, relief.limit());
                        *budget = budget.saturating_sub(relief::EVICT);
                    } else {
                        self.add_up(common, relief, holder);
                        *budget = budget.saturating_sub(relief::LOOK);
                    }
                }
            }
        }
        true
    }

    fn add_up(&self, common: &Common, relief: &mut Relief, holder: Holder) {
        if let Some((host, part)) = self.part(common, relief, holder) {
            relief.add(host, holder, part);
        }
    }

    /// Returns a peer's host, and what the peer has of the limit that is relieved. `None`: it is gone.
    fn part(&self, common: &Common, relief: &Relief, holder: Holder) -> Option<(HostAddr, usize)> {
        match holder {
            Holder::Conn(id) => {
                let accepted = self.conns.get(&id)?;
                let subscriber = accepted.outbound().map(Outbound::subscriber);
                Some((accepted.conn().host()?, relief.part(&common.rib, accepted.origin(), subscriber)))
            }
            Holder::Departed(origin) => {
                Some((self.retained.get(origin)?.host()?, relief.part(&common.rib, Some(origin), None)))
            }
        }
    }

    /// Closes some of the peers that announce the most next hops of a destination that has too many. Waits until no job is left, because what is
    /// being removed still counts.
    pub(super) fn relieve_next_hops(&mut self, common: &mut Common) {
        if !common.jobs.is_empty() || !common.rib.has_over_limit() {
            return;
        }
        let Common { rib, origins, .. } = common;
        let host_of = |origin| match origins.get(origin) {
            Announcer::Conn(id) => self.conns.get(&id)?.conn().host(),
            Announcer::Departed => self.retained.get(origin)?.host(),
            Announcer::Local | Announcer::Peer(_) => None,
        };
        let (mut departed, mut conns) = (Vec::new(), Vec::new());
        for origin in rib.peers_over_limit(host_of) {
            match origins.get(origin) {
                Announcer::Conn(id) => conns.push(id),
                _ if self.retained.get(origin).is_some() => departed.push(origin),
                _ => {}
            }
        }
        conns.sort_unstable();
        let holders = departed.into_iter().map(Holder::Departed).chain(conns.into_iter().map(Holder::Conn));
        for holder in holders.take(NEXT_HOPS_EVICT_MAX) {
            self.evict(common, holder, PeerLimit::NextHops);
        }
    }

    /// Ends a peer's session or restart time, because all peers together are over a limit.
    fn evict(&mut self, common: &mut Common, holder: Holder, limit: PeerLimit) {
        let reason = CloseReason::Limit { limit, max: common.config.limits.get(limit) };
        match holder {
            Holder::Conn(id) => self.close(common, id, reason, Some(Close::Now)),
            Holder::Departed(origin) => {
                common.statistics.closed(&reason);
                self.cut_restart_time(common, origin);
            }
        }
    }

    /// Returns what was counted on connections from a host that have ended.
    pub(super) fn past_counters(&self, host: HostAddr) -> Counters {
        self.admission.past_counters(host)
    }

    /// Returns a snapshot of one connection.
    pub(super) fn session(&self, common: &Common, id: ConnId) -> Option<SessionInfo> {
        self.conns.get(&id).map(|accepted| session_info(accepted, common))
    }

    /// Returns the subscriber of a connection, from ESTABLISHED on.
    pub(super) fn subscriber(&self, id: ConnId) -> Option<SubscriberId> {
        self.conns.get(&id)?.outbound().map(Outbound::subscriber)
    }

    /// Returns the origin of a connection, from ESTABLISHED on.
    pub(super) fn origin(&self, id: ConnId) -> Option<OriginId> {
        self.conns.get(&id)?.origin()
    }

    /// Returns snapshots of the connections after `last`, in the order of their ids; without `last`, of all.
    pub(super) fn sessions<'a>(
        &'a self,
        common: &'a Common,
        last: Option<ConnId>,
    ) -> impl Iterator<Item = SessionInfo> + 'a {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        self.conns.range((from, Bound::Unbounded)).map(|(_, accepted)| session_info(accepted, common))
    }
}

fn session_info(accepted: &Accepted, common: &Common) -> SessionInfo {
    let (conn, subscriber) = (accepted.conn(), accepted.outbound().map(Outbound::subscriber));
    let hello = conn.session().hello();
    SessionInfo {
        rule: accepted.permission().permit().map(|permit| permit.rule().name.clone()),
        routes: accepted.origin().map_or(0, |origin| common.rib.route_count(origin)),
        subscriptions: common.rib.subscription_count_of(subscriber),
        restart_time: hello.map(|hello| seconds(common.config.grant_restart_time(hello.restart_time))),
        ..SessionInfo::of(conn, &common.config)
    }
}

/// Removes all routes of a client that has ended.
fn remove_routes(common: &mut Common, origin: OriginId) {
    common.origins.set(origin, Announcer::Departed);
    common.rib.leave(origin);
    common.jobs.push(Job::Release(origin));
}

/// Returns the first connection after `last`; without `last`, the first of all.
fn next_conn(conns: &BTreeMap<ConnId, Box<Accepted>>, last: Option<ConnId>) -> Option<(ConnId, &Accepted)> {
    let from = last.map_or(Bound::Unbounded, Bound::Excluded);
    conns.range((from, Bound::Unbounded)).next().map(|(&id, accepted)| (id, &**accepted))
}
