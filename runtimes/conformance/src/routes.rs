//! Routes by number.

use std::collections::BTreeSet;

use metalbond::{NextHop, NextHopKind, Route, Vni};

/// The VNI of most behaviours.
pub const VNI: Vni = Vni(23);

/// Returns the `n`th route with this hypervisor as next hop. The kinds and the address families alternate.
pub fn route(n: u32, hypervisor: u16) -> Route {
    let prefix = if n.is_multiple_of(2) {
        format!("10.{}.{}.{}/32", n >> 16 & 255, n >> 8 & 255, n & 255)
    } else {
        format!("{}/128", std::net::Ipv6Addr::from_bits(0x2001_0db8_0001 << 80 | u128::from(n)))
    };
    let kind = match n % 3 {
        0 => NextHopKind::Standard,
        1 => NextHopKind::Nat { from: 1000, to: 2000 },
        _ => NextHopKind::LoadBalancer,
    };
    let addr = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, hypervisor).into();
    let prefix = prefix.parse().expect("it is written as prefixes are");
    Route { vni: VNI, prefix, next_hop: NextHop { addr, target_vni: Vni(0), kind } }
}

/// Returns the first `n` routes with this hypervisor.
pub fn routes(n: u32, hypervisor: u16) -> BTreeSet<Route> {
    (0..n).map(|i| route(i, hypervisor)).collect()
}

/// Returns the same in another VNI.
pub fn routes_of(vni: Vni, n: u32, hypervisor: u16) -> BTreeSet<Route> {
    routes(n, hypervisor).into_iter().map(|route| Route { vni, ..route }).collect()
}
