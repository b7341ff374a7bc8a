//! A number for a set of routes that does not depend on how it came about: the sum of one number a route. Two servers compare
//! them, so the numbers have no seed, and never change.

use core::net::IpAddr;

use crate::splitmix::mix;
use crate::{NextHop, NextHopKind, Prefix};

/// Digits of the square roots of the first primes.
const KEYS: [u64; 4] = [0x6a09_e667_f3bc_c908, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b, 0xa54f_f53a_5f1d_36f1];

/// A next hop's part in the number of its routes.
pub(super) fn of_next_hop(next_hop: &NextHop) -> u64 {
    let (family, addr) = match next_hop.addr {
        IpAddr::V4(addr) => (4, u128::from(addr.to_bits())),
        IpAddr::V6(addr) => (6, addr.to_bits()),
    };
    let (kind, ports) = match next_hop.kind {
        NextHopKind::Standard => (0, 0),
        NextHopKind::Nat { from, to } => (1, u64::from(from) << 16 | u64::from(to)),
        NextHopKind::LoadBalancer => (2, 0),
    };
    let rest = u64::from(next_hop.target_vni.0) << 32 | family << 8 | kind;
    let addr = fold(addr as u64 ^ KEYS[0], (addr >> 64) as u64 ^ KEYS[1]);
    mix(addr ^ fold(rest ^ KEYS[2], ports ^ KEYS[3]))
}

/// A route's number; its VNI is not in it.
pub(super) fn of_route(prefix: &Prefix, next_hop: u64) -> u64 {
    let (low, high, rest) = prefix.words();
    let addr = fold(low ^ KEYS[0], high ^ KEYS[1]);
    mix(addr ^ fold(u64::from(rest) ^ KEYS[2], next_hop ^ KEYS[3]))
}

/// Both halves of the product, in one.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Vni;
    use alloc::collections::BTreeSet;

    fn number(prefix: &str, addr: &str, target_vni: u32, kind: NextHopKind) -> u64 {
        let next_hop = NextHop { addr: addr.parse().unwrap(), target_vni: Vni(target_vni), kind };
        of_route(&prefix.parse().unwrap(), of_next_hop(&next_hop))
    }

    /// Servers of different versions compare them.
    #[test]
    fn a_route_has_the_same_number_for_ever() {
        use NextHopKind::{LoadBalancer, Nat, Standard};
        assert_eq!(number("10.0.23.0/24", "2001:db8::1", 0, Standard), GOLDEN[0]);
        assert_eq!(number("2001:db8::/32", "192.0.2.1", 7, LoadBalancer), GOLDEN[1]);
        assert_eq!(number("::/0", "::", 0, Nat { from: 1, to: 2 }), GOLDEN[2]);
    }

    #[test]
    fn whatever_differs_in_a_route_differs_in_its_number() {
        use NextHopKind::{LoadBalancer, Nat, Standard};
        let routes = [
            number("10.0.0.0/24", "::1", 0, Standard),
            number("10.0.0.0/25", "::1", 0, Standard),
            number("10.0.1.0/24", "::1", 0, Standard),
            number("a00::/24", "::1", 0, Standard),
            number("10.0.0.0/24", "::2", 0, Standard),
            number("10.0.0.0/24", "1::1", 0, Standard),
            number("10.0.0.0/24", "0.0.0.1", 0, Standard),
            number("10.0.0.0/24", "::1", 1, Standard),
            number("10.0.0.0/24", "::1", 0, LoadBalancer),
            number("10.0.0.0/24", "::1", 0, Nat { from: 0, to: 1 }),
            number("10.0.0.0/24", "::1", 0, Nat { from: 1, to: 1 }),
        ];
        assert_eq!(routes.iter().collect::<BTreeSet<_>>().len(), routes.len());
    }

    /// Neighbours, as tables are made of: no number is of use for another, and half of the bits differ.
    #[test]
    fn numbers_of_neighbours_have_nothing_in_common() {
        let mut seen = BTreeSet::new();
        let (mut bits, mut last) = (0, 0);
        for n in 0..100_000u32 {
            let prefix = Prefix::from(IpAddr::V4(n.into()));
            let hop = NextHop::standard(IpAddr::V6((u128::from(n) % 100).into()));
            let number = of_route(&prefix, of_next_hop(&hop));
            assert!(seen.insert(number));
            bits += (number ^ last).count_ones();
            last = number;
        }
        assert!((31_500..32_500).contains(&(bits / 100)), "{bits}");
    }

    const GOLDEN: [u64; 3] = [0x5946_47da_6ef8_687f, 0x8952_d5e9_3cb9_f6e1, 0x9bdb_c56f_829d_9cdd];
}
