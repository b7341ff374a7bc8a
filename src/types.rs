//! The nouns of the protocol: networks, next hops, routes, and the ids of connections and peers.
//! Values are valid by construction; what a peer sends is checked once, where it is decoded.

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use crate::Prefix;

/// A virtual network identifier.
///
/// The wire carries 32 bits and every one of them is accepted; that a VNI has 24 bits is a rule of the command line
/// ([`Vni::is_24_bit`]).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Vni(pub u32);

impl Vni {
    /// Whether the number fits the 24 bits that a VNI has in VXLAN (RFC 7348) and Geneve (RFC 8926).
    pub const fn is_24_bit(self) -> bool {
        self.0 < 1 << 24
    }
}

impl From<u32> for Vni {
    fn from(number: u32) -> Self {
        Self(number)
    }
}

impl From<Vni> for u32 {
    fn from(vni: Vni) -> Self {
        vni.0
    }
}

impl fmt::Display for Vni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a next hop is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum NextHopKind {
    /// An ordinary route.
    #[default]
    #[cfg_attr(feature = "serde", serde(rename = "STD"))]
    Standard,
    /// Network address translation: the route holds for these ports of the destination.
    #[cfg_attr(feature = "serde", serde(rename = "NAT"))]
    Nat {
        /// First port, inclusive.
        from: u16,
        /// Last port, inclusive.
        to: u16,
    },
    /// A target of a load balancer.
    #[cfg_attr(feature = "serde", serde(rename = "LB"))]
    LoadBalancer,
}

impl fmt::Display for NextHopKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard => f.write_str("STD"),
            Self::Nat { from, to } => write!(f, "NAT {from}-{to}"),
            Self::LoadBalancer => f.write_str("LB"),
        }
    }
}

/// Where packets for a destination go: the hypervisor that the destination lives behind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct NextHop {
    /// The hypervisor's underlay address.
    pub addr: IpAddr,
    /// The virtual network on the far side; 0 if it is the route's own.
    #[cfg_attr(feature = "serde", serde(default))]
    pub target_vni: u32,
    /// What the next hop is for.
    #[cfg_attr(feature = "serde", serde(default))]
    pub kind: NextHopKind,
}

impl NextHop {
    /// An ordinary next hop into the route's own virtual network.
    pub const fn standard(addr: IpAddr) -> Self {
        Self { addr, target_vni: 0, kind: NextHopKind::Standard }
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.addr)?;
        if self.target_vni != 0 {
            write!(f, " vni {}", self.target_vni)?;
        }
        if self.kind != NextHopKind::Standard {
            write!(f, " {}", self.kind)?;
        }
        Ok(())
    }
}

/// A route: in this virtual network, this destination is behind this next hop. Equal routes are the same route,
/// whoever announces them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Route {
    /// The virtual network.
    pub vni: Vni,
    /// The destination.
    pub prefix: Prefix,
    /// Where it is.
    pub next_hop: NextHop,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} via {}", self.vni, self.prefix, self.next_hop)
    }
}

/// One connection, over its whole life. An id is never used twice.
///
/// The driver names the connections that it accepts ([`ConnId::accepted`]); the core names those it asks the driver
/// to dial. The two never collide.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(u64);

impl ConnId {
    const DIALLED: u64 = 1 << 63;

    /// The `n`th connection that a driver accepted. Bits above the 62nd are dropped.
    pub const fn accepted(n: u64) -> Self {
        Self(n & !Self::DIALLED)
    }

    pub(crate) const fn dialled(n: u64) -> Self {
        Self(n | Self::DIALLED)
    }

    #[cfg(feature = "serde")]
    pub(crate) const fn to_bits(self) -> u64 {
        self.0
    }

    #[cfg(feature = "serde")]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Whether this node dialled the connection, rather than accepted it.
    pub const fn is_dialled(self) -> bool {
        self.0 & Self::DIALLED != 0
    }
}

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.is_dialled() { 'd' } else { 'a' };
        write!(f, "{side}{}", self.0 & !Self::DIALLED)
    }
}

impl fmt::Debug for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not the name of a connection: `a` or `d`, and a number below 2⁶³.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ParseConnIdError(());

impl fmt::Display for ParseConnIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not 'a' or 'd' and a number")
    }
}

impl core::error::Error for ParseConnIdError {}

impl FromStr for ConnId {
    type Err = ParseConnIdError;

    /// Reads what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = ParseConnIdError(());
        let (side, number) = text.split_at_checked(1).ok_or(error)?;
        let n = match number.parse() {
            Ok(n) if n < Self::DIALLED && number.bytes().all(|byte| byte.is_ascii_digit()) => n,
            _ => return Err(error),
        };
        match side {
            "a" => Ok(Self::accepted(n)),
            "d" => Ok(Self::dialled(n)),
            _ => Err(error),
        }
    }
}

/// A configured peer: a server that this node dials, over all its connections. An id is never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PeerId(pub u32);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_connection_is_read_as_it_is_printed() {
        for conn in [ConnId::accepted(0), ConnId::accepted(u64::MAX), ConnId::dialled(0), ConnId::dialled(7)] {
            assert_eq!(conn.to_string().parse(), Ok(conn));
        }
        for text in ["", "a", "7", "x7", "a+7", "a 7", "d9223372036854775808", "\u{e9}7"] {
            assert!(text.parse::<ConnId>().is_err(), "{text}");
        }
    }
}
