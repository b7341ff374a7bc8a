//! Some policies, and their meaning in plain words: the model's, which does not use the node's way to decide.

use std::collections::BTreeSet;
use std::net::IpAddr;

use metalbond::{AnnounceRule, PeerName, PeerPattern, Policy, PrefixSet, Route, Rule, Vni, VniSet};

/// Number of policies; the first one is none.
pub(crate) const COUNT: u8 = 11;
/// From this one on, policies ask for names as well as for addresses.
pub(crate) const FIRST_BY_NAME: u8 = 7;

const EVEN_HOSTS: [&str; 5] =
    ["from:2001:db8::", "from:2001:db8::2", "from:2001:db8::4", "from:2001:db8::6", "from:2001:db8::f0"];

/// What a policy identifies a client by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Credentials {
    /// The address it comes from, an IPv4-mapped one as IPv4.
    host: IpAddr,
    /// The names in its certificate, if it has one.
    pub(crate) names: Option<BTreeSet<PeerName>>,
}

impl Credentials {
    /// Returns the credentials of a client without a certificate.
    pub(crate) fn of_host(host: IpAddr) -> Self {
        Self { host: host.to_canonical(), names: None }
    }

    fn is_even(&self) -> bool {
        matches!(self.host, IpAddr::V6(addr) if addr.octets()[15].is_multiple_of(2))
    }

    fn has_name(&self, is_it: impl Fn(&str) -> bool) -> bool {
        self.names.iter().flatten().any(|name| is_it(&name.to_string()))
    }

    fn is_twin(&self) -> bool {
        self.has_name(|name| name == "dns:twin.hosts.example.org")
    }

    fn has_address_of_hosts(&self) -> bool {
        self.has_name(|name| name.starts_with("ip:2001:db8:"))
    }

    /// Returns true if the address is one of the client's own: those in its certificate, or the one it comes from if it
    /// has no certificate.
    fn is_own(&self, addr: IpAddr) -> bool {
        match &self.names {
            None => addr == self.host,
            Some(names) => names.iter().any(|name| matches!(name, PeerName::Ip(own) if own.to_canonical() == addr)),
        }
    }
}

/// Returns the nth policy.
pub(crate) fn policy(n: u8) -> Option<Policy> {
    let all = || AnnounceRule {
        next_hops: "any".parse().unwrap(),
        target_vnis: Some(VniSet::ALL),
        ..AnnounceRule::own(VniSet::ALL)
    };
    let rule = |name: &str, who: &[&str], subscribe: &str, announce: &[AnnounceRule]| Rule {
        subscribe: subscribe.parse().unwrap(),
        announce: announce.to_vec(),
        ..Rule::new(name, who.iter().map(|text| text.parse::<PeerPattern>().unwrap()))
    };
    let prefixes = |text: &str| text.parse::<PrefixSet>().unwrap();
    let rules = match n % COUNT {
        0 => return None,
        1 => vec![],
        2 => vec![rule("evens", &EVEN_HOSTS, "all", &[all()]), rule("readers", &["any"], "all", &[])],
        3 => {
            let grant = AnnounceRule {
                vnis: "23".parse().unwrap(),
                types: "STD, NAT".parse().unwrap(),
                target_vnis: None,
                ..all()
            };
            vec![rule("narrow", &["any"], "0, 23", &[grant])]
        }
        4 => {
            let own = AnnounceRule { target_vnis: Some(VniSet::ALL), ..AnnounceRule::own(VniSet::ALL) };
            vec![rule("own", &["any"], "all", &[own])]
        }
        5 => vec![rule("only evens", &EVEN_HOSTS, "all", &[all()])],
        7 => vec![rule("named", &["dns:*.hosts.example.org"], "all", &[all()])],
        8 => {
            vec![rule("readers", &["dns:twin.hosts.example.org"], "all", &[]), rule("rest", &["any"], "all", &[all()])]
        }
        9 => {
            let source = AnnounceRule { next_hops: "source".parse().unwrap(), ..all() };
            vec![rule("source", &["any"], "all", &[source])]
        }
        10 => vec![rule("addresses", &["ip:2001:db8::/32"], "all", &[all()]), rule("rest", &["any"], "23", &[])],
        _ => {
            let tens = AnnounceRule { prefixes: prefixes("10.0.0.0/8"), ..all() };
            let sixes = AnnounceRule {
                prefixes: prefixes("2001:db8::/32"),
                next_hops: "2001:db8::/32".parse().unwrap(),
                ..all()
            };
            vec![rule("prefixes", &["any"], "0, 16777223", &[tens, sixes])]
        }
    };
    Some(Policy::new(rules))
}

/// Returns the number of a policy.
pub(crate) fn number(wanted: Option<&Policy>) -> u8 {
    (0..COUNT).find(|n| policy(*n).as_ref() == wanted).expect("a policy of these")
}

/// Returns true if the nth policy admits a client.
pub(crate) fn admits(n: u8, who: &Credentials) -> bool {
    match n {
        1 => false,
        5 => who.is_even(),
        7 => who.has_name(|name| name.ends_with(".hosts.example.org")),
        _ => true,
    }
}

pub(crate) fn may_subscribe(n: u8, who: &Credentials, vni: Vni) -> bool {
    admits(n, who)
        && match n {
            3 => [0, 23].contains(&vni.0),
            6 => vni.0 != 23,
            10 => vni.0 == 23 || who.has_address_of_hosts(),
            _ => true,
        }
}

pub(crate) fn may_announce(n: u8, who: &Credentials, route: &Route) -> bool {
    let hop = route.next_hop;
    let is_v6 = |addr: IpAddr| addr.to_canonical().is_ipv6();
    admits(n, who)
        && match n {
            2 => who.is_even(),
            3 => {
                route.vni == Vni(23)
                    && hop.kind != metalbond::NextHopKind::LoadBalancer
                    && [Vni(0), Vni(23)].contains(&hop.target_vni)
            }
            4 => who.is_own(hop.addr.to_canonical()),
            // The only prefixes of the worlds that are not a default route: one of each family.
            8 => !who.is_twin(),
            9 => hop.addr.to_canonical() == who.host,
            10 => who.has_address_of_hosts(),
            6 => !route.prefix.is_default() && (!route.prefix.is_ipv6() || is_v6(hop.addr)),
            _ => true,
        }
}
