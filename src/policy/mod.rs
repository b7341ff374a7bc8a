//! What peers may do: which connections, announcements and subscriptions a node permits. Pure: no I/O, no time.
//!
//! Invariant *policy*: a route or subscription that the first matching rule does not permit is denied.

mod name;
mod next_hops;
mod pattern;
mod permit;
mod prefixes;
mod rule;
#[cfg(feature = "serde")]
mod serde;
#[cfg(test)]
mod tests;
mod vnis;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

pub use name::{ParsePeerNameError, PeerName};
pub use next_hops::NextHopSet;
pub use pattern::{ParsePeerPatternError, PeerPattern};
pub use permit::{Denied, Permit};
pub use prefixes::{ParsePrefixSetError, PrefixSet};
pub use rule::{AnnounceRule, Rule};
pub use vnis::{ParseVniSetError, VniSet};

/// A policy: a list of rules, which say what the peers that a node accepts may do. The first rule with a pattern that matches a peer decides.
/// A peer is refused if no rule matches it, or if its rule permits nothing. The default policy has no rules, and so refuses every peer; a node
/// *without* a policy permits everything, like the reference.
///
/// A policy does not apply to announcements and subscriptions of this node, nor to those of servers that this node dials. With the feature
/// `serde` it can be read from TOML, for example.
///
/// ```
/// use metalbond::{AnnounceRule, Policy, Rule, Vni};
///
/// let hypervisors = Rule {
///     subscribe: "100-199".parse()?,
///     announce: vec![AnnounceRule::own("100-199".parse()?)],
///     ..Rule::new("hypervisors", ["dns:*.hypervisors.example.org".parse()?])
/// };
/// let policy = Policy::new([hypervisors]);
/// let names = ["dns:h7.hypervisors.example.org".parse()?, "ip:2001:db8::7".parse()?];
/// let permit = policy.permit(Some(&names), "2001:db8::7".parse()?).expect("there is a rule for it");
/// assert!(permit.subscribe(Vni(150)).is_ok() && permit.subscribe(Vni(200)).is_err());
/// assert!(policy.permit(None, "2001:db8::7".parse()?).is_none(), "without a certificate");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Policy {
    #[cfg_attr(feature = "serde", serde(default, rename = "peer"))]
    rules: Vec<Arc<Rule>>,
}

impl Policy {
    /// Returns a policy of rules in this order. IPv4-mapped IPv6 prefixes in [`AnnounceRule::next_hops`] become IPv4 prefixes.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        let canonical = |mut rule: Rule| {
            for announce in &mut rule.announce {
                announce.next_hops = announce.next_hops.to_canonical();
            }
            Arc::new(rule)
        };
        Self { rules: rules.into_iter().map(canonical).collect() }
    }

    /// Returns the rules in their order.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// Returns what a peer may do. `None`: the peer is refused, because no rule matches, or the first that matches permits nothing. `names`:
    /// the names that the peer's certificate proves, `None` without a certificate. `addr`: the address that the connection comes from.
    pub fn permit(&self, names: Option<&[PeerName]>, addr: IpAddr) -> Option<Permit> {
        let is_for = |rule: &&Arc<Rule>| rule.who.iter().any(|pattern| pattern.matches(names, addr));
        let rule = self.rules.iter().find(is_for)?;
        (!rule.permits_nothing()).then(|| Permit::new(rule.clone(), names, addr))
    }
}
