//! `--install-routes`: what a client learns goes into the kernel.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::Context as _;
use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
pub(crate) use metalbond::fib::FibStats;
use metalbond::fib::{ExcludedKinds, Fib, FibSettings};
use metalbond::{Node, Prefix, RouteChange, SessionInfo, Vni};
pub(crate) use metalbond_linux::KernelRoutes;
use metalbond_linux::{Kernel, Settings, is_nexthop_compat_mode};
use metalbond_tokio::{Changes, MetalBond};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tracing::{info, warn};

use crate::http::Events;
use crate::spec;

/// How often it is seen whether all servers have told all.
const LOOK: Duration = Duration::from_millis(100);
/// Changes that go to the thread in one message at most.
const BATCH: usize = 256;

#[derive(Args, Debug)]
#[command(next_help_heading = "Kernel routes")]
pub(crate) struct InstallArgs {
    /// Install the routes of a virtual network in a routing table of the kernel, as tunnels over IPv6; may be given several
    /// times, with a table of its own for each network. Those that are there stay while servers are away or this program
    /// is restarted. Needs CAP_NET_ADMIN
    #[arg(long, value_name = "VNI#TABLE", value_parser = parse_mapping, value_delimiter = ',')]
    #[arg(requires = "tun", env = "METALBOND_INSTALL_ROUTES")]
    pub(crate) install_routes: Vec<(Vni, u32)>,
    /// The tunnel device that kernel routes lead through
    #[arg(long, value_name = "DEVICE", requires = "install_routes", env = "METALBOND_TUN")]
    pub(crate) tun: Option<String>,
    /// Install IPv4 destinations only
    #[arg(long, requires = "install_routes", value_parser = BoolishValueParser::new(), env = "METALBOND_IPV4_ONLY")]
    pub(crate) ipv4_only: bool,
    /// The protocol number by which our kernel routes are known, and adopted after a restart
    #[arg(long, value_name = "NUMBER", value_parser = parse_protocol, allow_negative_numbers = true)]
    #[arg(default_value = "254", requires = "install_routes", env = "METALBOND_RT_PROTO")]
    pub(crate) rt_proto: u8,
    /// Don't install next hops of a type; may be given several times
    #[arg(long, value_name = "TYPE", value_enum, value_delimiter = ',', ignore_case = true)]
    #[arg(requires = "install_routes", env = "METALBOND_EXCLUDE_TYPE")]
    pub(crate) exclude_type: Vec<Kind>,
    /// Give next hops in a network 99 times the weight of a destination's others; may be given several times
    #[arg(long, value_name = "CIDR", value_parser = parse_network, value_delimiter = ',')]
    #[arg(requires = "install_routes", env = "METALBOND_PREFER_NETWORK")]
    pub(crate) prefer_network: Vec<Prefix>,
    /// Ids for the kernel's nexthop objects; each hypervisor and each set of them needs one
    #[arg(long, value_name = "FIRST-LAST", value_parser = parse_ids, requires = "install_routes")]
    #[arg(default_value = "2000000000-2099999999", env = "METALBOND_NEXTHOP_IDS")]
    pub(crate) nexthop_ids: Ids,
    /// Do without nexthop objects, as on kernels before 5.3: of several next hops, IPv6 routes lead to one only
    #[arg(long, requires = "install_routes", value_parser = BoolishValueParser::new())]
    #[arg(env = "METALBOND_NO_NEXTHOP_OBJECTS")]
    pub(crate) no_nexthop_objects: bool,
}

/// A range of ids.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ids(RangeInclusive<u32>);

/// A type of next hops, by the names of SPEC.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Kind {
    #[value(name = "STD")]
    Std,
    #[value(name = "LB")]
    Lb,
    #[value(name = "NAT")]
    Nat,
}

impl InstallArgs {
    /// Whether anything goes into the kernel.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.install_routes.is_empty()
    }

    /// What is wrong with them beyond what each says alone.
    pub(crate) fn check(&self, subscribed: &[Vni]) -> Result<(), String> {
        let mut tables = BTreeMap::new();
        for (vni, table) in &self.install_routes {
            if let Some(other) = tables.insert(table, vni) {
                return Err(match other == vni {
                    true => format!("--install-routes '{vni}#{table}': given twice"),
                    false => format!("--install-routes: VNIs {other} and {vni} are both to be in table {table}"),
                });
            }
            if !subscribed.contains(vni) {
                return Err(format!(
                    "--install-routes '{vni}#{table}': {vni} is not subscribed to (--subscribe {vni})"
                ));
            }
        }
        let mut mapped = BTreeMap::new();
        for (vni, table) in &self.install_routes {
            if let Some(other) = mapped.insert(vni, table) {
                return Err(format!("--install-routes: VNI {vni} is to be in tables {other} and {table}"));
            }
        }
        match subscribed.iter().find(|vni| !mapped.contains_key(vni)) {
            Some(vni) if !mapped.is_empty() => {
                Err(format!("--subscribe '{vni}': no table for it (--install-routes {vni}#TABLE)"))
            }
            _ => Ok(()),
        }
    }

    /// Starts to install, if that is asked for.
    pub(crate) fn start(&self) -> anyhow::Result<Option<KernelRoutes>> {
        let Some(device) = self.tun.clone().filter(|_| !self.install_routes.is_empty()) else { return Ok(None) };
        let Ids(ids) = self.nexthop_ids.clone();
        let settings = Settings {
            device,
            protocol: self.rt_proto,
            ids: ids.clone(),
            tables: self.install_routes.iter().map(|(_, table)| *table).collect(),
            nexthop_objects: !self.no_nexthop_objects,
        };
        let kernel = Kernel::open(settings).context("cannot install routes")?;
        if !kernel.has_nexthop_objects() {
            warn!("no nexthop objects: IPv6 routes lead to one next hop only, and changes of many routes take longer");
        } else if is_nexthop_compat_mode() {
            info!("hint: with the sysctl net.ipv4.nexthop_compat_mode=0 the kernel installs routes faster");
        }
        let is = |kind| self.exclude_type.contains(&kind);
        let settings = FibSettings {
            tables: self.install_routes.iter().copied().collect(),
            ids,
            nexthop_objects: kernel.has_nexthop_objects(),
            ipv4_only: self.ipv4_only,
            exclude: ExcludedKinds { standard: is(Kind::Std), nat: is(Kind::Nat), load_balancer: is(Kind::Lb) },
            prefer: self.prefer_network.clone(),
            seed: RandomState::new().hash_one(0),
            ..FibSettings::default()
        };
        let fib = Fib::new(settings, kernel.is_device_up()).context("cannot install routes")?;
        Ok(Some(KernelRoutes::start(fib, kernel).context("cannot install routes")?))
    }
}

