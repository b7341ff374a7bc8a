//! Patterns for the peers that a rule matches.
//!
//! Invariant: different spellings of one name or address match the same peers.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use super::PeerName;
use super::prefixes::{BadAddress, parse_addresses};
use crate::Prefix;

/// A pattern for peers: it matches a name that a peer's certificate proves, or the address that the peer connects from.
///
/// Different spellings of one name or address match, in a pattern and in a certificate: upper and lower case in a DNS name, and in a
/// URI's scheme and host; a dot at the end of a DNS name; an IPv4-mapped IPv6 address and its IPv4 address. Parsing returns a pattern in the
/// canonical spelling, and an error for a text that can match no peer.
///
/// ```
/// use metalbond::PeerPattern;
///
/// let pattern: PeerPattern = "from:::ffff:10.0.0.9".parse()?;
/// assert_eq!(pattern.to_string(), "from:10.0.0.9/32");
/// assert!(pattern.matches(None, "::ffff:10.0.0.9".parse()?) && pattern.matches(None, "10.0.0.9".parse()?));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum PeerPattern {
    /// `any`: matches every peer.
    Any,
    /// `dns:h7.example.org` or `dns:*.example.org`: a DNS name in the certificate. The `*` stands for the first label (RFC 6125).
    Dns(Box<str>),
    /// `uri:spiffe://example.org/hypervisor/7` or `uri:spiffe://example.org/*`: a URI in the certificate. The `*`, at the end only, stands for any
    /// rest.
    Uri(Box<str>),
    /// `ip:2001:db8::/32` or `ip:2001:db8::7`: an address in the certificate.
    Ip(Prefix),
    /// `from:10.0.0.0/8` or `from:10.0.0.7`: the address that the connection comes from, with a certificate or without. The scope id of a
    /// link-local address is ignored.
    From(Prefix),
}

impl PeerPattern {
    /// Returns whether the pattern matches a peer. `names`: the names that the peer's certificate proves, `None` without a certificate.
    /// `addr`: the address that the connection comes from.
    pub fn matches(&self, names: Option<&[PeerName]>, addr: IpAddr) -> bool {
        let mut names = names.into_iter().flatten();
        match self {
            Self::Any => true,
            Self::Dns(pattern) => names.any(|name| matches!(name, PeerName::Dns(name) if is_host(pattern, name))),
            Self::Uri(pattern) => names.any(|name| matches!(name, PeerName::Uri(name) if is_uri(pattern, name))),
            Self::Ip(prefix) => names.any(|name| matches!(name, PeerName::Ip(addr) if is_within(prefix, *addr))),
            Self::From(prefix) => is_within(prefix, addr),
        }
    }

    /// Returns whether this pattern matches every peer that `other` matches. If a rule has this pattern, `other` has no effect in
    /// later rules.
    ///
    /// ```
    /// # use metalbond::PeerPattern;
    /// let all: PeerPattern = "dns:*.example.org".parse()?;
    /// assert!(all.covers(&"dns:h7.example.org".parse()?) && !all.covers(&"any".parse()?));
    /// # Ok::<_, metalbond::ParsePeerPatternError>(())
    /// ```
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Dns(pattern), Self::Dns(other)) => match other.strip_prefix("*.") {
                None => is_host(pattern, other),
                Some(parent) => {
                    pattern.strip_prefix("*.").is_some_and(|own| canonical_host(own) == canonical_host(parent))
                }
            },
            (Self::Uri(pattern), Self::Uri(other)) => match other.strip_suffix('*') {
                None => is_uri(pattern, other),
                Some(start) => pattern.ends_with('*') && is_uri(pattern, start),
            },
            (Self::Ip(prefix), Self::Ip(other)) | (Self::From(prefix), Self::From(other)) => {
                prefix.to_canonical().covers(&other.to_canonical())
            }
            _ => false,
        }
    }
}

fn is_within(prefix: &Prefix, addr: IpAddr) -> bool {
    prefix.to_canonical().contains(addr.to_canonical())
}

fn is_host(pattern: &str, name: &str) -> bool {
    let name = canonical_host(name);
    match pattern.strip_prefix("*.") {
        None => canonical_host(pattern) == name,
        Some(parent) => name.split_once('.').is_some_and(|(label, rest)| {
            // A certificate for `*.example.org` proves the name of no particular host.
            !label.is_empty() && label != "*" && rest == canonical_host(parent)
        }),
    }
}

