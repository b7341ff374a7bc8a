//! The nouns of the protocol: networks, next hops, routes, and the ids of connections and peers.
//! Values are valid by construction; what a peer sends is checked once, where it is decoded.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use crate::{ParsePrefixError, Prefix};

/// A virtual network identifier.
///
/// The wire carries 32 bits, and every number is accepted. VXLAN and Geneve have 24 bits ([`Vni::is_24_bit`]).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Vni(pub u32);

impl Vni {
    /// Returns whether the number fits the 24 bits that a VNI has in VXLAN (RFC 7348) and Geneve (RFC 8926).
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

/// The kind of a next hop. The enum is exhaustive, with the kinds of the protocol: an application that installs routes has to know each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum NextHopKind {
    /// An ordinary next hop.
    #[default]
    #[cfg_attr(feature = "serde", serde(rename = "STD"))]
    Standard,
    /// Network address translation: the next hop is for these ports of the destination.
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

/// A next hop: the hypervisor that packets for a destination are sent to. No minor version adds fields.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct NextHop {
    /// The hypervisor's underlay address.
    pub addr: IpAddr,
    /// The VNI that packets have at the hypervisor. 0: the route's own VNI.
    #[cfg_attr(feature = "serde", serde(default = "own_vni"))]
    pub target_vni: Vni,
    /// The kind of the next hop.
    #[cfg_attr(feature = "serde", serde(default))]
    pub kind: NextHopKind,
}

/// Returns the [`NextHop::target_vni`] of a next hop that was written without one.
#[cfg(feature = "serde")]
const fn own_vni() -> Vni {
    Vni(0)
}

impl NextHop {
    /// Returns an ordinary next hop into the route's own virtual network.
    pub const fn standard(addr: IpAddr) -> Self {
        Self { addr, target_vni: Vni(0), kind: NextHopKind::Standard }
    }

    /// Returns why no packet can be sent to this next hop. `None`: packets can be sent there.
    #[inline]
    pub const fn martian(&self) -> Option<Martian> {
        Martian::of(self.addr)
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.addr)?;
        if self.target_vni != Vni(0) {
            write!(f, " vni {}", self.target_vni)?;
        }
        if self.kind != NextHopKind::Standard {
            write!(f, " {}", self.kind)?;
        }
        Ok(())
    }
}

/// Why an address is a martian: an address to which another host can't send a packet. A martian can't be a next hop: a node drops a route
/// with such a next hop when it receives it, and does not announce one.
///
/// ```
/// use metalbond::Martian;
///
/// assert_eq!(Martian::of("127.0.0.1".parse()?), Some(Martian::Loopback));
/// assert_eq!(Martian::of("::ffff:127.0.0.1".parse()?), Some(Martian::Loopback));
/// assert_eq!(Martian::of("2001:db8::1".parse()?), None);
/// # Ok::<_, core::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Martian {
    /// `0.0.0.0` (RFC 1122, section 3.2.1.3) or `::` (RFC 4291, section 2.5.2).
    Unspecified,
    /// An address in `127.0.0.0/8` (RFC 1122, section 3.2.1.3), or `::1` (RFC 4291, section 2.5.3).
    Loopback,
    /// An address in `169.254.0.0/16` (RFC 3927) or `fe80::/10` (RFC 4291, section 2.5.6). It is valid on one link only, and a
    /// route does not say on which.
    LinkLocal,
    /// An address in `224.0.0.0/4` (RFC 1112, section 4) or `ff00::/8` (RFC 4291, section 2.7).
    Multicast,
    /// `255.255.255.255`, the limited broadcast (RFC 919, section 7).
    Broadcast,
}

impl Martian {
    /// Returns why an address is a martian; `None` if it is not. An IPv4-mapped IPv6 address is judged as its IPv4 address. RFC 6890
    /// lists these addresses, multicast ones excepted, with 'Forwardable: False'.
    #[inline]
    pub const fn of(addr: IpAddr) -> Option<Self> {
        match addr {
            IpAddr::V4(addr) => Self::of_v4(addr),
            // No martian begins with such a byte, and no IPv4-mapped address: one comparison decides about nearly every next hop.
            IpAddr::V6(addr) if matches!(addr.octets()[0], 1..=0xfd) => None,
            IpAddr::V6(addr) => Self::of_v6(addr),
        }
    }

    const fn of_v4(addr: Ipv4Addr) -> Option<Self> {
        match addr.octets() {
            [0, 0, 0, 0] => Some(Self::Unspecified),
            [127, ..] => Some(Self::Loopback),
            [169, 254, ..] => Some(Self::LinkLocal),
            [224..=239, ..] => Some(Self::Multicast),
            [255, 255, 255, 255] => Some(Self::Broadcast),
            _ => None,
        }
    }

