//! The policy at work: who is let in, and what becomes of those who are here when it is replaced.

use alloc::boxed::Box;
use core::net::SocketAddr;

use super::jobs::Job;
use super::{Action, Close, Node, Refusal, Refused};
use crate::rib::{OriginId, Rib};
use crate::{Announcer, CloseReason, ConnId, Denied, PeerName, Permit, Policy, Route};

/// What an origin announces, held to what it may.
#[derive(Debug)]
pub(super) struct Filter {
    origin: OriginId,
    permit: Permit,
    /// What is before this place in its list is still to be looked at.
    from: usize,
    /// The first that was withdrawn, why, and how many were.
    out: Option<(Route, Denied, u64)>,
}

impl Filter {
    const fn new(origin: OriginId, permit: Permit) -> Self {
        Self { origin, permit, from: usize::MAX, out: None }
    }

    /// Goes on, as far as `budget` allows. Whether it is done.
    pub(super) fn run(&mut self, rib: &mut Rib, budget: &mut usize) -> bool {
        let Self { permit, out, .. } = self;
        rib.filter(self.origin, &mut self.from, budget, |route| match permit.announce(route) {
            Ok(()) => false,
            Err(why) => {
                out.get_or_insert((*route, why, 0)).2 += 1;
                true
            }
        })
    }
}

/// The policy permits nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct NotAllowed;

impl Node {
    /// A connection's HELLO has come: what it may do. False: nothing.
    pub(super) fn is_admitted(&mut self, id: ConnId) -> bool {
        let Some(conn) = self.conns.get_mut(&id).filter(|conn| conn.peer.is_none()) else { return true };
        let policy = self.config.policy.as_ref();
        conn.policy = self.policies;
        conn.permit =
            policy.zip(conn.remote).and_then(|(policy, remote)| policy.permit(conn.names.as_deref(), remote.ip()));
        conn.steer();
        conn.permit.is_some() || policy.is_none()
    }

    /// Another policy from now on, for those who are here as well.
    pub(super) fn set_policy(&mut self, policy: Option<Policy>) {
        self.config.policy = policy;
        self.policies = self.policies.wrapping_add(1);
        // What was under way was the last policy's. What it has withdrawn so far counts.
        for job in core::mem::take(&mut self.jobs) {
            match job {
                Job::Hold(_) => {}
                Job::Filter(filter) => self.filtered(&filter),
                job => self.jobs.push_back(job),
            }
        }
        let accepted = self.conns.values().filter(|conn| conn.peer.is_none() && conn.session.hello().is_some());
        self.jobs.extend(accepted.map(|conn| Job::Hold(conn.id)));
        let permits = self
            .departed
            .iter()
            .map(|(origin, departed)| (origin, self.permit_of(departed.names.as_deref(), departed.remote)));
        for (origin, permit) in permits.collect::<alloc::vec::Vec<_>>() {
            match permit {
                Err(NotAllowed) => self.cut_grace(origin),
                permit => self.filter(origin, permit),
            }
        }
    }

    /// What somebody may do; `Ok(None)`: everything, for there is no policy.
    pub(super) fn permit_of(
        &self,
        names: Option<&[PeerName]>,
        remote: Option<SocketAddr>,
    ) -> Result<Option<Permit>, NotAllowed> {
        let Some(policy) = &self.config.policy else { return Ok(None) };
        remote.and_then(|remote| policy.permit(names, remote.ip())).map(Some).ok_or(NotAllowed)
    }

    /// What an origin announces is to be held to this.
    pub(super) fn filter(&mut self, origin: OriginId, permit: Result<Option<Permit>, NotAllowed>) {
        if let Ok(Some(permit)) = permit {
            self.jobs.push_back(Job::Filter(Filter::new(origin, permit)));
        }
    }

    /// If the policy was replaced since: what becomes of a connection that is here. Before it is heard again, or when there is time.
    pub(super) fn hold(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        if conn.policy == self.policies || conn.peer.is_some() || conn.session.hello().is_none() {
            return;
        }
        let old = conn.permit.take();
        if !self.is_admitted(id) {
            return self.close(id, CloseReason::NotAllowed, Some(Close::Now));
        }
        let Some(conn) = self.conns.get(&id) else { return };
        let is_out = |permit: &Permit| {
            let mut subscribed = conn.subscriber.into_iter().flat_map(|subscriber| self.rib.subscribed(subscriber));
            subscribed.any(|vni| permit.subscribe(vni).is_err())
        };
        // It says nothing again of itself, and does not forget of itself what it was told.
        let begins_anew = (conn.was_refused && conn.permit != old) || conn.permit.as_ref().is_some_and(is_out);
        if let (Some(permit), Some(origin)) = (&conn.permit, conn.origin) {
            self.jobs.push_back(Job::Filter(Filter::new(origin, permit.clone())));
        }
        if begins_anew {
            self.close(id, CloseReason::PolicyChanged, Some(Close::Now));
        }
    }

    /// All that an origin announces is allowed now.
    pub(super) fn filtered(&mut self, filter: &Filter) {
        let conn = match self.rib.owner(filter.origin) {
            Announcer::Conn(id) => self.conns.get_mut(&id),
            _ => None,
        };
        let id = conn.as_ref().map(|conn| conn.id);
        if let Some((route, why, count)) = filter.out {
            let (remote, names) = match (conn, self.departed.get(filter.origin)) {
                (Some(conn), _) => {
                    conn.was_refused = true;
                    conn.counters.refused_routes += count;
                    (conn.remote, conn.names.clone())
                }
                (None, departed) => {
                    self.past.refused_routes += count;
                    departed.map_or((None, None), |departed| (departed.remote, departed.names.clone()))
                }
            };
            let (rule, what) = (filter.permit.rule().name.clone(), Refused::Standing(route));
            let refusal = Refusal { conn: id, remote, names, rule, what, why, count };
            self.actions.push(Action::Refused(Box::new(refusal)));
        }
        if let Some(id) = id {
            self.check_limits(id);
        }
    }

    /// Says what was refused of that which a connection has just said.
    pub(super) fn tell_refused(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let Some((what, why, count)) = conn.refused.take() else { return };
        let Some(permit) = &conn.permit else { return };
        let (remote, names, rule) = (conn.remote, conn.names.clone(), permit.rule().name.clone());
        self.actions.push(Action::Refused(Box::new(Refusal { conn: Some(id), remote, names, rule, what, why, count })));
    }
}
