//! A client's desired state: servers, subscriptions and announcements from its settings, and announcements from
//! standard input. This module is the only one that changes the node accordingly, and that knows the source of each
//! announcement.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::hash::Hash;
use std::mem;

use anyhow::Context as _;
use metalbond::{Config, PeerId, Route, Vni};
use metalbond_tokio::{Endpoint, MetalBond};
use tracing::{error, info, warn};

use super::ClientArgs;
use crate::announce_file::{Announcements, Batch};
use crate::install::KernelRoutes;

/// The desired state according to the settings.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The servers, in the order of the settings.
    servers: Vec<Endpoint>,
    subscriptions: BTreeSet<Vni>,
    announcements: BTreeSet<Route>,
    /// Number of announcements in each file.
    counts: Vec<(String, usize)>,
    /// The VNIs that have a table in the kernel.
    installable: BTreeSet<Vni>,
}

impl Asked {
    pub(crate) fn of(args: &mut ClientArgs, files: &[Announcements]) -> Self {
        for warning in files.iter().flat_map(|file| &file.warnings) {
            warn!("{warning}");
        }
        let from_files = files.iter().flat_map(|file| &file.routes).copied();
        Self {
            servers: args.server.clone(),
            subscriptions: args.subscribe.iter().copied().collect(),
            announcements: mem::take(&mut args.announce).into_iter().map(|spec| spec.route).chain(from_files).collect(),
            counts: files.iter().map(|file| (file.path.display().to_string(), file.routes.len())).collect(),
            installable: args.install.mapped().collect(),
        }
    }
}

/// The settings exceed a limit of the node. Nothing has been changed.
#[derive(PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct OverLimit(String);

/// The node's limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Most {
    peers: usize,
    subscriptions: usize,
    announcements: usize,
}

impl From<&Config> for Most {
    fn from(config: &Config) -> Self {
        let Config { peers_max, subscriptions_max, announcements_max, .. } = *config;
        Self { peers: peers_max, subscriptions: subscriptions_max, announcements: announcements_max }
    }
}

/// The sources that ask for a route. The route is announced until none of them does.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Owners {
    /// The settings: --announce or a file.
    settings: bool,
    /// Standard input.
    input: bool,
}

/// The desired state, which has been applied to the node and the kernel.
pub(crate) struct Wanted {
    node: MetalBond,
    /// The kernel routes, if routes are installed.
    kernel: Option<KernelRoutes>,
    most: Most,
    /// The servers, in the order of the settings. Each has an id once it has been added to the node.
    servers: Vec<(Endpoint, Option<PeerId>)>,
    subscriptions: BTreeSet<Vni>,
    announcements: BTreeMap<Route, Owners>,
    installable: BTreeSet<Vni>,
}

/// The number of added and removed items of a change of settings.
#[derive(Debug, Default, PartialEq, Eq)]
struct Difference {
    servers: (usize, usize),
    subscriptions: (usize, usize),
    announcements: (usize, usize),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { servers, subscriptions, announcements } = self;
        write!(f, "servers +{} -{}, ", servers.0, servers.1)?;
        write!(f, "subscriptions +{} -{}, ", subscriptions.0, subscriptions.1)?;
        write!(f, "announcements +{} -{}", announcements.0, announcements.1)
    }
}

impl Wanted {
    /// Returns an empty state, with the limits of a node with this configuration.
    pub(crate) fn none(config: &Config, node: MetalBond, kernel: Option<KernelRoutes>) -> Self {
        Self {
            node,
            kernel,
            most: config.into(),
            servers: Vec::new(),
            subscriptions: BTreeSet::new(),
            announcements: BTreeMap::new(),
            installable: BTreeSet::new(),
        }
    }

    /// Applies the settings of the start.
    ///
    /// # Errors
    ///
    /// If a limit is exceeded or the node has ended.
    pub(crate) async fn start(&mut self, asked: Asked) -> anyhow::Result<()> {
        self.check(&asked)?;
        self.installable = asked.installable.clone();
        self.apply(asked).await.map(|_| ())
    }