/// Returns a DNS name in lower case, without the dot that may follow a complete name (RFC 1034, section 3.1).
fn canonical_host(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Returns whether a text is a DNS name by RFC 1034 and RFC 1123, or one with `_`, which is in use.
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

fn is_uri(pattern: &str, uri: &str) -> bool {
    match pattern.strip_suffix('*') {
        None => canonical_uri(pattern) == canonical_uri(uri),
        Some(start) => canonical_uri(uri).starts_with(&canonical_uri(start)),
    }
}

/// Returns a URI, or its beginning, with scheme and authority in lower case (RFC 3986, section 6.2.2.1), and the rest unchanged.
fn canonical_uri(uri: &str) -> String {
    let scheme = uri.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c))).unwrap_or(uri.len());
    let (_, rest) = uri.split_at(scheme);
    let len = match rest.strip_prefix("://") {
        Some(rest) => uri.len() - rest.len() + rest.find(['/', '?', '#']).unwrap_or(rest.len()),
        None if rest.is_empty() || rest.starts_with(':') => scheme,
        // It has no scheme.
        None => 0,
    };
    let (insensitive, rest) = uri.split_at(len);
    insensitive.to_ascii_lowercase() + rest
}

impl fmt::Display for PeerPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Dns(name) => write!(f, "dns:{name}"),
            Self::Uri(uri) => write!(f, "uri:{uri}"),
            Self::Ip(prefix) => write!(f, "ip:{prefix}"),
            Self::From(prefix) => write!(f, "from:{prefix}"),
        }
    }
}

/// Why a text is not a [`PeerPattern`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ParsePeerPatternError {
    /// The text is not `any`, and begins with none of `dns:`, `uri:`, `ip:` and `from:`.
    Kind,
    /// Nothing follows the `:`.
    Empty,
    /// What follows `ip:` or `from:` is neither an address nor a prefix.
    Address,
    /// The text has a `*` that is neither the first label of a DNS name nor the end of a URI.
    Star,
    /// What follows `dns:` is not a DNS name: labels of 1 to 63 ASCII letters, digits, `-` and `_`, at most 253 bytes in all.
    Host,
    /// What follows `uri:` is not a URI: it has a blank, a control character, or a character that is not ASCII.
    Uri,
    /// The address has a scope id (`fe80::1%eth0`).
    Scope,
    /// The prefix of an IPv4-mapped IPv6 address has less than 96 bits.
    MappedLength,
}

impl From<BadAddress> for ParsePeerPatternError {
    fn from(why: BadAddress) -> Self {
        match why {
            BadAddress::Form => Self::Address,
            BadAddress::Scope => Self::Scope,
            BadAddress::MappedLength => Self::MappedLength,
        }
    }
}

impl fmt::Display for ParsePeerPatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kind => "it is not 'any', and does not begin with 'dns:', 'uri:', 'ip:' or 'from:'",
            Self::Empty => "nothing follows the ':'",
            Self::Address => "what follows the ':' is neither an address nor a prefix",
            Self::Star => {
                "a '*' can stand for the first label of a host's name (dns:*.example.org) or for the end of a URI"
            }
            Self::Host => {
                "a DNS name consists of labels of 1 to 63 ASCII letters, digits, '-' and '_' with dots between, 253 characters at \
                 most in all; other letters are written as in a certificate (xn--...)"
            }
            Self::Uri => "a URI has neither blanks nor characters that are not ASCII",
            Self::Scope => return BadAddress::Scope.fmt(f),
            Self::MappedLength => return BadAddress::MappedLength.fmt(f),
        })
    }
}

impl core::error::Error for ParsePeerPatternError {}

impl FromStr for PeerPattern {
    type Err = ParsePeerPatternError;

    /// Reads what [`Display`](fmt::Display) writes, and other spellings of the same.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "any" {
            return Ok(Self::Any);
        }
        let (kind, value) = text.split_once(':').ok_or(ParsePeerPatternError::Kind)?;
        if value.is_empty() && ["dns", "uri", "ip", "from"].contains(&kind) {
            return Err(ParsePeerPatternError::Empty);
        }
        match kind {
            "dns" => host(value).map(Self::Dns),
            "uri" => uri(value).map(Self::Uri),
            "ip" => Ok(Self::Ip(parse_addresses(value)?.to_canonical())),
            "from" => Ok(Self::From(parse_addresses(value)?.to_canonical())),
            _ => Err(ParsePeerPatternError::Kind),
        }
    }
}

