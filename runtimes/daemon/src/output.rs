//! A client's standard output: every change of its routes, one line per route.

use std::io::{self, Write as _};

use clap::ValueEnum;
use metalbond::{NextHopKind, Route, RouteChange, Vni};
use metalbond_tokio::Changes;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use serde::Serialize;

use crate::http::Events;

/// How a change of routes is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum OutputFormat {
    /// `+ 23 10.0.23.0/24 via 2001:db8::1`; `-` for a removed route
    Text,
    /// One JSON object on each line
    Json,
}

/// Approximate number of bytes that are written together when there are many changes.
const BATCH_BYTES: usize = 64 * 1024;

/// Prints changes as they happen until the node ends or standard output is closed. A slow reader gets fewer lines:
/// several changes of a route in the meantime are printed as one.
pub(crate) async fn print(changes: &mut Changes, format: OutputFormat, events: &Events) -> io::Result<()> {
    let mut batch = Vec::new();
    while let Some(change) = changes.next().await {
        events.route(&change);
        write_change(&mut batch, &change, format)?;
        while batch.len() < BATCH_BYTES {
            // Adds the changes that have already arrived, without waiting.
            let change = tokio::select! {
                biased;
                change = changes.next() => change,
                () = std::future::ready(()) => None,
            };
            let Some(change) = change else { break };
            events.route(&change);
            write_change(&mut batch, &change, format)?;
        }
        batch = tokio::task::spawn_blocking(move || write_all(&batch).map(|()| batch)).await??;
        batch.clear();
    }
    Ok(())
}

/// Writes to standard output, even if it was made non-blocking by another process that shares it.
pub(crate) fn write_all(mut bytes: &[u8]) -> io::Result<()> {
    let stdout = io::stdout();
    while !bytes.is_empty() {
        match rustix::io::write(&stdout, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                // An early return is fine: the write is tried again.
                let _ = poll(&mut [PollFd::new(&stdout, PollFlags::OUT)], None);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Writes additions first, so that a reader of single lines never sees a destination without a next hop.
fn write_change(out: &mut Vec<u8>, change: &RouteChange, format: OutputFormat) -> io::Result<()> {
    for (action, route) in routes(change) {
        match format {
            OutputFormat::Text => writeln!(out, "{} {route}", action.sign())?,
            OutputFormat::Json => {
                serde_json::to_writer(&mut *out, &Line::new(action, &route))?;
                out.push(b'\n');
            }
        }
    }
    Ok(())
}

/// Returns the routes of a change, additions first.
pub(crate) fn routes(change: &RouteChange) -> impl Iterator<Item = (Action, Route)> + '_ {
    let route = |next_hop| Route { vni: change.vni, prefix: change.prefix, next_hop };
    let added = change.added().iter().map(move |&next_hop| (Action::Add, route(next_hop)));
    let removed = change.removed().iter().map(move |&next_hop| (Action::Remove, route(next_hop)));
    added.chain(removed)
}

/// What happened to a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    Add,
    Remove,
}

impl Action {
    pub(crate) const fn sign(self) -> char {
        match self {
            Self::Add => '+',
            Self::Remove => '-',
        }
    }
}

/// An added or removed route as a JSON object. `from` and `to` are the ports of NAT, and absent for other types.
#[derive(Serialize, Debug)]
struct Line {
    action: Action,
    vni: u32,
    prefix: String,
    next_hop: String,
    target_vni: Vni,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<u16>,
}

impl Line {
    fn new(action: Action, route: &Route) -> Self {
        let (r#type, from, to) = match route.next_hop.kind {
            NextHopKind::Standard => ("STD", None, None),
            NextHopKind::LoadBalancer => ("LB", None, None),
            NextHopKind::Nat { from, to } => ("NAT", Some(from), Some(to)),
        };
        Self {
            action,
            vni: route.vni.0,
            prefix: route.prefix.to_string(),
            next_hop: route.next_hop.addr.to_string(),
            target_vni: route.next_hop.target_vni,
            r#type,
            from,
            to,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec;

    fn printed(added: &[&str], removed: &[&str], format: OutputFormat) -> String {
        let next_hops = |specs: &[&str]| -> Vec<_> { specs.iter().map(|s| spec::parse(s).unwrap().next_hop).collect() };
        let any = spec::parse(added.first().or(removed.first()).unwrap()).unwrap();
        let change = RouteChange::new(any.vni, any.prefix, [], next_hops(added), next_hops(removed));
        let mut out = Vec::new();
        write_change(&mut out, &change, format).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_has_one_line_a_route_and_additions_first() {
        let text = printed(
            &["23#10.0.23.0/24#2001:db8::1", "23#10.0.23.0/24#2001:db8::2#7"],
            &["23#10.0.23.0/24#192.0.2.1#NAT#1000#2000", "23#10.0.23.0/24#2001:db8::3#LB"],
            OutputFormat::Text,
        );
        let expected = "\
+ 23 10.0.23.0/24 via 2001:db8::1
+ 23 10.0.23.0/24 via 2001:db8::2 vni 7
- 23 10.0.23.0/24 via 192.0.2.1 NAT 1000-2000
- 23 10.0.23.0/24 via 2001:db8::3 LB
";
        assert_eq!(text, expected);
    }

    #[test]
    fn json_has_one_object_a_line_and_ports_for_nat_only() {
        let json = printed(
            &["23#10.0.23.0/24#2001:db8::2#7"],
            &["23#10.0.23.0/24#192.0.2.1#NAT#1000#2000", "23#10.0.23.0/24#2001:db8::3#LB"],
            OutputFormat::Json,
        );
        let expected = r#"
{"action":"add","vni":23,"prefix":"10.0.23.0/24","next_hop":"2001:db8::2","target_vni":7,"type":"STD"}
{"action":"remove","vni":23,"prefix":"10.0.23.0/24","next_hop":"192.0.2.1","target_vni":0,"type":"NAT","from":1000,"to":2000}
{"action":"remove","vni":23,"prefix":"10.0.23.0/24","next_hop":"2001:db8::3","target_vni":0,"type":"LB"}
"#;
        assert_eq!(json, expected.trim_start());
    }
}
