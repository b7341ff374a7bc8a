//! The text form of an announcement: `vni#prefix#nexthop[#STD|LB|NAT|<target VNI>][#from#to]`. Pure. An error is a
//! sentence that names the invalid part.

use std::net::IpAddr;

use metalbond::{Martian, NextHop, NextHopKind, ParsePrefixError, Prefix, Route, Vni};

use crate::go_flags;

/// The largest VNI of an announcement or a kernel route: 24 bits.
const VNI_MAX: u32 = (1 << 24) - 1;

/// A parsed SPEC.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Spec {
    pub(crate) route: Route,
    /// A warning about a part that has no effect.
    pub(crate) warning: Option<String>,
}

/// Parses a SPEC. Returns only the route.
pub(crate) fn parse(text: &str) -> Result<Route, String> {
    parse_spec(text).map(|spec| spec.route)
}

/// Parses a SPEC.
pub(crate) fn parse_spec(text: &str) -> Result<Spec, String> {
    let parts: Vec<&str> = text.split('#').collect();
    let (vni, prefix, addr, kind, ports) = match parts[..] {
        [vni, prefix, addr] => (vni, prefix, addr, "", None),
        [vni, prefix, addr, kind] => (vni, prefix, addr, kind, None),
        [vni, prefix, addr, kind, from, to] => (vni, prefix, addr, kind, Some((from, to))),
        _ => return Err("not of the form vni#prefix#nexthop[#type][#from#to]".into()),
    };
    let vni = parse_vni(vni)?;
    let prefix = prefix.parse::<Prefix>().map_err(|error| match error {
        ParsePrefixError::Range(error) => error.to_string(),
        _ => format!("prefix '{prefix}': {error}"),
    })?;
    let addr = parse_next_hop(addr)?;
    let (kind, target_vni) = match parse_type(kind)? {
        Type::Standard(target_vni) => (NextHopKind::Standard, Vni(target_vni)),
        Type::LoadBalancer => (NextHopKind::LoadBalancer, Vni(0)),
        Type::Nat => {
            let (from, to) = ports.ok_or("NAT needs a range of ports: ...#NAT#FROM#TO")?;
            (parse_range(from, to)?, Vni(0))
        }
    };
    let warning = match (kind, ports) {
        // Scripts write all six parts for every type, with empty or zero ports if there are none.
        (_, None | Some(("" | "0", "" | "0"))) | (NextHopKind::Nat { .. }, _) => None,
        (_, Some((from, to))) => {
            Some(format!("'{text}': ports '{from}' and '{to}' are ignored, as only NAT has ports"))
        }
    };
    Ok(Spec { route: Route { vni, prefix, next_hop: NextHop { addr, target_vni, kind } }, warning })
}

/// Parses a VNI of 32 bits, in any base: VNIs that can be subscribed to and shown.
pub(crate) fn parse_any_vni(text: &str) -> Result<Vni, String> {
    go_flags::number(text, 0, u32::MAX).map(Vni).map_err(|why| format!("VNI '{text}' is {why}"))
}

/// Parses a next hop address. It must be an address to which packets can be sent.
fn parse_next_hop(text: &str) -> Result<IpAddr, String> {
    let addr = text.parse::<IpAddr>().map_err(|_| format!("next hop '{text}' is not an IP address"))?;
    match Martian::of(addr) {
        None => Ok(addr),
        Some(why) => Err(format!("next hop '{text}' is {why}: no packet from another host can be sent there")),
    }
}

/// Parses a VNI of 24 bits.
pub(crate) fn parse_vni(text: &str) -> Result<Vni, String> {
    number(text, 0, VNI_MAX).map(Vni).map_err(|why| format!("VNI '{text}' is {why}"))
}

/// Parses a decimal number within a range.
pub(crate) fn number(text: &str, min: u32, max: u32) -> Result<u32, String> {
    match text.parse() {
        Ok(n) if min <= n && n <= max => Ok(n),
        _ => Err(format!("not a number from {min} to {max}")),
    }
}

enum Type {
    Standard(u32),
    LoadBalancer,
    Nat,
}

/// Parses a next hop type. An empty type is the standard type, as in the reference implementation.
fn parse_type(text: &str) -> Result<Type, String> {
    match text.to_ascii_uppercase().as_str() {
        "" | "STD" | "STANDARD" => Ok(Type::Standard(0)),
        "LB" | "LOADBALANCER" | "LOADBALANCER_TARGET" => Ok(Type::LoadBalancer),
        "NAT" => Ok(Type::Nat),
        other if other.starts_with(|c: char| c.is_ascii_digit()) => {
            number(text, 0, VNI_MAX).map(Type::Standard).map_err(|why| format!("target VNI '{text}' is {why}"))
        }
        _ => Err(format!("type '{text}' is not STD, LB, NAT or a target VNI")),
    }
}

