//! Prefixes: the destinations of routes.
//!
//! Invariant: a prefix is at most as long as its address.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// A prefix: an IP address and a prefix length, the number of its leading bits that are the network.
///
/// Host bits, the bits after these, may be set (`10.0.0.5/24`). They are part of a route's identity, and stay as they were announced.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    // First, so that IPv4 comes before IPv6 in the order.
    is_v6: bool,
    /// An IPv4 address in the first four bytes; the others are zero.
    octets: [u8; 16],
    len: u8,
}

/// The error for a prefix length over 32 (IPv4) or 128 (IPv6).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
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
    /// Returns the prefix of an address and a prefix length. Keeps host bits.
    ///
    /// # Errors
    /// If `len` is over 32 for IPv4 or 128 for IPv6.
    ///
    /// ```
    /// use metalbond::Prefix;
    /// # use core::net::IpAddr;
    ///
    /// let net = Prefix::new(IpAddr::from([10, 0, 23, 0]), 24)?;
    /// assert_eq!(net, "10.0.23.0/24".parse()?);
    /// let host = Prefix::from(IpAddr::from([10, 0, 23, 1]));
    /// assert_eq!(host.to_string(), "10.0.23.1/32");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(addr: IpAddr, len: u32) -> Result<Self, PrefixLengthError> {
        let max = if addr.is_ipv4() { 32 } else { 128 };
        let len = match u8::try_from(len) {
            Ok(len) if len <= max => len,
            _ => return Err(PrefixLengthError { length: len, max }),
        };
        Ok(Self { len, ..addr.into() })
    }

    /// Returns the address with its host bits.
    pub fn addr(&self) -> IpAddr {
        if self.is_v6 {
            IpAddr::V6(Ipv6Addr::from(self.octets))
        } else {
            let [a, b, c, d, ..] = self.octets;
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
    }

    /// Returns the prefix length: at most 32 for IPv4, 128 for IPv6.
    pub const fn prefix_len(&self) -> u8 {
        self.len
    }

    /// Returns whether the prefix length is 0, as for a default route.
    pub const fn is_default(&self) -> bool {
        self.len == 0
    }

    /// Returns whether the address is IPv6.
    pub const fn is_ipv6(&self) -> bool {
        self.is_v6
    }

    /// Returns the network: the prefix without host bits.
    ///
    /// ```
    /// # use metalbond::Prefix;
    /// let prefix: Prefix = "10.0.23.5/24".parse()?;
    /// assert_eq!(prefix.network(), "10.0.23.0/24".parse()?);
    /// # Ok::<_, metalbond::ParsePrefixError>(())
    /// ```
    #[must_use]
    pub fn network(&self) -> Self {
        Self { octets: network_bits(self.bits(), self.len).to_be_bytes(), ..*self }
    }

    /// Returns whether an address is in the network. False for an address of the other family.
    pub fn contains(&self, addr: IpAddr) -> bool {
        let addr = Self::from(addr);
        addr.is_v6 == self.is_v6 && network_bits(addr.bits() ^ self.bits(), self.len) == 0
    }

    /// Returns whether another prefix lies within this one or is equal to it. Host bits do not count.
    pub fn covers(&self, other: &Self) -> bool {
        self.len <= other.len && self.contains(other.addr())
    }

    /// Returns the IPv4 prefix that a prefix of IPv4-mapped IPv6 addresses stands for (RFC 4291, section 2.5.5.2), and any other
    /// prefix unchanged.
    pub(crate) fn to_canonical(self) -> Self {
        match (self.addr().to_canonical(), self.len.checked_sub(96)) {
            (IpAddr::V4(addr), Some(len)) if self.is_v6 => Self { len, ..addr.into() },
            _ => self,
        }
    }

    /// Returns the address as on the wire: 4 or 16 bytes.
    pub(crate) fn octets(&self) -> &[u8] {
        if self.is_v6 { &self.octets } else { &self.octets[..4] }
    }

    /// Returns the address as a number. Its first bit is the highest, for IPv4 as well.
    pub(crate) const fn bits(&self) -> u128 {
        u128::from_be_bytes(self.octets)
    }

    /// Returns the address as 16 bytes. An IPv4 address is the first four.
    pub(crate) const fn padded_octets(&self) -> &[u8; 16] {
        &self.octets
    }

    /// Returns the whole prefix as three words, for hashing.
    pub(crate) fn words(&self) -> (u64, u64, u16) {
        let bits = u128::from_le_bytes(self.octets);
        (bits as u64, (bits >> 64) as u64, u16::from(self.len) << 1 | u16::from(self.is_v6))
    }
}

