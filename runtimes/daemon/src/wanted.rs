//! What a client is to want, by its settings; and the way from what it wanted before to that.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::mem;
use std::path::PathBuf;

use metalbond::{PeerId, Route, Vni};
use metalbond_tokio::Endpoint;
use tracing::{error, info, warn};

use crate::announce_file::{self, Announcements};
use crate::cli::ClientArgs;
use crate::client::Client;
use crate::reload::Reload;

/// Servers, subscriptions and announcements.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// In their order, each with its id once it has been added.
    pub(crate) servers: Vec<(Endpoint, Option<PeerId>)>,
    pub(crate) subscriptions: BTreeSet<Vni>,
    pub(crate) announcements: BTreeSet<Route>,
    /// Files that were there to be read once.
    gone: Vec<Announcements>,
    /// The VNIs that have a table of the kernel.
    installable: BTreeSet<Vni>,
}

impl Wanted {
    pub(crate) fn of(args: &mut ClientArgs, files: Vec<Announcements>) -> Self {
        for warning in files.iter().flat_map(|file| &file.warnings) {
            warn!("{warning}");
        }
        let from_files = files.iter().flat_map(|file| &file.routes).copied();
        Self {
            servers: args.server.iter().map(|server| (server.clone(), None)).collect(),
            subscriptions: args.subscribe.iter().copied().collect(),
            announcements: mem::take(&mut args.announce).into_iter().map(|spec| spec.route).chain(from_files).collect(),
            gone: files.into_iter().filter(|file| file.is_gone).collect(),
            installable: args.install.mapped().collect(),
        }
    }
}

/// The files whose changes count.
pub(crate) fn watched(args: &ClientArgs) -> Vec<PathBuf> {
    args.config.config.iter().cloned().chain(args.files()).collect()
}

impl Client {
    /// Wants what new settings say. What is in both is not touched.
    pub(crate) async fn change(
        &self,
        wanted: &mut Wanted,
        mut args: Box<ClientArgs>,
        reload: &mut Reload,
    ) -> anyhow::Result<()> {
        reload.look_at(watched(&args));
        let mut files = args.files();
        // What came through a pipe stands, as long as the pipe is named.
        let kept: Vec<_> = wanted.gone.iter().filter(|file| files.contains(&file.path)).cloned().collect();
        files.retain(|path| kept.iter().all(|file| file.path != *path));
        let mut read = match tokio::task::spawn_blocking(move || announce_file::read_all(&files)).await? {
            Ok(read) => read,
            Err(why) => {
                error!("settings stay as they were: {why}");
                return Ok(());
            }
        };
        read.extend(kept);
        let mut new = Wanted::of(&mut args, read);
        if self.kernel.is_some() {
            // Which VNI has which table of the kernel is given at the start. (One that has none in the new settings either has a
            // warning of its own.)
            let mapped = mem::replace(&mut new.installable, wanted.installable.clone());
            let come = new.subscriptions.difference(&wanted.subscriptions);
            for vni in come.filter(|vni| mapped.contains(vni) && !wanted.installable.contains(vni)) {
                warn!(
                    "--subscribe '{vni}': VNI {vni} had no table at the start, so its routes are not installed; \
                     its --install-routes waits for a restart"
                );
            }
        }

        let (gone, come) = difference(&wanted.subscriptions, &new.subscriptions);
        let subscriptions = (come.len(), gone.len());
        for vni in gone {
            self.node.unsubscribe(vni).await.or_else(metalbond::ApiMisuse::ok_if_no_change)?;
        }
        for vni in come {
            self.node.subscribe(vni).await.or_else(metalbond::ApiMisuse::ok_if_no_change)?;
        }

        let (gone, come) = difference(&wanted.announcements, &new.announcements);
        let announcements = (come.len(), gone.len());
        // First what is new: a destination that moves is never without a next hop.
        self.announce(come).await?;
        self.withdraw(gone).await?;

        let mut ids: BTreeMap<String, PeerId> = BTreeMap::new();
        let (mut added, mut removed) = (0, 0);
        for (server, id) in mem::take(&mut wanted.servers) {
            let Some(id) = id else { continue };
            if new.servers.iter().any(|(other, _)| *other == server) {
                ids.insert(server.as_str().to_owned(), id);
            } else {
                removed += 1;
                self.node.remove_peer(id).await.or_else(metalbond::ApiMisuse::ok_if_no_change)?;
            }
        }
        for (server, id) in &mut new.servers {
            *id = ids.get(server.as_str()).copied();
            if id.is_none() {
                added += 1;
                *id = Some(self.add_server(server).await?);
            }
        }
        let ((subscribed, unsubscribed), (announced, withdrawn)) = (subscriptions, announcements);
        info!(
            "settings are read: servers +{added} -{removed}, subscriptions +{subscribed} -{unsubscribed}, \
             announcements +{announced} -{withdrawn}"
        );
        *wanted = new;
        Ok(())
    }
}

/// What is only in the one, and only in the other.
fn difference<T: Copy + Ord + Hash>(old: &BTreeSet<T>, new: &BTreeSet<T>) -> (Vec<T>, Vec<T>) {
    (old.difference(new).copied().collect(), new.difference(old).copied().collect())
}
