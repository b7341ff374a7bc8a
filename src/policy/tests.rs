//! The policy as a function: a table of cases, and what holds of any.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::{NextHop, NextHopKind, Route, Vni};

const H7: IpAddr = IpAddr::V6(core::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7));
const H8: IpAddr = IpAddr::V6(core::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 8));
const V4: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 7));
/// The same address as an IPv6 one.
const MAPPED: IpAddr = IpAddr::V6(core::net::Ipv4Addr::new(192, 0, 2, 7).to_ipv6_mapped());

/// Hypervisors by certificate, gateways by address, a stolen certificate, everybody else.
fn policy() -> Policy {
    let rule = |name: &str, who: &[&str], subscribe: &str, announce: Vec<AnnounceRule>| Rule {
        subscribe: subscribe.parse().unwrap(),
        announce,
        ..Rule::new(name, who.iter().map(|pattern| pattern.parse().unwrap()))
    };
    let vnis = |text: &str| text.parse::<VniSet>().unwrap();
    let tenants =
        AnnounceRule { prefixes: "10.0.0.0/8, fd00::/8".parse().unwrap(), ..AnnounceRule::own(vnis("100-199")) };
    let natted = AnnounceRule {
        prefixes: "203.0.113.0/24".parse().unwrap(),
        types: "NAT, LB".parse().unwrap(),
        target_vnis: Some(vnis("100-199, 500")),
        ..AnnounceRule::own(vnis("500"))
    };
    let gateway =
        AnnounceRule { next_hops: "self, 2001:db8:1::/48".parse().unwrap(), ..AnnounceRule::own(VniSet::ALL) };
    Policy::new([
        rule("stolen", &["dns:h9.hyp.example.org"], "none", Vec::new()),
        rule(
            "hypervisors",
            &["dns:*.hyp.example.org", "uri:spiffe://hyp/*"],
            "100-199, 500",
            vec_of([tenants, natted]),
        ),
        rule("gateways", &["from:192.0.2.0/24"], "all", vec_of([gateway])),
        rule("readers", &["any"], "7", Vec::new()),
    ])
}

fn vec_of<const N: usize>(rules: [AnnounceRule; N]) -> Vec<AnnounceRule> {
    rules.into_iter().collect()
}

fn names(texts: &[&str]) -> Vec<PeerName> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn route(vni: u32, prefix: &str, addr: IpAddr) -> Route {
    Route { vni: Vni(vni), prefix: prefix.parse().unwrap(), next_hop: NextHop::standard(addr) }
}

fn typed(vni: u32, prefix: &str, kind: NextHopKind, target_vni: u32) -> Route {
    Route { next_hop: NextHop { addr: H7, target_vni: Vni(target_vni), kind }, ..route(vni, prefix, H7) }
}

#[test]
fn the_first_rule_that_is_for_a_peer_is_the_only_one() {
    let policy = policy();
    let rule = |texts: Option<&[&str]>, addr: &str| {
        let names = texts.map(names);
        policy.permit(names.as_deref(), addr.parse().unwrap()).unwrap().rule().name.to_string()
    };
    for (texts, addr, expected) in [
        (Some(&["dns:h7.hyp.example.org"][..]), "2001:db8::7", "hypervisors"),
        (Some(&["dns:other.example.org", "uri:spiffe://hyp/7"]), "2001:db8::7", "hypervisors"),
        (Some(&["dns:h7.hyp.example.org"]), "192.0.2.7", "hypervisors"),
        (Some(&["dns:other.example.org"]), "192.0.2.7", "gateways"),
        (None, "::ffff:192.0.2.7", "gateways"),
        (None, "2001:db8::7", "readers"),
        (Some(&[]), "2001:db8::7", "readers"),
    ] {
        assert_eq!(rule(texts, addr), expected, "{texts:?} from {addr}");
    }
    let policy = Policy::new(policy.rules()[..3].iter().map(|rule| Rule::clone(rule)));
    assert_eq!(policy.permit(None, H7), None, "a client without a rule may do nothing");
    assert_eq!(Policy::default().permit(None, H7), None);
}

#[test]
fn a_peer_is_refused_by_the_first_rule_that_matches_even_if_a_later_one_permits_something() {
    let names = names(&["dns:h9.hyp.example.org", "ip:2001:db8::9"]);
    assert_eq!(policy().permit(Some(&names), H7), None);
    let policy = Policy::new(policy().rules()[1..].iter().map(|rule| Rule::clone(rule)));
    assert!(policy.permit(Some(&names), H7).is_some());
}

