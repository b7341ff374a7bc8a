//! What is wanted: of each kernel route, the hypervisors that it should lead to.

use alloc::collections::{BTreeMap, BTreeSet};
use core::net::{IpAddr, Ipv4Addr};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::Key;
use super::op::{Leg, Legs};
use super::sets::{self, SetId, Sets, Source, Sources};
use super::settings::FibSettings;
use crate::{NextHop, NextHopKind, Prefix, Vni};

/// The weight of a preferred next hop beside others (of weight 1).
const PREFERRED: u8 = 99;
/// The most legs of a kernel route: of more, those with the lowest addresses, preferred ones first. A group's message to the
/// kernel is limited (64 KiB), and so is the use of more.
pub(super) const LEGS_MAX: usize = 256;

#[derive(Debug)]
pub(super) struct Wanted {
    sets: Sets,
    /// Tables of several VNIs.
    shared: BTreeSet<u32>,
    /// All destinations that belong to a kernel route. In a table of one VNI: only if there is one with host bits; in a
    /// shared table always.
    variants: HashMap<Key, BTreeMap<(Vni, Prefix), SetId>, FixedState>,
    /// Our own STANDARD routes.
    own: HashMap<Key, Own, FixedState>,
}

/// Our own STANDARD routes that belong to one kernel route: a VNI's prefix with its next hop.
type Own = SmallVec<[(Vni, Prefix, NextHop); 1]>;

/// The VNIs that want a kernel route, the lowest first, each with its legs. The first one's are to be installed.
pub(super) type Claims = SmallVec<[(Vni, Legs); 2]>;

impl Wanted {
    pub(super) fn new(seed: FixedState, tables: &BTreeMap<Vni, u32>) -> Self {
        let (variants, own) = (HashMap::with_hasher(seed.clone()), HashMap::with_hasher(seed.clone()));
        let (mut seen, mut shared) = (BTreeSet::new(), BTreeSet::new());
        for &table in tables.values() {
            if !seen.insert(table) {
                shared.insert(table);
            }
        }
        Self { sets: Sets::new(seed), shared, variants, own }
    }

    /// Whether several VNIs have their routes in this table.
    pub(super) fn is_shared(&self, table: u32) -> bool {
        !self.shared.is_empty() && self.shared.contains(&table)
    }

    /// Records the next hops of a VNI's destination `prefix`, which belongs to the kernel route `key`. Takes back the
    /// reference to `before`, the route's set until now, and returns one to its set from now on: the union over all
    /// destinations that belong to it, also those of other VNIs.
    pub(super) fn change(&mut self, key: &Key, vni: Vni, prefix: Prefix, sources: Sources, before: SetId) -> SetId {
        let now = self.sets.take(sources);
        let is_shared = self.is_shared(key.table);
        if prefix == key.prefix && !is_shared && !self.variants.contains_key(key) {
            self.sets.give_back(before);
            return now;
        }
        let variants = self.variants.entry(*key).or_default();
        if is_shared || !variants.is_empty() {
            self.sets.give_back(before);
        } else if before != SetId::EMPTY {
            variants.insert((vni, key.prefix), before);
        }
        let place = (vni, prefix);
        let old = if now == SetId::EMPTY { variants.remove(&place) } else { variants.insert(place, now) };
        if let Some(old) = old {
            self.sets.give_back(old);
        }
        if variants.is_empty() || !is_shared && variants.keys().all(|(_, variant)| *variant == key.prefix) {
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

    /// Returns whether a VNI wants the kernel route `key`, whose set is `set`.
    pub(super) fn wants(&self, key: &Key, vni: Vni, set: SetId) -> bool {
        if !self.is_shared(key.table) {
            return set != SetId::EMPTY;
        }
        self.variants.get(key).is_some_and(|variants| variants.keys().any(|(other, _)| *other == vni))
    }

    /// A STANDARD route of our own is announced now, or no more.
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

    /// The legs that a kernel route should have. None: there should be no route.
    pub(super) fn legs(&self, key: &Key, set: SetId, settings: &FibSettings) -> Legs {
        if self.is_shared(key.table) {
            return self.claims(key, settings).into_iter().next().map_or_else(Legs::new, |(_, legs)| legs);
        }
        let is_own = !self.own.is_empty() && self.own.contains_key(key);
        legs(key, self.sets.get(set), is_own, settings)
    }

    /// The VNIs of a shared table that want a kernel route there.
    pub(super) fn claims(&self, key: &Key, settings: &FibSettings) -> Claims {
        let own = self.own.get(key).map_or(&[][..], |own| own);
        let mut claims = Claims::new();
        let mut variants = self.variants.get(key).into_iter().flatten().peekable();
        while let Some((&(vni, _), &set)) = variants.next() {
            let mut union = self.sets.get(set).iter().copied().collect::<Sources>();
            while let Some((_, set)) = variants.next_if(|((other, _), _)| *other == vni) {
                self.sets.get(*set).iter().for_each(|source| sets::add(&mut union, *source));
            }
            let legs = legs(key, &union, own.iter().any(|(other, ..)| *other == vni), settings);
            if !legs.is_empty() {
                claims.push((vni, legs));
            }
        }
        claims
    }
}

/// The legs of a kernel route to these hypervisors. `is_own`: the destination is one of ours, so only others' routes that are
/// not STANDARD count.
fn legs(key: &Key, sources: &[Source], is_own: bool, settings: &FibSettings) -> Legs {
    if sources.is_empty() {
        return Legs::new();
    }
    let is_preferred =
        |source: &Source| settings.prefer.iter().any(|network| network.contains(IpAddr::V6(source.addr)));
    let sources = sources.iter().filter(|source| !is_own || source.is_other);
    let leg = |source: &Source| {
        let weight = if settings.prefer.is_empty() || !is_preferred(source) { 1 } else { PREFERRED };
        Leg { addr: source.addr, weight }
    };
    let mut legs: Legs = sources.map(leg).collect();
    let limit = if settings.nexthop_objects || !key.prefix.is_ipv6() { LEGS_MAX } else { 1 };
    if legs.len() > limit {
        legs.sort_by_key(|leg| (core::cmp::Reverse(leg.weight), leg.addr));
        legs.truncate(limit);
        legs.sort();
    }
    // Equal weights are weights of 1.
    if legs.iter().all(|leg| leg.weight == PREFERRED) {
        legs.iter_mut().for_each(|leg| leg.weight = 1);
    }
    legs
}

/// The hypervisors among next hops that are to be installed. `refused` is told of IPv4 ones: they can't be the far end of a
/// tunnel over IPv6. An IPv4-mapped IPv6 address is its IPv4 address.
pub(super) fn sources(hops: &[NextHop], settings: &FibSettings, mut refused: impl FnMut(Ipv4Addr)) -> Sources {
    let mut sources = Sources::new();
    for hop in hops.iter().filter(|hop| !settings.exclude.contains(hop.kind)) {
        match hop.addr.to_canonical() {
            IpAddr::V6(addr) => {
                let is_standard = hop.kind == NextHopKind::Standard;
                sets::add(&mut sources, Source { addr, is_standard, is_other: !is_standard });
            }
            IpAddr::V4(addr) => refused(addr),
        }
    }
    sources
}
