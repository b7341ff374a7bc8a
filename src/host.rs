//! The address of a peer's host.

use core::fmt;
use core::net::{IpAddr, SocketAddr};

/// The address of a peer's host. All peers of one host share the limits of an address.
///
/// The IP address is in canonical form: an IPv4 address on an IPv6 socket is IPv4. A link-local address (RFC 4291, section
/// 2.5.6) identifies a host only on one link, so its scope id (the number of the interface) belongs to it: `fe80::1%2` and
/// `fe80::1%3` are two hosts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HostAddr {
    ip: IpAddr,
    /// 0 unless the address is link-local.
    scope_id: u32,
}

impl HostAddr {
    /// Returns the IP address, without the scope id.
    pub const fn ip(self) -> IpAddr {
        self.ip
    }

    /// Returns the scope id of a link-local address; 0 for any other address.
    pub const fn scope_id(self) -> u32 {
        self.scope_id
    }
}

impl From<SocketAddr> for HostAddr {
    fn from(addr: SocketAddr) -> Self {
        let scope_id = match addr {
            SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => v6.scope_id(),
            _ => 0,
        };
        Self { ip: addr.ip().to_canonical(), scope_id }
    }
}

impl fmt::Display for HostAddr {
    /// Writes the address as in RFC 4007, section 11: `2001:db8::1`, `fe80::1%2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip.fmt(f)?;
        if self.scope_id == 0 { Ok(()) } else { write!(f, "%{}", self.scope_id) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn host(addr: &str) -> HostAddr {
        addr.parse::<SocketAddr>().unwrap().into()
    }

    #[test]
    fn hosts_differ_by_the_link_of_a_link_local_address_but_not_by_the_port() {
        assert_eq!(host("[2001:db8::1]:1"), host("[2001:db8::1]:2"));
        assert_ne!(host("[2001:db8::1]:1"), host("[2001:db8::2]:1"));
        assert_eq!(host("[fe80::1%2]:1"), host("[fe80::1%2]:2"));
        assert_ne!(host("[fe80::1%2]:1"), host("[fe80::1%3]:1"));
        assert_eq!(host("[2001:db8::1%2]:1"), host("[2001:db8::1%3]:1"), "only link-local addresses have a link");
        assert_eq!(host("[::ffff:192.0.2.1]:1"), host("192.0.2.1:1"));
    }

    #[test]
    fn a_host_is_printed_without_a_port() {
        for (addr, printed) in
            [("[2001:db8::1]:1", "2001:db8::1"), ("[fe80::1%2]:1", "fe80::1%2"), ("[::ffff:192.0.2.1]:1", "192.0.2.1")]
        {
            assert_eq!(host(addr).to_string(), printed);
        }
    }
}
