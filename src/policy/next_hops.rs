//! Sets of next hops that a peer may name. What `self` and `source` mean depends on the peer.

use core::fmt;
use core::str::FromStr;

use super::{ParsePrefixSetError, PrefixSet};
use crate::Prefix;

/// A set of next hops that a peer may announce: a list of `self`, `source`, addresses and prefixes; or `any`, or `none`. An IPv4-mapped IPv6
/// address counts as its IPv4 address, in the set and in a route.
///
/// ```
/// use metalbond::NextHopSet;
///
/// let set: NextHopSet = "self, 2001:db8:42::/48".parse()?;
/// assert!(set.own && !set.source && set.addrs.contains("2001:db8:42::7".parse()?));
/// assert_eq!(NextHopSet::default().to_string(), "self");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NextHopSet {
    /// Whether `self` is in the set: the addresses that the peer's certificate proves; without a certificate, the address that the peer
    /// connects from.
    pub own: bool,
    /// Whether `source` is in the set: the address that the peer connects from, also if it has a certificate.
    pub source: bool,
    /// The addresses that each peer of the rule may announce.
    pub addrs: PrefixSet,
}

impl Default for NextHopSet {
    /// Returns `self`: a peer can announce no other host as next hop.
    fn default() -> Self {
        Self { own: true, source: false, addrs: PrefixSet::default() }
    }
}

impl NextHopSet {
    /// Returns `any`: every address.
    pub fn any() -> Self {
        Self { own: false, source: false, addrs: PrefixSet::all() }
    }

    /// Returns the same set with IPv4-mapped prefixes as the IPv4 prefixes that they stand for.
    pub(super) fn to_canonical(&self) -> Self {
        Self { addrs: canonical(&self.addrs), ..*self }
    }
}

fn canonical(addrs: &PrefixSet) -> PrefixSet {
    addrs.prefixes().map(Prefix::to_canonical).collect()
}

impl fmt::Display for NextHopSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.own, self.source, self.addrs.is_empty()) {
            (false, false, _) if self.addrs == PrefixSet::all() => return f.write_str("any"),
            (false, false, _) => return self.addrs.fmt(f),
            (true, false, _) => f.write_str("self")?,
            (false, true, _) => f.write_str("source")?,
            (true, true, _) => f.write_str("self, source")?,
        }
        if self.addrs.is_empty() { Ok(()) } else { write!(f, ", {}", self.addrs) }
    }
}

impl fmt::Debug for NextHopSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for NextHopSet {
    type Err = ParsePrefixSetError;

    /// Reads what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (mut own, mut source) = (false, false);
        let mut addrs = PrefixSet::default();
        for entry in text.split(',') {
            match entry.trim() {
                "self" => own = true,
                "source" => source = true,
                "any" => addrs = PrefixSet::all(),
                entry => addrs = addrs.union(&canonical(&entry.parse()?)),
            }
        }
        Ok(Self { own, source, addrs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_set_is_read_as_it_is_printed() {
        let texts =
            ["self", "source", "self, source", "any", "none", "self, 10.0.0.0/8", "10.0.0.0/8, 2001:db8::1/128"];
        for text in texts {
            assert_eq!(text.parse::<NextHopSet>().unwrap().to_string(), text);
        }
        assert_eq!("10.0.0.7, self".parse::<NextHopSet>().unwrap().to_string(), "self, 10.0.0.7/32");
        for text in ["", "me", "self,", "10.0.0.0/33", "Self", "fe80::1%eth0", "::ffff:10.0.0.0/24"] {
            assert!(text.parse::<NextHopSet>().is_err(), "{text}");
        }
    }

    #[test]
    fn ipv4_mapped_next_hops_are_those_of_ipv4() {
        for (mapped, text) in [
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:10.0.0.9, self", "self, 10.0.0.9/32"),
            ("::ffff:0.0.0.0/96, ::/0", "any"),
        ] {
            assert_eq!(mapped.parse::<NextHopSet>().unwrap().to_string(), text);
        }
    }
}
