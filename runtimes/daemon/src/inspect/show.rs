//! `metalbond show`: status, peers, VNIs and routes as tables or as JSON.

use std::fmt::Write as _;
use std::net::IpAddr;

use clap::{Args, Subcommand};
use metalbond::Prefix;
use serde::Serialize;

use super::HttpPlace;
use super::table::{bytes, duration, table};
use crate::api::{Destination, Peer, Status, Vni};
use crate::spec;

#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Args, Debug)]
struct How {
    #[command(flatten)]
    place: HttpPlace,
    /// Print the daemon's answer as one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand, Debug)]
enum What {
    /// The state of the daemon
    Status(How),
    /// Peers: configured servers and connected clients
    Peers {
        #[command(flatten)]
        how: How,
        /// Only the peer with this name
        #[arg(long, value_name = "NAME")]
        peer: Option<String>,
    },
    /// VNIs: their routes, subscribers and announcers
    Vnis {
        #[command(flatten)]
        how: How,
        /// Only this VNI
        #[arg(long, value_parser = spec::parse_any_vni, allow_negative_numbers = true)]
        vni: Option<metalbond::Vni>,
    },
    /// Routes and their announcers
    Routes {
        #[command(flatten)]
        how: How,
        /// Only routes of this VNI
        #[arg(long, value_parser = spec::parse_any_vni, allow_negative_numbers = true)]
        vni: Option<metalbond::Vni>,
        /// Only destinations that are equal to this prefix or inside it
        #[arg(long, value_name = "CIDR")]
        prefix: Option<Prefix>,
        /// Only destinations that contain this address
        #[arg(long, value_name = "ADDRESS")]
        addr: Option<IpAddr>,
        /// Only destinations with this next hop
        #[arg(long, value_name = "ADDRESS")]
        next_hop: Option<IpAddr>,
        /// Only destinations that the peer with this name announces
        #[arg(long, value_name = "NAME")]
        peer: Option<String>,
    },
}

/// Queries the daemon. Returns the text to print.
pub(super) fn text(args: &ShowArgs) -> anyhow::Result<String> {
    match &args.what {
        What::Status(how) => {
            let status: Status = how.place.daemon()?.get("/api/v1/status", &[])?;
            Ok(if how.json { json(&status) } else { of_status(&status) })
        }
        What::Peers { how, peer } => {
            let query: Vec<_> = peer.iter().map(|name| ("peer", name.clone())).collect();
            let peers: Vec<Peer> = how.place.daemon()?.list("/api/v1/peers", &query)?;
            Ok(if how.json { json(&peers) } else { of_peers(&peers) })
        }
        What::Vnis { how, vni } => {
            let query: Vec<_> = vni.iter().map(|vni| ("vni", vni.to_string())).collect();
            let vnis: Vec<Vni> = how.place.daemon()?.list("/api/v1/vnis", &query)?;
            Ok(if how.json { json(&vnis) } else { of_vnis(&vnis) })
        }
        What::Routes { how, vni, prefix, addr, next_hop, peer } => {
            let mut query = Vec::new();
            query.extend(vni.map(|vni| ("vni", vni.to_string())));
            query.extend(prefix.map(|prefix| ("prefix", prefix.to_string())));
            query.extend(addr.map(|addr| ("addr", addr.to_string())));
            query.extend(next_hop.map(|addr| ("next_hop", addr.to_string())));
            query.extend(peer.iter().map(|name| ("peer", name.clone())));
            let mut routes: Vec<Destination> = how.place.daemon()?.list("/api/v1/routes", &query)?;
            routes.sort_by_key(|destination| (destination.vni, destination.prefix));
            Ok(if how.json { json(&routes) } else { of_routes(&routes) })
        }
    }
}

fn json(value: &impl Serialize) -> String {
    // Serialising fails only for maps whose keys are not strings.
    serde_json::to_string_pretty(value).expect("objects and lists") + "\n"
}

fn of_status(status: &Status) -> String {
    let Status { version, role, uptime_seconds, ready, waiting_for, listening, converging, .. } = status;
    let role = format!("{role:?}").to_lowercase();
    let mut text = format!("metalbond {version}, {role}, up for {}\n", duration(*uptime_seconds));
    let mut line = |name: &str, value: String| {
        // Writing to a String can't fail.
        let _ = writeln!(text, "{name:<15}{value}");
    };
    line("ready", if *ready { "yes".into() } else { format!("no, waiting for {}", waiting_for.join(" and ")) });
    if *converging {
        line("converging", "the table may be incomplete, and clients know it".into());
    }
    if !listening.is_empty() {
        line("listening", listening.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    }
    let peers: Vec<_> = status.peers.iter().map(|(state, count)| format!("{count} {state}")).collect();
    line("peers", if peers.is_empty() { "none".into() } else { peers.join(", ") });
    line("routes", format!("{} in {} VNIs", status.routes, status.vnis));
    line("own", format!("{} routes announced, {} VNIs subscribed to", status.announced, status.subscriptions));
    if let Some(kernel) = &status.kernel {
        let (wanted, installed) = (kernel.wanted, kernel.installed);
        let (conflicts, failed) = (kernel.conflicts, kernel.failed);
        let with_vnis = match kernel.vni_conflicts {
            0 => String::new(),
            count => format!(" ({count} with a lower VNI in the same table)"),
        };
        let more = format!("{conflicts} conflicts{with_vnis}, {failed} failures so far");
        line("kernel routes", format!("{installed} of {wanted}, {} nexthop objects, {more}", kernel.objects));
        if kernel.too_many_next_hops > 0 {
            let count = kernel.too_many_next_hops;
            line("", format!("destinations with more than 256 next hops, not all installed: {count}"));
        }
        if let Some(trouble) = &kernel.trouble {
            let count =
                if kernel.failing == 0 { String::new() } else { format!("{} to be tried again: ", kernel.failing) };
            line("", format!("{count}{trouble}"));
        }
    }
    text
}

fn of_peers(peers: &[Peer]) -> String {
    let columns = [
        "NAME",
        "ADDRESS",
        "STATE",
        ">SINCE",
        ">ROUTES",
        ">STALE",
        ">SUBSCRIBED",
        ">LAG",
        ">HEARD",
        ">IN",
        ">OUT",
        "WHO",
    ];
    let rows = peers.iter().map(|peer| {
        let remote = peer.remote.map(|remote| remote.to_string());
        let time = |seconds: Option<f64>| seconds.map_or_else(|| "-".to_owned(), duration);
        [
            peer.name.clone(),
            peer.endpoint.clone().or(remote).unwrap_or_default(),
            peer.state.to_string(),
            time(peer.state_seconds),
            peer.routes.to_string(),
            peer.stale.to_string(),
            peer.subscriptions.to_string(),
            peer.lag.to_string(),
            time(peer.last_received_seconds),
            bytes(peer.bytes_in),
            bytes(peer.bytes_out),
            peer.names.as_ref().and_then(|names| names.first().cloned()).unwrap_or_default(),
        ]
    });
    table(columns, rows)
}

fn of_vnis(vnis: &[Vni]) -> String {
    let rows = vnis.iter().map(|vni| {
        let Vni { vni, destinations, routes, subscribers, digest } = vni;
        [vni.to_string(), routes.to_string(), destinations.to_string(), subscribers.to_string(), digest.clone()]
    });
    table([">VNI", ">ROUTES", ">DESTINATIONS", ">SUBSCRIBERS", "DIGEST"], rows)
}

fn of_routes(routes: &[Destination]) -> String {
    let rows = routes.iter().flat_map(|destination| {
        let Destination { vni, prefix, next_hops } = destination;
        next_hops.iter().map(|hop| {
            let next_hop = metalbond::NextHop { addr: hop.addr, target_vni: hop.target_vni, kind: hop.kind };
            [vni.to_string(), prefix.to_string(), next_hop.to_string(), hop.announcers.join(" ")]
        })
    });
    table([">VNI", "DESTINATION", "NEXT HOP", "FROM"], rows)
}
