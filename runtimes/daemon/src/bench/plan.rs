//! The plan of a run: which routes are announced. Pure.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};

use metalbond::{NextHop, Prefix, Route, RouteChange, Vni};

/// The first address of 2001:db8::/32. The 32 bits after that prefix identify the run.
const DOCUMENTATION: u128 = 0x2001_0db8 << 96;

/// The routes of one run. Routes and next hops are numbered; every route starts with next hop 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) vni: Vni,
    /// A random number, so that another run in the same VNI is not mistaken for this one.
    run: u32,
}

/// An order-independent sum over routes. Two sums are equal if the routes are, and with a probability of 1 in 2⁶⁴ if
/// they differ.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Digest(u64);

impl Digest {
    pub(super) fn add(&mut self, number: u64, next_hop: u64) {
        self.0 = self.0.wrapping_add(mixed(number, next_hop));
    }

    pub(super) fn remove(&mut self, number: u64, next_hop: u64) {
        self.0 = self.0.wrapping_sub(mixed(number, next_hop));
    }
}

/// Combines both numbers into one. The result is compared within this process only.
fn mixed(number: u64, next_hop: u64) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one((number, next_hop))
}

/// A change of a route of the plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct News {
    pub(super) number: u64,
    /// Whether the route existed before the change.
    pub(super) was_there: bool,
    /// Whether the route exists after the change.
    pub(super) is_there: bool,
}

impl Plan {
    pub(super) fn new(vni: Vni) -> Self {
        Self { vni, run: RandomState::new().hash_one(vni) as u32 }
    }

    pub(super) fn route(&self, number: u64, next_hop: u64) -> Route {
        let prefix = Prefix::from(self.addr(number));
        Route { vni: self.vni, prefix, next_hop: NextHop::standard(self.addr(next_hop)) }
    }

    fn addr(&self, number: u64) -> IpAddr {
        Ipv6Addr::from_bits(DOCUMENTATION | u128::from(self.run) << 64 | u128::from(number)).into()
    }

    /// Returns the number that is encoded in an address, or `None` if the address does not belong to this run.
    pub(super) fn number(&self, addr: IpAddr) -> Option<u64> {
        let IpAddr::V6(addr) = addr else { return None };
        let bits = addr.to_bits();
        (bits >> 64 == (DOCUMENTATION >> 64 | u128::from(self.run))).then_some(bits as u64)
    }

    /// Interprets a change. Returns `None` if the route does not belong to this run.
    pub(super) fn news(&self, change: &RouteChange) -> Option<News> {
        let number = self.number(change.prefix.addr())?;
        let (now, added, removed) = (change.next_hops().len(), change.added().len(), change.removed().len());
        Some(News { number, was_there: now - added + removed > 0, is_there: now > 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_use_documentation_addresses_and_are_recognised() {
        let plan = Plan::new(Vni(23));
        let route = plan.route(7, 9);
        let documentation: Prefix = "2001:db8::/32".parse().unwrap();
        assert!(documentation.contains(route.prefix.addr()) && documentation.contains(route.next_hop.addr));
        assert_eq!((plan.number(route.prefix.addr()), plan.number(route.next_hop.addr)), (Some(7), Some(9)));
        let other = Plan { run: !plan.run, ..plan };
        assert_eq!(other.number(route.prefix.addr()), None);
        assert_eq!(plan.number([192, 0, 2, 1].into()), None);
    }

    #[test]
    fn a_digest_depends_on_the_routes_and_not_on_their_order() {
        let (mut one, mut other) = (Digest::default(), Digest::default());
        for (number, next_hop) in [(1, 0), (2, 0), (0, 1)] {
            one.add(number, next_hop);
        }
        for (number, next_hop) in [(0, 1), (1, 0), (2, 0), (3, 5)] {
            other.add(number, next_hop);
        }
        assert_ne!(one, other);
        other.remove(3, 5);
        assert_eq!(one, other);
        one.remove(0, 1);
        one.add(1, 0);
        assert_ne!(one, other);
    }

    #[test]
    fn a_change_says_whether_a_route_came_went_or_moved() {
        let plan = Plan::new(Vni(23));
        let of = |known: &[u64], added: &[u64], removed: &[u64]| {
            let hops = |numbers: &[u64]| numbers.iter().map(|n| plan.route(4, *n).next_hop).collect::<Vec<_>>();
            let change = RouteChange::new(plan.vni, plan.route(4, 0).prefix, hops(known), hops(added), hops(removed));
            plan.news(&change).map(|news| (news.number, news.was_there, news.is_there))
        };
        assert_eq!(of(&[], &[1], &[]), Some((4, false, true)));
        assert_eq!(of(&[], &[2], &[1]), Some((4, true, true)));
        assert_eq!(of(&[1], &[2], &[]), Some((4, true, true)));
        assert_eq!(of(&[], &[], &[1]), Some((4, true, false)));
    }
}
