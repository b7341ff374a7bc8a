//! The kernel's state, parsed from the output of `ip`. The JSON output `ip -j` is not usable: it has duplicate keys for
//! the destination of a route and of its encapsulation, and for the id of an object and of its encapsulation.

use std::collections::BTreeMap;

use crate::namespace::Namespace;
use crate::scene::{MARKER_DESTINATIONS, TABLE};

/// Each destination with its next hops (a second route to it is that of `DESTINATION again`): `fd00::1 fd00::2` for a group; `fd00::1*99` for a weight other than 1. For a
/// route without encapsulation, the remainder of the line.
pub(crate) type Table = BTreeMap<String, String>;

/// Returns a table from the form in which a test writes it.
pub(crate) fn table<D: ToString, L: ToString>(routes: impl IntoIterator<Item = (D, L)>) -> Table {
    routes.into_iter().map(|(destination, legs)| (destination.to_string(), legs.to_string())).collect()
}

/// A nexthop object or group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Object {
    pub(crate) id: u32,
    /// The next hops, as in a [`Table`].
    pub(crate) legs: String,
    /// The printed line.
    pub(crate) line: String,
}

/// Returns all objects of the namespace, including those of markers.
pub(crate) fn objects(namespace: &Namespace) -> BTreeMap<u32, Object> {
    let text = namespace.ip("nexthop");
    let mut singles: BTreeMap<&str, &str> = BTreeMap::new();
    for line in text.lines() {
        if let (Some(id), Some(addr)) = (after(line, "id"), after(line, "dst")) {
            singles.insert(id, addr);
        }
    }
    let object = |line: &str| {
        let id = after(line, "id").unwrap();
        let mut legs: Vec<String> = match after(line, "group") {
            Some(group) => group.split('/').map(|member| member_of(member, &singles)).collect(),
            None => singles.get(id).map(ToString::to_string).into_iter().collect(),
        };
        legs.sort();
        let id = id.parse().unwrap();
        (id, Object { id, legs: legs.join(" "), line: line.trim().to_owned() })
    };
    text.lines().map(object).collect()
}

/// Returns the routes of both families in our table, except those of markers. If the kernel includes the next hops in a
/// route with an object (nexthop_compat_mode), checks that they are those of the object.
pub(crate) fn routes(namespace: &Namespace) -> Table {
    routes_in(namespace, TABLE)
}

/// Returns the same for another table, without link-local prefixes.
pub(crate) fn routes_in(namespace: &Namespace, table: u32) -> Table {
    let objects = objects(namespace);
    let mut all = Table::new();
    for family in ["-4", "-6"] {
        // `ip` fails if the table does not exist yet.
        let text = namespace.try_ip(&format!("{family} route show table {table}")).unwrap_or_default();
        for route in text.replace("\n\t", "\t").lines() {
            let (destination, rest) = route.split_once(' ').unwrap();
            // The mark with a table's VNIs.
            if route.starts_with("unreachable 100::") {
                continue;
            }
            // In the main table, each device has its link-local prefix.
            if destination.starts_with(MARKER_DESTINATIONS) || destination == "fe80::/64" {
                continue;
            }
            let own = legs(rest);
            let mut leads = match after(rest, "nhid") {
                Some(id) => {
                    let of_object = objects.get(&id.parse().unwrap()).map_or("", |object| &object.legs);
                    // The object may have been added or removed since the objects were read.
                    if own.is_empty() || own == *of_object {
                        of_object.to_owned()
                    } else {
                        format!("{own} by {of_object}")
                    }
                }
                None if own.is_empty() => rest.trim().to_owned(),
                None => own,
            };
            if let Some(protocol) = after(rest, "proto")
                && protocol != "254"
                && rest.contains("encap")
            {
                leads += &format!(" proto {protocol}");
            }
            let mut destination = with_length(destination, family);
            if all.contains_key(&destination) {
                destination += " again";
            }
            assert_eq!(all.insert(destination, leads), None, "more than two routes: {route}");
        }
    }
    all
}

/// Returns all routes, objects and marks with a protocol number.
pub(crate) fn lines_of(namespace: &Namespace, protocol: u8) -> Vec<String> {
    let mut lines = Vec::new();
    for what in ["-4 route show table all", "-6 route show table all", "nexthop"] {
        let text = namespace.ip(what).replace("\n\t", "\t");
        lines.extend(text.lines().filter(|line| line.contains(&format!("proto {protocol} "))).map(str::to_owned));
    }
    lines
}

/// Returns the next hops in the text of a route.
fn legs(route: &str) -> String {
    let hops = route.split("encap ip6 ").skip(1);
    let mut legs: Vec<String> = hops.map(|hop| leg(after(hop, "dst").unwrap(), after(hop, "weight"))).collect();
    legs.sort();
    legs.join(" ")
}

fn leg(addr: &str, weight: Option<&str>) -> String {
    match weight {
        None | Some("1") => addr.to_owned(),
        Some(weight) => format!("{addr}*{weight}"),
    }
}

fn member_of(member: &str, singles: &BTreeMap<&str, &str>) -> String {
    let (id, weight) = member.split_once(',').map_or((member, None), |(id, weight)| (id, Some(weight)));
    leg(singles.get(id).unwrap_or(&"?"), weight)
}

/// Adds the prefix length, which `ip` omits for hosts and for the default route.
fn with_length(destination: &str, family: &str) -> String {
    let (default, host) = if family == "-4" { ("0.0.0.0/0", 32) } else { ("::/0", 128) };
    match destination {
        "default" => default.to_owned(),
        network if network.contains('/') => network.to_owned(),
        addr => format!("{addr}/{host}"),
    }
}

/// Returns the word after a word.
pub(crate) fn after<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    line.split_whitespace().skip_while(|each| *each != word).nth(1)
}