    const fn of_v6(addr: Ipv6Addr) -> Option<Self> {
        if let Some(addr) = addr.to_ipv4_mapped() {
            return Self::of_v4(addr);
        }
        match addr.segments() {
            [0, 0, 0, 0, 0, 0, 0, 0] => Some(Self::Unspecified),
            [0, 0, 0, 0, 0, 0, 0, 1] => Some(Self::Loopback),
            [0xfe80..=0xfebf, ..] => Some(Self::LinkLocal),
            [0xff00..=0xffff, ..] => Some(Self::Multicast),
            _ => None,
        }
    }
}

impl fmt::Display for Martian {
    /// Writes what the address is, for example `a loopback address`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "the unspecified address",
            Self::Loopback => "a loopback address",
            Self::LinkLocal => "a link-local address",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "the broadcast address",
        })
    }
}

/// A route: a destination in a virtual network, and a next hop for it. Routes with equal fields are the same route, whichever peer
/// announces them. No minor version adds fields.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Route {
    /// The virtual network.
    pub vni: Vni,
    /// The destination.
    pub prefix: Prefix,
    /// The next hop of the destination.
    pub next_hop: NextHop,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} via {}", self.vni, self.prefix, self.next_hop)
    }
}

/// Why a text is not a [`Route`], a [`NextHop`] or a [`NextHopKind`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ParseRouteError {
    /// The text is not of the form `VNI PREFIX via ADDRESS [vni VNI] [KIND]`.
    Form,
    /// The VNI is not a number from 0 to 4,294,967,295.
    Vni,
    /// The destination is not a prefix.
    Prefix(ParsePrefixError),
    /// The next hop is not an IP address.
    Addr,
    /// The target VNI is not a number from 0 to 4,294,967,295.
    TargetVni,
    /// The kind is not `STD`, `LB` or `NAT FROM-TO`.
    Kind,
    /// The ports are not two numbers from 0 to 65,535 with a `-` between them.
    Ports,
}

impl fmt::Display for ParseRouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "not of the form 'VNI PREFIX via ADDRESS [vni VNI] [KIND]'",
            Self::Vni => "the VNI is not a number from 0 to 4294967295",
            Self::Prefix(error) => return write!(f, "prefix: {error}"),
            Self::Addr => "the next hop is not an IP address",
            Self::TargetVni => "the VNI of the next hop is not a number from 0 to 4294967295",
            Self::Kind => "the kind of next hop is not STD, LB or NAT FROM-TO",
            Self::Ports => "the ports of NAT are not of the form FROM-TO, each from 0 to 65535",
        })
    }
}

impl core::error::Error for ParseRouteError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Prefix(error) => Some(error),
            _ => None,
        }
    }
}

impl FromStr for NextHopKind {
    type Err = ParseRouteError;

    /// Reads what [`Display`](fmt::Display) writes: `STD`, `LB`, `NAT 1000-2000`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(' ') {
            None if text == "STD" => Ok(Self::Standard),
            None if text == "LB" => Ok(Self::LoadBalancer),
            Some(("NAT", ports)) => {
                let (from, to) = ports.split_once('-').ok_or(ParseRouteError::Ports)?;
                let port = |text| digits(text).ok_or(ParseRouteError::Ports);
                Ok(Self::Nat { from: port(from)?, to: port(to)? })
            }
            _ => Err(ParseRouteError::Kind),
        }
    }
}

impl FromStr for NextHop {
    type Err = ParseRouteError;

    /// Reads what [`Display`](fmt::Display) writes: `2001:db8::1`, `2001:db8::1 vni 42 LB`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (addr, rest) = part(text);
        let addr = addr.parse().map_err(|_| ParseRouteError::Addr)?;
        let (target_vni, rest) = match rest.and_then(|rest| rest.strip_prefix("vni ")) {
            Some(rest) => {
                let (vni, rest) = part(rest);
                (Vni(digits(vni).ok_or(ParseRouteError::TargetVni)?), rest)
            }
            None => (Vni(0), rest),
        };
        let kind = rest.map_or(Ok(NextHopKind::Standard), str::parse)?;
        Ok(Self { addr, target_vni, kind })
    }
}

impl FromStr for Route {
    type Err = ParseRouteError;

