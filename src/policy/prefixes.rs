//! Sets of destinations, as prefixes.

use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use crate::Prefix;
use crate::comma_list::write_list;
use crate::prefix::network_bits;

/// A set of destinations: all that lie within one of several prefixes. Host bits do not count. An IPv4-mapped IPv6 prefix is an IPv6 prefix, as
/// it is on the wire. The default is the empty set.
///
/// ```
/// use metalbond::PrefixSet;
///
/// let set: PrefixSet = ["10.0.0.0/8".parse()?, "2001:db8::/32".parse()?].into_iter().collect();
/// assert!(set.covers(&"10.23.0.0/16".parse()?) && !set.covers(&"0.0.0.0/0".parse()?));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct PrefixSet {
    v4: Blocks,
    v6: Blocks,
}

/// Prefixes of one address family in order, each as its network's bits and its length. None lies within another.
type Blocks = Vec<(u128, u8)>;

impl PrefixSet {
    /// Returns the set of all destinations.
    pub fn all() -> Self {
        Self { v4: [(0, 0)].into(), v6: [(0, 0)].into() }
    }

    /// Returns whether a destination lies within one of the prefixes, or is equal to it.
    pub fn covers(&self, prefix: &Prefix) -> bool {
        let blocks = if prefix.is_ipv6() { &self.v6 } else { &self.v4 };
        let bits = network_bits(prefix.bits(), prefix.prefix_len());
        // No two prefixes overlap, so only the last one that begins at or before the destination can cover it.
        let place = blocks.partition_point(|(start, _)| *start <= bits);
        let before = place.checked_sub(1).map(|before| blocks[before]);
        before.is_some_and(|(start, len)| len <= prefix.prefix_len() && network_bits(bits, len) == start)
    }

    /// Returns whether an address lies within one of the prefixes.
    pub fn contains(&self, addr: IpAddr) -> bool {
        self.covers(&Prefix::from(addr))
    }

    /// Returns the destinations that are in at least one of two sets.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.prefixes().chain(other.prefixes()).collect()
    }

    /// Returns whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Iterates over the prefixes in order, IPv4 first, without those that lie within another.
    pub fn prefixes(&self) -> impl Iterator<Item = Prefix> + '_ {
        let v4 = self.v4.iter().map(|&(bits, len)| (IpAddr::from(((bits >> 96) as u32).to_be_bytes()), len));
        let v6 = self.v6.iter().map(|&(bits, len)| (IpAddr::from(bits.to_be_bytes()), len));
        v4.chain(v6).filter_map(|(addr, len)| Prefix::new(addr, len.into()).ok())
    }
}

impl FromIterator<Prefix> for PrefixSet {
    fn from_iter<I: IntoIterator<Item = Prefix>>(prefixes: I) -> Self {
        let mut set = Self::default();
        for prefix in prefixes {
            let blocks = if prefix.is_ipv6() { &mut set.v6 } else { &mut set.v4 };
            blocks.push((network_bits(prefix.bits(), prefix.prefix_len()), prefix.prefix_len()));
        }
        for blocks in [&mut set.v4, &mut set.v6] {
            // A prefix comes before those that lie within it.
            blocks.sort_unstable();
            blocks.dedup_by(|(bits, len), (start, outer)| *outer <= *len && network_bits(*bits, *outer) == *start);
        }
        set
    }
}

impl fmt::Display for PrefixSet {
    /// Writes `all`, `none`, or a list like `10.0.0.0/8, 2001:db8::/32`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::all() {
            return f.write_str("all");
        }
        if self.is_empty() {
            return f.write_str("none");
        }
        write_list(f, self.prefixes())
    }
}

impl fmt::Debug for PrefixSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The error for a text that is not a [`PrefixSet`] or a [`NextHopSet`](super::NextHopSet).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ParsePrefixSetError(BadAddress);

impl fmt::Display for ParsePrefixSetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::error::Error for ParsePrefixSetError {}

impl FromStr for PrefixSet {
    type Err = ParsePrefixSetError;

    /// Reads what [`Display`](fmt::Display) writes. An address stands for its `/32` or `/128`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "all" => Ok(Self::all()),
            "none" => Ok(Self::default()),
            text => text.split(',').map(|entry| parse_addresses(entry.trim()).map_err(ParsePrefixSetError)).collect(),
        }
    }
}

/// Why a text is neither an address nor a prefix.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum BadAddress {
    Form,
    Scope,
    MappedLength,
}

impl fmt::Display for BadAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "neither an address nor a prefix",
            Self::Scope => "an address in a policy has no scope: leave out the '%' and what follows it",
            Self::MappedLength => {
                "a prefix of IPv4-mapped addresses (::ffff:...) has at least 96 bits: write the IPv4 prefix instead"
            }
        })
    }
}

