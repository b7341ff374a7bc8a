//! Sets of route types.

use core::fmt;
use core::str::FromStr;

use crate::NextHopKind;

/// Types of routes: some of `STD`, `NAT` and `LB`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KindSet {
    /// `STD`.
    pub standard: bool,
    /// `NAT`.
    pub nat: bool,
    /// `LB`.
    pub load_balancer: bool,
}

impl KindSet {
    const NONE: Self = Self { standard: false, nat: false, load_balancer: false };

    /// Whether a next hop's type is one of them.
    pub const fn contains(self, kind: NextHopKind) -> bool {
        match kind {
            NextHopKind::Standard => self.standard,
            NextHopKind::Nat { .. } => self.nat,
            NextHopKind::LoadBalancer => self.load_balancer,
        }
    }

    /// The name of a next hop's type.
    pub const fn name(kind: NextHopKind) -> &'static str {
        match kind {
            NextHopKind::Standard => "STD",
            NextHopKind::Nat { .. } => "NAT",
            NextHopKind::LoadBalancer => "LB",
        }
    }
}

impl Default for KindSet {
    /// All of them.
    fn default() -> Self {
        Self { standard: true, nat: true, load_balancer: true }
    }
}

impl fmt::Display for KindSet {
    /// `all`, `none`, or `STD, NAT`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return f.write_str("all");
        }
        if *self == Self::NONE {
            return f.write_str("none");
        }
        let names = [(self.standard, "STD"), (self.nat, "NAT"), (self.load_balancer, "LB")];
        super::list(f, names.into_iter().filter_map(|(is_in, name)| is_in.then_some(name)))
    }
}

impl fmt::Debug for KindSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that names no type of routes.
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
            "all" => return Ok(Self::default()),
            "none" => return Ok(Self::NONE),
            _ => {}
        }
        text.split(',').try_fold(Self::NONE, |mut set, name| {
            match name.trim() {
                "STD" => set.standard = true,
                "NAT" => set.nat = true,
                "LB" => set.load_balancer = true,
                _ => return Err(ParseKindSetError(())),
            }
            Ok(set)
        })
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
        assert_eq!("LB,NAT,STD".parse(), Ok(KindSet::default()));
        for text in ["", "std", "STD,", "STANDARD"] {
            assert_eq!(text.parse::<KindSet>(), Err(ParseKindSetError(())), "{text}");
        }
    }
}
