//! The underlay: which addresses are this machine's own, and which prefixes no route may take from the tables that lead to servers and
//! next hops.
//!
//! Invariant: a route never leads to this machine, and never takes the packets of a session or a tunnel into a tunnel.

use alloc::collections::{BTreeMap, BTreeSet};
use core::net::{IpAddr, Ipv6Addr};
use core::ops::RangeInclusive;

use super::routes::Key;
use crate::Prefix;

/// The tables in which Linux looks for the way to servers and next hops: default, main, local.
const TABLES: RangeInclusive<u32> = 253..=255;
/// Destinations that no network between virtual machines can have: loopback, multicast, broadcast, link-local, and the one whose packets
/// are to be discarded (RFC 6666).
const IMPOSSIBLE: [(IpAddr, u32); 7] = [
    (IpAddr::V4(core::net::Ipv4Addr::new(127, 0, 0, 0)), 8),
    (IpAddr::V4(core::net::Ipv4Addr::new(224, 0, 0, 0)), 4),
    (IpAddr::V4(core::net::Ipv4Addr::BROADCAST), 32),
    (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
    (IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0)), 64),
    (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
    (IpAddr::V6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0)), 8),
];

/// Why a route is not installed in a table that leads to servers and next hops.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Covered {
    /// Its destination covers every address.
    Everything,
    /// It covers the address of a server.
    Server(IpAddr),
    /// It covers a next hop.
    NextHop(Ipv6Addr),
}

#[derive(Debug)]
pub(super) struct Underlay {
    impossible: [Prefix; 7],
    /// Those of the FIB's tables that lead to servers and next hops.
    tables: BTreeSet<u32>,
    servers: BTreeSet<IpAddr>,
    /// The next hops of all wanted routes, with the number of sets that have them. Only if there are such tables.
    next_hops: BTreeMap<Ipv6Addr, u32>,
    /// The machine's own addresses, and longer prefixes of them.
    local: BTreeSet<Prefix>,
    /// Those of the present dump.
    found: BTreeSet<Prefix>,
    /// The lengths of `local` other than 128.
    lengths: BTreeSet<u8>,
}

impl Underlay {
    pub(super) fn new(tables: impl IntoIterator<Item = u32>) -> Self {
        let prefix = |(addr, len)| Prefix::new(addr, len).expect("the lengths are those of their families");
        let (servers, next_hops, local, found, lengths) = Default::default();
        let tables = tables.into_iter().filter(|table| TABLES.contains(table)).collect();
        Self { impossible: IMPOSSIBLE.map(prefix), tables, servers, next_hops, local, found, lengths }
    }

    /// Returns whether no virtual machine can have an address of this destination.
    pub(super) fn is_impossible(&self, prefix: Prefix) -> bool {
        // Of nearly all destinations, the first byte shows that they are possible.
        let may_be = match prefix.addr() {
            IpAddr::V4(addr) => matches!(addr.octets()[0], 127 | 224..=239 | 255),
            IpAddr::V6(addr) => matches!(addr.octets()[0], 0 | 1 | 0xfe | 0xff),
        };
        may_be && self.impossible.iter().any(|impossible| impossible.covers(&prefix))
    }

    /// Returns whether an address of this machine is known.
    pub(super) fn has_local(&self) -> bool {
        !self.local.is_empty()
    }

    /// Returns whether an address is one of this machine.
    pub(super) fn is_local(&self, addr: Ipv6Addr) -> bool {
        let is_in = |len: u8| Prefix::new(addr.into(), len.into()).is_ok_and(|p| self.local.contains(&p.network()));
        !self.local.is_empty() && (is_in(128) || self.lengths.iter().any(|len| is_in(*len)))
    }

    /// Adds a prefix of this machine's own addresses. Returns whether it is new.
    pub(super) fn add_local(&mut self, prefix: Prefix) -> bool {
        if prefix.prefix_len() < 128 {
            self.lengths.insert(prefix.prefix_len());
        }
        self.local.insert(prefix)
    }

    pub(super) fn begin_dump(&mut self) {
        self.found.clear();
    }

    /// Notes one of this machine's own prefixes, which a dump has found.
    pub(super) fn found_local(&mut self, prefix: Prefix) {
        self.found.insert(prefix);
    }

    /// Ends a complete dump.
    pub(super) fn end_dump(&mut self) {
        self.local = core::mem::take(&mut self.found);
        self.lengths = self.local.iter().map(Prefix::prefix_len).filter(|len| *len < 128).collect();
    }

    /// Returns whether the prefixes of a table may be taken from the underlay.
    pub(super) fn has_table(&self, table: u32) -> bool {
        !self.tables.is_empty() && self.tables.contains(&table)
    }

    /// Returns whether next hops have to be noted.
    pub(super) fn has_tables(&self) -> bool {
        !self.tables.is_empty()
    }

    /// Returns why a destination is not installed, if its table leads to servers and next hops and it covers some of these.
    pub(super) fn covered(&self, key: &Key) -> Option<Covered> {
        if !self.has_table(key.table()) {
            return None;
        }
        let prefix = key.prefix();
        if prefix.is_default() {
            return Some(Covered::Everything);
        }
        if let Some(server) = self.servers.iter().find(|server| prefix.contains(**server)) {
            return Some(Covered::Server(*server));
        }
        let IpAddr::V6(first) = prefix.addr() else { return None };
        let (addr, _) = self.next_hops.range(first..).next()?;
        prefix.contains(IpAddr::V6(*addr)).then_some(Covered::NextHop(*addr))
    }

    /// Replaces the addresses of servers. Returns those that have come or gone.
    pub(super) fn set_servers(&mut self, servers: BTreeSet<IpAddr>) -> BTreeSet<IpAddr> {
        let changed = self.servers.symmetric_difference(&servers).copied().collect();
        self.servers = servers;
        changed
    }

    /// Notes that a set has a next hop. Returns whether no other set had it.
    pub(super) fn add_next_hop(&mut self, addr: Ipv6Addr) -> bool {
        let count = self.next_hops.entry(addr).or_default();
        *count += 1;
        *count == 1
    }

    /// Notes that a set with a next hop is gone. Returns whether no other set has it.
    pub(super) fn remove_next_hop(&mut self, addr: Ipv6Addr) -> bool {
        let Some(count) = self.next_hops.get_mut(&addr) else { return false };
        *count -= 1;
        let is_last = *count == 0;
        if is_last {
            self.next_hops.remove(&addr);
        }
        is_last
    }

    /// Returns the destinations of these tables that may cover an address.
    pub(super) fn covering(&self, addr: IpAddr) -> impl Iterator<Item = Key> + use<'_> {
        let prefixes = (0..=128).filter_map(move |len| Prefix::new(addr, len).ok());
        prefixes.flat_map(move |prefix| self.tables.iter().map(move |table| Key::new(*table, prefix)))
    }
}