/// Reads a prefix, or an address as its `/32` or `/128`.
pub(super) fn parse_addresses(text: &str) -> Result<Prefix, BadAddress> {
    let prefix = text.parse::<IpAddr>().map(Prefix::from).or_else(|_| text.parse::<Prefix>());
    match prefix {
        // Host bits do not count, so `::ffff:10.0.0.0/24` would be `::/24`: hardly what an operator means.
        Ok(prefix) if prefix.is_ipv6() && prefix.addr().to_canonical().is_ipv4() && prefix.prefix_len() < 96 => {
            Err(BadAddress::MappedLength)
        }
        Ok(prefix) => Ok(prefix),
        Err(_) if text.contains('%') => Err(BadAddress::Scope),
        Err(_) => Err(BadAddress::Form),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    fn set(prefixes: &[&str]) -> PrefixSet {
        prefixes.iter().map(|text| text.parse::<Prefix>().unwrap()).collect()
    }

    #[test]
    fn what_lies_within_is_covered_and_nothing_else() {
        let set = set(&["10.0.0.0/8", "192.0.2.64/26", "2001:db8::/32"]);
        for inside in ["10.0.0.0/8", "10.255.255.255/32", "192.0.2.127/32", "2001:db8::/32", "2001:db8:1::/64"] {
            assert!(set.covers(&inside.parse().unwrap()), "{inside}");
        }
        for outside in ["0.0.0.0/0", "10.0.0.0/7", "9.255.255.255/32", "11.0.0.0/8", "192.0.2.0/24", "192.0.2.128/26"] {
            assert!(!set.covers(&outside.parse().unwrap()), "{outside}");
        }
        for outside in ["::/0", "2001:db8::/31", "2001:db9::/32", "::ffff:10.0.0.1/128", "::10.0.0.1/128"] {
            assert!(!set.covers(&outside.parse().unwrap()), "{outside}");
        }
        assert!(set.contains("10.1.2.3".parse().unwrap()) && !set.contains("::".parse().unwrap()));
    }

    #[test]
    fn host_bits_count_on_neither_side() {
        let set = set(&["10.1.2.3/8"]);
        assert_eq!(set.to_string(), "10.0.0.0/8");
        assert!(set.covers(&"10.0.0.5/24".parse().unwrap()));
    }

    #[test]
    fn all_is_both_families_and_what_lies_within_another_is_dropped() {
        assert_eq!(set(&["0.0.0.0/0", "::/0", "10.0.0.0/8"]), PrefixSet::all());
        assert_eq!(PrefixSet::all().to_string(), "all");
        assert_eq!(set(&["10.2.0.0/16", "10.0.0.0/8", "10.0.0.0/8"]).to_string(), "10.0.0.0/8");
        assert_eq!(PrefixSet::default().to_string(), "none");
    }

    #[test]
    fn a_set_is_read_as_it_is_printed() {
        for text in ["all", "none", "10.0.0.0/8", "10.0.0.0/8, 192.0.2.7/32, 2001:db8::/32"] {
            assert_eq!(text.parse::<PrefixSet>().unwrap().to_string(), text);
        }
        assert_eq!("2001:db8::7,10.0.0.7".parse::<PrefixSet>().unwrap().to_string(), "10.0.0.7/32, 2001:db8::7/128");
        for text in ["", "10.0.0.0/33", "10.0.0.0/8,", "h7", "010.0.0.0/8", "10.0.0.0/+8", "10.0.0.0 /8", "10/8"] {
            assert_eq!(text.parse::<PrefixSet>(), Err(ParsePrefixSetError(BadAddress::Form)), "{text}");
        }
        assert_eq!("fe80::1%eth0".parse::<PrefixSet>(), Err(ParsePrefixSetError(BadAddress::Scope)));
        for text in ["::ffff:10.0.0.0/24", "::ffff:0.0.0.0/95"] {
            assert_eq!(text.parse::<PrefixSet>(), Err(ParsePrefixSetError(BadAddress::MappedLength)), "{text}");
        }
    }

    #[test]
    fn an_ipv4_mapped_destination_is_one_of_ipv6_as_it_is_on_the_wire() {
        let set: PrefixSet = "::ffff:10.0.0.0/104".parse().unwrap();
        assert!(set.covers(&"::ffff:10.0.0.9/128".parse().unwrap()));
        assert!(!set.covers(&"10.0.0.9/32".parse().unwrap()));
    }

    fn any_prefix() -> impl Strategy<Value = Prefix> {
        let v4 = (0..16u8, 0..=8u32).prop_map(|(high, len)| Prefix::new([high << 4, 0, 0, 1].into(), len).unwrap());
        let v6 = (0..4u16, 0..=20u32).prop_map(|(high, len)| {
            let addr = [high << 12, 0, 0, 0, 0, 0, 0, 7];
            Prefix::new(IpAddr::from(addr), len).unwrap()
        });
        prop_oneof![v4, v6]
    }

    proptest! {
        #[test]
        fn it_covers_what_one_of_its_prefixes_covers(
            prefixes in prop::collection::vec(any_prefix(), 0..6),
            asked in any_prefix(),
        ) {
            let set: PrefixSet = prefixes.iter().copied().collect();
            let bits = |prefix: &Prefix| match prefix.addr() {
                IpAddr::V4(addr) => u128::from(addr.to_bits()) << 96,
                IpAddr::V6(addr) => addr.to_bits(),
            };
            let is_within = |outer: &Prefix| {
                let mask = u128::MAX.checked_shl(128 - u32::from(outer.prefix_len())).unwrap_or(0);
                outer.addr().is_ipv4() == asked.addr().is_ipv4()
                    && outer.prefix_len() <= asked.prefix_len()
                    && (bits(outer) ^ bits(&asked)) & mask == 0
            };
            prop_assert_eq!(set.covers(&asked), prefixes.iter().any(is_within));
        }
    }
}
