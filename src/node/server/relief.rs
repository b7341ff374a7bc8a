//! Relief of a limit that all accepted peers share: which of them are closed when together they hold too much. In slices: first a walk over
//! connections and departed clients adds up what each address has, then peers are evicted until there is some room.
//!
//! Invariant: of the address that has the most, departed clients are evicted first, then the session that has the most. A peer is evicted
//! only if it has as much as was added up for it; if not, it is added up anew.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::rib::{OriginId, Rib, SubscriberId};
use crate::{ConnId, HostAddr, Limits, PeerLimit};

/// What the look at one peer costs of a slice's budget, and what it costs to evict one.
pub(super) const LOOK: usize = 4;
pub(super) const EVICT: usize = 16;

/// A peer that has a part of what accepted peers hold together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Holder {
    Conn(ConnId),
    Departed(OriginId),
}

/// What one address has: the sum, and the peers that have something, the one to evict first last: by whether it has departed, and by how much
/// it has.
#[derive(Default, Debug)]
struct Share {
    sum: usize,
    holders: BTreeSet<(bool, usize, Holder)>,
}

/// How far the walk that adds up has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// Connections after this one.
    Conns(Option<ConnId>),
    /// Departed clients after this one.
    Departed(Option<OriginId>),
    Evicting,
}

/// The relief of one limit.
#[derive(Debug)]
pub(super) struct Relief {
    limit: PeerLimit,
    stage: Stage,
    by_host: BTreeMap<HostAddr, Share>,
    /// The addresses by what they have.
    most_last: BTreeSet<(usize, HostAddr)>,
    is_second: bool,
}

/// The limits that all accepted peers share and that can be relieved.
pub(super) const LIMITS: [PeerLimit; 3] = [PeerLimit::Routes, PeerLimit::Vnis, PeerLimit::Subscriptions];

/// Returns what accepted peers hold together.
fn whole(limit: PeerLimit, rib: &Rib) -> usize {
    match limit {
        PeerLimit::Routes => rib.held(),
        PeerLimit::Vnis => rib.held_vnis(),
        PeerLimit::Subscriptions => rib.subscriptions(),
        _ => 0,
    }
}

/// Returns whether accepted peers hold more than they may.
pub(super) fn is_over(limit: PeerLimit, limits: &Limits, rib: &Rib) -> bool {
    whole(limit, rib) > limits.get(limit) as usize
}

impl Relief {
    pub(super) fn new(limit: PeerLimit) -> Self {
        Self {
            limit,
            stage: Stage::Conns(None),
            by_host: BTreeMap::new(),
            most_last: BTreeSet::new(),
            is_second: false,
        }
    }

    pub(super) fn limit(&self) -> PeerLimit {
        self.limit
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    pub(super) fn set_stage(&mut self, stage: Stage) {
        self.stage = stage;
    }

    /// Begins the walk again. Returns false if it has begun again before.
    pub(super) fn begin_again(&mut self) -> bool {
        self.stage = Stage::Conns(None);
        !core::mem::replace(&mut self.is_second, true)
    }

    /// Returns whether there is some room again: a sixty-fourth, so that the walk over all peers is rare.
    pub(super) fn is_done(&self, limits: &Limits, rib: &Rib) -> bool {
        let max = limits.get(self.limit) as usize;
        whole(self.limit, rib) <= max - max / 64
    }

    /// Returns what a peer has of it.
    pub(super) fn part(&self, rib: &Rib, origin: Option<OriginId>, subscriber: Option<SubscriberId>) -> usize {
        match self.limit {
            PeerLimit::Routes => origin.map_or(0, |origin| rib.route_count(origin)),
            PeerLimit::Vnis => origin.map_or(0, |origin| rib.vni_count(origin)),
            _ => rib.subscription_count_of(subscriber),
        }
    }

    /// Adds a peer up.
    pub(super) fn add(&mut self, host: HostAddr, holder: Holder, part: usize) {
        if part == 0 {
            return;
        }
        let share = self.by_host.entry(host).or_default();
        self.most_last.remove(&(share.sum, host));
        share.sum += part;
        share.holders.insert((matches!(holder, Holder::Departed(_)), part, holder));
        self.most_last.insert((share.sum, host));
    }

    /// Takes out the peer that is to be evicted next. Returns it with its host and what was added up for it.
    pub(super) fn pop(&mut self) -> Option<(HostAddr, Holder, usize)> {
        let (sum, host) = self.most_last.pop_last()?;
        let share = self.by_host.get_mut(&host)?;
        let (_, part, holder) = share.holders.pop_last()?;
        share.sum = sum - part;
        if share.holders.is_empty() {
            self.by_host.remove(&host);
        } else {
            self.most_last.insert((share.sum, host));
        }
        Some((host, holder, part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use core::net::{Ipv4Addr, SocketAddr};

    fn host(n: u8) -> HostAddr {
        SocketAddr::from((Ipv4Addr::new(192, 0, 2, n), 1)).into()
    }

    fn conn(n: u64) -> Holder {
        Holder::Conn(ConnId::accepted(n))
    }

    #[test]
    fn of_the_address_that_has_the_most_what_departed_goes_first_and_then_the_session_that_has_the_most() {
        let mut relief = Relief::new(PeerLimit::Routes);
        let departed = Holder::Departed(OriginId::from_number(3));
        for (n, holder, part) in
            [(1, conn(1), 10), (2, conn(2), 4), (2, conn(3), 6), (2, departed, 1), (3, conn(4), 0), (2, conn(5), 5)]
        {
            relief.add(host(n), holder, part);
        }
        let order: Vec<_> = core::iter::from_fn(|| relief.pop()).map(|(_, holder, _)| holder).collect();
        // 16 to 10, 15 to 10; then 9 to 10, and 9, 4.
        assert_eq!(order, [departed, conn(3), conn(1), conn(5), conn(2)]);
        assert!(relief.by_host.is_empty() && relief.most_last.is_empty());
    }
}
