//! Sets of kinds of next hops. A policy permits one, and a FIB leaves one out.

use core::fmt;
use core::str::FromStr;

use crate::NextHopKind;
use crate::comma_list::write_list;

/// A set of kinds of next hops: `STD`, `NAT` and `LB`. NAT is one kind, whatever its ports. The default is all kinds.
///
/// ```
/// use metalbond::{KindSet, NextHopKind};
///
/// let set: KindSet = "STD, LB".parse()?;
/// assert!(set.contains(NextHopKind::Standard) && !set.contains(NextHopKind::Nat { from: 1, to: 2 }));
/// assert_eq!(set, KindSet::STANDARD.union(KindSet::LOAD_BALANCER));
/// # Ok::<_, metalbond::ParseKindSetError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KindSet {
    /// A bit for each kind: in the order of `KINDS`, the first the lowest.
    bits: u8,
}

const KINDS: [(KindSet, &str); 3] = [(KindSet::STANDARD, "STD"), (KindSet::NAT, "NAT"), (KindSet::LOAD_BALANCER, "LB")];

impl KindSet {
    /// No kind.
    pub const NONE: Self = Self { bits: 0 };
    /// `STD`: [`NextHopKind::Standard`].
    pub const STANDARD: Self = Self { bits: 1 };
    /// `NAT`: [`NextHopKind::Nat`].
    pub const NAT: Self = Self { bits: 1 << 1 };
    /// `LB`: [`NextHopKind::LoadBalancer`].
    pub const LOAD_BALANCER: Self = Self { bits: 1 << 2 };
    /// Every kind.
    pub const ALL: Self = Self::STANDARD.union(Self::NAT).union(Self::LOAD_BALANCER);

    /// Returns the set of one kind.
    pub const fn of(kind: NextHopKind) -> Self {
        match kind {
            NextHopKind::Standard => Self::STANDARD,
            NextHopKind::Nat { .. } => Self::NAT,
            NextHopKind::LoadBalancer => Self::LOAD_BALANCER,
        }
    }

    /// Returns whether a kind is in the set.
    pub const fn contains(self, kind: NextHopKind) -> bool {
        self.bits & Self::of(kind).bits != 0
    }

    /// Returns whether no kind is in the set.
    pub const fn is_empty(self) -> bool {
        self.bits == 0
    }

    /// Returns the kinds that are in at least one of two sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self { bits: self.bits | other.bits }
    }

    /// Returns a kind's name: `STD`, `NAT` or `LB`.
    pub const fn name(kind: NextHopKind) -> &'static str {
        match kind {
            NextHopKind::Standard => KINDS[0].1,
            NextHopKind::Nat { .. } => KINDS[1].1,
            NextHopKind::LoadBalancer => KINDS[2].1,
        }
    }
}

impl Default for KindSet {
    /// All kinds.
    fn default() -> Self {
        Self::ALL
    }
}

impl From<NextHopKind> for KindSet {
    fn from(kind: NextHopKind) -> Self {
        Self::of(kind)
    }
}

impl FromIterator<Self> for KindSet {
    /// Returns the union.
    fn from_iter<I: IntoIterator<Item = Self>>(sets: I) -> Self {
        sets.into_iter().fold(Self::NONE, Self::union)
    }
}

impl fmt::Display for KindSet {
    /// Writes `all`, `none`, or a list like `STD, NAT`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ALL => f.write_str("all"),
            Self::NONE => f.write_str("none"),
            set => write_list(f, KINDS.iter().filter(|(kind, _)| kind.union(set) == set).map(|(_, name)| name)),
        }
    }
}

impl fmt::Debug for KindSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The error for a text that is not `all`, `none` or a list of `STD`, `NAT` and `LB`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ParseKindSetError(());

impl fmt::Display for ParseKindSetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the types of routes are STD, NAT and LB")
    }
}

impl core::error::Error for ParseKindSetError {}

impl FromStr for KindSet {
    type Err = ParseKindSetError;

    /// Reads what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "all" => Ok(Self::ALL),
            "none" => Ok(Self::NONE),
            text => text
                .split(',')
                .map(|name| KINDS.iter().find(|(_, known)| *known == name.trim()).map(|(kind, _)| *kind))
                .collect::<Option<_>>()
                .ok_or(ParseKindSetError(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_set_is_read_as_it_is_printed() {
        for text in ["all", "none", "STD", "STD, NAT", "NAT, LB"] {
            assert_eq!(text.parse::<KindSet>().unwrap().to_string(), text);
        }
        assert_eq!("LB,NAT,STD".parse(), Ok(KindSet::ALL));
        for text in ["", "std", "STD,", "STANDARD"] {
            assert_eq!(text.parse::<KindSet>(), Err(ParseKindSetError(())), "{text}");
        }
    }

    #[test]
    fn a_set_contains_the_kinds_that_it_was_made_of() {
        let kinds = [NextHopKind::Standard, NextHopKind::Nat { from: 1, to: 2 }, NextHopKind::LoadBalancer];
        for kind in kinds {
            let set = KindSet::of(kind);
            assert_eq!(kinds.map(|other| set.contains(other)), kinds.map(|other| other == kind));
            assert_eq!(set.to_string(), KindSet::name(kind));
        }
        assert!(kinds.iter().all(|kind| KindSet::ALL.contains(*kind) && !KindSet::NONE.contains(*kind)));
        assert_eq!(kinds.map(KindSet::of).into_iter().collect::<KindSet>(), KindSet::ALL);
        assert!(KindSet::NONE.is_empty() && !KindSet::NAT.is_empty());
    }
}
