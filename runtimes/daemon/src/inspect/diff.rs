//! `metalbond diff`: reports whether servers have the same routes, and the differences. Tables with equal digests are
//! not read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Args;
use metalbond::{NextHop, Route, Vni};
use serde_json::json;

use super::access::{AccessArgs, Place};
use super::{Daemon, Failure, print};
use crate::api::{self, Destination};
use crate::usage;

/// Time between two comparisons. Because routes change all the time, only differences that are found both times are
/// reported.
const SETTLE: Duration = Duration::from_secs(1);

#[derive(Args, Debug)]
pub(crate) struct DiffArgs {
    /// The HTTP addresses of the daemons (their --http): two or more
    #[arg(value_name = "HOST:PORT", num_args = 2.., required = true)]
    daemons: Vec<Place>,
    #[command(flatten)]
    access: AccessArgs,
    /// Maximum number of routes of a VNI that are listed for each daemon
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    max_lines: usize,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// A VNI whose routes differ: for each daemon, the routes that not all daemons have.
#[derive(Debug, PartialEq, Eq)]
struct Difference {
    vni: u32,
    routes: Vec<BTreeSet<Route>>,
}

/// Prints the differences. Exit code 0: none; 1: some; 2: the comparison failed.
pub(crate) fn run(args: &DiffArgs) -> ExitCode {
    compare(args).unwrap_or_else(|why| usage::complain(2, why))
}

fn compare(args: &DiffArgs) -> anyhow::Result<ExitCode> {
    let daemons = args.daemons.iter().map(|place| args.access.of(place)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut differences = differences(&daemons, None)?;
    if !differences.is_empty() {
        thread::sleep(SETTLE);
        let vnis = differences.iter().map(|difference| difference.vni).collect();
        differences = merged(differences, self::differences(&daemons, Some(&vnis))?);
    }
    print(&if args.json { as_json(&daemons, &differences) } else { as_text(args, &daemons, &differences) })?;
    Ok(if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Returns the VNIs that differ, of all VNIs or of those in `of`.
fn differences(daemons: &[Daemon], of: Option<&BTreeSet<u32>>) -> Result<Vec<Difference>, Failure> {
    // For each VNI, the digest at each daemon.
    let mut tables = BTreeMap::<u32, Vec<(usize, String)>>::new();
    let nothing = || (0, format!("{:016x}", 0));
    for (n, daemon) in daemons.iter().enumerate() {
        for table in daemon.list::<api::Vni>("/api/v1/vnis", &[])? {
            let all = tables.entry(table.vni).or_insert_with(|| vec![nothing(); daemons.len()]);
            all[n] = (table.routes, table.digest);
        }
    }
    let mut found = Vec::new();
    for (vni, all) in tables {
        if of.is_some_and(|of| !of.contains(&vni)) || all.iter().all(|table| *table == all[0]) {
            continue;
        }
        let routes = daemons.iter().map(|daemon| routes(daemon, vni)).collect::<Result<Vec<_>, _>>()?;
        found.extend(difference(vni, routes));
    }
    Ok(found)
}

fn routes(daemon: &Daemon, vni: u32) -> Result<BTreeSet<Route>, Failure> {
    let destinations: Vec<Destination> = daemon.list("/api/v1/routes", &[("vni", vni.to_string())])?;
    let routes = destinations.into_iter().flat_map(|Destination { vni, prefix, next_hops }| {
        next_hops.into_iter().map(move |hop| {
            let next_hop = NextHop { addr: hop.addr, target_vni: hop.target_vni, kind: hop.kind };
            Route { vni: Vni(vni), prefix, next_hop }
        })
    });
    Ok(routes.collect())
}

/// Returns the routes of each daemon that not all daemons have. `None` if there is no difference.
fn difference(vni: u32, mut routes: Vec<BTreeSet<Route>>) -> Option<Difference> {
    let (first, others) = routes.split_first()?;
    let common: BTreeSet<_> =
        first.iter().filter(|route| others.iter().all(|all| all.contains(route))).copied().collect();
    for all in &mut routes {
        all.retain(|route| !common.contains(route));
    }
    let is_any = routes.iter().any(|all| !all.is_empty());
    is_any.then_some(Difference { vni, routes })
}

/// Returns the differences that are equal in both comparisons.
fn merged(before: Vec<Difference>, now: Vec<Difference>) -> Vec<Difference> {
    let mut before: BTreeMap<_, _> = before.into_iter().map(|difference| (difference.vni, difference.routes)).collect();
    let both = now.into_iter().filter_map(|Difference { vni, routes }| {
        let before = before.remove(&vni)?;
        let routes: Vec<_> = routes.iter().zip(&before).map(|(now, before)| now & before).collect();
        let is_any = routes.iter().any(|all| !all.is_empty());
        is_any.then_some(Difference { vni, routes })
    });
    both.collect()
}

fn as_text(args: &DiffArgs, daemons: &[Daemon], differences: &[Difference]) -> String {
    let mut text = String::new();
    if differences.is_empty() {
        // Writing to a String can't fail, here and below.
        let _ = writeln!(text, "{} daemons hold the same routes", daemons.len());
    }
    for Difference { vni, routes } in differences {
        for (daemon, routes) in daemons.iter().zip(routes) {
            let _ = writeln!(text, "VNI {vni}: {} routes of {daemon} that not all have", routes.len());
            for route in routes.iter().take(args.max_lines) {
                let _ = writeln!(text, "  {} via {}", route.prefix, route.next_hop);
            }
            if routes.len() > args.max_lines {
                let _ = writeln!(text, "  and {} more (--max-lines)", routes.len() - args.max_lines);
            }
        }
    }
    text
}

fn as_json(daemons: &[Daemon], differences: &[Difference]) -> String {
    let differences: Vec<_> = differences
        .iter()
        .map(|Difference { vni, routes }| {
            let of_each = daemons.iter().zip(routes);
            let of_each: Vec<_> =
                of_each.map(|(d, routes)| json!({ "daemon": d.to_string(), "routes": routes })).collect();
            json!({ "vni": vni, "not_held_by_all": of_each })
        })
        .collect();
    format!("{:#}\n", json!({ "differences": differences }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(n: u8) -> Route {
        let next_hop = NextHop::standard(std::net::Ipv4Addr::LOCALHOST.into());
        Route { vni: Vni(1), prefix: std::net::IpAddr::from([10, 0, 0, n]).into(), next_hop }
    }

    fn set(routes: &[u8]) -> BTreeSet<Route> {
        routes.iter().map(|n| route(*n)).collect()
    }

    #[test]
    fn routes_that_all_daemons_have_are_no_difference() {
        assert_eq!(difference(1, vec![set(&[1, 2]), set(&[1, 2])]), None);
        let found = difference(1, vec![set(&[1, 2]), set(&[2, 3]), set(&[2])]).unwrap();
        assert_eq!(found.routes, [set(&[1]), set(&[3]), set(&[])]);
    }

    #[test]
    fn a_difference_in_one_of_two_comparisons_is_not_reported() {
        let at = |a: &[u8], b: &[u8]| vec![Difference { vni: 1, routes: vec![set(a), set(b)] }];
        assert_eq!(merged(at(&[1, 2], &[]), at(&[2], &[3])), at(&[2], &[]));
        assert_eq!(merged(at(&[1], &[]), at(&[2], &[3])), []);
        assert_eq!(merged(at(&[1], &[]), Vec::new()), []);
    }
}