/// Passes changes on to the kernel until the node ends. What was found in the kernel at the start is let go when it is
/// known to be left over: all servers have told all, and that has been passed on; or after the hold time.
pub(crate) async fn install(
    node: &MetalBond,
    changes: &mut Changes,
    routes: &KernelRoutes,
    hold: Duration,
    events: &Events,
) -> anyhow::Result<()> {
    let now = Instant::now();
    // Never, or as good as that.
    let hold_ends = now.checked_add(hold).unwrap_or_else(|| now + Duration::from_secs(3_000_000_000));
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_adopting = true;
    loop {
        let why = tokio::select! {
            biased;
            change = changes.next() => {
                let Some(change) = change else { return Ok(()) };
                pass_on(waiting(changes, vec![change]).await, routes, events).await?;
                continue;
            }
            () = sleep_until(hold_ends), if is_adopting => "the hold time has passed",
            _ = look.tick(), if is_adopting => {
                if !is_told(node).await? {
                    continue;
                }
                // What the node has told is in the stream, if not yet here.
                let mut batch = waiting(changes, Vec::new()).await;
                while !batch.is_empty() {
                    pass_on(batch, routes, events).await?;
                    batch = waiting(changes, Vec::new()).await;
                }
                "all servers have told all"
            }
        };
        info!("{why}: kernel routes that nobody announces are removed");
        is_adopting = false;
        routes.release_adopted().await?;
    }
}

/// To the kernel, and to those who follow.
async fn pass_on(batch: Vec<RouteChange>, routes: &KernelRoutes, events: &Events) -> anyhow::Result<()> {
    batch.iter().for_each(|change| events.route(change));
    Ok(routes.change(batch).await?)
}

/// Adds the changes that have already come; nothing is waited for.
async fn waiting(changes: &mut Changes, mut batch: Vec<RouteChange>) -> Vec<RouteChange> {
    while batch.len() < BATCH {
        let change = tokio::select! {
            biased;
            change = changes.next() => change,
            () = std::future::ready(()) => None,
        };
        let Some(change) = change else { break };
        batch.push(change);
    }
    batch
}

/// Whether all servers have told all, as far as they know all themselves, and the node has passed that on.
async fn is_told(node: &MetalBond) -> anyhow::Result<bool> {
    let is_told = |node: &Node| {
        let is_complete = |session: SessionInfo| session.peer.is_none() || !session.warming;
        node.peers().all(|peer| peer.synced) && node.sessions().all(is_complete) && !node.has_changes()
    };
    Ok(node.inspect(is_told).await?)
}

/// How the kernel's routes stand; `None`: the thread has ended.
pub(crate) async fn stats(routes: &KernelRoutes) -> Option<FibStats> {
    routes.stats().await.ok()
}

/// Ends the thread; with `cleanup`, its routes and objects go before.
pub(crate) async fn stop(routes: &KernelRoutes, cleanup: bool) {
    match routes.stop(cleanup).await {
        Ok(stats) if cleanup && stats.installed + stats.objects > 0 => {
            warn!("{} kernel routes and {} nexthop objects could not be removed", stats.installed, stats.objects);
        }
        Ok(stats) => info!(
            installed = stats.installed,
            objects = stats.objects,
            conflicts = stats.conflicts,
            failed = stats.failed,
            dumps = stats.dumps,
            "kernel routes {}",
            if cleanup { "are removed" } else { "stay" }
        ),
        Err(ended) => warn!("{ended}"),
    }
}

fn parse_mapping(text: &str) -> Result<(Vni, u32), String> {
    let (vni, table) = text.split_once('#').ok_or("not of the form VNI#TABLE")?;
    let table = spec::number(table, 1, u32::MAX).map_err(|why| format!("table '{table}' is {why}"))?;
    Ok((spec::parse_vni(vni)?, table))
}

fn parse_protocol(text: &str) -> Result<u8, String> {
    // Below are those of the kernel itself, and of routes made by hand.
    let number = spec::number(text, 5, 255)?;
    u8::try_from(number).map_err(|_| "over 255".to_owned())
}

fn parse_network(text: &str) -> Result<Prefix, String> {
    match text.parse::<Prefix>() {
        Ok(prefix) if prefix.is_ipv6() => Ok(prefix),
        Ok(_) => Err("not an IPv6 network, as next hops are in".to_owned()),
        Err(why) => Err(why.to_string()),
    }
}

fn parse_ids(text: &str) -> Result<Ids, String> {
    let (first, last) = text.split_once('-').ok_or("not of the form FIRST-LAST")?;
    let (first, last) = (spec::number(first, 1, u32::MAX)?, spec::number(last, 1, u32::MAX)?);
    if first > last {
        return Err(format!("the range from {first} to {last} is empty"));
    }
    Ok(Ids(first..=last))
}
