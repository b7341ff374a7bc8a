//! The names of peers: those in a certificate that a policy looks at.

use alloc::boxed::Box;
use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

/// A name that a peer's certificate proves: one of its subject alternative names (RFC 5280, section 4.2.1.6). Other kinds of names, and the
/// subject, are ignored. The text form begins with the kind.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum PeerName {
    /// A DNS name: `dns:h7.example.org`.
    Dns(Box<str>),
    /// A URI: `uri:spiffe://example.org/hypervisor/7`.
    Uri(Box<str>),
    /// An IP address: `ip:2001:db8::7`.
    Ip(IpAddr),
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "dns:{name}"),
            Self::Uri(uri) => write!(f, "uri:{uri}"),
            Self::Ip(addr) => write!(f, "ip:{addr}"),
        }
    }
}

/// Why a text is not a [`PeerName`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ParsePeerNameError {
    /// The text begins with none of `dns:`, `uri:` and `ip:`.
    Kind,
    /// Nothing follows the `:`.
    Empty,
    /// What follows `ip:` is not an address.
    Address,
}

impl fmt::Display for ParsePeerNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kind => "it does not begin with 'dns:', 'uri:' or 'ip:'",
            Self::Empty => "nothing follows the ':'",
            Self::Address => "what follows 'ip:' is not an address",
        })
    }
}

impl core::error::Error for ParsePeerNameError {}

impl FromStr for PeerName {
    type Err = ParsePeerNameError;

    /// Reads what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, name) = text.split_once(':').ok_or(ParsePeerNameError::Kind)?;
        let some = || if name.is_empty() { Err(ParsePeerNameError::Empty) } else { Ok(name.into()) };
        match kind {
            "dns" => some().map(Self::Dns),
            "uri" => some().map(Self::Uri),
            "ip" => some().and_then(|name| name.parse().map(Self::Ip).map_err(|_| ParsePeerNameError::Address)),
            _ => Err(ParsePeerNameError::Kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_name_is_read_as_it_is_printed() {
        for text in ["dns:h7.example.org", "uri:spiffe://example.org/h/7", "ip:192.0.2.7", "ip:2001:db8::7"] {
            let name: PeerName = text.parse().unwrap();
            assert_eq!(name.to_string(), text);
        }
        let errors = [
            ("", ParsePeerNameError::Kind),
            ("h7.example.org", ParsePeerNameError::Kind),
            ("email:a@example.org", ParsePeerNameError::Kind),
            ("dns:", ParsePeerNameError::Empty),
            ("ip:", ParsePeerNameError::Empty),
            ("ip:h7", ParsePeerNameError::Address),
        ];
        for (text, error) in errors {
            assert_eq!(text.parse::<PeerName>(), Err(error), "{text}");
        }
    }
}
