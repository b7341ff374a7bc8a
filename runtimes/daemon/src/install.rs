//! `--install-routes`: installs a client's routes in the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
pub(crate) use metalbond::fib::FibStats;
use metalbond::fib::{Fib, FibSettings};
use metalbond::{KindSet, Node, Prefix, RouteChange, Vni};
pub(crate) use metalbond_linux::KernelRoutes;
use metalbond_linux::{Kernel, Settings, is_nexthop_compat_mode};
use metalbond_tokio::{Changes, MetalBond};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::http::Events;
use crate::networkd;
use crate::spec;

/// Interval at which the node is asked whether adopted routes may be removed.
const LOOK: Duration = Duration::from_millis(100);
/// Maximum number of changes in one message to the thread.
const BATCH: usize = 256;

/// The main table (RT_TABLE_MAIN), which is used if no rule says otherwise. The reference implementation's library
/// calls it 0.
const MAIN_TABLE: u32 = 254;
/// The default protocol number.
const PROTOCOL: u8 = 254;
/// The default metric: higher than those that other programs use without being asked to.
const METRIC: u32 = 2048;
const IDS: &str = "2000000000-2099999999";

#[derive(Args, Debug)]
#[command(next_help_heading = "Kernel routes")]
pub(crate) struct InstallArgs {
    /// Install the routes of a VNI in a routing table of the kernel, as IP-in-IPv6 tunnels; may be given several times. Table
    /// 0 is the main table. If several VNIs with the same table have a destination, that of the lowest VNI is installed.
    /// Installed routes stay while servers are away and while this program restarts. Needs CAP_NET_ADMIN
    #[arg(long, value_name = "VNI#TABLE", value_parser = parse_mapping, value_delimiter = ',')]
    #[arg(requires = "tun", env = "METALBOND_INSTALL_ROUTES")]
    pub(crate) install_routes: Vec<Mapping>,
    /// The tunnel device of the kernel routes
    #[arg(long, value_name = "DEVICE", env = "METALBOND_TUN")]
    pub(crate) tun: Option<String>,
    /// Install IPv4 destinations only
    #[arg(long, value_parser = BoolishValueParser::new(), env = "METALBOND_IPV4_ONLY")]
    pub(crate) ipv4_only: bool,
    /// Protocol number that marks kernel routes as installed by this program, so that it adopts them after a restart
    #[arg(long, value_name = "NUMBER", value_parser = parse_protocol, allow_negative_numbers = true)]
    #[arg(default_value_t = PROTOCOL, env = "METALBOND_RT_PROTO")]
    pub(crate) rt_proto: u8,
    /// Metric of the kernel routes. To the same destination, the kernel prefers the route with the lower metric
    #[arg(long, value_name = "NUMBER", value_parser = parse_metric, allow_negative_numbers = true)]
    #[arg(default_value_t = METRIC, env = "METALBOND_METRIC")]
    pub(crate) metric: u32,
    /// Do not install next hops of this type; may be given several times
    #[arg(long, value_name = "TYPE", value_enum, value_delimiter = ',', ignore_case = true)]
    #[arg(alias = "exclude-route-type", env = "METALBOND_EXCLUDE_TYPE")]
    pub(crate) exclude_type: Vec<Kind>,
    /// Give next hops in this underlay network 99 times the weight of the destination's other next hops; may be given several
    /// times
    #[arg(long, value_name = "CIDR", value_parser = parse_network, value_delimiter = ',')]
    #[arg(env = "METALBOND_PREFER_NETWORK")]
    pub(crate) prefer_network: Vec<Prefix>,
    /// Range of ids for nexthop objects in the kernel; each next hop and each group of next hops needs one
    #[arg(long, value_name = "FIRST-LAST", value_parser = parse_ids)]
    #[arg(default_value = IDS, env = "METALBOND_NEXTHOP_IDS")]
    pub(crate) nexthop_ids: Ids,
    /// Do not use nexthop objects, as on kernels before 5.3. An IPv6 route with several next hops then uses only one
    #[arg(long, value_parser = BoolishValueParser::new())]
    #[arg(env = "METALBOND_NO_NEXTHOP_OBJECTS")]
    pub(crate) no_nexthop_objects: bool,
}

/// A VNI and its routing table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Mapping {
    vni: Vni,
    table: u32,
    /// The argument's text.
    text: Box<str>,
}

/// A range of ids.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ids(RangeInclusive<u32>);

/// A type of next hops, by the names of SPEC.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Kind {
    #[value(name = "STD", alias = "STANDARD")]
    Std,
    #[value(name = "LB", alias = "LOADBALANCER_TARGET")]
    Lb,
    #[value(name = "NAT")]
    Nat,
}

impl From<Kind> for KindSet {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Std => Self::STANDARD,
            Kind::Lb => Self::LOAD_BALANCER,
            Kind::Nat => Self::NAT,
        }
    }
}

