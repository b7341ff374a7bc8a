//! Sets of addresses, as prefixes.

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use crate::Prefix;

/// All destinations that lie within one of some prefixes. What holds of a prefix holds of each address and each longer prefix
/// in it; bits behind its length don't count.
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
    /// In order, none within another, host bits cleared.
    prefixes: Vec<Prefix>,
}

impl PrefixSet {
    /// Every destination.
    pub fn all() -> Self {
        let any = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        any.into_iter().filter_map(|addr| Prefix::new(addr, 0).ok()).collect()
    }

    /// Whether a destination lies within one of the prefixes, the whole of it.
    pub fn covers(&self, prefix: &Prefix) -> bool {
        // No two of them overlap, so that only the last one that does not begin behind it can.
        let network = prefix.network();
        let place = self.prefixes.partition_point(|candidate| *candidate <= network);
        place.checked_sub(1).is_some_and(|before| self.prefixes[before].covers(prefix))
    }

    /// The same of an address.
    pub fn contains(&self, addr: IpAddr) -> bool {
        self.covers(&Prefix::from(addr))
    }

    /// Both together.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.prefixes.iter().chain(&other.prefixes).copied().collect()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }

    /// The prefixes, IPv4 first, in order, without those that lie within another.
    pub fn prefixes(&self) -> &[Prefix] {
        &self.prefixes
    }
}

impl FromIterator<Prefix> for PrefixSet {
    fn from_iter<I: IntoIterator<Item = Prefix>>(prefixes: I) -> Self {
        let mut sorted: Vec<Prefix> = prefixes.into_iter().map(|prefix| prefix.network()).collect();
        // Those that hold others come before these.
        sorted.sort_unstable();
        let mut prefixes: Vec<Prefix> = Vec::with_capacity(sorted.len());
        for prefix in sorted {
            if !prefixes.last().is_some_and(|last| last.covers(&prefix)) {
                prefixes.push(prefix);
            }
        }
        Self { prefixes }
    }
}

impl fmt::Display for PrefixSet {
    /// `all`, `none`, or `10.0.0.0/8, 2001:db8::/32`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::all() {
            return f.write_str("all");
        }
        if self.is_empty() {
            return f.write_str("none");
        }
        super::list(f, &self.prefixes)
    }
}

impl fmt::Debug for PrefixSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no set of prefixes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ParsePrefixSetError(());

impl fmt::Display for ParsePrefixSetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("neither an address nor a prefix")
    }
}

impl core::error::Error for ParsePrefixSetError {}

impl FromStr for PrefixSet {
    type Err = ParsePrefixSetError;

    /// Reads what [`Display`](fmt::Display) writes; an address stands for the prefix of it alone.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "all" => Ok(Self::all()),
            "none" => Ok(Self::default()),
            text => text.split(',').map(|entry| network(entry.trim()).ok_or(ParsePrefixSetError(()))).collect(),
        }
    }
}

/// An address or a prefix.
pub(super) fn network(text: &str) -> Option<Prefix> {
    text.parse::<IpAddr>().map(Prefix::from).or_else(|_| text.parse()).ok()
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
        for text in ["", "10.0.0.0/33", "10.0.0.0/8,", "h7"] {
            assert_eq!(text.parse::<PrefixSet>(), Err(ParsePrefixSetError(())), "{text}");
        }
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
