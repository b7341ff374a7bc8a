//! Routes, encoded as announcements.

use std::net::Ipv4Addr;

use bytes::BytesMut;
use metalbond::wire::{Update, UpdateAction, encode_update};
use metalbond::{NextHop, Prefix, Route, Vni};

pub(crate) const VNI: Vni = Vni(23);
/// Length of an announcement in bytes. A withdrawal is two bytes longer.
pub(crate) const LEN: usize = 36;

pub(crate) fn route(vni: Vni, n: u32, host: u16) -> Route {
    let prefix = Prefix::new(Ipv4Addr::from(0x0a00_0000 + n).into(), 32).expect("32 bits are no more than 32");
    let next_hop = NextHop::standard(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1 + host).into());
    Route { vni, prefix, next_hop }
}

/// Returns encoded UPDATEs for routes with one next hop.
pub(crate) fn updates(action: UpdateAction, numbers: impl Iterator<Item = u32>) -> BytesMut {
    let mut out = BytesMut::new();
    for n in numbers {
        encode_update(&mut out, &Update { action, route: route(VNI, n, 0) });
    }
    out
}

pub(crate) fn adds(count: u32) -> BytesMut {
    updates(UpdateAction::Add, 0..count)
}
