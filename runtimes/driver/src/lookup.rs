//! Lookups of server names, at most one at a time for each endpoint. A lookup may outlive the dial that began it, because a resolver may
//! take longer than a dial; its result then serves the next dial.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metalbond::{Config, Instant};

use crate::Runtime;
use crate::mailbox::{Event, Events};
use crate::tasks::Tasks;

/// The shortest time for which the result of a lookup that no dial waits for is kept. It is kept longer if the node's next dial may come
/// later.
const KEPT_MIN: Duration = Duration::from_secs(60);

/// The lookups of a node.
#[derive(Debug)]
pub(crate) struct Lookups<T> {
    by_endpoint: BTreeMap<Arc<str>, Lookup<T>>,
    /// How long a result is kept.
    kept: Duration,
}

#[derive(Debug)]
enum Lookup<T> {
    UnderWay {
        _task: T,
    },
    /// The result of a lookup that ended after the dial that began it.
    Kept {
        since: Instant,
        addresses: Vec<SocketAddr>,
    },
}

impl<T> Lookups<T> {
    pub(crate) fn new(config: &Config) -> Self {
        let next_dial = config.backoff_max.saturating_add(config.handshake_timeout);
        Self { by_endpoint: BTreeMap::new(), kept: next_dial.max(KEPT_MIN) }
    }

    /// Returns the addresses of `host:port` if they are known: the host is an address, or the result of a lookup is kept. Otherwise begins
    /// a lookup, unless one is under way; an [`Event::Resolved`] reports its end.
    pub(crate) fn begin<R: Runtime<Task = T>>(
        &mut self,
        now: Instant,
        endpoint: &Arc<str>,
        tasks: &Tasks<R>,
    ) -> Option<Vec<SocketAddr>> {
        if let Ok(address) = endpoint.parse() {
            return Some(vec![address]);
        }
        self.by_endpoint.retain(|_, lookup| match lookup {
            Lookup::UnderWay { .. } => true,
            Lookup::Kept { since, .. } => now.saturating_since(*since) < self.kept,
        });
        match self.by_endpoint.get_mut(endpoint) {
            Some(Lookup::UnderWay { .. }) => None,
            Some(Lookup::Kept { addresses, .. }) => {
                let addresses = std::mem::take(addresses);
                self.by_endpoint.remove(endpoint);
                Some(addresses)
            }
            None => {
                let _task = tasks.spawn(resolve(tasks.runtime().clone(), Arc::clone(endpoint), tasks.events()));
                self.by_endpoint.insert(Arc::clone(endpoint), Lookup::UnderWay { _task });
                None
            }
        }
    }

    /// Notes that a lookup has ended.
    pub(crate) fn end(&mut self, endpoint: &str) {
        self.by_endpoint.remove(endpoint);
    }

    /// Keeps the result of a lookup that no dial is waiting for.
    pub(crate) fn keep(&mut self, now: Instant, endpoint: Arc<str>, addresses: Vec<SocketAddr>) {
        self.by_endpoint.insert(endpoint, Lookup::Kept { since: now, addresses });
    }
}

async fn resolve<R: Runtime>(runtime: R, endpoint: Arc<str>, events: Events<R>) {
    let result = runtime.resolve(&endpoint).await;
    let result = result.map_err(|e| format!("cannot look up the name: {e}").into());
    // Fails if the actor has ended.
    let _ = events.send(Event::Resolved { endpoint, result }).await;
}
