//! Where accepted connections come from: how many each address has, how fast new ones come, and which addresses are kept
//! out for a time.

use alloc::collections::BTreeMap;

use super::offences::Offences;
use super::pace::Bucket;
use crate::{CloseReason, HostAddr, Instant, Limits, Pacing, PeerLimit};

#[derive(Debug)]
pub(super) struct Sources {
    by_addr: BTreeMap<HostAddr, Source>,
    /// At this many addresses, those are looked for that can be forgotten.
    tidy_at: usize,
    connections: usize,
    /// New connections that may come now.
    arrivals: Bucket,
}

#[derive(Default, Debug)]
struct Source {
    connections: usize,
    offences: Offences,
}

impl Sources {
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        let (rate, burst) = (limits.connections_per_second, limits.connections_per_second);
        let arrivals = Bucket::new(Pacing { rate, burst }, now);
        Self { by_addr: BTreeMap::new(), tidy_at: 64, connections: 0, arrivals }
    }

    /// A connection comes. One that is let in has to `leave` again.
    ///
    /// # Errors
    /// Why it is not let in.
    pub(super) fn enter(&mut self, addr: HostAddr, limits: &Limits, now: Instant) -> Result<(), CloseReason> {
        let over = |limit| Err(CloseReason::Limit { limit, max: limits.get(limit) });
        if self.connections >= limits.connections {
            return over(PeerLimit::Connections);
        }
        if let Some(source) = self.by_addr.get(&addr) {
            let left = source.offences.left(now);
            if !left.is_zero() {
                return Err(CloseReason::KeptOut(left));
            }
            if source.connections >= limits.connections_per_address {
                return over(PeerLimit::ConnectionsPerAddress);
            }
        }
        // Last: whoever is refused anyway uses up nobody's turn.
        if self.arrivals.tokens(now) == 0 {
            return over(PeerLimit::ConnectionsPerSecond);
        }
        self.arrivals.take(1);
        self.connections += 1;
        self.by_addr.entry(addr).or_default().connections += 1;
        Ok(())
    }

    /// Notes that a connection that was let in is over. Returns whether it was the last one of its host.
    pub(super) fn leave(&mut self, addr: HostAddr, now: Instant) -> bool {
        self.connections -= 1;
        let Some(source) = self.by_addr.get_mut(&addr) else { return true };
        source.connections -= 1;
        let is_last = source.connections == 0;
        if is_last && source.offences.are_forgotten(now) {
            self.by_addr.remove(&addr);
        }
        is_last
    }

    /// A connection from here went over a limit.
    pub(super) fn offend(&mut self, addr: HostAddr, limits: &Limits, now: Instant) {
        if limits.keep_out.is_zero() {
            return;
        }
        if self.by_addr.len() >= self.tidy_at {
            self.by_addr.retain(|_, source| source.connections > 0 || !source.offences.are_forgotten(now));
            self.tidy_at = self.by_addr.len() * 2 + 64;
        }
        self.by_addr.entry(addr).or_default().offences.again(now, limits.keep_out);
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
        let mut sources = Sources::new(&limits, NOW);
        assert_eq!(sources.enter(addr(1), &limits, NOW), Ok(()));
        assert_eq!(sources.enter(addr(1), &limits, NOW), Ok(()));
        assert_eq!(sources.enter(addr(1), &limits, NOW), over(&limits, PeerLimit::ConnectionsPerAddress));
        assert_eq!(sources.enter(addr(2), &limits, NOW), Ok(()));
        assert_eq!(sources.enter(addr(3), &limits, NOW), over(&limits, PeerLimit::Connections));
        sources.leave(addr(1), NOW);
        assert_eq!(sources.enter(addr(3), &limits, NOW), Ok(()));
        for n in [1, 2, 3] {
            sources.leave(addr(n), NOW);
        }
        assert!(sources.by_addr.is_empty() && sources.connections == 0, "nothing is remembered of who is gone");
    }

    #[test]
    fn as_many_come_in_a_second_as_may_and_then_one_by_one() {
        let limits = Limits { connections_per_second: 4, ..Limits::default() };
        let mut sources = Sources::new(&limits, NOW);
        for _ in 0..4 {
            assert_eq!(sources.enter(addr(1), &limits, NOW), Ok(()));
        }
        assert_eq!(sources.enter(addr(2), &limits, NOW), over(&limits, PeerLimit::ConnectionsPerSecond));
        let later = NOW + Duration::from_millis(250);
        assert_eq!(sources.enter(addr(2), &limits, later), Ok(()));
        assert_eq!(sources.enter(addr(2), &limits, later), over(&limits, PeerLimit::ConnectionsPerSecond));
    }

    #[test]
    fn an_address_that_offended_is_kept_out_and_no_other() {
        let limits = Limits::default();
        let mut sources = Sources::new(&limits, NOW);
        assert_eq!(sources.enter(addr(1), &limits, NOW), Ok(()));
        sources.offend(addr(1), &limits, NOW);
        sources.leave(addr(1), NOW);
        let kept_out = CloseReason::KeptOut(Duration::from_secs(1));
        assert_eq!(sources.enter(addr(1), &limits, NOW), Err(kept_out));
        assert_eq!(sources.enter(addr(2), &limits, NOW), Ok(()));
        let later = NOW + Duration::from_secs(1);
        assert_eq!(sources.enter(addr(1), &limits, later), Ok(()));
        sources.leave(addr(1), later);
        let much_later = NOW + Duration::from_secs(600);
        for n in 0..64u8 {
            sources.offend(SocketAddr::from((Ipv4Addr::new(192, 0, 3, n), 1025)).into(), &limits, much_later);
        }
        assert!(!sources.by_addr.contains_key(&addr(1)), "forgotten");
    }
}