/// Returns the first `len` bits of an address and clears the others: all containment of prefixes is decided by it.
pub(crate) const fn network_bits(bits: u128, len: u8) -> u128 {
    match u128::MAX.checked_shl(128 - len as u32) {
        Some(mask) => bits & mask,
        None => 0,
    }
}

impl From<IpAddr> for Prefix {
    /// Returns the prefix of one address: `/32` or `/128`.
    fn from(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(addr) => addr.into(),
            IpAddr::V6(addr) => addr.into(),
        }
    }
}

impl From<Ipv4Addr> for Prefix {
    /// Returns the prefix of one address: `/32`.
    fn from(addr: Ipv4Addr) -> Self {
        let [a, b, c, d] = addr.octets();
        Self { is_v6: false, octets: [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], len: 32 }
    }
}

impl From<Ipv6Addr> for Prefix {
    /// Returns the prefix of one address: `/128`.
    fn from(addr: Ipv6Addr) -> Self {
        Self { is_v6: true, octets: addr.octets(), len: 128 }
    }
}

impl TryFrom<(IpAddr, u8)> for Prefix {
    type Error = PrefixLengthError;

    fn try_from((addr, len): (IpAddr, u8)) -> Result<Self, Self::Error> {
        Self::new(addr, len.into())
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
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ParsePrefixError {
    /// There is no `/`.
    NoSlash,
    /// The text before the `/` is not an IP address.
    Address,
    /// The text after the `/` is not a number.
    Length,
    /// The length is too long for the address.
    Range(PrefixLengthError),
}

impl fmt::Display for ParsePrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSlash => f.write_str("no '/' between address and length"),
            Self::Address => f.write_str("not an IP address before the '/'"),
            Self::Length => f.write_str("not a number after the '/'"),
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
    fn an_address_is_the_prefix_of_itself() {
        let v4 = IpAddr::from([10, 0, 0, 5]);
        assert_eq!(Prefix::from(v4), Prefix::new(v4, 32).unwrap());
        assert_eq!((Prefix::from(v4).addr(), Prefix::from(v4).prefix_len()), (v4, 32));
        let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
        assert_eq!((Prefix::from(v6).addr(), Prefix::from(v6).prefix_len()), (v6, 128));
        assert_eq!(Prefix::try_from((v4, 8)), Prefix::new(v4, 8));
        assert_eq!(Prefix::try_from((v4, 33)).unwrap_err().max, 32);
    }

    #[test]
    fn a_network_has_no_host_bits_and_contains_its_addresses() {
        for (text, network) in [
            ("255.255.255.255/9", "255.128.0.0/9"),
            ("10.0.0.5/32", "10.0.0.5/32"),
            ("10.0.0.5/0", "0.0.0.0/0"),
            ("2001:db8:ffff::1/33", "2001:db8:8000::/33"),
            ("::1/128", "::1/128"),
        ] {
            let prefix: Prefix = text.parse().unwrap();
            assert_eq!(prefix.network().to_string(), network);
            assert!(prefix.contains(prefix.addr()) && prefix.contains(prefix.network().addr()));
        }
        let net: Prefix = "10.1.0.0/16".parse().unwrap();
        assert!(net.contains([10, 1, 255, 255].into()) && !net.contains([10, 2, 0, 0].into()));
        assert!(!net.contains("::a01:1".parse().unwrap()), "families are apart");
    }

    #[test]
    fn a_canonical_prefix_of_ipv4_mapped_addresses_is_one_of_ipv4() {
        for (text, canonical) in [
            ("::ffff:10.0.0.9/128", "10.0.0.9/32"),
            ("::ffff:10.0.0.9/104", "10.0.0.9/8"),
            ("::ffff:0.0.0.0/96", "0.0.0.0/0"),
            ("::ffff:0.0.0.0/95", "::ffff:0.0.0.0/95"),
            ("::10.0.0.9/128", "::10.0.0.9/128"),
            ("2001:db8::/104", "2001:db8::/104"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(text.parse::<Prefix>().unwrap().to_canonical(), canonical.parse().unwrap(), "{text}");
        }
    }

    #[test]
    fn a_prefix_takes_eighteen_bytes() {
        assert_eq!(size_of::<Prefix>(), 18);
    }
}
