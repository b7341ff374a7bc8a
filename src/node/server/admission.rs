//! Admission of connections: how many each address has, how fast new ones come, which addresses are banned, and what was counted on the
//! connections of each address that have ended.
//!
//! Invariant: `connections` is the sum of the connections of all addresses. An address is remembered while it has a connection or a ban that is
//! not forgotten; `bans` has each ban once, by the time when it is forgotten. The work of each call is bounded.

use alloc::collections::{BTreeMap, BTreeSet};

use super::super::Counters;
use super::super::ban::Ban;
use super::super::totals::Totals;
use super::bucket::Bucket;
use crate::{CloseReason, HostAddr, Instant, Limits, Pacing, PeerLimit};

/// The most bans that one call forgets. More than one is enough, because a call adds one at most.
const FORGET_MAX: usize = 4;

#[derive(Debug)]
pub(super) struct Admission {
    by_addr: BTreeMap<HostAddr, Source>,
    bans: BTreeSet<(Instant, HostAddr)>,
    connections: usize,
    /// New connections that may come now.
    arrivals: Bucket,
    totals: Totals<HostAddr>,
}

/// One address.
#[derive(Default, Debug)]
struct Source {
    connections: usize,
    ban: Ban,
}

impl Admission {
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        let (rate, burst) = (limits.connections_per_second, limits.connections_per_second);
        Self {
            by_addr: BTreeMap::new(),
            bans: BTreeSet::new(),
            connections: 0,
            arrivals: Bucket::new(Pacing { rate, burst }, now),
            totals: Totals::new(limits.connections),
        }
    }

    /// Admits a new connection. Each one that is admitted has to [`leave`](Self::leave) again.
    ///
    /// # Errors
    /// The reason why the connection is refused.
    pub(super) fn enter(&mut self, addr: HostAddr, limits: &Limits, now: Instant) -> Result<(), CloseReason> {
        let over = |limit| Err(CloseReason::Limit { limit, max: limits.get(limit) });
        if self.connections >= limits.connections {
            return over(PeerLimit::Connections);
        }
        if let Some(source) = self.by_addr.get(&addr) {
            let left = source.ban.left(now);
            if !left.is_zero() {
                return Err(CloseReason::Banned(left));
            }
            if source.connections >= limits.connections_per_address {
                return over(PeerLimit::ConnectionsPerAddress);
            }
        }
        // Checked last: a connection that is refused anyway does not count as an arrival.
        if self.arrivals.tokens(now) == 0 {
            return over(PeerLimit::ConnectionsPerSecond);
        }
        self.arrivals.take(1);
        self.connections += 1;
        self.by_addr.entry(addr).or_default().connections += 1;
        self.totals.enter(&addr);
        Ok(())
    }

    /// Notes that a connection that was admitted has ended.
    pub(super) fn leave(&mut self, addr: HostAddr, counters: &Counters, now: Instant) {
        self.connections -= 1;
        let mut is_last = true;
        if let Some(source) = self.by_addr.get_mut(&addr) {
            source.connections -= 1;
            is_last = source.connections == 0;
            if is_last && source.ban.is_forgotten(now) {
                if let Some(at) = source.ban.forgotten_at() {
                    self.bans.remove(&(at, addr));
                }
                self.by_addr.remove(&addr);
            }
        }
        self.totals.leave(addr, counters, is_last, now);
    }

    /// Bans an address of which a connection went over a limit.
    pub(super) fn ban(&mut self, addr: HostAddr, limits: &Limits, now: Instant) {
        if limits.ban_time_max.is_zero() {
            return;
        }
        self.forget_bans(now);
        let ban = &mut self.by_addr.entry(addr).or_default().ban;
        if let Some(at) = ban.forgotten_at() {
            self.bans.remove(&(at, addr));
        }
        ban.begin(now, limits.ban_time_max);
        if let Some(at) = ban.forgotten_at() {
            self.bans.insert((at, addr));
        }
    }

    /// Returns what was counted on connections from an address that have ended.
    pub(super) fn past_counters(&self, addr: HostAddr) -> Counters {
        self.totals.get(&addr)
    }

    fn forget_bans(&mut self, now: Instant) {
        for _ in 0..FORGET_MAX {
            let Some(&(at, addr)) = self.bans.first().filter(|(at, _)| *at <= now) else { return };
            self.bans.remove(&(at, addr));
            match self.by_addr.get_mut(&addr) {
                Some(source) if source.connections > 0 => source.ban = Ban::default(),
                _ => {
                    self.by_addr.remove(&addr);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{Ipv4Addr, SocketAddr};
    use core::time::Duration;

    const NOW: Instant = Instant::EPOCH;

    fn addr(n: u8) -> HostAddr {
        SocketAddr::from((Ipv4Addr::new(192, 0, 2, n), 1025)).into()
    }

    fn over(limits: &Limits, limit: PeerLimit) -> Result<(), CloseReason> {
        Err(CloseReason::Limit { limit, max: limits.get(limit) })
    }

    #[test]
    fn each_address_has_its_own_number_and_all_have_one_together() {
        let limits = Limits { connections: 3, connections_per_address: 2, ..Limits::default() };
        let mut admission = Admission::new(&limits, NOW);
        assert_eq!(admission.enter(addr(1), &limits, NOW), Ok(()));
        assert_eq!(admission.enter(addr(1), &limits, NOW), Ok(()));
        assert_eq!(admission.enter(addr(1), &limits, NOW), over(&limits, PeerLimit::ConnectionsPerAddress));
        assert_eq!(admission.enter(addr(2), &limits, NOW), Ok(()));
        assert_eq!(admission.enter(addr(3), &limits, NOW), over(&limits, PeerLimit::Connections));
        admission.leave(addr(1), &Counters::default(), NOW);
        assert_eq!(admission.enter(addr(3), &limits, NOW), Ok(()));
        for n in [1, 2, 3] {
            admission.leave(addr(n), &Counters::default(), NOW);
        }
        assert!(admission.by_addr.is_empty() && admission.connections == 0, "nothing is remembered of who is gone");
    }

    #[test]
    fn as_many_come_in_a_second_as_may_and_then_one_by_one() {
        let limits = Limits { connections_per_second: 4, ..Limits::default() };
        let mut admission = Admission::new(&limits, NOW);
        for _ in 0..4 {
            assert_eq!(admission.enter(addr(1), &limits, NOW), Ok(()));
        }
        assert_eq!(admission.enter(addr(2), &limits, NOW), over(&limits, PeerLimit::ConnectionsPerSecond));
        let later = NOW + Duration::from_millis(250);
        assert_eq!(admission.enter(addr(2), &limits, later), Ok(()));
        assert_eq!(admission.enter(addr(2), &limits, later), over(&limits, PeerLimit::ConnectionsPerSecond));
    }

    #[test]
    fn an_address_that_went_over_a_limit_is_banned_and_no_other() {
        let limits = Limits::default();
        let mut admission = Admission::new(&limits, NOW);
        assert_eq!(admission.enter(addr(1), &limits, NOW), Ok(()));
        admission.ban(addr(1), &limits, NOW);
        admission.leave(addr(1), &Counters::default(), NOW);
        let banned = CloseReason::Banned(Duration::from_secs(1));
        assert_eq!(admission.enter(addr(1), &limits, NOW), Err(banned));
        assert_eq!(admission.enter(addr(2), &limits, NOW), Ok(()));
        let later = NOW + Duration::from_secs(1);
        assert_eq!(admission.enter(addr(1), &limits, later), Ok(()));
        admission.leave(addr(1), &Counters::default(), later);
        let much_later = NOW + Duration::from_secs(600);
        for n in 0..64u8 {
            admission.ban(SocketAddr::from((Ipv4Addr::new(192, 0, 3, n), 1025)).into(), &limits, much_later);
        }
        assert!(!admission.by_addr.contains_key(&addr(1)), "forgotten");
    }
}
