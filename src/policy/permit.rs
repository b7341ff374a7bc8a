//! What one peer may do: its rule, and its own addresses.

use alloc::sync::Arc;
use core::fmt;
use core::net::IpAddr;

use smallvec::SmallVec;

use super::{Grant, PeerName, Rule};
use crate::{KindSet, NextHop, NextHopKind, Prefix, Route, Vni};

/// What one peer may do. Made by [`Policy::permit`](super::Policy::permit).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Permit {
    rule: Arc<Rule>,
    /// The addresses that `self` stands for, canonical as `source` is: none is IPv4-mapped.
    own: SmallVec<[IpAddr; 1]>,
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

    /// The rule that is for it.
    pub fn rule(&self) -> &Arc<Rule> {
        &self.rule
    }

    /// The addresses that `self` stands for among the next hops that it may name.
    pub fn own(&self) -> &[IpAddr] {
        &self.own
    }

    /// Whether it may subscribe to a virtual network.
    ///
    /// # Errors
    /// Why not.
    pub fn subscribe(&self, vni: Vni) -> Result<(), Denied> {
        if self.rule.subscribe.contains(vni) { Ok(()) } else { Err(Denied::Vni(vni)) }
    }

    /// Whether it may announce a route.
    ///
    /// # Errors
    /// Why not: what is wrong by the grant that it comes closest to.
    pub fn announce(&self, route: &Route) -> Result<(), Denied> {
        let mut closest = Denied::Vni(route.vni);
        for grant in &self.rule.announce {
            match self.check(grant, route) {
                Ok(()) => return Ok(()),
                Err(denied) if denied.step() > closest.step() => closest = denied,
                Err(_) => {}
            }
        }
        Err(closest)
    }

    fn check(&self, grant: &Grant, route: &Route) -> Result<(), Denied> {
        let NextHop { addr, target_vni, kind } = route.next_hop;
        if !grant.vnis.contains(route.vni) {
            return Err(Denied::Vni(route.vni));
        }
        if !grant.prefixes.covers(&route.prefix) {
            return Err(Denied::Prefix(route.prefix));
        }
        if !grant.types.contains(kind) {
            return Err(Denied::Kind(kind));
        }
        // An IPv4-mapped address begins with a zero byte, and hardly any other does: one comparison decides for nearly every next hop.
        let is_named = match addr {
            IpAddr::V6(v6) if v6.octets()[0] == 0 => self.names_canonical(grant, addr),
            _ => self.names(grant, addr),
        };
        if !is_named {
            return Err(Denied::NextHop(addr));
        }
        let targets = grant.target_vnis.as_ref().unwrap_or(&grant.vnis);
        if target_vni != Vni(0) && !targets.contains(target_vni) {
            return Err(Denied::TargetVni(target_vni));
        }
        Ok(())
    }

    /// Whether a grant names a next hop, of which the address is canonical.
    #[inline]
    fn names(&self, grant: &Grant, addr: IpAddr) -> bool {
        let hops = &grant.next_hops;
        let is_own = hops.own && self.own.contains(&addr);
        let is_source = hops.source && self.source == addr;
        is_own || is_source || hops.addrs.contains(addr)
    }

    #[cold]
    #[inline(never)]
    fn names_canonical(&self, grant: &Grant, addr: IpAddr) -> bool {
        self.names(grant, addr.to_canonical())
    }
}

/// Why a peer may not do something.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Denied {
    /// The virtual network is none of those that it may use so.
    Vni(Vni),
    /// The destination lies within none of its prefixes.
    Prefix(Prefix),
    /// It may not announce routes of this type.
    Kind(NextHopKind),
    /// The next hop is neither its own nor one that it may name.
    NextHop(IpAddr),
    /// The virtual network on the far side is none of those that it may name.
    TargetVni(Vni),
}

impl Denied {
    /// How much of what is checked was right.
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
    /// After the name of the rule: `allows no next hop 2001:db8::9`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vni(vni) => write!(f, "allows no VNI {vni}"),
            Self::Prefix(prefix) => write!(f, "allows no destination {prefix}"),
            Self::Kind(kind) => write!(f, "allows no route of type {}", KindSet::name(*kind)),
            Self::NextHop(addr) => write!(f, "allows no next hop {addr}"),
            Self::TargetVni(vni) => write!(f, "allows no VNI {vni} on the far side"),
        }
    }
}
