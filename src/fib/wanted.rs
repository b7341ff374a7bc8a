//! What is wanted: of each kernel route, the hypervisors that it should lead to.

use alloc::collections::BTreeMap;
use core::net::{IpAddr, Ipv4Addr};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::Key;
use super::op::{Leg, Legs};
use super::sets::{self, SetId, Sets, Source, Sources};
use super::settings::FibSettings;
use crate::{NextHop, NextHopKind, Prefix};

/// The weight of a preferred next hop beside others (of weight 1).
const PREFERRED: u8 = 99;
/// The most legs of a kernel route: of more, those with the lowest addresses, preferred ones first. A group's message to the
/// kernel is limited (64 KiB), and so is the use of more.
pub(super) const LEGS_MAX: usize = 256;

#[derive(Debug)]
pub(super) struct Wanted {
    sets: Sets,
    /// Destinations that differ in host bits only, where a kernel route has more than the one without any.
    variants: HashMap<Key, BTreeMap<Prefix, SetId>, FixedState>,
    /// Our own STANDARD routes.
    own: HashMap<Key, SmallVec<[(Prefix, NextHop); 1]>, FixedState>,
}

impl Wanted {
    pub(super) fn new(seed: FixedState) -> Self {
        let (variants, own) = (HashMap::with_hasher(seed.clone()), HashMap::with_hasher(seed.clone()));
        Self { sets: Sets::new(seed), variants, own }
    }

    /// The destination `prefix`, which belongs to the kernel route `key`, has these next hops now. Takes back the reference
    /// to `before`, what the route had; returns one to what it has now.
    pub(super) fn change(&mut self, key: &Key, prefix: Prefix, sources: Sources, before: SetId) -> SetId {
        let now = self.sets.take(sources);
        if prefix == key.prefix && !self.variants.contains_key(key) {
            self.sets.give_back(before);
            return now;
        }
        let variants = self.variants.entry(*key).or_default();
        if !variants.is_empty() {
            self.sets.give_back(before);
        } else if before != SetId::EMPTY {
            variants.insert(key.prefix, before);
        }
        let old = if now == SetId::EMPTY { variants.remove(&prefix) } else { variants.insert(prefix, now) };
        if let Some(old) = old {
            self.sets.give_back(old);
        }
        if variants.keys().all(|variant| *variant == key.prefix) {
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

    /// A STANDARD route of our own is announced now, or no more.
    pub(super) fn set_own(&mut self, key: Key, prefix: Prefix, next_hop: NextHop, is_there: bool) {
        let own = self.own.entry(key).or_default();
        own.retain(|one| *one != (prefix, next_hop));
        if is_there {
            own.push((prefix, next_hop));
        }
        if own.is_empty() {
            self.own.remove(&key);
        }
    }

    /// The legs that a kernel route should have. None: there should be no route.
    pub(super) fn legs(&self, key: &Key, set: SetId, settings: &FibSettings) -> Legs {
        let sources = self.sets.get(set);
        if sources.is_empty() {
            return Legs::new();
        }
        let is_own = !self.own.is_empty() && self.own.contains_key(key);
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
}

/// The hypervisors among next hops that are to be installed. `refused` is told of IPv4 ones: they can't be the far end of a
/// tunnel over IPv6.
pub(super) fn sources(hops: &[NextHop], settings: &FibSettings, mut refused: impl FnMut(Ipv4Addr)) -> Sources {
    let mut sources = Sources::new();
    for hop in hops.iter().filter(|hop| !settings.exclude.contains(hop)) {
        match hop.addr {
            IpAddr::V6(addr) => {
                let is_standard = hop.kind == NextHopKind::Standard;
                sets::add(&mut sources, Source { addr, is_standard, is_other: !is_standard });
            }
            IpAddr::V4(addr) => refused(addr),
        }
    }
    sources
}
