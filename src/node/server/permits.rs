//! The policy at work: what each client may do, and the walk that applies a new policy to those that are there.
//!
//! Invariant: a permission carries the number of the policy that it is by. What a client says is judged by the latest policy only: its
//! permission is brought up to date before its bytes are processed, or when the walk comes to it.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use core::net::SocketAddr;

use super::super::Refused;
use super::super::conn::Conn;
use crate::rib::{OriginId, Rib};
use crate::{ConnId, Denied, PeerName, Permit, Policy, Refusal, Route, Vni};

/// The policy permits nothing to this peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct NotPermitted;

/// Returns what a peer may do. `Ok(None)`: everything, because there is no policy.
///
/// # Errors
/// If the policy permits nothing to it.
pub(super) fn permit_of(
    policy: Option<&Policy>,
    names: Option<&[PeerName]>,
    remote: Option<SocketAddr>,
) -> Result<Option<Permit>, NotPermitted> {
    let Some(policy) = policy else { return Ok(None) };
    remote.and_then(|remote| policy.permit(names, remote.ip())).map(Some).ok_or(NotPermitted)
}

/// What was refused of one thing that a client said: the first, why, and how many were.
type Refusals = (Refused, Denied, u64);

/// What one accepted connection may do.
#[derive(Debug, Default)]
pub(super) struct Permission {
    /// From the HELLO on, if there is a policy.
    permit: Option<Permit>,
    /// The number of the policy that the permit is by.
    policy: u32,
    /// Something that the client said was refused, or withdrawn: under another policy, it would have to say that again.
    was_refused: bool,
    /// VNIs to which a client without `ordered` is not subscribed and does not know it: its UNSUBSCRIBE withdraws what it announces there.
    refused_vnis: BTreeSet<Vni>,
    /// What was refused of the bytes that are being read.
    refused: Option<Refusals>,
}

impl Permission {
    /// Brings the permit up to date. Returns the one before.
    ///
    /// # Errors
    /// If the policy permits nothing to this client.
    pub(super) fn renew(
        &mut self,
        number: u32,
        policy: Option<&Policy>,
        conn: &Conn,
    ) -> Result<Option<Permit>, NotPermitted> {
        self.policy = number;
        let old = self.permit.take();
        self.permit = permit_of(policy, conn.names().map(|names| &names[..]), conn.remote())?;
        Ok(old)
    }

    pub(super) fn permit(&self) -> Option<&Permit> {
        self.permit.as_ref()
    }

    /// Returns whether the permit is by the policy of this number.
    pub(super) fn is_by(&self, policy: u32) -> bool {
        self.policy == policy
    }

    /// Returns whether something was refused that the client would have to say again if it had another permit than `old`.
    pub(super) fn may_have_missed(&self, old: Option<&Permit>) -> bool {
        self.was_refused && self.permit.as_ref() != old
    }

    /// Judges an announcement. Returns whether it is permitted.
    pub(super) fn announce(&mut self, route: &Route) -> bool {
        match self.permit.as_ref().map(|permit| permit.announce(route)) {
            Some(Err(why)) => {
                self.refuse(Refused::Announcement(*route), why);
                false
            }
            _ => true,
        }
    }

    /// Judges a subscription. Returns whether it is permitted. `remember_max`: how many refused VNIs are remembered for
    /// [`forget_refused_vni`](Self::forget_refused_vni).
    pub(super) fn subscribe(&mut self, vni: Vni, remember_max: usize) -> bool {
        let Some(Err(why)) = self.permit.as_ref().map(|permit| permit.subscribe(vni)) else { return true };
        if self.refused_vnis.len() < remember_max {
            self.refused_vnis.insert(vni);
        }
        self.refuse(Refused::Subscription(vni), why);
        false
    }

    /// Forgets a VNI of which the subscription was refused. Returns whether there was such a one.
    pub(super) fn forget_refused_vni(&mut self, vni: Vni) -> bool {
        self.refused_vnis.remove(&vni)
    }

    #[cold]
    fn refuse(&mut self, what: Refused, why: Denied) {
        self.was_refused = true;
        self.refused.get_or_insert((what, why, 0)).2 += 1;
    }

    /// Notes that routes were withdrawn because the policy refuses them.
    pub(super) fn withdrawn(&mut self) {
        self.was_refused = true;
    }

    /// Returns what was refused since the last call, for the application.
    pub(super) fn take_refused(&mut self, conn: &Conn) -> Option<Box<Refusal>> {
        let (what, why, count) = self.refused.take()?;
        let rule = self.permit.as_ref()?.rule().name.clone();
        let (remote, names) = (conn.remote(), conn.names().cloned());
        Some(Box::new(Refusal { conn: Some(conn.id()), remote, names, rule, what, why, count }))
    }
}

/// Withdraws what an origin announces and may not, in slices.
#[derive(Debug)]
pub(in super::super) struct Filter {
    origin: OriginId,
    permit: Permit,
    /// The number of the policy that the permit is by.
    policy: u32,
    /// Routes at places before this one in the origin's list are still to be checked.
    from: usize,
    /// The first route that was withdrawn, why, and how many were.
    withdrawn: Option<(Route, Denied, u64)>,
}

impl Filter {
    pub(super) const fn new(origin: OriginId, permit: Permit, policy: u32) -> Self {
        Self { origin, permit, policy, from: usize::MAX, withdrawn: None }
    }

    /// Does a slice, as far as `budget` allows. Returns whether all routes are checked, or the permit is not by the policy of number
    /// `policy` any more.
    pub(super) fn run(&mut self, policy: u32, rib: &mut Rib, budget: &mut usize) -> bool {
        let Self { permit, withdrawn, .. } = self;
        self.policy != policy
            || rib.filter(self.origin, &mut self.from, budget, |route| match permit.announce(route) {
                Ok(()) => false,
                Err(why) => {
                    withdrawn.get_or_insert((*route, why, 0)).2 += 1;
                    true
                }
            })
    }

    pub(super) fn origin(&self) -> OriginId {
        self.origin
    }

    /// Returns how many routes were withdrawn.
    pub(super) fn withdrawn(&self) -> u64 {
        self.withdrawn.map_or(0, |(.., count)| count)
    }

    /// Returns what was withdrawn, for the application. `None`: nothing was.
    pub(super) fn refusal(
        &self,
        conn: Option<ConnId>,
        remote: Option<SocketAddr>,
        names: Option<alloc::sync::Arc<[PeerName]>>,
    ) -> Option<Box<Refusal>> {
        let (route, why, count) = self.withdrawn?;
        let (rule, what) = (self.permit.rule().name.clone(), Refused::Standing(route));
        Some(Box::new(Refusal { conn, remote, names, rule, what, why, count }))
    }
}

/// How far a walk has come that applies a new policy: departed clients first, then connections, by their ids.
#[derive(Clone, Copy, Debug)]
pub(super) enum Walk {
    /// Departed clients after this one.
    Departed(Option<OriginId>),
    /// Connections after this one.
    Conns(Option<ConnId>),
}
