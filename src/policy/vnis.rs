//! Sets of virtual networks.

use alloc::vec::Vec;
use core::fmt;
use core::ops::RangeInclusive;
use core::str::FromStr;

use crate::Vni;
use crate::comma_list::write_list;

/// A set of virtual networks: numbers and ranges of numbers. `all` is every number of 32 bits. The default is the empty set.
///
/// ```
/// use metalbond::{Vni, VniSet};
///
/// let set: VniSet = "23, 100-199".parse()?;
/// assert!(set.contains(Vni(100)) && !set.contains(Vni(200)));
/// assert_eq!(VniSet::ALL.to_string(), "all");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct VniSet {
    is_all: bool,
    /// First and last number of each range, in order, with a gap between any two ranges. Empty if `is_all`.
    ranges: Vec<(u32, u32)>,
}

impl VniSet {
    /// The set of all virtual networks.
    pub const ALL: Self = Self { is_all: true, ranges: Vec::new() };

    /// Returns whether a virtual network is in the set.
    pub fn contains(&self, vni: Vni) -> bool {
        let place = self.ranges.partition_point(|&(first, _)| first <= vni.0);
        self.is_all || place.checked_sub(1).is_some_and(|before| vni.0 <= self.ranges[before].1)
    }

    /// Returns whether the set is empty.
    pub fn is_empty(&self) -> bool {
        !self.is_all && self.ranges.is_empty()
    }

    /// Iterates over the set's ranges, in order, with a gap between any two.
    pub fn ranges(&self) -> impl Iterator<Item = RangeInclusive<u32>> + '_ {
        let all = self.is_all.then_some(0..=u32::MAX);
        all.into_iter().chain(self.ranges.iter().map(|&(first, last)| first..=last))
    }
}

impl FromIterator<RangeInclusive<u32>> for VniSet {
    fn from_iter<I: IntoIterator<Item = RangeInclusive<u32>>>(ranges: I) -> Self {
        let ranges = ranges.into_iter().filter(|range| !range.is_empty());
        let mut sorted: Vec<(u32, u32)> = ranges.map(RangeInclusive::into_inner).collect();
        sorted.sort_unstable();
        let mut ranges: Vec<(u32, u32)> = Vec::with_capacity(sorted.len());
        for (first, last) in sorted {
            match ranges.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
                _ => ranges.push((first, last)),
            }
        }
        if ranges == [(0, u32::MAX)] { Self::ALL } else { Self { is_all: false, ranges } }
    }
}

impl FromIterator<Vni> for VniSet {
    fn from_iter<I: IntoIterator<Item = Vni>>(vnis: I) -> Self {
        vnis.into_iter().map(|vni| vni.0..=vni.0).collect()
    }
}

impl fmt::Display for VniSet {
    /// Writes `all`, `none`, or a list like `23, 100-199`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all {
            return f.write_str("all");
        }
        if self.ranges.is_empty() {
            return f.write_str("none");
        }
        write_list(f, self.ranges.iter().map(|&(first, last)| Range(first, last)))
    }
}

struct Range(u32, u32);

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(first, last) = self;
        if first == last { first.fmt(f) } else { write!(f, "{first}-{last}") }
    }
}

impl fmt::Debug for VniSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not a [`VniSet`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ParseVniSetError {
    /// An entry of the list is neither a number from 0 to 4,294,967,295 nor two such numbers with a `-` between.
    Number,
    /// The last number of a range is lower than the first.
    Reversed,
}

impl fmt::Display for ParseVniSetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number => "a VNI is a number from 0 to 4294967295, a range two of them with a '-' between",
            Self::Reversed => "the range ends before it begins",
        })
    }
}

impl core::error::Error for ParseVniSetError {}

impl FromStr for VniSet {
    type Err = ParseVniSetError;

    /// Reads what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "all" => Ok(Self::ALL),
            "none" => Ok(Self::default()),
            text => text.split(',').map(range).collect(),
        }
    }
}

fn range(text: &str) -> Result<RangeInclusive<u32>, ParseVniSetError> {
    let number = |text: &str| {
        let text = text.trim();
        // `parse` alone would take a sign.
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits).ok_or(ParseVniSetError::Number)
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    if first <= last { Ok(first..=last) } else { Err(ParseVniSetError::Reversed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn a_set_is_read_as_it_is_printed() {
        for text in ["all", "none", "0", "23", "23, 100-199", "4294967295"] {
            assert_eq!(text.parse::<VniSet>().unwrap().to_string(), text);
        }
        assert_eq!("5-7,6-9, 10".parse::<VniSet>().unwrap().to_string(), "5-10");
        assert_eq!("0-4294967295".parse::<VniSet>(), Ok(VniSet::ALL));
        for text in ["", ",", "a", "+5", "5-", "-5", "5-x", "4294967296", "1-2-3"] {
            assert_eq!(text.parse::<VniSet>(), Err(ParseVniSetError::Number), "{text}");
        }
        assert_eq!("7-5".parse::<VniSet>(), Err(ParseVniSetError::Reversed));
    }

    proptest! {
        #[test]
        fn it_contains_what_one_of_its_ranges_contains(
            ranges in prop::collection::vec((0..40u32, 0..10u32), 0..6),
            vni in 0..60u32,
        ) {
            let ranges: Vec<_> = ranges.iter().map(|&(first, more)| first..=first + more).collect();
            let set: VniSet = ranges.iter().cloned().collect();
            prop_assert_eq!(set.contains(Vni(vni)), ranges.iter().any(|range| range.contains(&vni)));
            prop_assert_eq!(set.is_empty(), ranges.is_empty());
            prop_assert_eq!(set.to_string().parse(), Ok(set));
        }
    }
}