    /// Reads what [`Display`](fmt::Display) writes.
    ///
    /// ```
    /// use metalbond::{ParseRouteError, Route};
    ///
    /// let route: Route = "23 10.0.23.0/24 via 2001:db8::1 NAT 1000-2000".parse()?;
    /// assert_eq!(route.to_string(), "23 10.0.23.0/24 via 2001:db8::1 NAT 1000-2000");
    /// assert_eq!("23 10.0.23.0/24 via host".parse::<Route>(), Err(ParseRouteError::Addr));
    /// # Ok::<_, ParseRouteError>(())
    /// ```
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (vni, rest) = part(text);
        let (prefix, rest) = part(rest.ok_or(ParseRouteError::Form)?);
        let next_hop = rest.and_then(|rest| rest.strip_prefix("via ")).ok_or(ParseRouteError::Form)?;
        Ok(Self {
            vni: Vni(digits(vni).ok_or(ParseRouteError::Vni)?),
            prefix: prefix.parse().map_err(ParseRouteError::Prefix)?,
            next_hop: next_hop.parse()?,
        })
    }
}

/// Splits a text at its first space.
fn part(text: &str) -> (&str, Option<&str>) {
    text.split_once(' ').map_or((text, None), |(part, rest)| (part, Some(rest)))
}

/// Parses a number without a sign.
fn digits<T: FromStr>(text: &str) -> Option<T> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// The id of a connection. An id is never used twice.
///
/// The driver makes the ids of the connections that it accepts ([`ConnId::accepted`]). The node makes the ids of the connections that it
/// asks the driver to dial. The two kinds never collide. `Display` writes `a7` for an accepted and `d7` for a dialled connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(u64);

impl ConnId {
    const DIALLED: u64 = 1 << 63;

    /// Returns the id of the accepted connection with the number `n`, below 2⁶³. The highest bit of `n` is dropped.
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

    /// Returns whether this node dialled the connection. False: it accepted the connection.
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

/// The error for a text that is not a [`ConnId`]: `a` or `d`, and a number below 2⁶³.
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

/// The id of a configured peer: a server that this node dials, over all its connections. An id is never used twice.
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
    use alloc::format;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn each_kind_of_martian_is_found_at_its_first_and_last_address_and_not_beside_them() {
        use Martian::{Broadcast, LinkLocal, Loopback, Multicast, Unspecified};
        let v4 = [
            ("0.0.0.0", Some(Unspecified)),
            ("0.0.0.1", None),
            ("126.255.255.255", None),
            ("127.0.0.0", Some(Loopback)),
            ("127.255.255.255", Some(Loopback)),
            ("128.0.0.0", None),
            ("169.253.255.255", None),
            ("169.254.0.0", Some(LinkLocal)),
            ("169.254.255.255", Some(LinkLocal)),
            ("169.255.0.0", None),
            ("223.255.255.255", None),
            ("224.0.0.0", Some(Multicast)),
            ("239.255.255.255", Some(Multicast)),
            ("240.0.0.0", None),
            ("255.255.255.254", None),
            ("255.255.255.255", Some(Broadcast)),
        ];
        let v6 = [
            ("::", Some(Unspecified)),
            ("::1", Some(Loopback)),
            ("::2", None),
            // IPv4-compatible addresses (RFC 4291, section 2.5.5.1) are not IPv4-mapped.
            ("::127.0.0.1", None),
            ("100::", None),
            ("fdff::1", None),
            ("fe7f:ffff::", None),
            ("fe80::", Some(LinkLocal)),
            ("febf:ffff::1", Some(LinkLocal)),
            ("fec0::", None),
            ("feff::1", None),
            ("ff00::", Some(Multicast)),
            ("ffff::1", Some(Multicast)),
        ];
        let mapped = v4.map(|(addr, martian)| (format!("::ffff:{addr}"), martian));
        let plain = v4.into_iter().chain(v6).map(|(addr, martian)| (addr.to_string(), martian));
        for (addr, martian) in plain.chain(mapped) {
            assert_eq!(Martian::of(addr.parse().unwrap()), martian, "{addr}");
        }
    }

    proptest! {
        #[test]
        fn a_martian_is_what_the_standard_library_calls_by_one_of_these_names(
            v4 in prop_oneof![any::<u32>(), (any::<u8>(), 0..2u32).prop_map(|(first, rest)| u32::from(first) << 24 | rest)],
            v6 in prop_oneof![any::<u128>(), (any::<u16>(), 0..2u128).prop_map(|(first, rest)| u128::from(first) << 112 | rest)],
        ) {
            let (v4, v6) = (Ipv4Addr::from(v4), Ipv6Addr::from(v6));
            let is_martian =
                v4.is_unspecified() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || v4.is_broadcast();
            prop_assert_eq!(Martian::of(v4.into()).is_some(), is_martian);
            prop_assert_eq!(Martian::of(v4.to_ipv6_mapped().into()).is_some(), is_martian);
            let is_martian =
                v6.is_unspecified() || v6.is_loopback() || v6.is_unicast_link_local() || v6.is_multicast();
            prop_assert_eq!(Martian::of(v6.into()).is_some(), is_martian);
        }
    }

