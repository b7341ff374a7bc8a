//! The nouns of the protocol: networks, prefixes, next hops, routes, and the ids of connections and peers.
//! Values are valid by construction; what a peer sends is checked once, where it is decoded.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// A virtual network identifier.
///
/// The wire carries 32 bits and every one of them is accepted; that a VNI has 24 bits is a rule of the command line
/// ([`Vni::is_24_bit`]).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Vni(pub u32);

impl Vni {
    /// Whether the number fits the 24 bits that a VNI has in VXLAN (RFC 7348) and Geneve (RFC 8926).
    pub const fn is_24_bit(self) -> bool {
        self.0 < 1 << 24
    }
}

impl fmt::Display for Vni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A destination: an IP address and how many of its leading bits count.
///
/// Host bits may be set (`10.0.0.5/24`): they are part of the route's identity and kept as announced.
/// 18 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    // IPv4 in the first four bytes, the others zero. `is_v6` first, so that the order is IPv4 before IPv6.
    is_v6: bool,
    octets: [u8; 16],
    len: u8,
}

/// A prefix length over 32 (IPv4) or 128 (IPv6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PrefixLengthError {
    /// The length that was given.
    pub length: u32,
    /// The longest that the address allows: 32 or 128.
    pub max: u8,
}

impl fmt::Display for PrefixLengthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "prefix length {} is over {}", self.length, self.max)
    }
}

impl core::error::Error for PrefixLengthError {}

impl Prefix {
    /// A prefix of `len` bits.
    ///
    /// # Errors
    /// If `len` is over 32 for IPv4 or 128 for IPv6.
    pub fn new(addr: IpAddr, len: u32) -> Result<Self, PrefixLengthError> {
        let max = if addr.is_ipv4() { 32 } else { 128 };
        let len = match u8::try_from(len) {
            Ok(len) if len <= max => len,
            _ => return Err(PrefixLengthError { length: len, max }),
        };
        let mut octets = [0; 16];
        match addr {
            IpAddr::V4(v4) => octets[..4].copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => octets = v6.octets(),
        }
        Ok(Self { is_v6: addr.is_ipv6(), octets, len })
    }

    /// The address, host bits and all.
    pub fn addr(&self) -> IpAddr {
        if self.is_v6 {
            IpAddr::V6(Ipv6Addr::from(self.octets))
        } else {
            let [a, b, c, d, ..] = self.octets;
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
    }

    /// How many leading bits count: at most 32 for IPv4, 128 for IPv6.
    pub const fn prefix_len(&self) -> u8 {
        self.len
    }

    /// Whether this is a default route (no bit counts).
    pub const fn is_default(&self) -> bool {
        self.len == 0
    }

    /// Whether the address is IPv6.
    pub const fn is_ipv6(&self) -> bool {
        self.is_v6
    }

    /// The address as it goes on the wire: 4 or 16 bytes.
    pub(crate) fn octets(&self) -> &[u8] {
        if self.is_v6 { &self.octets } else { &self.octets[..4] }
    }

    /// The whole prefix in three words, for hashing.
    pub(crate) fn words(&self) -> (u64, u64, u16) {
        let bits = u128::from_le_bytes(self.octets);
        (bits as u64, (bits >> 64) as u64, u16::from(self.len) << 1 | u16::from(self.is_v6))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr(), self.len)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not a prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParsePrefixError {
    /// There is no `/`.
    NoSlash,
    /// What stands before the `/` is not an IP address.
    Address,
    /// What stands behind the `/` is not a number.
    Length,
    /// The length is too long for the address.
    Range(PrefixLengthError),
}

impl fmt::Display for ParsePrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSlash => f.write_str("no '/' between address and length"),
            Self::Address => f.write_str("not an IP address before the '/'"),
            Self::Length => f.write_str("not a number behind the '/'"),
            Self::Range(e) => e.fmt(f),
        }
    }
}

impl core::error::Error for ParsePrefixError {}

impl FromStr for Prefix {
    type Err = ParsePrefixError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let (addr, len) = s.split_once('/').ok_or(ParsePrefixError::NoSlash)?;
        let addr = addr.parse().map_err(|_| ParsePrefixError::Address)?;
        if !len.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ParsePrefixError::Length);
        }
        let len = len.parse().map_err(|_| ParsePrefixError::Length)?;
        Self::new(addr, len).map_err(ParsePrefixError::Range)
    }
}

/// What a next hop is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NextHopKind {
    /// An ordinary route.
    Standard,
    /// Network address translation: the route holds for these ports of the destination.
    Nat {
        /// First port, inclusive.
        from: u16,
        /// Last port, inclusive.
        to: u16,
    },
    /// A target of a load balancer.
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
pub struct NextHop {
    /// The hypervisor's underlay address.
    pub addr: IpAddr,
    /// The virtual network on the far side; 0 if it is the route's own.
    pub target_vni: u32,
    /// What the next hop is for.
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

/// A configured peer: a server that this node dials, over all its connections. An id is never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
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
    fn a_prefix_longer_than_its_address_is_refused() {
        let v4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(Prefix::new(v4, 33), Err(PrefixLengthError { length: 33, max: 32 }));
        let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
        assert_eq!(Prefix::new(v6, 129), Err(PrefixLengthError { length: 129, max: 128 }));
        assert_eq!(Prefix::new(v6, u32::MAX).unwrap_err().length, u32::MAX);
    }

    #[test]
    fn a_prefix_is_printed_as_it_is_parsed() {
        for text in ["0.0.0.0/0", "10.0.0.5/24", "::/0", "2001:db8::1/64", "255.255.255.255/32"] {
            assert_eq!(text.parse::<Prefix>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_text_that_is_no_prefix_says_why() {
        assert_eq!("10.0.0.0".parse::<Prefix>(), Err(ParsePrefixError::NoSlash));
        assert_eq!("10.0.0/8".parse::<Prefix>(), Err(ParsePrefixError::Address));
        assert_eq!("10.0.0.0/".parse::<Prefix>(), Err(ParsePrefixError::Length));
        assert_eq!("10.0.0.0/+8".parse::<Prefix>(), Err(ParsePrefixError::Length));
        assert!(matches!("10.0.0.0/33".parse::<Prefix>(), Err(ParsePrefixError::Range(_))));
    }

    #[test]
    fn a_prefix_takes_eighteen_bytes() {
        assert_eq!(size_of::<Prefix>(), 18);
    }
}
