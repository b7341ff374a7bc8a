//! Values of arguments that several subcommands have: addresses to listen on, and times.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use metalbond::Config;
use metalbond_tokio::{Endpoint, EndpointError};

use crate::{go_flags, spec};

/// An address to listen on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Listen {
    /// A socket address.
    Addr(SocketAddr),
    /// A name, which may resolve to several addresses.
    Name(Endpoint),
}

impl Listen {
    /// Returns true if the port needs a capability.
    pub(crate) fn is_low(&self) -> bool {
        let port = match self {
            Self::Addr(addr) => addr.port(),
            Self::Name(name) => name.as_str().rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(0),
        };
        let start = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
        let start = start.ok().and_then(|start| start.trim().parse().ok()).unwrap_or(1024);
        (1..start).contains(&port)
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addr(addr) => addr.fmt(f),
            Self::Name(name) => f.write_str(name.as_str()),
        }
    }
}

/// Parses an address to listen on: an address, where port 0 means any port; a name and a port; or only a port, as in
/// `:4711`, which means all addresses of this machine.
pub(crate) fn parse_listen(text: &str) -> Result<Listen, EndpointError> {
    let text = if text.starts_with(':') { format!("[::]{text}") } else { go_flags::with_scope_number(text) };
    match text.parse() {
        Ok(addr) => Ok(Listen::Addr(addr)),
        Err(_) => text.parse().map(Listen::Name),
    }
}

/// Returns a time that was given in seconds.
pub(crate) fn seconds(n: u32) -> Duration {
    Duration::from_secs(n.into())
}

/// Parses a number of seconds.
pub(crate) fn parse_seconds(text: &str) -> Result<u32, String> {
    spec::number(text, 0, u32::MAX)
}

/// Parses a keepalive interval. 0 means the default, as in the reference implementation.
pub(crate) fn parse_keepalive(text: &str) -> Result<u32, String> {
    let seconds = go_flags::number(text, 0, u32::MAX)?;
    Ok(if seconds == 0 { Config::default().keepalive.as_secs() as u32 } else { seconds })
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn a_listen_address_is_an_address_a_name_or_only_a_port() {
        let addr = |ip: IpAddr, port| Ok(Listen::Addr(SocketAddr::new(ip, port)));
        assert_eq!(parse_listen("[::]:4711"), addr(Ipv6Addr::UNSPECIFIED.into(), 4711));
        assert_eq!(parse_listen(":4711"), addr(Ipv6Addr::UNSPECIFIED.into(), 4711));
        assert_eq!(parse_listen("127.0.0.1:0"), addr(Ipv4Addr::LOCALHOST.into(), 0));
        assert_eq!(parse_listen("localhost:4711"), Ok(Listen::Name("localhost:4711".parse().unwrap())));
    }

    #[test]
    fn a_bad_listen_address_is_an_error_that_says_what_is_wrong() {
        for text in ["", "4711", "127.0.0.1"] {
            assert_eq!(parse_listen(text), Err(EndpointError::NoPort), "{text}");
        }
        for text in ["[::1]", "127.0.0.1:65536", "127.0.0.1:-1", ":", ":http"] {
            assert_eq!(parse_listen(text), Err(EndpointError::Port), "{text}");
        }
        for text in ["::1:4711", "[::1:4711", "[host]:4711"] {
            assert_eq!(parse_listen(text), Err(EndpointError::Host), "{text}");
        }
    }
}