impl InstallArgs {
    /// Returns true if routes are installed in the kernel.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.install_routes.is_empty()
    }

    /// Returns the VNIs that have a table.
    pub(crate) fn mapped(&self) -> impl Iterator<Item = Vni> {
        self.install_routes.iter().map(|mapping| mapping.vni)
    }

    /// Returns the table of each VNI. If a VNI was given several times, the last one counts.
    fn tables(&self) -> BTreeMap<Vni, u32> {
        self.install_routes.iter().map(|mapping| (mapping.vni, mapping.table)).collect()
    }

    /// Returns a warning, one line each, for every argument that has no effect.
    pub(crate) fn warnings(&self, subscribed: &[Vni]) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.is_wanted() {
            let mut unused = |flag: String| {
                warnings.push(format!("{flag}: has no effect without --install-routes, as no route is installed"));
            };
            self.tun.iter().for_each(|device| unused(format!("--tun '{device}'")));
            for (flag, is_on) in [("--ipv4-only", self.ipv4_only), ("--no-nexthop-objects", self.no_nexthop_objects)] {
                if is_on {
                    unused(flag.to_owned());
                }
            }
            if self.rt_proto != PROTOCOL {
                unused(format!("--rt-proto '{}'", self.rt_proto));
            }
            if self.metric != METRIC {
                unused(format!("--metric '{}'", self.metric));
            }
            for kind in self.exclude_type.iter().filter_map(ValueEnum::to_possible_value) {
                unused(format!("--exclude-type '{}'", kind.get_name()));
            }
            self.prefer_network.iter().for_each(|network| unused(format!("--prefer-network '{network}'")));
            if Ok(&self.nexthop_ids) != parse_ids(IDS).as_ref() {
                let Ids(ids) = &self.nexthop_ids;
                unused(format!("--nexthop-ids '{}-{}'", ids.start(), ids.end()));
            }
            return warnings;
        }
        let tables = self.tables();
        for Mapping { vni, table, text } in &self.install_routes {
            if tables.get(vni) != Some(table) {
                warnings
                    .push(format!("--install-routes '{text}': VNI {vni} has another table further on, which counts"));
            } else if !subscribed.contains(vni) {
                warnings.push(format!(
                    "--install-routes '{text}': VNI {vni} is not subscribed to (--subscribe {vni}), so none of its routes \
                     are received or installed"
                ));
            }
        }
        for vni in subscribed.iter().filter(|vni| !tables.contains_key(vni)) {
            let hint = if vni.is_24_bit() { format!(" (--install-routes {vni}#TABLE)") } else { String::new() };
            warnings
                .push(format!("--subscribe '{vni}': VNI {vni} has no table{hint}, so its routes are not installed"));
        }
        warnings
    }

    /// Starts to install routes, if the arguments ask for it.
    pub(crate) fn start(&self) -> anyhow::Result<Option<KernelRoutes>> {
        let Some(device) = self.tun.clone().filter(|_| !self.install_routes.is_empty()) else { return Ok(None) };
        let Ids(ids) = self.nexthop_ids.clone();
        let settings = Settings {
            device,
            protocol: self.rt_proto,
            metric: self.metric,
            ids: ids.clone(),
            tables: self.tables().into_values().collect(),
            nexthop_objects: !self.no_nexthop_objects,
        };
        let mut kernel = Kernel::open(settings).context("cannot install routes")?;
        kernel.claim(&self.tables()).context("cannot install routes")?;
        if !kernel.has_nexthop_objects() {
            warn!("no nexthop objects: IPv6 routes use only one next hop, and changes of many routes take longer");
        } else if is_nexthop_compat_mode() {
            info!("hint: with the sysctl net.ipv4.nexthop_compat_mode=0 the kernel installs routes faster");
        }
        let foreign = networkd::missing(Path::new("/"));
        if !foreign.is_empty() {
            info!(
                "hint: systemd-networkd removes routes, rules and nexthop objects that are not in its files, unless networkd.conf has {}",
                foreign.iter().map(|setting| format!("{setting}=no")).collect::<Vec<_>>().join(", "),
            );
        }
        let settings = FibSettings {
            tables: self.tables(),
            ids,
            nexthop_objects: kernel.has_nexthop_objects(),
            ipv4_only: self.ipv4_only,
            exclude: self.exclude_type.iter().copied().map(KindSet::from).collect(),
            prefer: self.prefer_network.clone(),
            seed: getrandom::u64().context("cannot install routes: the system has no randomness")?,
            ..FibSettings::default()
        };
        let fib = Fib::new(settings, kernel.device()).context("cannot install routes")?;
        Ok(Some(KernelRoutes::start(fib, kernel).context("cannot install routes")?))
    }
}

