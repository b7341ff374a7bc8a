//! Warnings about parts of a policy that have no effect. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use metalbond::{AnnounceRule, Martian, NextHopSet, PeerPattern, Policy, Prefix, PrefixSet, Rule};

/// Returns a sentence for each pattern that can't match a peer, each next hop that no route can have, and each
/// announcement table that permits nothing. A pattern can't match if an earlier rule matches the same peers, or if no
/// connection can come from its addresses.
pub(crate) fn warnings(policy: &Policy) -> Vec<String> {
    let mut all = Vec::new();
    for (at, rule) in policy.rules().iter().enumerate() {
        let mut warn = |what: String| all.push(format!("rule '{}': {what}", rule.name));
        for pattern in &rule.who {
            let before = policy.rules()[..at].iter().find_map(|before| Some((before, covering(before, pattern)?)));
            if let Some((before, covering)) = before {
                let name = &before.name;
                warn(format!("'{pattern}' has no effect: rule '{name}' is before it, and is for '{covering}'"));
            } else if let PeerPattern::From(prefix) = pattern
                && let Some(why) = martian(prefix).filter(|why| !matches!(why, Martian::Loopback | Martian::LinkLocal))
            {
                warn(format!("'{pattern}' has no effect: no connection comes from {why}"));
            }
        }
        for (number, grant) in (1..).zip(&rule.announce) {
            if let Some(empty) = empty(grant) {
                warn(format!("its announcement table {number} permits nothing: '{empty}' is empty"));
            }
            for prefix in grant.next_hops.addrs.prefixes() {
                if let Some(why) = martian(&prefix) {
                    warn(format!(
                        "next hop {prefix} has no effect: it is {why}, and no route with such a next hop is taken"
                    ));
                }
            }
        }
    }
    all
}

/// Returns the rule's pattern that matches all peers that `pattern` matches.
fn covering<'a>(rule: &'a Rule, pattern: &PeerPattern) -> Option<&'a PeerPattern> {
    rule.who.iter().find(|before| before.covers(pattern))
}

/// Returns the setting because of which the table permits no route.
fn empty(grant: &AnnounceRule) -> Option<&'static str> {
    let AnnounceRule { vnis, prefixes, next_hops, types, .. } = grant;
    let no_hops = NextHopSet { own: false, source: false, addrs: PrefixSet::default() };
    let settings = [
        (vnis.is_empty(), "vnis"),
        (prefixes.is_empty(), "prefixes"),
        (types.is_empty(), "types"),
        (*next_hops == no_hops, "next-hops"),
    ];
    settings.into_iter().find_map(|(is_empty, name)| is_empty.then_some(name))
}

/// Returns why all addresses of a prefix are martians. Martians of one kind and family form one block, so checking the
/// first and the last address is enough.
fn martian(prefix: &Prefix) -> Option<Martian> {
    let len = u32::from(prefix.prefix_len());
    let last = match prefix.network().addr() {
        IpAddr::V4(addr) => Ipv4Addr::from(addr.to_bits() | u32::MAX.checked_shr(len).unwrap_or(0)).into(),
        IpAddr::V6(addr) => Ipv6Addr::from(addr.to_bits() | u128::MAX.checked_shr(len).unwrap_or(0)).into(),
    };
    Martian::of(prefix.network().addr()).filter(|why| Martian::of(last) == Some(*why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings_of(text: &str) -> Vec<String> {
        warnings(&toml::from_str(text).unwrap())
    }

    #[test]
    fn a_policy_whose_parts_all_have_an_effect_has_no_warnings() {
        let text = include_str!("../../../../docs/policy.md").split("```toml\n").nth(1).unwrap();
        assert_eq!(warnings_of(text.split("```").next().unwrap()), [""; 0]);
        // Loopback addresses are valid clients, and blocks that are larger than the martians have an effect.
        let text = "[[peer]]\nname = 'a'\nwho = ['from:127.0.0.0/8', 'from:::1', 'from:fe80::/10', 'from:0.0.0.0/0']\n\
            [[peer.announce]]\nvnis = 'all'\nnext-hops = ['0.0.0.0/0', '126.0.0.0/7', '::/64', 'fc00::/6', 'fe00::/8']\n";
        assert_eq!(warnings_of(text), [""; 0]);
    }

    #[test]
    fn impossible_sources_and_next_hops_are_named() {
        let text = "[[peer]]\nname = 'a'\nwho = ['from:0.0.0.0', 'from:ff02::/16']\n\
            [[peer.announce]]\nvnis = 'all'\nnext-hops = ['169.254.7.0/24', '255.255.255.255', 'fe80::/64', '::', '::ffff:127.0.0.1']\n";
        let said = warnings_of(text).join("\n");
        for part in [
            "'from:0.0.0.0/32' has no effect: no connection comes from the unspecified address",
            "'from:ff02::/16' has no effect: no connection comes from a multicast address",
            "next hop 169.254.7.0/24 has no effect: it is a link-local address",
            "next hop 255.255.255.255/32 has no effect: it is the broadcast address",
            "next hop fe80::/64 has no effect: it is a link-local address",
            "next hop ::/128 has no effect: it is the unspecified address",
            "next hop 127.0.0.1/32 has no effect: it is a loopback address",
        ] {
            assert!(said.contains(part), "{part}\n{said}");
        }
        assert_eq!(said.lines().count(), 7, "{said}");
    }
}
