//! The encapsulation towards a next hop: IPv6 in IPv6, to a hypervisor. Source: `linux/lwtunnel.h`.

use std::net::Ipv6Addr;

use crate::attribute::{Attributes, array_at, nest, put};

/// LWTUNNEL_ENCAP_IP6, which is `encap ip6` in the commands of `ip`.
const TYPE_IP6: u16 = 4;

const IP6_ID: u16 = 1;
const IP6_DST: u16 = 2;
const IP6_SRC: u16 = 3;
const IP6_HOPLIMIT: u16 = 4;
const IP6_TC: u16 = 5;

/// Returns whether the value of an encapsulation's type is that of an IPv6 tunnel.
pub(crate) fn is_ip6(kind: &[u8]) -> bool {
    kind == TYPE_IP6.to_ne_bytes()
}

/// Appends the encapsulation towards `addr`. The attributes' kinds are those of routes or of nexthop objects.
pub(crate) fn put_encap(out: &mut Vec<u8>, type_kind: u16, encap_kind: u16, addr: Ipv6Addr) {
    put(out, type_kind, &TYPE_IP6.to_ne_bytes());
    nest(out, encap_kind, |out| put(out, IP6_DST, &addr.octets()));
}

/// The two attributes of an encapsulation, which may come in any order.
#[derive(Clone, Copy, Default)]
pub(crate) struct Encap<'a> {
    pub(crate) kind: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
}

impl Encap<'_> {
    /// Returns the address that the encapsulation leads to; `None` if [`put_encap`] does not make such an encapsulation.
    pub(crate) fn addr(self) -> Option<Ipv6Addr> {
        if u16::from_ne_bytes(array_at(self.kind?, 0)?) != TYPE_IP6 {
            return None;
        }
        let mut addr = None;
        for (kind, value) in Attributes::new(self.value?) {
            match kind {
                IP6_DST => addr = Some(Ipv6Addr::from_octets(value.try_into().ok()?)),
                // The kernel returns all of these attributes; this package leaves them at zero.
                IP6_ID | IP6_SRC | IP6_HOPLIMIT | IP6_TC if value.iter().any(|&byte| byte != 0) => return None,
                _ => {}
            }
        }
        addr
    }
}
