//! What peers may do: who they are, and which of their announcements and subscriptions are taken. Pure: no I/O, no time.

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
pub use rule::{Grant, Rule};
pub use vnis::{ParseVniSetError, VniSet};

/// What the peers that a node accepts may do. The first rule that is for a peer says all that it may do; whom no rule is for, or
/// one that allows nothing, is not let in. Without a policy everybody may do everything, as with the reference implementation.
///
/// A policy decides about what peers announce and subscribe to, never about what this node does itself or what it takes from the
/// servers that it dials. With the feature `serde` it can be read from TOML, for example.
///
/// ```
/// use metalbond::{Grant, Policy, Rule, Vni};
///
/// let hypervisors = Rule {
///     subscribe: "100-199".parse()?,
///     announce: vec![Grant::own("100-199".parse()?)],
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
    /// A policy of these rules, in this order. IPv4-mapped prefixes among their next hops become the IPv4 prefixes that they stand
    /// for.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        let canonical = |mut rule: Rule| {
            for grant in &mut rule.announce {
                grant.next_hops = grant.next_hops.to_canonical();
            }
            Arc::new(rule)
        };
        Self { rules: rules.into_iter().map(canonical).collect() }
    }

    /// Its rules, in order.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// What a peer may do; `None`: there is no rule for it, or one that allows nothing. `names`: what its certificate proves, if it has
    /// shown one; `addr`: where it comes from.
    pub fn permit(&self, names: Option<&[PeerName]>, addr: IpAddr) -> Option<Permit> {
        let is_for = |rule: &&Arc<Rule>| rule.who.iter().any(|pattern| pattern.matches(names, addr));
        let rule = self.rules.iter().find(is_for)?;
        (!rule.allows_nothing()).then(|| Permit::new(rule.clone(), names, addr))
    }
}
