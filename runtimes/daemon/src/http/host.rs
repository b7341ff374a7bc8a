//! Host names in requests, and the names that a request may use.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use axum::http::uri::Authority;

/// A normalised host: an address, or a name in lower case without a trailing dot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Host {
    Addr(IpAddr),
    Name(String),
}

/// A host, with a port if one is given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Site {
    pub(super) host: Host,
    port: Option<u16>,
}

impl Site {
    /// Parses a `Host` header. Returns `None` if it is not a valid host or contains a user name.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let text = str::from_utf8(text).ok()?;
        // An IPv6 address may have a zone (`[fe80::1%25eth0]`), which is meaningful only to the sender.
        let zone = text.starts_with('[').then(|| Some(text.find('%')?..text.find(']')?)).flatten();
        let text = match zone {
            Some(zone) if zone.start < zone.end => format!("{}{}", &text[..zone.start], &text[zone.end..]),
            _ => text.to_owned(),
        };
        if text.contains('@') {
            return None;
        }
        let authority: Authority = text.parse().ok()?;
        let host = authority.host();
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(addr) => Host::Addr(addr.parse::<Ipv6Addr>().ok()?.into()),
            None => match host.parse::<Ipv4Addr>() {
                Ok(addr) => Host::Addr(addr.into()),
                Err(_) => Host::Name(normal(host).filter(|name| !name.is_empty())?),
            },
        };
        Some(Self { host, port: authority.port_u16() })
    }

    /// Returns true if an `Origin` header names this site, so that the request comes from a page that was loaded from
    /// here.
    pub(super) fn is_origin(&self, origin: &[u8]) -> bool {
        let schemes = [(&b"http://"[..], 80), (&b"https://"[..], 443)];
        let found = schemes.into_iter().find_map(|(scheme, port)| Some((origin.strip_prefix(scheme)?, port)));
        found.and_then(|(site, port)| Some((Self::parse(site)?, port))).is_some_and(|(site, port)| {
            site.host == self.host && site.port.unwrap_or(port) == self.port.unwrap_or(port)
        })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addr(addr) => addr.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Normalises a name to lower case without a trailing dot. Returns `None` if a character is not valid in a name.
fn normal(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    is_name.then(|| name.to_ascii_lowercase())
}

/// A name that a request may use. `.example.org` and `*.example.org` match all names below `example.org`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct HostPattern {
    name: String,
    is_suffix: bool,
}

impl HostPattern {
    /// Returns true if the pattern matches a normalised name.
    pub(super) fn matches(&self, name: &str) -> bool {
        if self.is_suffix {
            name.strip_suffix(&self.name).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        } else {
            name == self.name
        }
    }
}

impl FromStr for HostPattern {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let suffix = text.strip_prefix("*.").or_else(|| text.strip_prefix('.'));
        let name = normal(suffix.unwrap_or(text)).filter(|name| !name.is_empty() && !name.starts_with('.'));
        let name =
            name.ok_or("it is no name: without a port, and at most with '.' or '*.' before it for all names below")?;
        Ok(Self { name, is_suffix: suffix.is_some() })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.is_suffix { "*." } else { "" }, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_name_is_refused() {
        for bad in ["", ".", "*", "*.", "..x", "a:4712", "http://a", "a/b", "[::1]", "a b", "a*", "*.*.a"] {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad}");
        }
        for (text, shown) in [("A.Example.", "a.example"), (".example", "*.example"), ("*.example", "*.example")] {
            assert_eq!(text.parse::<HostPattern>().unwrap().to_string(), shown);
        }
    }
}