#[test]
fn a_hypervisor_may_do_what_its_rule_says_and_announce_nobody_but_itself() {
    let names = names(&["dns:h7.hyp.example.org", "ip:2001:db8::7"]);
    let permit = policy().permit(Some(&names), H8).unwrap();
    for (vni, expected) in [(99, false), (100, true), (199, true), (200, false), (500, true)] {
        assert_eq!(permit.subscribe(Vni(vni)).is_ok(), expected, "{vni}");
    }
    let nat = NextHopKind::Nat { from: 1, to: 9 };
    let cases = [
        (route(100, "10.0.0.1/32", H7), Ok(())),
        (route(199, "fd00::/64", H7), Ok(())),
        (typed(100, "10.0.0.1/32", nat, 0), Ok(())),
        (typed(100, "10.0.0.1/32", NextHopKind::Standard, 199), Ok(())),
        (typed(500, "203.0.113.9/32", nat, 100), Ok(())),
        (typed(500, "203.0.113.9/32", NextHopKind::LoadBalancer, 500), Ok(())),
        (route(200, "10.0.0.1/32", H7), Err(Denied::Vni(Vni(200)))),
        (route(100, "0.0.0.0/0", H7), Err(Denied::Prefix("0.0.0.0/0".parse().unwrap()))),
        (route(100, "203.0.113.9/32", H7), Err(Denied::Prefix("203.0.113.9/32".parse().unwrap()))),
        (route(500, "203.0.113.9/32", H7), Err(Denied::Kind(NextHopKind::Standard))),
        // Not even the address that it comes from: its certificate says who it is.
        (route(100, "10.0.0.1/32", H8), Err(Denied::NextHop(H8))),
        (typed(100, "10.0.0.1/32", NextHopKind::Standard, 500), Err(Denied::TargetVni(Vni(500)))),
        (typed(500, "203.0.113.9/32", nat, 7), Err(Denied::TargetVni(Vni(7)))),
    ];
    for (route, expected) in cases {
        assert_eq!(permit.announce(&route), expected, "{route}");
    }
}

#[test]
fn without_a_certificate_the_address_that_a_peer_comes_from_is_its_own() {
    let permit = policy().permit(None, "::ffff:192.0.2.7".parse().unwrap()).unwrap();
    assert_eq!(permit.own(), [IpAddr::from([192, 0, 2, 7])]);
    for (addr, is_fine) in [("192.0.2.7", true), ("2001:db8:1::9", true), ("192.0.2.8", false), ("2001:db8::7", false)]
    {
        assert_eq!(permit.announce(&route(1, "10.0.0.1/32", addr.parse().unwrap())).is_ok(), is_fine, "{addr}");
    }
}

#[test]
fn one_whose_certificate_has_no_address_has_none_of_its_own_but_may_be_given_its_source() {
    let names = names(&["dns:h7.hyp.example.org"]);
    let permit = policy().permit(Some(&names), H7).unwrap();
    assert_eq!(permit.announce(&route(100, "10.0.0.1/32", H7)), Err(Denied::NextHop(H7)));
    let announce = AnnounceRule { next_hops: "source".parse().unwrap(), ..AnnounceRule::own(VniSet::ALL) };
    let rule = Rule { announce: vec_of([announce]), ..Rule::clone(&policy().rules()[1]) };
    let permit = Policy::new([rule]).permit(Some(&names), H7).unwrap();
    assert_eq!(permit.announce(&route(100, "10.0.0.1/32", H7)), Ok(()));
    assert_eq!(permit.announce(&route(100, "10.0.0.1/32", H8)), Err(Denied::NextHop(H8)));
}