fn parse_range(from: &str, to: &str) -> Result<NextHopKind, String> {
    let port =
        |text: &str| text.parse::<u16>().map_err(|_| format!("port '{text}' is not a number from 0 to {}", u16::MAX));
    let (from, to) = (port(from)?, port(to)?);
    if from > to {
        return Err(format!("the range of ports from {from} to {to} is empty"));
    }
    Ok(NextHopKind::Nat { from, to })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_spec_of_each_form_is_the_route_it_says() {
        let table = [
            ("23#10.0.23.0/24#2001:db8::1", "23 10.0.23.0/24 via 2001:db8::1"),
            ("23#10.0.23.0/24#2001:db8::1#", "23 10.0.23.0/24 via 2001:db8::1"),
            ("0#0.0.0.0/0#192.0.2.1#STD", "0 0.0.0.0/0 via 192.0.2.1"),
            ("16777215#::/0#2001:db8::1#std", "16777215 ::/0 via 2001:db8::1"),
            ("23#2001:db8:dead:beef::/64#2001:db8::1#Standard", "23 2001:db8:dead:beef::/64 via 2001:db8::1"),
            ("23#10.0.0.5/24#2001:db8::1", "23 10.0.0.5/24 via 2001:db8::1"),
            ("23#10.0.25.7/32#2001:db8::2#LB", "23 10.0.25.7/32 via 2001:db8::2 LB"),
            ("23#10.0.25.7/32#2001:db8::2#lb", "23 10.0.25.7/32 via 2001:db8::2 LB"),
            ("23#10.0.25.7/32#2001:db8::2#LoadBalancer", "23 10.0.25.7/32 via 2001:db8::2 LB"),
            ("23#10.0.25.7/32#2001:db8::2#loadbalancer_target", "23 10.0.25.7/32 via 2001:db8::2 LB"),
            ("23#10.0.24.0/24#2001:db8::1#NAT#1000#2000", "23 10.0.24.0/24 via 2001:db8::1 NAT 1000-2000"),
            ("23#10.0.24.0/24#2001:db8::1#nat#0#65535", "23 10.0.24.0/24 via 2001:db8::1 NAT 0-65535"),
            ("23#10.0.24.0/24#2001:db8::1#NAT#7#7", "23 10.0.24.0/24 via 2001:db8::1 NAT 7-7"),
            ("23#10.0.23.0/24#2001:db8::1#42", "23 10.0.23.0/24 via 2001:db8::1 vni 42"),
            ("23#10.0.23.0/24#2001:db8::1#16777215", "23 10.0.23.0/24 via 2001:db8::1 vni 16777215"),
            ("23#10.0.23.0/24#2001:db8::1#STD#0#0", "23 10.0.23.0/24 via 2001:db8::1"),
            ("23#10.0.23.0/24#2001:db8::1#LB##", "23 10.0.23.0/24 via 2001:db8::1 LB"),
            ("23#::ffff:10.0.0.0/104#::ffff:192.0.2.1", "23 ::ffff:10.0.0.0/104 via ::ffff:192.0.2.1"),
        ];
        for (spec, route) in table {
            assert_eq!(parse(spec).map(|r| r.to_string()), Ok(route.to_owned()), "{spec}");
        }
    }

    #[test]
    fn a_bad_spec_says_which_part_is_wrong_and_why() {
        let table = [
            ("", "not of the form vni#prefix#nexthop[#type][#from#to]"),
            ("23", "not of the form vni#prefix#nexthop[#type][#from#to]"),
            ("23#10.0.0.0/8", "not of the form vni#prefix#nexthop[#type][#from#to]"),
            ("23#10.0.0.0/8#2001:db8::1#NAT#1", "not of the form vni#prefix#nexthop[#type][#from#to]"),
            ("23#10.0.0.0/8#2001:db8::1#NAT#1#2#3", "not of the form vni#prefix#nexthop[#type][#from#to]"),
            ("#10.0.0.0/8#2001:db8::1", "VNI '' is not a number from 0 to 16777215"),
            ("-1#10.0.0.0/8#2001:db8::1", "VNI '-1' is not a number from 0 to 16777215"),
            ("0x17#10.0.0.0/8#2001:db8::1", "VNI '0x17' is not a number from 0 to 16777215"),
            (" 23#10.0.0.0/8#2001:db8::1", "VNI ' 23' is not a number from 0 to 16777215"),
            ("16777216#10.0.0.0/8#2001:db8::1", "VNI '16777216' is not a number from 0 to 16777215"),
            (
                "99999999999999999999#10.0.0.0/8#2001:db8::1",
                "VNI '99999999999999999999' is not a number from 0 to 16777215",
            ),
            ("23##2001:db8::1", "prefix '': no '/' between address and length"),
            ("23#10.0.0.0#2001:db8::1", "prefix '10.0.0.0': no '/' between address and length"),
            ("23#10.0.0/8#2001:db8::1", "prefix '10.0.0/8': not an IP address before the '/'"),
            ("23#10.0.0.256/8#2001:db8::1", "prefix '10.0.0.256/8': not an IP address before the '/'"),
            ("23#10.0.0.0/#2001:db8::1", "prefix '10.0.0.0/': not a number after the '/'"),
            ("23#10.0.0.0/-8#2001:db8::1", "prefix '10.0.0.0/-8': not a number after the '/'"),
            ("23#10.0.0.0/33#2001:db8::1", "prefix length 33 is over 32"),
            ("23#2001:db8::/129#2001:db8::1", "prefix length 129 is over 128"),
            ("23#10.0.0.0/8#", "next hop '' is not an IP address"),
            ("23#10.0.0.0/8#host", "next hop 'host' is not an IP address"),
            ("23#10.0.0.0/8#[2001:db8::1]", "next hop '[2001:db8::1]' is not an IP address"),
            ("23#10.0.0.0/8#fe80::1%eth0", "next hop 'fe80::1%eth0' is not an IP address"),
            (
                "23#10.0.0.0/8#127.0.0.1",
                "next hop '127.0.0.1' is a loopback address: no packet from another host can be sent there",
            ),
            (
                "23#10.0.0.0/8#::ffff:127.0.0.1#LB",
                "next hop '::ffff:127.0.0.1' is a loopback address: no packet from another host can be sent there",
            ),
            (
                "23#10.0.0.0/8#::",
                "next hop '::' is the unspecified address: no packet from another host can be sent there",
            ),
            (
                "23#10.0.0.0/8#fe80::1#NAT#1#2",
                "next hop 'fe80::1' is a link-local address: no packet from another host can be sent there",
            ),
            (
                "23#10.0.0.0/8#224.0.0.1",
                "next hop '224.0.0.1' is a multicast address: no packet from another host can be sent there",
            ),
            (
                "23#10.0.0.0/8#255.255.255.255",
                "next hop '255.255.255.255' is the broadcast address: no packet from another host can be sent there",
            ),
            ("23#10.0.0.0/8#2001:db8::1#STT", "type 'STT' is not STD, LB, NAT or a target VNI"),
            ("23#10.0.0.0/8#2001:db8::1#-1", "type '-1' is not STD, LB, NAT or a target VNI"),
            ("23#10.0.0.0/8#2001:db8::1#16777216", "target VNI '16777216' is not a number from 0 to 16777215"),
            ("23#10.0.0.0/8#2001:db8::1#NAT", "NAT needs a range of ports: ...#NAT#FROM#TO"),
            ("23#10.0.0.0/8#2001:db8::1#NAT##", "port '' is not a number from 0 to 65535"),
            ("23#10.0.0.0/8#2001:db8::1#NAT#-1#2", "port '-1' is not a number from 0 to 65535"),
            ("23#10.0.0.0/8#2001:db8::1#NAT#1#65536", "port '65536' is not a number from 0 to 65535"),
            ("23#10.0.0.0/8#2001:db8::1#NAT#2#1", "the range of ports from 2 to 1 is empty"),
        ];
        for (spec, why) in table {
            assert_eq!(parse(spec), Err(why.to_owned()), "{spec}");
        }
    }

    #[test]
    fn ports_of_a_type_that_has_none_are_ignored_with_a_warning() {
        for kind in ["STD", "LB", "42", ""] {
            let text = format!("23#10.0.0.0/8#2001:db8::1#{kind}");
            let with_ports = format!("{text}#1#x");
            let spec = parse_spec(&with_ports).unwrap();
            let warning = format!("'{with_ports}': ports '1' and 'x' are ignored, as only NAT has ports");
            assert_eq!((Ok(spec.route), spec.warning), (parse(&text), Some(warning)));
            for nothing in ["##", "#0#0"] {
                assert_eq!(parse_spec(&format!("{text}{nothing}")).unwrap().warning, None);
            }
        }
        assert_eq!(parse_spec("23#10.0.0.0/8#2001:db8::1#NAT#1#2").unwrap().warning, None);
    }

    /// Writes a route as a SPEC.
    fn written(route: &Route) -> String {
        let NextHop { addr, target_vni, kind } = route.next_hop;
        let kind = match kind {
            NextHopKind::Standard => target_vni.to_string(),
            NextHopKind::LoadBalancer => "LB".to_owned(),
            NextHopKind::Nat { from, to } => format!("NAT#{from}#{to}"),
        };
        format!("{}#{}#{addr}#{kind}", route.vni, route.prefix)
    }

    /// Generates routes that a SPEC can say.
    fn any_route() -> impl Strategy<Value = Route> {
        let kind = prop_oneof![
            (0..=VNI_MAX).prop_map(|vni| (Vni(vni), NextHopKind::Standard)),
            Just((Vni(0), NextHopKind::LoadBalancer)),
            any::<(u16, u16)>().prop_map(|(a, b)| (Vni(0), NextHopKind::Nat { from: a.min(b), to: a.max(b) })),
        ];
        let addr = any::<IpAddr>().prop_filter("no packet can be sent there", |addr| Martian::of(*addr).is_none());
        (0..=VNI_MAX, any::<IpAddr>(), 0..33u32, addr, kind).prop_map(|(vni, prefix, len, addr, (target_vni, kind))| {
            let next_hop = NextHop { addr, target_vni, kind };
            Route { vni: Vni(vni), prefix: Prefix::new(prefix, len).unwrap(), next_hop }
        })
    }

    proptest! {
        #[test]
        fn a_text_is_refused_or_its_route_is_read_as_it_is_written(text in "[0-9a-fA-F#/:.%+ a-zé-]{0,60}") {
            if let Ok(route) = parse(&text) {
                prop_assert_eq!(parse(&written(&route)), Ok(route));
                prop_assert_eq!(route.to_string().parse(), Ok(route));
            }
        }

        #[test]
        fn a_route_is_read_as_it_is_written(route in any_route()) {
            prop_assert_eq!(parse(&written(&route)), Ok(route));
        }

        #[test]
        fn a_changed_character_changes_one_part_of_a_spec_or_is_refused_with_that_part(
            route in any_route(), at: prop::sample::Index, new in "[0-9a-zA-Z:./-]",
        ) {
            let mut text = written(&route);
            let at = at.index(text.len());
            if text.as_bytes()[at] == b'#' {
                return Ok(());
            }
            let n = text[..at].matches('#').count();
            text.replace_range(at..=at, &new);
            let part = text.split('#').nth(n).unwrap();
            match parse(&text) {
                Ok(other) => {
                    let next_hop = NextHop { addr: other.next_hop.addr, ..route.next_hop };
                    let same_but_one = match n {
                        0 => Route { vni: other.vni, ..route },
                        1 => Route { prefix: other.prefix, ..route },
                        2 => Route { next_hop, ..route },
                        _ => Route { next_hop: NextHop { addr: route.next_hop.addr, ..other.next_hop }, ..route },
                    };
                    prop_assert_eq!(other, same_but_one, "{}", text);
                }
                // A number of its own in the error, or the whole range.
                Err(why) if n == 1 && why.starts_with("prefix length ") => {
                    let len = part.rsplit('/').next().unwrap().parse::<u32>().unwrap();
                    prop_assert!(why.starts_with(&format!("prefix length {len} is over ")), "{}: {}", text, why);
                }
                Err(why) if n > 3 && why.ends_with(" is empty") => {
                    let ports = text.split('#').skip(4).map(|port| port.parse().unwrap()).collect::<Vec<u16>>();
                    prop_assert_eq!(why, format!("the range of ports from {} to {} is empty", ports[0], ports[1]));
                }
                Err(why) => prop_assert!(why.contains(&format!("'{part}'")), "{}: {}", text, why),
            }
        }

        #[test]
        fn a_spec_is_taken_exactly_if_each_part_keeps_its_rule(
            vni in 0..1u32 << 25, addr: std::net::Ipv6Addr, len in 0..150u32, from in 0..70_000u32, to in 0..70_000u32,
        ) {
            let text = format!("{vni}#{addr}/{len}#{addr}#NAT#{from}#{to}");
            let can_be_reached = Martian::of(addr.into()).is_none();
            let good = vni < 1 << 24 && len <= 128 && can_be_reached && from <= to && to <= 65535;
            let expected = good.then(|| format!("{vni} {addr}/{len} via {addr} NAT {from}-{to}"));
            prop_assert_eq!(parse(&text).ok().map(|route| route.to_string()), expected);
        }
    }
}
