//! Explains in words what a policy permits a peer to do.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv6Addr};

use metalbond::{AnnounceRule, PeerName, Permit, Policy, Route, Vni};

/// A peer, and what it would like to do.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    /// The names in its certificate. Empty without a certificate.
    pub(crate) names: &'a [PeerName],
    /// The address that it connects from.
    pub(crate) from: Option<IpAddr>,
    pub(crate) routes: &'a [Route],
    pub(crate) vnis: &'a [Vni],
}

/// Answers the question. Also returns true if everything that was asked for is permitted.
pub(crate) fn explain(policy: &Policy, question: &Question<'_>) -> (String, bool) {
    let names = (!question.names.is_empty()).then_some(question.names);
    // No client connects from the unspecified address.
    let from = question.from.unwrap_or(Ipv6Addr::UNSPECIFIED.into());
    let mut who: Vec<_> = question.names.iter().map(ToString::to_string).collect();
    who.extend(question.from.map(|addr| format!("from {addr}")));
    let who = who.join(" ");
    let Some(permit) = policy.permit(names, from) else {
        return (format!("{who}: no rule permits it anything, so it is refused\n"), false);
    };
    let mut text = rule(&who, policy, &permit);
    let mut is_permitted = true;
    let asked = question.vnis.iter().map(|vni| (format!("subscription to {vni}"), permit.subscribe(*vni)));
    let asked = asked.chain(question.routes.iter().map(|route| (route.to_string(), permit.announce(route))));
    for (what, answer) in asked {
        is_permitted &= answer.is_ok();
        let answer = match answer {
            Ok(()) => "permitted".to_owned(),
            Err(why) => format!("denied: rule '{}' {why}", permit.rule().name),
        };
        // Writing to a String can't fail.
        let _ = writeln!(text, "{what}: {answer}");
    }
    (text, is_permitted)
}

fn rule(who: &str, policy: &Policy, permit: &Permit) -> String {
    let rule = permit.rule();
    let number = policy.rules().iter().position(|other| other == rule).map_or(0, |at| at + 1);
    let mut text = format!("{who}: rule '{}', number {number} of {}\n", rule.name, policy.rules().len());
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<11}{value}");
    };
    line("subscribe", rule.subscribe.to_string());
    if rule.announce.is_empty() {
        line("announce", "nothing".to_owned());
    }
    for grant in &rule.announce {
        line("announce", of_grant(grant, permit));
    }
    let limits = [(rule.max_routes, "routes"), (rule.max_vnis, "VNIs")];
    let limits: Vec<_> = limits.into_iter().filter_map(|(max, what)| Some(format!("{} {what}", max?))).collect();
    if !limits.is_empty() {
        line("at most", limits.join(", "));
    }
    text
}

fn of_grant(grant: &AnnounceRule, permit: &Permit) -> String {
    let AnnounceRule { vnis, prefixes, next_hops, types, target_vnis } = grant;
    let own: Vec<_> = permit.own().iter().map(ToString::to_string).collect();
    let own = match (next_hops.own, own.is_empty()) {
        (false, _) => String::new(),
        (true, true) => " (self: no address in its certificate)".to_owned(),
        (true, false) => format!(" (self: {})", own.join(", ")),
    };
    let targets = target_vnis.as_ref().map(|vnis| format!("; on the far side VNIs {vnis}")).unwrap_or_default();
    format!("VNIs {vnis}; destinations {prefixes}; next hops {next_hops}{own}; types {types}{targets}")
}