    /// Applies new settings and logs the difference. Items in both the old and the new settings are not touched.
    ///
    /// # Errors
    ///
    /// [`OverLimit`] if a limit is exceeded; nothing has been changed then. Other errors mean that the node has ended.
    pub(crate) async fn change(&mut self, asked: Asked) -> anyhow::Result<()> {
        if self.kernel.is_some() {
            // The tables of VNIs are fixed at the start. (A VNI without a table in the new settings as well gets
            // another warning.)
            let come = asked.subscriptions.difference(&self.subscriptions);
            for vni in come.filter(|vni| asked.installable.contains(vni) && !self.installable.contains(vni)) {
                warn!(
                    "--subscribe '{vni}': VNI {vni} had no table at the start, so its routes are not installed; \
                     its --install-routes needs a restart"
                );
            }
        }
        self.check(&asked)?;
        let difference = self.apply(asked).await?;
        info!("settings are read: {difference}");
        Ok(())
    }

    /// Checks the limits of the node in advance, so that settings are applied either completely or not at all.
    fn check(&self, asked: &Asked) -> Result<(), OverLimit> {
        let Most { peers, subscriptions, announcements } = self.most;
        let over = |what: &str, count: usize, most: usize| {
            if count > most { Err(OverLimit(format!("{what}: {count}, the maximum is {most}"))) } else { Ok(()) }
        };
        over("--server", asked.servers.len(), peers)?;
        over("--subscribe", asked.subscriptions.len(), subscriptions)?;
        let of_input = self.announcements.iter().filter(|(_, owners)| owners.input);
        let of_input = of_input.filter(|(route, _)| !asked.announcements.contains(route)).count();
        let mut what = "--announce and --announce-file".to_owned();
        for (path, count) in &asked.counts {
            let _ = write!(what, ", {path} with {count}");
        }
        if of_input > 0 {
            let _ = write!(what, ", standard input with {of_input}");
        }
        over(&what, asked.announcements.len() + of_input, announcements)
    }

    /// Applies the difference between the old and the new state.
    async fn apply(&mut self, asked: Asked) -> anyhow::Result<Difference> {
        let Asked { servers, subscriptions, announcements, .. } = asked;
        let mut made = Difference::default();

        let (gone, come) = difference(&self.subscriptions, &subscriptions);
        made.subscriptions = (come.len(), gone.len());
        for vni in gone {
            self.node.unsubscribe(vni).await?;
        }
        for vni in come {
            self.node.subscribe(vni).await?;
        }
        self.subscriptions = subscriptions;

        made.announcements = self.announce_what_settings_say(&announcements).await?;

        let mut ids: BTreeMap<String, PeerId> = BTreeMap::new();
        for (server, id) in mem::take(&mut self.servers) {
            let Some(id) = id else { continue };
            if servers.contains(&server) {
                ids.insert(server.as_str().to_owned(), id);
            } else {
                made.servers.1 += 1;
                self.node.remove_peer(id).await?;
            }
        }
        // Servers are added last, so that all announcements and subscriptions exist when the first session opens.
        // Failures to connect are logged by the driver.
        let known = servers.into_iter().map(|server| {
            let id = ids.get(server.as_str()).copied();
            (server, id)
        });
        self.servers = known.collect();
        for (server, id) in self.servers.iter_mut().filter(|(_, id)| id.is_none()) {
            made.servers.0 += 1;
            info!("connecting to {server}");
            let added = self.node.add_peer(server.clone()).await;
            *id = Some(added.with_context(|| format!("cannot add server {server}"))?);
        }
        Ok(made)
    }

    /// Announces and withdraws routes according to the settings. Returns the number of new and of removed routes.
    async fn announce_what_settings_say(&mut self, new: &BTreeSet<Route>) -> anyhow::Result<(usize, usize)> {
        let come: Vec<_> = new.iter().filter(|route| !self.announcements.contains_key(*route)).copied().collect();
        let mut gone = Vec::new();
        self.announcements.retain(|route, owners| {
            owners.settings = new.contains(route);
            let stays = owners.settings || owners.input;
            if !stays {
                gone.push(*route);
            }
            stays
        });
        let counts = (come.len(), gone.len());
        // New routes are announced first, so that a destination whose next hop changes is never without one. Only as
        // many routes as the limit requires are withdrawn before.
        let all = self.announcements.len() + gone.len() + come.len();
        let rest = gone.split_off(all.saturating_sub(self.most.announcements).min(gone.len()));
        self.announcements.extend(come.iter().map(|route| (*route, Owners { settings: true, input: false })));
        self.withdraw(gone).await?;
        self.announce(come).await?;
        self.withdraw(rest).await?;
        Ok(counts)
    }

