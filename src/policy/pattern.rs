//! Whom a rule is for.

use alloc::boxed::Box;
use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use super::PeerName;
use super::prefixes::parse;
use crate::Prefix;

/// What a peer has to be for a rule to be for it: a name that its certificate proves, or where it comes from.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum PeerPattern {
    /// `any`: everybody.
    Any,
    /// `dns:h7.example.org`, or `dns:*.example.org`: the `*` stands for one label, the first, as in certificates (RFC 6125).
    /// Upper and lower case are the same.
    Dns(Box<str>),
    /// `uri:spiffe://example.org/hypervisor/7`, or with a `*` at the end, which stands for anything.
    Uri(Box<str>),
    /// `ip:2001:db8::/32` or `ip:2001:db8::7`: an address in the certificate.
    Ip(Prefix),
    /// `from:10.0.0.0/8` or `from:10.0.0.7`: the address that the connection comes from, with a certificate or without. IPv4 on
    /// an IPv6 socket is IPv4.
    From(Prefix),
}

impl PeerPattern {
    /// Whether a peer is so. `names`: what its certificate proves, if it has shown one; `addr`: where it comes from.
    pub fn matches(&self, names: Option<&[PeerName]>, addr: IpAddr) -> bool {
        let mut names = names.into_iter().flatten();
        match self {
            Self::Any => true,
            Self::Dns(pattern) => names.any(|name| matches!(name, PeerName::Dns(name) if is_host(pattern, name))),
            Self::Uri(pattern) => names.any(|name| matches!(name, PeerName::Uri(name) if is_uri(pattern, name))),
            Self::Ip(prefix) => names.any(|name| matches!(name, PeerName::Ip(addr) if prefix.contains(*addr))),
            Self::From(prefix) => prefix.contains(addr.to_canonical()),
        }
    }
}

fn is_host(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix("*.") {
        None => pattern.eq_ignore_ascii_case(name),
        Some(parent) => name.split_once('.').is_some_and(|(label, rest)| {
            // A certificate for `*.example.org` is nobody's in particular.
            !label.is_empty() && label != "*" && rest.eq_ignore_ascii_case(parent)
        }),
    }
}

fn is_uri(pattern: &str, uri: &str) -> bool {
    match pattern.strip_suffix('*') {
        None => pattern == uri,
        Some(start) => uri.starts_with(start),
    }
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

/// Why a text is no [`PeerPattern`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ParsePeerPatternError {
    /// It is not `any`, and begins with none of `dns:`, `uri:`, `ip:` and `from:`.
    Kind,
    /// There is nothing behind that.
    Empty,
    /// What is behind `ip:` or `from:` is neither an address nor a prefix.
    Address,
    /// A `*` where none may be: elsewhere than for the first label of a host's name, or for the end of a URI.
    Star,
}

impl fmt::Display for ParsePeerPatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kind => "it is not 'any', and does not begin with 'dns:', 'uri:', 'ip:' or 'from:'",
            Self::Empty => "there is nothing behind the ':'",
            Self::Address => "what is behind the ':' is neither an address nor a prefix",
            Self::Star => {
                "a '*' can stand for the first label of a host's name (dns:*.example.org) or for the end of a URI"
            }
        })
    }
}

impl core::error::Error for ParsePeerPatternError {}

impl FromStr for PeerPattern {
    type Err = ParsePeerPatternError;

    /// Reads what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "any" {
            return Ok(Self::Any);
        }
        let (kind, value) = text.split_once(':').ok_or(ParsePeerPatternError::Kind)?;
        let pattern = match kind {
            "dns" if value.strip_prefix("*.").unwrap_or(value).contains('*') => {
                return Err(ParsePeerPatternError::Star);
            }
            "dns" => Self::Dns(value.to_ascii_lowercase().into()),
            "uri" if value.strip_suffix('*').unwrap_or(value).contains('*') => return Err(ParsePeerPatternError::Star),
            "uri" => Self::Uri(value.into()),
            "ip" | "from" if value.is_empty() => return Err(ParsePeerPatternError::Empty),
            "ip" => Self::Ip(parse(value).ok_or(ParsePeerPatternError::Address)?),
            "from" => Self::From(parse(value).ok_or(ParsePeerPatternError::Address)?),
            _ => return Err(ParsePeerPatternError::Kind),
        };
        if value.is_empty() || value == "*." { Err(ParsePeerPatternError::Empty) } else { Ok(pattern) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    #[test]
    fn a_pattern_is_read_as_it_is_printed() {
        for text in
            ["any", "dns:h7.example.org", "dns:*.example.org", "uri:spiffe://a/*", "ip:10.0.0.0/8", "from:::1/128"]
        {
            assert_eq!(text.parse::<PeerPattern>().unwrap().to_string(), text);
        }
        assert_eq!("from:10.0.0.7".parse::<PeerPattern>().unwrap().to_string(), "from:10.0.0.7/32");
        use ParsePeerPatternError::{Address, Empty, Kind, Star};
        for (text, error) in [
            ("", Kind),
            ("h7.example.org", Kind),
            ("cn:h7", Kind),
            ("dns:", Empty),
            ("dns:*.", Empty),
            ("uri:", Empty),
            ("ip:", Empty),
            ("ip:h7", Address),
            ("from:10.0.0.0/33", Address),
            ("dns:*", Star),
            ("dns:h*.example.org", Star),
            ("dns:a.*.org", Star),
            ("uri:spiffe://*/a", Star),
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
        for pattern in ["any", "from:10.0.0.7", "from:10.0.0.0/8"] {
            assert!(matches(pattern, Some(&names)) && matches(pattern, None), "{pattern}");
        }
        for pattern in [
            "dns:h8.example.org",
            "dns:example.org",
            "dns:*.org",
            "dns:*.h7.example.org",
            "dns:10.0.0.7",
            "uri:spiffe://A/h/7",
            "uri:spiffe://a/h",
            "ip:10.0.0.7",
            "from:10.0.0.8",
            "from:2001:db8::7",
            "from:::ffff:10.0.0.7",
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
}
