//! `metalbond demo`: a server and three clients in one process, connected over TCP on loopback. Each step ends when
//! every client's table is as expected.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use comfy_table::{Table, presets};
use metalbond::{Config, Route, Vni};
use metalbond_tokio::{Changes, MetalBond, start};

use crate::output::{self, Action};
use crate::spec;

const NETWORK: Vni = Vni(23);

/// Maximum duration of a step, which normally takes milliseconds.
const STEP_MAX: Duration = Duration::from_secs(10);

/// The hypervisors and their first announcements. Two of them announce the same load balancer address.
const HYPERVISORS: [(&str, &[&str]); 3] = [
    ("h1", &["23#10.0.23.1/32#2001:db8::1", "23#fd00:23::1/128#2001:db8::1"]),
    ("h2", &["23#10.0.23.2/32#2001:db8::2", "23#fd00:23::2/128#2001:db8::2", "23#10.0.23.80/32#2001:db8::2#LB"]),
    (
        "h3",
        &[
            "23#10.0.23.3/32#2001:db8::3",
            "23#10.0.23.80/32#2001:db8::3#LB",
            "23#192.0.2.7/32#2001:db8::3#NAT#1024#2047",
        ],
    ),
];

const LATE: &str = "23#10.0.23.4/32#2001:db8::1";

/// Runs the demonstration to its end. Stops early if standard output is closed.
pub(crate) async fn run() -> anyhow::Result<()> {
    match demonstrate().await {
        Err(error) if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) => {
            Ok(())
        }
        result => result,
    }
}

async fn demonstrate() -> anyhow::Result<()> {
    let (server, _changes) = start(Config::default())?;
    let addr = server.listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.context("cannot listen on 127.0.0.1")?;
    say(&format!(
        "A server listens on {addr}. Three hypervisors connect to it, announce which addresses\n\
         of virtual network {NETWORK} are behind them, and subscribe to the addresses of the others.\n\
         An address of a load balancer (LB) is behind two of them, one of a NAT only for its ports."
    ))?;
    let mut hypervisors = Vec::new();
    for (name, specs) in HYPERVISORS {
        hypervisors.push(Hypervisor::start(name, specs, addr).await?);
    }
    show(&mut hypervisors).await?;

    say("A virtual machine starts on h1. Only what has changed travels:")?;
    hypervisors[0].announce(LATE).await?;
    show(&mut hypervisors).await?;

    say("Hypervisor h3 is lost. The server withdraws what only h3 had announced:")?;
    let lost = hypervisors.pop().context("there are three")?;
    lost.node.shutdown().await;
    show(&mut hypervisors).await?;

    for hypervisor in hypervisors {
        hypervisor.node.shutdown_with_cleanup().await;
    }
    server.shutdown().await;
    say("That was all. `metalbond server` and `metalbond client` do the same between machines.")
}

/// A client, and its table of the other clients' routes.
struct Hypervisor {
    name: &'static str,
    node: MetalBond,
    changes: Changes,
    own: BTreeSet<Route>,
    table: BTreeSet<Route>,
}

impl Hypervisor {
    async fn start(name: &'static str, specs: &[&str], server: SocketAddr) -> anyhow::Result<Self> {
        // Restart time 0: the server removes its routes as soon as it disconnects.
        let (node, changes) = start(Config { restart_time: Duration::ZERO, ..Config::default() })?;
        node.subscribe(NETWORK).await?;
        let mut hypervisor = Self { name, node, changes, own: BTreeSet::new(), table: BTreeSet::new() };
        for spec in specs {
            hypervisor.announce(spec).await?;
        }
        hypervisor.node.add_peer(server.into()).await?;
        Ok(hypervisor)
    }

    async fn announce(&mut self, spec: &str) -> anyhow::Result<()> {
        let route = spec::parse(spec).map_err(anyhow::Error::msg)?;
        self.own.insert(route);
        self.node.announce_route(route).await?;
        Ok(())
    }

    /// Follows the changes until the table is as expected. Returns the changes in order.
    async fn follow(&mut self, expected: &BTreeSet<Route>) -> anyhow::Result<Vec<(Action, Route)>> {
        let mut seen = Vec::new();
        while self.table != *expected {
            let change = self.changes.next().await.with_context(|| format!("{} has ended", self.name))?;
            for (action, route) in output::routes(&change) {
                match action {
                    Action::Add => self.table.insert(route),
                    Action::Remove => self.table.remove(&route),
                };
                seen.push((action, route));
            }
        }
        Ok(seen)
    }
}

/// Waits until every hypervisor has the routes of all others, and prints the changes.
async fn show(hypervisors: &mut [Hypervisor]) -> anyhow::Result<()> {
    for index in 0..hypervisors.len() {
        let others = hypervisors.iter().enumerate().filter(|(other, _)| *other != index);
        let expected = others.flat_map(|(_, other)| other.own.iter().copied()).collect();
        let hypervisor = &mut hypervisors[index];
        let Ok(seen) = tokio::time::timeout(STEP_MAX, hypervisor.follow(&expected)).await else {
            bail!("{} has not received all routes within {STEP_MAX:?}", hypervisor.name);
        };
        let changed = seen?;
        if !changed.is_empty() {
            print(hypervisor, &changed)?;
        }
    }
    Ok(())
}

/// Prints a table. New routes are marked `+`, removed routes `-`.
fn print(hypervisor: &Hypervisor, changed: &[(Action, Route)]) -> anyhow::Result<()> {
    let gone = changed.iter().filter(|(action, route)| *action == Action::Remove && !hypervisor.table.contains(route));
    let rows: BTreeSet<Route> = hypervisor.table.iter().copied().chain(gone.map(|(_, route)| *route)).collect();
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["", "destination", "behind", "type"]);
    for route in rows {
        let last = changed.iter().rfind(|(_, changed)| *changed == route);
        let mark = last.map_or(String::new(), |(action, _)| action.sign().to_string());
        let next_hop = route.next_hop;
        table.add_row([mark, route.prefix.to_string(), next_hop.addr.to_string(), next_hop.kind.to_string()]);
    }
    say(&format!("{} knows of network {NETWORK}:\n{table}", hypervisor.name))
}

/// Prints a paragraph.
fn say(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(io::stdout(), "{text}\n")?)
}