    /// Announces or withdraws a batch from standard input.
    ///
    /// # Errors
    ///
    /// If the node has ended.
    pub(crate) async fn feed(&mut self, batch: Batch) -> anyhow::Result<()> {
        match batch {
            Batch::Add(routes) => {
                let (mut come, mut refused) = (Vec::new(), 0);
                for route in routes {
                    if let Some(owners) = self.announcements.get_mut(&route) {
                        owners.input = true;
                    } else if self.announcements.len() < self.most.announcements {
                        self.announcements.insert(route, Owners { settings: false, input: true });
                        come.push(route);
                    } else {
                        refused += 1;
                    }
                }
                if refused > 0 {
                    let most = self.most.announcements;
                    error!("standard input: {refused} routes are not announced: the maximum is {most} announcements");
                }
                self.announce(come).await
            }
            Batch::Withdraw(routes) => {
                let (count, mut gone, mut kept) = (routes.len(), Vec::new(), 0);
                for route in routes {
                    match self.announcements.get_mut(&route) {
                        Some(owners) if owners.settings => {
                            owners.input = false;
                            kept += 1;
                        }
                        Some(_) => {
                            self.announcements.remove(&route);
                            gone.push(route);
                        }
                        None => {}
                    }
                }
                if kept > 0 {
                    warn!("{kept} of {count} routes to withdraw stay, because --announce or a file announces them too");
                }
                if gone.len() + kept < count {
                    warn!("{} of {count} routes to withdraw were not announced", count - gone.len() - kept);
                }
                self.withdraw(gone).await
            }
        }
    }

    async fn announce(&self, routes: Vec<Route>) -> anyhow::Result<()> {
        if let Some(kernel) = self.kernel.as_ref().filter(|_| !routes.is_empty()) {
            kernel.announced(routes.clone()).await?;
        }
        self.node.announce_routes(routes).await.context("cannot announce")?;
        Ok(())
    }

    async fn withdraw(&self, routes: Vec<Route>) -> anyhow::Result<()> {
        if let Some(kernel) = self.kernel.as_ref().filter(|_| !routes.is_empty()) {
            kernel.withdrawn(routes.clone()).await?;
        }
        self.node.withdraw_routes(routes).await.context("cannot withdraw")?;
        Ok(())
    }
}

/// Returns the items that are only in `old`, and those that are only in `new`.
fn difference<T: Copy + Ord + Hash>(old: &BTreeSet<T>, new: &BTreeSet<T>) -> (Vec<T>, Vec<T>) {
    (old.difference(new).copied().collect(), new.difference(old).copied().collect())
}

#[cfg(test)]
mod tests {
    use metalbond_tokio::{Changes, start};

    use super::*;
    use crate::spec;

    /// A node with small limits, and its desired state.
    struct World {
        node: MetalBond,
        wanted: Wanted,
        _changes: Changes,
    }

    impl World {
        fn new() -> Self {
            let config = Config { peers_max: 2, subscriptions_max: 2, announcements_max: 3, ..Config::default() };
            let (node, changes) = start(config.clone()).unwrap();
            Self { node: node.clone(), wanted: Wanted::none(&config, node, None), _changes: changes }
        }

        async fn change(&mut self, asked: Asked) -> Result<(), OverLimit> {
            self.wanted.change(asked).await.map_err(|error| error.downcast().expect("the node has not ended"))
        }

        async fn add(&mut self, numbers: &[u8]) {
            let batch = Batch::Add(numbers.iter().copied().map(route).collect());
            self.wanted.feed(batch).await.unwrap();
        }

        async fn withdraw(&mut self, numbers: &[u8]) {
            let batch = Batch::Withdraw(numbers.iter().copied().map(route).collect());
            self.wanted.feed(batch).await.unwrap();
        }

        /// Returns what the node announces.
        async fn announced(&self) -> BTreeSet<Route> {
            self.node.announced_routes().await.unwrap().into_iter().collect()
        }

