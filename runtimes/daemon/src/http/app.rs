//! What the handlers share: the node's handle, and what else there is to tell. Nothing in it changes but by its owner.

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
use crate::tls::Held;

/// How long the node may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the daemon's files say, and how it goes to read them again.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) held: watch::Receiver<Held>,
    pub(crate) reloads: watch::Receiver<Outcomes>,
}

/// Of one daemon.
#[derive(Debug)]
pub(crate) struct App {
    pub(super) node: MetalBond,
    pub(super) role: Role,
    pub(super) started: Timestamp,
    pub(super) since: Instant,
    /// Where a server listens, once it does.
    pub(super) listening: watch::Receiver<Vec<SocketAddr>>,
    pub(super) kernel: Option<KernelRoutes>,
    pub(super) events: Events,
    pub(super) held: watch::Receiver<Held>,
    pub(super) reloads: watch::Receiver<Outcomes>,
    pub(super) peer_metrics: bool,
    pub(super) vni_metrics: bool,
    /// Whoever looks at a piece of the node has it: so one piece at a time waits for the node, however many ask.
    turn: Semaphore,
}

impl App {
    pub(crate) fn new(
        node: MetalBond,
        role: Role,
        listening: watch::Receiver<Vec<SocketAddr>>,
        kernel: Option<KernelRoutes>,
        events: Events,
        Seen { held, reloads }: Seen,
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
            held,
            reloads,
            peer_metrics: !args.no_peer_metrics,
            vni_metrics: !args.no_vni_metrics,
            turn: Semaphore::new(1),
        }
    }

    /// Looks at the node at one moment. `look` is to be quick: the node does nothing else meanwhile.
    pub(super) async fn look<T: Send + 'static>(&self, look: impl FnOnce(&Node) -> T + Send + 'static) -> Result<T> {
        self.within(async {
            let _turn = self.turn.acquire().await;
            self.node.inspect(look).await
        })
        .await
    }

    /// The answer to a question to the node.
    pub(super) async fn within<T>(&self, asked: impl Future<Output = std::result::Result<T, Closed>>) -> Result<T> {
        match timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(Fault::unavailable("the daemon is shutting down")),
            Err(_) => Err(Fault::unavailable("the daemon does not answer")),
        }
    }
}
