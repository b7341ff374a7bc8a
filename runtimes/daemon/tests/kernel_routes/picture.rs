//! What the kernel has, read from what `ip` prints. Not from `ip -j`: it writes the destination of a route and that of its
//! encapsulation by the same key, and likewise an object's id and the encapsulation's.

use std::collections::BTreeMap;

use crate::namespace::Namespace;
use crate::scene::{MARKER_DESTINATIONS, TABLE};

/// Each destination, and where it leads: `fd00::1 fd00::2` for a group; a weight other than 1 is `fd00::1*99`. Of a route
/// without encapsulation, the rest of the line.
pub(crate) type Table = BTreeMap<String, String>;

/// A table as a test writes it.
pub(crate) fn table<D: ToString, L: ToString>(routes: impl IntoIterator<Item = (D, L)>) -> Table {
    routes.into_iter().map(|(destination, legs)| (destination.to_string(), legs.to_string())).collect()
}

/// A nexthop object or a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Object {
    pub(crate) id: u32,
    /// As in a [`Table`].
    pub(crate) legs: String,
    /// The line, as it is printed.
    pub(crate) line: String,
}

/// All objects of the namespace, also those of markers.
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

/// The routes of both families in our table, but for markers. Of a route through an object, `ip` shows the next hops as
/// well if the kernel tells them (nexthop_compat_mode): they must be those of the object.
pub(crate) fn routes(namespace: &Namespace) -> Table {
    routes_in(namespace, TABLE)
}

/// The same of another table. (Link-local networks don't count.)
pub(crate) fn routes_in(namespace: &Namespace, table: u32) -> Table {
    let objects = objects(namespace);
    let mut all = Table::new();
    for family in ["-4", "-6"] {
        // Of a table that is not there yet it says so, and fails.
        let text = namespace.try_ip(&format!("{family} route show table {table}")).unwrap_or_default();
        for route in text.replace("\n\t", "\t").lines() {
            let (destination, rest) = route.split_once(' ').unwrap();
            // In the main table, each device has its link-local network.
            if destination.starts_with(MARKER_DESTINATIONS) || destination == "fe80::/64" {
                continue;
            }
            let own = legs(rest);
            let mut leads = match after(rest, "nhid") {
                Some(id) => {
                    let of_object = objects.get(&id.parse().unwrap()).map_or("", |object| &object.legs);
                    // The object may have come or gone since these were looked at.
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
            assert_eq!(all.insert(with_length(destination, family), leads), None, "{destination} is there twice");
        }
    }
    all
}

/// The next hops that a route has of its own.
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

/// `ip` leaves out the length of a host's, and calls those of length 0 the same.
fn with_length(destination: &str, family: &str) -> String {
    let (default, host) = if family == "-4" { ("0.0.0.0/0", 32) } else { ("::/0", 128) };
    match destination {
        "default" => default.to_owned(),
        network if network.contains('/') => network.to_owned(),
        addr => format!("{addr}/{host}"),
    }
}

/// The word behind a word.
pub(crate) fn after<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    line.split_whitespace().skip_while(|each| *each != word).nth(1)
}
