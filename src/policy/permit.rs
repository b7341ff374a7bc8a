//! What one peer may do: the rule that matches it, and its own addresses.
//!
//! Invariant: addresses are compared in canonical form, so that an IPv4 address and its IPv4-mapped form are the same.

use alloc::sync::Arc;
use core::fmt;
use core::net::IpAddr;

use smallvec::SmallVec;

use super::{AnnounceRule, PeerName, Rule};
use crate::{KindSet, NextHop, NextHopKind, Prefix, Route, Vni};

/// What one peer may do, as [`Policy::permit`](super::Policy::permit) returns it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Permit {
    rule: Arc<Rule>,
    /// The addresses that `self` stands for, in canonical form.
    own: SmallVec<[IpAddr; 1]>,
    /// The address that the peer connects from, in canonical form.
    source: IpAddr,
}

impl Permit {
    pub(super) fn new(rule: Arc<Rule>, names: Option<&[PeerName]>, addr: IpAddr) -> Self {
        let source = addr.to_canonical();
        let own = match names {
            None => [source].into_iter().collect(),
            Some(names) => {
                let addr =
                    |name: &PeerName| if let PeerName::Ip(addr) = name { Some(addr.to_canonical()) } else { None };
                names.iter().filter_map(addr).collect()
            }
        };
        Self { rule, own, source }
    }

    /// Returns the rule that matches the peer.
    pub fn rule(&self) -> &Arc<Rule> {
        &self.rule
    }

    /// Returns the addresses that `self` stands for in [`NextHopSet`](super::NextHopSet).
    pub fn own(&self) -> &[IpAddr] {
        &self.own
    }

    /// Decides about a subscription. Returns `Ok` if it is permitted.
    ///
    /// # Errors
    /// [`Denied::Vni`] if it is denied.
    pub fn subscribe(&self, vni: Vni) -> Result<(), Denied> {
        if self.rule.subscribe.contains(vni) { Ok(()) } else { Err(Denied::Vni(vni)) }
    }

    /// Decides about the announcement of a route. Returns `Ok` if it is permitted.
    ///
    /// # Errors
    /// If no [`AnnounceRule`] permits the route. The reason is that of the announce rule under which the route passes the most checks.
    pub fn announce(&self, route: &Route) -> Result<(), Denied> {
        let mut closest = Denied::Vni(route.vni);
        for announce in &self.rule.announce {
            match self.check(announce, route) {
                Ok(()) => return Ok(()),
                Err(denied) if denied.step() > closest.step() => closest = denied,
                Err(_) => {}
            }
        }
        Err(closest)
    }

    fn check(&self, announce: &AnnounceRule, route: &Route) -> Result<(), Denied> {
        let NextHop { addr, target_vni, kind } = route.next_hop;
        if !announce.vnis.contains(route.vni) {
            return Err(Denied::Vni(route.vni));
        }
        if !announce.prefixes.covers(&route.prefix) {
            return Err(Denied::Prefix(route.prefix));
        }
        if !announce.types.contains(kind) {
            return Err(Denied::Kind(kind));
        }
        // An IPv4-mapped address begins with a zero byte, and few others do: one comparison rules most addresses out.
        let is_named = match addr {
            IpAddr::V6(v6) if v6.octets()[0] == 0 => self.names_canonical(announce, addr),
            _ => self.names(announce, addr),
        };
        if !is_named {
            return Err(Denied::NextHop(addr));
        }
        let targets = announce.target_vnis.as_ref().unwrap_or(&announce.vnis);
        if target_vni != Vni(0) && !targets.contains(target_vni) {
            return Err(Denied::TargetVni(target_vni));
        }
        Ok(())
    }

    /// Returns whether an announce rule names a next hop, whose address is in canonical form.
    #[inline]
    fn names(&self, announce: &AnnounceRule, addr: IpAddr) -> bool {
        let hops = &announce.next_hops;
        let is_own = hops.own && self.own.contains(&addr);
        let is_source = hops.source && self.source == addr;
        is_own || is_source || hops.addrs.contains(addr)
    }

    #[cold]
    #[inline(never)]
    fn names_canonical(&self, announce: &AnnounceRule, addr: IpAddr) -> bool {
        self.names(announce, addr.to_canonical())
    }
}

/// Why a policy denies a route or a subscription.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Denied {
    /// The virtual network is not permitted.
    Vni(Vni),
    /// The destination lies within none of the permitted prefixes.
    Prefix(Prefix),
    /// The kind of next hop is not permitted.
    Kind(NextHopKind),
    /// The next hop is not permitted.
    NextHop(IpAddr),
    /// The [target VNI](crate::NextHop::target_vni) is not permitted.
    TargetVni(Vni),
}

impl Denied {
    /// Returns how many checks the route has passed.
    const fn step(&self) -> u8 {
        match self {
            Self::Vni(_) => 0,
            Self::Prefix(_) => 1,
            Self::Kind(_) => 2,
            Self::NextHop(_) => 3,
            Self::TargetVni(_) => 4,
        }
    }
}

impl fmt::Display for Denied {
    /// Writes the reason, to follow a rule's name: `permits no next hop 2001:db8::9`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vni(vni) => write!(f, "permits no VNI {vni}"),
            Self::Prefix(prefix) => write!(f, "permits no destination {prefix}"),
            Self::Kind(kind) => write!(f, "permits no route of type {}", KindSet::name(*kind)),
            Self::NextHop(addr) => write!(f, "permits no next hop {addr}"),
            Self::TargetVni(vni) => write!(f, "permits no VNI {vni} on the far side"),
        }
    }
}