        async fn all(&self) -> (usize, Vec<Vni>, BTreeSet<Route>) {
            let (peers, vnis) = (self.node.peers().await.unwrap(), self.node.subscribed_vnis().await.unwrap());
            (peers.len(), vnis, self.announced().await)
        }
    }

    fn route(n: u8) -> Route {
        spec::parse(&format!("23#10.0.0.{n}/32#2001:db8::1")).unwrap()
    }

    fn routes(numbers: &[u8]) -> BTreeSet<Route> {
        numbers.iter().copied().map(route).collect()
    }

    fn asked(servers: &[u16], subscriptions: &[u32], announcements: &[u8]) -> Asked {
        Asked {
            servers: servers.iter().map(|port| format!("127.0.0.1:{port}").parse().unwrap()).collect(),
            subscriptions: subscriptions.iter().copied().map(Vni).collect(),
            announcements: routes(announcements),
            counts: vec![("a.routes".to_owned(), announcements.len())],
            installable: BTreeSet::new(),
        }
    }

    #[tokio::test]
    async fn settings_over_a_limit_change_nothing_and_the_next_valid_ones_are_applied() {
        let mut world = World::new();
        world.change(asked(&[1], &[1], &[1])).await.unwrap();
        let before = world.all().await;
        for (too_much, why) in [
            (asked(&[2, 3, 4], &[2], &[2]), "--server: 3, the maximum is 2"),
            (asked(&[2], &[2, 3, 4], &[2]), "--subscribe: 3, the maximum is 2"),
            (asked(&[2], &[2], &[2, 3, 4, 5]), "--announce and --announce-file, a.routes with 4: 4, the maximum is 3"),
        ] {
            assert_eq!(world.change(too_much).await, Err(OverLimit(why.to_owned())));
            assert_eq!(world.all().await, before);
        }
        // A change of everything, which never exceeds the limits in between.
        world.change(asked(&[2, 3], &[2, 3], &[2, 3, 4])).await.unwrap();
        assert_eq!(world.all().await, (2, vec![Vni(2), Vni(3)], routes(&[2, 3, 4])));
        world.change(asked(&[4, 5], &[4, 5], &[5, 6, 7])).await.unwrap();
        assert_eq!(world.all().await, (2, vec![Vni(4), Vni(5)], routes(&[5, 6, 7])));
    }

    #[tokio::test]
    async fn routes_of_standard_input_over_the_limit_are_not_announced() {
        let mut world = World::new();
        world.add(&[1, 2]).await;
        let why = "--announce and --announce-file, a.routes with 2, standard input with 2: 4, the maximum is 3";
        assert_eq!(world.change(asked(&[1], &[], &[3, 4])).await, Err(OverLimit(why.to_owned())));
        assert_eq!(world.all().await, (0, vec![], routes(&[1, 2])));
        // A route from both sources counts once.
        world.change(asked(&[], &[], &[2, 3])).await.unwrap();
        assert_eq!(world.announced().await, routes(&[1, 2, 3]));
        world.add(&[3, 4]).await;
        assert_eq!(world.announced().await, routes(&[1, 2, 3]));
        world.withdraw(&[1]).await;
        world.add(&[4]).await;
        assert_eq!(world.announced().await, routes(&[2, 3, 4]));
    }

    #[tokio::test]
    async fn a_route_of_standard_input_stays_when_the_settings_remove_it() {
        let mut world = World::new();
        world.change(asked(&[], &[], &[1, 2])).await.unwrap();
        world.add(&[1, 3]).await;
        world.change(asked(&[], &[], &[])).await.unwrap();
        assert_eq!(world.announced().await, routes(&[1, 3]));
        world.withdraw(&[1, 3]).await;
        assert_eq!(world.announced().await, routes(&[]));
    }

    #[tokio::test]
    async fn a_route_of_the_settings_stays_when_standard_input_withdraws_it() {
        let mut world = World::new();
        world.add(&[1]).await;
        world.change(asked(&[], &[], &[1, 2])).await.unwrap();
        world.withdraw(&[1, 2]).await;
        assert_eq!(world.announced().await, routes(&[1, 2]));
        world.change(asked(&[], &[], &[2])).await.unwrap();
        assert_eq!(world.announced().await, routes(&[2]));
    }
}