fn host(text: &str) -> Result<Box<str>, ParsePeerPatternError> {
    let pattern = canonical_host(text);
    let name = pattern.strip_prefix("*.").unwrap_or(&pattern);
    // In `*.` the dot is the one after a complete name, and the name is empty.
    if name.is_empty() || text == "*." {
        return Err(ParsePeerPatternError::Empty);
    }
    if name.contains('*') {
        return Err(ParsePeerPatternError::Star);
    }
    // A label in place of the `*` has at least one byte.
    if is_host_name(name) && pattern.len() <= 253 { Ok(pattern.into()) } else { Err(ParsePeerPatternError::Host) }
}

fn uri(text: &str) -> Result<Box<str>, ParsePeerPatternError> {
    let (start, star) = text.strip_suffix('*').map_or((text, ""), |start| (start, "*"));
    if start.contains('*') {
        return Err(ParsePeerPatternError::Star);
    }
    if start.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok((canonical_uri(start) + star).into())
    } else {
        Err(ParsePeerPatternError::Uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;
    use alloc::vec::Vec;
    use core::net::Ipv4Addr;
    use proptest::prelude::*;

    #[test]
    fn a_pattern_is_read_as_it_is_printed() {
        for text in
            ["any", "dns:h7.example.org", "dns:*.example.org", "uri:spiffe://a/*", "ip:10.0.0.0/8", "from:::1/128"]
        {
            assert_eq!(text.parse::<PeerPattern>().unwrap().to_string(), text);
        }
        assert_eq!("from:10.0.0.7".parse::<PeerPattern>().unwrap().to_string(), "from:10.0.0.7/32");
        for (text, canonical) in [
            ("from:::ffff:10.0.0.9", "from:10.0.0.9/32"),
            ("from:::ffff:0.0.0.0/96", "from:0.0.0.0/0"),
            ("ip:::ffff:10.0.0.0/104", "ip:10.0.0.0/8"),
            ("dns:H7.Example.ORG.", "dns:h7.example.org"),
            ("dns:*.example.org.", "dns:*.example.org"),
            ("uri:SPIFFE://Example.ORG/H/7", "uri:spiffe://example.org/H/7"),
            ("uri:SPIFFE://Example*", "uri:spiffe://example*"),
            ("uri:Spif*", "uri:spif*"),
            ("uri:URN:X:y", "uri:urn:X:y"),
            ("uri:A/b:c", "uri:A/b:c"),
        ] {
            assert_eq!(text.parse::<PeerPattern>().unwrap().to_string(), canonical, "{text}");
        }
        use ParsePeerPatternError::{Address, Empty, Host, Kind, MappedLength, Scope, Star, Uri};
        let (long_label, long_name) = (format!("dns:{}.org", "a".repeat(64)), format!("dns:{}a", "a.".repeat(127)));
        for (text, error) in [
            ("", Kind),
            ("h7.example.org", Kind),
            ("cn:h7", Kind),
            ("dns:", Empty),
            ("dns:*.", Empty),
            ("dns:.", Empty),
            ("dns:*..", Empty),
            ("from:", Empty),
            ("uri:", Empty),
            ("ip:", Empty),
            ("ip:h7", Address),
            ("from:10.0.0.0/33", Address),
            ("dns:*", Star),
            ("dns:h*.example.org", Star),
            ("dns:a.*.org", Star),
            ("dns:*.*.org", Star),
            ("dns:**.org", Star),
            ("uri:spiffe://*/a", Star),
            ("uri:**", Star),
            ("any ", Kind),
            (" any", Kind),
            ("DNS:h7.example.org", Kind),
            ("email:h7@example.org", Kind),
            ("dns: h7.example.org", Host),
            ("dns:h7.example.org ", Host),
            ("dns:h7.example.org, dns:h8.example.org", Host),
            ("dns:h7..org", Host),
            ("dns:.org", Host),
            ("dns:h7.example.org..", Host),
            ("dns:b\u{fc}cher.example.org", Host),
            ("dns:h7.example.org:4711", Host),
            (&long_label, Host),
            (&long_name, Host),
            ("uri:spiffe://a/b c", Uri),
            ("uri:spiffe://a/\u{e9}", Uri),
            ("uri:spiffe://a/b\n", Uri),
            ("from: 10.0.0.7", Address),
            ("from:010.0.0.7", Address),
            ("from:10.0.0.7:4711", Address),
            ("from:[::1]", Address),
            ("from:fe80::1%eth0", Scope),
            ("ip:fe80::1%2/128", Scope),
            ("from:::ffff:10.0.0.0/24", MappedLength),
            ("ip:::ffff:10.0.0.0/8", MappedLength),
        ] {
            assert_eq!(text.parse::<PeerPattern>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_peer_is_who_its_certificate_or_its_address_says_it_is() {
        let names: Vec<PeerName> =
            ["dns:H7.example.org", "uri:spiffe://a/h/7", "ip:2001:db8::7"].map(|name| name.parse().unwrap()).into();
        let matches = |pattern: &str, names: Option<&[PeerName]>| {
            pattern.parse::<PeerPattern>().unwrap().matches(names, "::ffff:10.0.0.7".parse().unwrap())
        };
        let proven =
            ["dns:h7.Example.ORG", "dns:*.example.org", "uri:spiffe://a/h/7", "uri:spiffe://a/*", "ip:2001:db8::/32"];
        for pattern in proven {
            assert!(matches(pattern, Some(&names)), "{pattern}");
            assert!(!matches(pattern, None), "{pattern} without a certificate");
        }
        for pattern in ["any", "from:10.0.0.7", "from:10.0.0.0/8", "from:10.0.0.5/8", "from:::ffff:10.0.0.7"] {
            assert!(matches(pattern, Some(&names)) && matches(pattern, None), "{pattern}");
        }
        for pattern in [
            "dns:h8.example.org",
            "dns:example.org",
            "dns:*.org",
            "dns:*.h7.example.org",
            "dns:10.0.0.7",
            "uri:spiffe://a/H/7",
            "uri:spiffe://a/h",
            "ip:10.0.0.7",
            "from:10.0.0.8",
            "from:2001:db8::7",
            "from:::/0",
        ] {
            assert!(!matches(pattern, Some(&names)), "{pattern}");
        }
    }

    #[test]
    fn a_wildcard_in_a_certificate_is_not_one_of_those_that_a_wildcard_stands_for() {
        let pattern: PeerPattern = "dns:*.example.org".parse().unwrap();
        let names = ["dns:*.example.org".parse().unwrap()];
        assert!(!pattern.matches(Some(&names), [10, 0, 0, 7].into()));
    }

    #[test]
    fn spellings_of_one_name_or_address_in_a_certificate_are_the_same() {
        for (pattern, name) in [
            ("dns:h7.example.org", "dns:h7.example.org."),
            ("dns:*.example.org", "dns:H7.example.org."),
            ("uri:spiffe://example.org/h/7", "uri:SPIFFE://Example.org/h/7"),
            ("uri:spiffe://example.org/*", "uri:SPIFFE://Example.org/h/7"),
            ("ip:10.0.0.0/8", "ip:::ffff:10.0.0.7"),
        ] {
            let names = [name.parse().unwrap()];
            assert!(pattern.parse::<PeerPattern>().unwrap().matches(Some(&names), [192, 0, 2, 1].into()), "{pattern}");
        }
        // Also of a pattern that was not read from a text.
        let pattern = PeerPattern::From("::ffff:10.0.0.0/104".parse().unwrap());
        assert!(pattern.matches(None, [10, 0, 0, 7].into()));
        let names = ["dns:h7.example.org".parse().unwrap()];
        assert!(PeerPattern::Dns("H7.example.org.".into()).matches(Some(&names), [10, 0, 0, 7].into()));
    }

    /// What may stand in a file: mostly right, with all that people write.
    fn text() -> impl Strategy<Value = String> {
        let label = prop::sample::select(Vec::from([
            "h7",
            "H7",
            "*",
            "",
            "xn--bcher-kva",
            "_a-b",
            "b\u{fc}cher",
            "h 7",
            "h*",
            "example",
            "org",
            "10",
            "a,b",
        ]));
        let host = prop::collection::vec(label, 1..5).prop_map(|labels| labels.join("."));
        let uri = "[a-cA-C]{1,2}(://[a-cA-C]{0,3}(/[a-cA-C*?:]{0,3})?)?[ *]?";
        let v4 = prop_oneof![
            any::<[u8; 4]>().prop_map(Ipv4Addr::from),
            Just(Ipv4Addr::UNSPECIFIED),
            Just(Ipv4Addr::BROADCAST)
        ];
        let v6 =
            prop_oneof![any::<[u8; 16]>().prop_map(|bytes| IpAddr::from(bytes).to_string()), "[:]{2}[0-9a-f]{0,4}"];
        let addr = prop_oneof![
            v4.clone().prop_map(|addr| addr.to_string()),
            v4.prop_map(|addr| format!("::ffff:{addr}")),
            v6,
        ];
        let suffix = prop_oneof![3 => Just(String::new()), 3 => (0..130u8).prop_map(|len| format!("/{len}")), 1 => Just("%eth0".into())];
        let addrs = (addr, suffix).prop_map(|(addr, suffix)| addr + &suffix);
        prop_oneof![
            Just("any".to_string()),
            host.prop_map(|host| format!("dns:{host}")),
            uri.prop_map(|uri| format!("uri:{uri}")),
            addrs.clone().prop_map(|addrs| format!("ip:{addrs}")),
            addrs.prop_map(|addrs| format!("from:{addrs}")),
        ]
    }

    /// A peer that a pattern is for, by the words of its text: the names in its certificate, written as authorities do, and the
    /// address that the operating system reports.
    fn peer(text: &str) -> (Vec<PeerName>, IpAddr) {
        let elsewhere = IpAddr::from([203, 0, 113, 1]);
        let (kind, value) = text.split_once(':').unwrap_or((text, ""));
        let addr = || value.split('/').next().unwrap().parse::<IpAddr>().unwrap().to_canonical();
        match kind {
            "any" => (Vec::new(), elsewhere),
            "dns" => {
                let name = value.strip_suffix('.').unwrap_or(value).to_ascii_lowercase();
                let name = name.strip_prefix('*').map_or(name.clone(), |parent| format!("h7{parent}"));
                let is_possible = |label: &str| {
                    !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                };
                assert!(name.split('.').all(is_possible), "no certificate has the name {name:?}");
                (Vec::from([PeerName::Dns(name.into())]), elsewhere)
            }
            "uri" => {
                let uri = value.strip_suffix('*').map_or(value.to_string(), |start| format!("{start}x"));
                assert!(uri.bytes().all(|b| b.is_ascii_graphic()), "no certificate has the URI {uri:?}");
                (Vec::from([PeerName::Uri(uri.into())]), elsewhere)
            }
            "ip" => (Vec::from([PeerName::Ip(addr())]), elsewhere),
            "from" => (Vec::new(), addr()),
            _ => panic!("{kind}"),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn for_every_pattern_that_is_read_there_is_a_peer_that_it_matches(text in text()) {
            if let Ok(pattern) = text.parse::<PeerPattern>() {
                let (names, addr) = peer(&text);
                prop_assert!(pattern.matches(Some(&names), addr), "{} and {:?} from {}", text, names, addr);
                // The same peer over an IPv6 socket.
                if let IpAddr::V4(v4) = addr {
                    prop_assert!(pattern.matches(Some(&names), v4.to_ipv6_mapped().into()));
                }
                prop_assert_eq!(pattern.to_string().parse(), Ok(pattern), "it is printed as it is read");
            }
        }

        #[test]
        fn a_pattern_that_covers_another_matches_all_its_peers(one in text(), other in text(), third in text()) {
            let [Ok(one), Ok(covered), Ok(_)] = [&one, &other, &third].map(|text| text.parse::<PeerPattern>()) else { return Ok(()) };
            prop_assert!(one.covers(&one));
            for text in [other, third] {
                let (names, addr) = peer(&text);
                let matches = |pattern: &PeerPattern| pattern.matches(Some(&names), addr);
                prop_assert!(!one.covers(&covered) || !matches(&covered) || matches(&one), "{} {}", one, covered);
            }
        }
    }
}