    #[test]
    fn a_text_that_is_no_route_is_refused_by_the_part_that_is_wrong() {
        use ParseRouteError::{Addr, Form, Kind, Ports, TargetVni};
        for (text, error) in [
            ("", Form),
            ("23", Form),
            ("23 10.0.0.0/8", Form),
            ("23 10.0.0.0/8 2001:db8::1", Form),
            ("23 10.0.0.0/8 via", Form),
            ("+23 10.0.0.0/8 via 2001:db8::1", ParseRouteError::Vni),
            ("4294967296 10.0.0.0/8 via 2001:db8::1", ParseRouteError::Vni),
            ("23 10.0.0.0 via 2001:db8::1", ParseRouteError::Prefix("10.0.0.0".parse::<Prefix>().unwrap_err())),
            ("23 10.0.0.0/8 via ", Addr),
            ("23 10.0.0.0/8 via host", Addr),
            ("23 10.0.0.0/8 via 2001:db8::1 vni x", TargetVni),
            ("23 10.0.0.0/8 via 2001:db8::1 vni", Kind),
            ("23 10.0.0.0/8 via 2001:db8::1 ", Kind),
            ("23 10.0.0.0/8 via 2001:db8::1 NAT", Kind),
            ("23 10.0.0.0/8 via 2001:db8::1 NAT 7", Ports),
            ("23 10.0.0.0/8 via 2001:db8::1 NAT 7-65536", Ports),
            ("23 10.0.0.0/8 via 2001:db8::1 NAT -7", Ports),
        ] {
            assert_eq!(text.parse::<Route>(), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_route_is_read_as_it_is_printed(
            vni: u32, addr: IpAddr, len in 0..129u32, next_hop: IpAddr,
            target_vni in prop_oneof![Just(0), any::<u32>()],
            kind in prop_oneof![
                Just(NextHopKind::Standard),
                Just(NextHopKind::LoadBalancer),
                any::<(u16, u16)>().prop_map(|(from, to)| NextHopKind::Nat { from, to }),
            ],
        ) {
            let Ok(prefix) = Prefix::new(addr, len) else { return Ok(()) };
            let next_hop = NextHop { addr: next_hop, target_vni: Vni(target_vni), kind };
            let route = Route { vni: Vni(vni), prefix, next_hop };
            prop_assert_eq!(route.to_string().parse(), Ok(route));
            prop_assert_eq!(kind.to_string().parse(), Ok(kind));
        }

        #[test]
        fn a_text_is_refused_or_its_route_is_read_as_it_is_printed(text in "[0-9a-f/:. viantNATLBSD-]{0,60}") {
            if let Ok(route) = text.parse::<Route>() {
                prop_assert_eq!(route.to_string().parse(), Ok(route));
            }
        }

        #[test]
        fn a_changed_character_changes_one_part_of_a_route_or_is_refused_there(
            vni: u32, addr: IpAddr, len in 0..33u32, next_hop: IpAddr, target_vni: u32, ports: (u16, u16),
            at: prop::sample::Index, new in "[0-9a-fz:./-]",
        ) {
            let kind = NextHopKind::Nat { from: ports.0, to: ports.1 };
            let next_hop = NextHop { addr: next_hop, target_vni: Vni(target_vni), kind };
            let route = Route { vni: Vni(vni), prefix: Prefix::new(addr, len).unwrap(), next_hop };
            let text = route.to_string();
            let at = at.index(text.len());
            if text.as_bytes()[at] == b' ' {
                return Ok(());
            }
            let mut changed = text.clone();
            changed.replace_range(at..=at, &new);
            use ParseRouteError as Error;
            match (text[..at].matches(' ').count(), changed.parse::<Route>()) {
                (_, Ok(again)) if changed == text => prop_assert_eq!(again, route),
                (0, Ok(other)) => prop_assert_eq!(Route { vni: route.vni, ..other }, route),
                (1, Ok(other)) => prop_assert_eq!(Route { prefix: route.prefix, ..other }, route),
                (3, Ok(other)) => {
                    prop_assert_eq!(Route { next_hop: NextHop { addr: route.next_hop.addr, ..other.next_hop }, ..other }, route);
                }
                (4.., Ok(other)) => {
                    prop_assert_eq!(Route { next_hop: NextHop { addr: other.next_hop.addr, ..route.next_hop }, ..other }, route);
                }
                (0, Err(error)) => prop_assert_eq!(error, Error::Vni),
                (1, Err(error)) => prop_assert!(matches!(error, Error::Prefix(_)), "{:?}", error),
                (2, error) => prop_assert_eq!(error, Err(Error::Form)),
                (3, Err(error)) => prop_assert_eq!(error, Error::Addr),
                (_, Err(error)) => prop_assert!(matches!(error, Error::TargetVni | Error::Kind | Error::Ports), "{:?}", error),
            }
        }
    }

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