#[test]
fn an_ipv4_mapped_next_hop_is_its_ipv4_address_to_a_rule() {
    let permit = |next_hops: NextHopSet, names: Option<&[PeerName]>, addr| {
        let announce = AnnounceRule { next_hops, ..AnnounceRule::own(VniSet::ALL) };
        let rule = Rule { announce: vec_of([announce]), ..Rule::new("all", [PeerPattern::Any]) };
        Policy::new([rule]).permit(names, addr).unwrap()
    };
    let set = |text: &str| text.parse::<NextHopSet>().unwrap();
    let mapped_set = NextHopSet { own: false, source: false, addrs: "::ffff:192.0.2.0/120".parse().unwrap() };
    let certified = names(&["ip:::ffff:192.0.2.7"]);
    for permit in [
        permit(set("self"), None, V4),
        permit(set("self"), None, MAPPED),
        permit(set("self"), Some(&certified), H7),
        permit(set("source"), Some(&[]), MAPPED),
        permit(set("192.0.2.0/24"), None, H7),
        permit(set("::ffff:192.0.2.0/120"), None, H7),
        permit(set("::/0, ::ffff:192.0.2.7"), None, H7),
        permit(mapped_set, None, H7),
    ] {
        for (addr, is_fine) in [("192.0.2.7", true), ("::ffff:192.0.2.7", true), ("::ffff:198.51.100.7", false)] {
            let route = route(1, "10.0.0.1/32", addr.parse().unwrap());
            let expected = if is_fine { Ok(()) } else { Err(Denied::NextHop(route.next_hop.addr)) };
            assert_eq!(permit.announce(&route), expected, "{:?}: {addr}", permit.rule());
        }
    }
    let only_v6 = permit(set("::/0"), None, H7);
    assert!(only_v6.announce(&route(1, "10.0.0.1/32", MAPPED)).is_err());
}

#[test]
fn of_several_reasons_the_one_closest_to_a_permit_is_reported() {
    let permit = policy().permit(Some(&names(&["dns:h7.hyp.example.org"])), H7).unwrap();
    let said: Vec<String> = [route(1, "10.0.0.1/32", H7), route(500, "10.0.0.1/32", H7), route(100, "10.0.0.1/32", H8)]
        .iter()
        .map(|route| permit.announce(route).unwrap_err().to_string())
        .collect();
    assert_eq!(said, ["permits no VNI 1", "permits no destination 10.0.0.1/32", "permits no next hop 2001:db8::8"]);
}

fn any_route() -> impl Strategy<Value = Route> {
    let kinds = prop_oneof![
        Just(NextHopKind::Standard),
        Just(NextHopKind::Nat { from: 1, to: 9 }),
        Just(NextHopKind::LoadBalancer)
    ];
    let prefixes = prop_oneof![Just("10.0.0.1/32"), Just("0.0.0.0/0"), Just("203.0.113.9/32"), Just("fd00::1/128")];
    let addrs = prop_oneof![Just(H7), Just(H8), Just(V4), Just(MAPPED)];
    let vnis = prop_oneof![Just(0u32), Just(7), Just(100), Just(500)];
    (vnis.clone(), prefixes, addrs, kinds, vnis).prop_map(|(vni, prefix, addr, kind, target_vni)| Route {
        next_hop: NextHop { addr, target_vni: Vni(target_vni), kind },
        ..route(vni, prefix, addr)
    })
}

fn any_names() -> impl Strategy<Value = Option<Vec<PeerName>>> {
    let texts = [
        "dns:h7.hyp.example.org",
        "dns:h9.hyp.example.org",
        "uri:spiffe://hyp/7",
        "ip:2001:db8::7",
        "ip:::ffff:192.0.2.7",
    ];
    prop::option::of(prop::sample::subsequence(texts.to_vec(), 0..=texts.len()).prop_map(|texts| names(&texts)))
}

proptest! {
    #[test]
    fn by_default_a_next_hop_is_the_announcers_own(
        route in any_route(),
        names in any_names(),
        addr in prop_oneof![Just(H7), Just(V4), Just(MAPPED)],
    ) {
        let everywhere = AnnounceRule { target_vnis: Some(VniSet::ALL), ..AnnounceRule::own(VniSet::ALL) };
        let rule = Rule { announce: vec_of([everywhere]), ..Rule::new("all", [PeerPattern::Any]) };
        let permit = Policy::new([rule]).permit(names.as_deref(), addr).unwrap();
        let plain = |addr: IpAddr| if addr == MAPPED { V4 } else { addr };
        let is = |own: IpAddr| plain(own) == plain(route.next_hop.addr);
        let is_own = match &names {
            Some(names) => names.iter().any(|name| matches!(name, PeerName::Ip(own) if is(*own))),
            None => is(addr),
        };
        prop_assert_eq!(permit.announce(&route).is_ok(), is_own);
    }

    #[test]
    fn an_announce_rule_more_never_takes_anything_away(route in any_route(), names in any_names()) {
        let policy = policy();
        let Some(permit) = policy.permit(names.as_deref(), H7) else { return Ok(()) };
        let mut rule = Rule::clone(permit.rule());
        rule.announce.push(AnnounceRule::own(VniSet::ALL));
        let more = Policy::new([rule]).permit(names.as_deref(), H7).unwrap();
        prop_assert!(permit.announce(&route).is_err() || more.announce(&route).is_ok());
    }
}
