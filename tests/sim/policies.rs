//! Some policies, and what they mean in plain words: the model's, which knows nothing of how a node decides.

use std::net::IpAddr;

use metalbond::{AnnounceRule, PeerPattern, Policy, PrefixSet, Route, Rule, Vni, VniSet};

/// How many there are; the first is none.
pub(crate) const COUNT: u8 = 7;

const EVEN_HOSTS: [&str; 4] = ["from:2001:db8::", "from:2001:db8::2", "from:2001:db8::4", "from:2001:db8::6"];

/// The nth of them.
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

/// Which of them it is.
pub(crate) fn number(wanted: Option<&Policy>) -> u8 {
    (0..COUNT).find(|n| policy(*n).as_ref() == wanted).expect("a policy of these")
}

fn is_even(host: IpAddr) -> bool {
    matches!(host, IpAddr::V6(addr) if addr.octets()[15].is_multiple_of(2))
}

/// Whether the nth lets a host in.
pub(crate) fn admits(n: u8, host: IpAddr) -> bool {
    match n {
        1 => false,
        5 => is_even(host),
        _ => true,
    }
}

pub(crate) fn may_subscribe(n: u8, host: IpAddr, vni: Vni) -> bool {
    admits(n, host)
        && match n {
            3 => [0, 23].contains(&vni.0),
            6 => vni.0 != 23,
            _ => true,
        }
}

pub(crate) fn may_announce(n: u8, host: IpAddr, route: &Route) -> bool {
    let hop = route.next_hop;
    let is_v6 = |addr: IpAddr| addr.to_canonical().is_ipv6();
    admits(n, host)
        && match n {
            2 => is_even(host),
            3 => {
                route.vni == Vni(23)
                    && hop.kind != metalbond::NextHopKind::LoadBalancer
                    && [Vni(0), Vni(23)].contains(&hop.target_vni)
            }
            4 => hop.addr == host,
            // The only prefixes of the worlds that are not a default route: one of each family.
            6 => !route.prefix.is_default() && (!route.prefix.is_ipv6() || is_v6(hop.addr)),
            _ => true,
        }
}
