//! What is wanted: for each kernel route, the hypervisors that it should lead to.
//!
//! Invariant: a route's set is the union over all destinations that belong to it, of all VNIs that share its table.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::op::{Nexthop, Nexthops};
use super::routes::Key;
use super::sets::{self, SetId, Sets, Source, Sources};
use super::settings::FibSettings;
use super::underlay::Underlay;
use crate::{NextHop, NextHopKind, Prefix, Vni};

/// The weight of a preferred nexthop beside others, whose weight is 1.
const PREFERRED: u8 = 99;
/// The nexthops of a kernel route, at most: of more, those with the lowest addresses, preferred ones first. A message to the
/// kernel has at most 64 KiB for a group, and more nexthops would be of little use.
pub(super) const NEXTHOPS_MAX: usize = 256;

#[derive(Debug)]
pub(super) struct Wanted {
    sets: Sets,
    /// Tables of several VNIs.
    shared: BTreeSet<u32>,
    /// Wanted destinations: in a table of several VNIs, each VNI's kernel routes.
    count: usize,
    /// All destinations that belong to a kernel route. In a table of one VNI: only if one of them has host bits. In a shared
    /// table: always.
    variants: HashMap<Key, BTreeMap<(Vni, Prefix), SetId>, FixedState>,
    /// The STANDARD routes that this node announces.
    own: HashMap<Key, Own, FixedState>,
}

/// The announced STANDARD routes that belong to one kernel route: a VNI's prefix with its next hop.
type Own = SmallVec<[(Vni, Prefix, NextHop); 1]>;

/// The VNIs that want a kernel route, the lowest first, each with its nexthops. Those of the first are to be installed.
pub(super) type Claims = SmallVec<[(Vni, Nexthops); 2]>;

impl Wanted {
    /// Returns that nothing is wanted. `is_noting`: [`take_changed`](Self::take_changed) will be called.
    pub(super) fn new(seed: FixedState, tables: &BTreeMap<Vni, u32>, is_noting: bool) -> Self {
        let (variants, own) = (HashMap::with_hasher(seed.clone()), HashMap::with_hasher(seed.clone()));
        let (mut seen, mut shared) = (BTreeSet::new(), BTreeSet::new());
        for &table in tables.values() {
            if !seen.insert(table) {
                shared.insert(table);
            }
        }
        Self { sets: Sets::new(seed, is_noting), shared, count: 0, variants, own }
    }

    /// Returns how many destinations are wanted. One that two VNIs of a table have counts twice.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Returns whether several VNIs have their routes in a table.
    pub(super) fn is_shared(&self, table: u32) -> bool {
        !self.shared.is_empty() && self.shared.contains(&table)
    }

    /// Records the next hops of a VNI's destination `prefix`, which belongs to the kernel route `key`. Takes back the
    /// reference to `before`, the route's set until now. Returns a reference to its set from now on.
    pub(super) fn change(&mut self, key: &Key, vni: Vni, prefix: Prefix, sources: Sources, before: SetId) -> SetId {
        self.count -= usize::from(self.wants(key, vni, before));
        let now = self.replace(key, vni, prefix, sources, before);
        self.count += usize::from(self.wants(key, vni, now));
        now
    }

    fn replace(&mut self, key: &Key, vni: Vni, prefix: Prefix, sources: Sources, before: SetId) -> SetId {
        let now = self.sets.take(sources);
        let is_shared = self.is_shared(key.table());
        if prefix == key.prefix() && !is_shared && !self.variants.contains_key(key) {
            self.sets.give_back(before);
            return now;
        }
        let variants = self.variants.entry(*key).or_default();
        if is_shared || !variants.is_empty() {
            self.sets.give_back(before);
        } else if before != SetId::EMPTY {
            variants.insert((vni, key.prefix()), before);
        }
        let place = (vni, prefix);
        let old = if now == SetId::EMPTY { variants.remove(&place) } else { variants.insert(place, now) };
        if let Some(old) = old {
            self.sets.give_back(old);
        }
        if variants.is_empty() || !is_shared && variants.keys().all(|(_, variant)| *variant == key.prefix()) {
            let only = variants.pop_first().map_or(SetId::EMPTY, |(_, set)| set);
            self.variants.remove(key);
            return only;
        }
        let mut union = Sources::new();
        for set in variants.values() {
            self.sets.get(*set).iter().for_each(|source| sets::add(&mut union, *source));
        }
        self.sets.take(union)
    }

    /// Returns whether a VNI wants a kernel route with this set.
    fn wants(&self, key: &Key, vni: Vni, set: SetId) -> bool {
        if !self.is_shared(key.table()) {
            return set != SetId::EMPTY;
        }
        self.variants.get(key).is_some_and(|variants| variants.keys().any(|(other, _)| *other == vni))
    }

    /// Records whether this node announces a STANDARD route.
    pub(super) fn set_own(&mut self, key: Key, vni: Vni, prefix: Prefix, next_hop: NextHop, is_there: bool) {
        let own = self.own.entry(key).or_default();
        own.retain(|one| *one != (vni, prefix, next_hop));
        if is_there {
            own.push((vni, prefix, next_hop));
        }
        if own.is_empty() {
            self.own.remove(&key);
        }
    }

