//! The address of a server as users write it: `host:port`. Only the form is checked: the name is looked up when the server is dialled.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV6};
use std::str::FromStr;

/// The address of a server: `host:port`. The host is a name, an IPv4 address, or an IPv6 address in brackets; the port is 1 to 65,535.
///
/// Parsing checks only the form. The name is looked up when the server is dialled.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Endpoint(Box<str>);

/// Why a text is not an [`Endpoint`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// The text has no `:`.
    #[error("no ':port' after the host")]
    NoPort,
    /// The text after the last `:` is not a port from 1 to 65,535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// There is no text before the `:`.
    #[error("no host before the ':'")]
    NoHost,
    /// The host is not a name, an IPv4 address, or an IPv6 address in brackets.
    #[error("the host is not a name, an IPv4 address, or an IPv6 address in brackets")]
    Host,
}

impl Endpoint {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(addr: SocketAddr) -> Self {
        Self(addr.to_string().into())
    }
}

impl From<Endpoint> for Box<str> {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.0
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = text.rsplit_once(':').ok_or(EndpointError::NoPort)?;
        // `parse` alone would accept a sign.
        if !is_number(port) || port.parse::<u16>().is_ok_and(|p| p == 0) || port.parse::<u16>().is_err() {
            return Err(EndpointError::Port);
        }
        if host.is_empty() {
            return Err(EndpointError::NoHost);
        }
        let is_name = !host.contains(|c: char| ":[]/".contains(c) || c.is_whitespace() || c.is_control());
        // No name ends in a number: such a text is a mistyped address, which no lookup would find.
        let is_v4 = host.rsplit('.').next().is_some_and(is_number);
        let is_name = is_name && (!is_v4 || host.parse::<Ipv4Addr>().is_ok());
        if is_name || text.parse::<SocketAddrV6>().is_ok() { Ok(Self(text.into())) } else { Err(EndpointError::Host) }
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_of_both_families_are_endpoints() {
        for text in
            ["localhost:4711", "10.0.0.1:1", "[::1]:65535", "[fe80::1%2]:4711", "a.b-c.example:4711", "example.:1"]
        {
            assert_eq!(text.parse::<Endpoint>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn a_text_that_is_no_endpoint_says_why() {
        let why = |text: &str| text.parse::<Endpoint>().unwrap_err();
        assert_eq!(why("localhost"), EndpointError::NoPort);
        for text in ["localhost:", "localhost:0", "localhost:65536", "localhost:+1", "localhost:http"] {
            assert_eq!(why(text), EndpointError::Port, "{text}");
        }
        assert_eq!(why(":4711"), EndpointError::NoHost);
        for text in ["::1:4711", "[::1:4711", "[name]:4711", "two words:4711", "a:b:1", "10.0.0.256:1", "1:1", "a/b:1"]
        {
            assert_eq!(why(text), EndpointError::Host, "{text}");
        }
    }
}
