//! The state that the handlers share: the node's handle, and what else is reported over HTTP. The handlers never change
//! it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use metalbond_tokio::{Closed, MetalBond, Node};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::refusal::{Fault, Result};
use super::{Events, HttpArgs};
use crate::api::Role;
use crate::install::KernelRoutes;
use crate::reload::Outcomes;
use crate::tls::Secrets;

/// Maximum time that the node may take to answer a query.
const PATIENCE: Duration = Duration::from_secs(5);

/// The daemon's certificates and token, and the outcomes of reloads.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) secrets: watch::Receiver<Secrets>,
    pub(crate) reloads: watch::Receiver<Outcomes>,
}

/// The state of one daemon.
#[derive(Debug)]
pub(crate) struct App {
    pub(super) node: MetalBond,
    pub(super) role: Role,
    pub(super) started: Timestamp,
    pub(super) since: Instant,
    /// The addresses that a server listens on, empty until it does.
    pub(super) listening: watch::Receiver<Vec<SocketAddr>>,
    pub(super) kernel: Option<KernelRoutes>,
    pub(super) events: Events,
    pub(super) secrets: watch::Receiver<Secrets>,
    pub(super) reloads: watch::Receiver<Outcomes>,
    pub(super) peer_metrics: bool,
    pub(super) vni_metrics: bool,
    /// Serialises queries: at most one HTTP request waits for the node at a time.
    queries: Semaphore,
}

impl App {
    pub(crate) fn new(
        node: MetalBond,
        role: Role,
        listening: watch::Receiver<Vec<SocketAddr>>,
        kernel: Option<KernelRoutes>,
        events: Events,
        Seen { secrets, reloads }: Seen,
        args: &HttpArgs,
    ) -> Self {
        Self {
            node,
            role,
            started: Timestamp::now(),
            since: Instant::now(),
            listening,
            kernel,
            events,
            secrets,
            reloads,
            peer_metrics: !args.no_peer_metrics,
            vni_metrics: !args.no_vni_metrics,
            queries: Semaphore::new(1),
        }
    }

    /// Queries the node. `look` must be quick, because the node does nothing else meanwhile.
    pub(super) async fn look<T: Send + 'static>(&self, look: impl FnOnce(&Node) -> T + Send + 'static) -> Result<T> {
        self.within(async {
            let _permit = self.queries.acquire().await;
            self.node.inspect(look).await
        })
        .await
    }

    /// Waits for the answer to a query of the node, for at most [`PATIENCE`].
    pub(super) async fn within<T>(&self, asked: impl Future<Output = std::result::Result<T, Closed>>) -> Result<T> {
        match timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(Fault::unavailable("the daemon is shutting down")),
            Err(_) => Err(Fault::unavailable("the daemon does not answer")),
        }
    }
}