    /// Returns whether this node announces a STANDARD route to a destination of a table of one VNI.
    pub(super) fn is_own(&self, key: &Key) -> bool {
        !self.own.is_empty() && self.own.contains_key(key) && !self.is_shared(key.table())
    }

    /// Returns the nexthops that a kernel route should have. Empty: there should be no route.
    pub(super) fn nexthops(&self, key: &Key, set: SetId, settings: &FibSettings, underlay: &Underlay) -> Nexthops {
        if self.is_shared(key.table()) {
            return self
                .claims(key, settings, underlay)
                .into_iter()
                .next()
                .map_or_else(Nexthops::default, |(_, first)| first);
        }
        nexthops(key, self.sets.get(set), self.is_own(key), settings, underlay)
    }

    /// Returns how many hypervisors of a set are too many for a kernel route with objects, and the first of these.
    pub(super) fn too_many(&self, set: SetId, settings: &FibSettings) -> Option<(usize, Ipv6Addr)> {
        let sources = self.sets.get(set);
        let left_out = sources.len().checked_sub(NEXTHOPS_MAX).filter(|left_out| *left_out > 0)?;
        let mut addrs: Vec<Ipv6Addr> = sources.iter().map(Source::addr).collect();
        addrs.sort_by_key(|addr| (!settings.prefers(*addr), *addr));
        Some((left_out, addrs[NEXTHOPS_MAX]))
    }

    /// Returns a hypervisor that is wanted for a kernel route and is this machine.
    pub(super) fn local_next_hop(&self, set: SetId, underlay: &Underlay) -> Option<Ipv6Addr> {
        if !underlay.has_local() {
            return None;
        }
        self.sets.get(set).iter().map(Source::addr).find(|addr| underlay.is_local(*addr))
    }

    /// Returns the hypervisors that have come (true) or gone since the last call, in order.
    pub(super) fn take_changed(&mut self) -> Vec<(Ipv6Addr, bool)> {
        self.sets.take_changed()
    }

    /// Returns the VNIs of a shared table that want a kernel route.
    pub(super) fn claims(&self, key: &Key, settings: &FibSettings, underlay: &Underlay) -> Claims {
        let own = self.own.get(key).map_or(&[][..], |own| own);
        let mut claims = Claims::new();
        let mut variants = self.variants.get(key).into_iter().flatten().peekable();
        while let Some((&(vni, _), &set)) = variants.next() {
            let mut union = self.sets.get(set).iter().copied().collect::<Sources>();
            while let Some((_, set)) = variants.next_if(|((other, _), _)| *other == vni) {
                self.sets.get(*set).iter().for_each(|source| sets::add(&mut union, *source));
            }
            let nexthops = nexthops(key, &union, own.iter().any(|(other, ..)| *other == vni), settings, underlay);
            if !nexthops.is_empty() {
                claims.push((vni, nexthops));
            }
        }
        claims
    }
}

/// Returns the nexthops of a kernel route to these hypervisors. `is_own`: this node announces a STANDARD route to the
/// destination, so only routes of other kinds count.
fn nexthops(key: &Key, sources: &[Source], is_own: bool, settings: &FibSettings, underlay: &Underlay) -> Nexthops {
    if sources.is_empty() || underlay.covered(key).is_some() {
        return Nexthops::default();
    }
    let is_preferred = |source: &Source| settings.prefers(source.addr());
    let sources = sources.iter().filter(|source| !is_own || source.is_other());
    // A tunnel to this machine would end where it begins.
    let sources = sources.filter(|source| !underlay.is_local(source.addr()));
    let nexthop = |source: &Source| {
        let weight = if settings.prefer.is_empty() || !is_preferred(source) { 1 } else { PREFERRED };
        Nexthop { addr: source.addr(), weight }
    };
    let mut nexthops: SmallVec<[Nexthop; 1]> = sources.map(nexthop).collect();
    let limit = if settings.nexthop_objects || !key.prefix().is_ipv6() { NEXTHOPS_MAX } else { 1 };
    if nexthops.len() > limit {
        nexthops.sort_by_key(|nexthop| (core::cmp::Reverse(nexthop.weight), nexthop.addr));
        nexthops.truncate(limit);
        nexthops.sort();
    }
    // Equal weights are weights of 1.
    if nexthops.iter().all(|nexthop| nexthop.weight == PREFERRED) {
        nexthops.iter_mut().for_each(|nexthop| nexthop.weight = 1);
    }
    nexthops.into_iter().collect()
}

/// Returns the hypervisors among next hops that are to be installed. `ipv4` is called with each IPv4 next hop, which cannot be
/// the far end of a tunnel over IPv6. An IPv4-mapped IPv6 address is its IPv4 address.
pub(super) fn sources(hops: &[NextHop], settings: &FibSettings, mut ipv4: impl FnMut(Ipv4Addr)) -> Sources {
    let mut sources = Sources::new();
    for hop in hops.iter().filter(|hop| !settings.exclude.contains(hop.kind)) {
        match hop.addr.to_canonical() {
            IpAddr::V6(addr) => {
                sets::add(&mut sources, Source::new(addr, hop.kind == NextHopKind::Standard));
            }
            IpAddr::V4(addr) => ipv4(addr),
        }
    }
    sources
}
