//! UPDATEs by number.

use std::net::{Ipv4Addr, Ipv6Addr};

use metalbond::wire::{Update, UpdateAction};
use metalbond::{NextHop, Prefix, Route, Vni};

pub(crate) const VNI: Vni = Vni(23);

/// Returns an UPDATE of the `n`th prefix with the next hop of this hypervisor.
pub(crate) fn update(action: UpdateAction, n: usize, hypervisor: u16) -> Update {
    let prefix = Prefix::new(Ipv4Addr::from(0x0a00_0000 + n as u32).into(), 32).unwrap();
    let next_hop = NextHop::standard(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, hypervisor).into());
    Update { action, route: Route { vni: VNI, prefix, next_hop } }
}