/// Passes changes on to the kernel until the node ends. Adopted routes that no server has announced are removed when
/// the node permits it and all its changes up to then have been passed on.
pub(crate) async fn install(
    node: &MetalBond,
    changes: &mut Changes,
    routes: &KernelRoutes,
    events: &Events,
) -> anyhow::Result<()> {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_adopting = true;
    let mut onward = Onward { node, routes, events, servers: BTreeSet::new() };
    loop {
        tokio::select! {
            biased;
            change = changes.next() => {
                let Some(change) = change else { return Ok(()) };
                onward.pass_on(waiting(changes, vec![change]).await).await?;
            }
            _ = look.tick(), if is_adopting => {
                let Some(why) = why_remove_adopted(node).await? else { continue };
                // Passes on what the node has reported: the changes are in the stream, even if they have not arrived
                // here.
                let mut batch = waiting(changes, Vec::new()).await;
                while !batch.is_empty() {
                    onward.pass_on(batch).await?;
                    batch = waiting(changes, Vec::new()).await;
                }
                info!("{why}: adopted kernel routes that no server announces are removed");
                is_adopting = false;
                routes.release_adopted().await?;
            }
        }
    }
}

/// The way of changes to the kernel and to the followers of events. The addresses of the servers go before the routes that these have sent:
/// one of the routes could cover them.
struct Onward<'a> {
    node: &'a MetalBond,
    routes: &'a KernelRoutes,
    events: &'a Events,
    /// The addresses that have been passed on.
    servers: BTreeSet<IpAddr>,
}

impl Onward<'_> {
    /// Passes a batch on.
    async fn pass_on(&mut self, batch: Vec<RouteChange>) -> anyhow::Result<()> {
        if self.routes.needs_servers() {
            self.pass_on_servers().await?;
        }
        batch.iter().for_each(|change| self.events.route(change));
        Ok(self.routes.change(batch).await?)
    }

    async fn pass_on_servers(&mut self) -> anyhow::Result<()> {
        let addrs = |node: &Node| {
            let configured = node.peers().filter_map(|peer| peer.endpoint.parse::<SocketAddr>().ok());
            let sessions = node.sessions().filter(|session| session.peer.is_some());
            let connected = sessions.filter_map(|session| session.remote);
            configured.chain(connected).map(|addr| addr.ip()).collect::<Vec<_>>()
        };
        let before = self.servers.len();
        self.servers.extend(self.node.inspect(addrs).await?);
        if self.servers.len() > before {
            self.routes.servers(self.servers.iter().copied().collect()).await?;
        }
        Ok(())
    }
}

/// Adds the changes that have already arrived, without waiting.
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

/// Returns why adopted routes that no server has announced may be removed. `None` if they may not, or if the node has
/// changes to report first.
async fn why_remove_adopted(node: &MetalBond) -> anyhow::Result<Option<&'static str>> {
    let why = |node: &Node| {
        let may = node.may_remove_adopted() && !node.has_changes();
        let has_synced = node.peers().any(|peer| peer.synced);
        may.then_some(if has_synced {
            "a server has sent all its routes"
        } else {
            "no server has announced them in time"
        })
    };
    Ok(node.inspect(why).await?)
}

/// Returns figures of the kernel's routes. `None` if the thread has ended.
pub(crate) async fn stats(routes: &KernelRoutes) -> Option<FibStats> {
    routes.stats().await.ok()
}

/// Stops the thread. With `cleanup`, it removes its routes and objects first.
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

fn parse_mapping(text: &str) -> Result<Mapping, String> {
    let (vni, table) = text.split_once('#').ok_or("not of the form VNI#TABLE")?;
    let table = parse_table(table).map_err(|why| format!("table '{table}' is {why}"))?;
    Ok(Mapping { vni: spec::parse_vni(vni)?, table, text: text.into() })
}

/// Parses the number of a table; 0 is the main table.
pub(crate) fn parse_table(text: &str) -> Result<u32, String> {
    let table = spec::number(text, 0, u32::MAX)?;
    Ok(if table == 0 { MAIN_TABLE } else { table })
}

pub(crate) fn parse_protocol(text: &str) -> Result<u8, String> {
    // The lower numbers are those of the kernel itself and of manually added routes.
    let number = spec::number(text, 5, 255)?;
    u8::try_from(number).map_err(|_| "over 255".to_owned())
}

fn parse_metric(text: &str) -> Result<u32, String> {
    // The kernel takes 0 for none, and then uses another one for IPv6.
    spec::number(text, 1, u32::MAX)
}

fn parse_network(text: &str) -> Result<Prefix, String> {
    match text.parse::<Prefix>() {
        // An IPv4-mapped next hop is an IPv4 next hop, and those are not installed.
        Ok(prefix) if prefix.is_ipv6() && prefix.addr().to_canonical().is_ipv6() => Ok(prefix),
        Ok(_) => Err("not an IPv6 network, and next hops are IPv6 addresses".to_owned()),
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
