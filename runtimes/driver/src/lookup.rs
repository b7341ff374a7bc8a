//! Lookups of server names. Of each name, at most one is under way: it may outlive the dial that began it, because a resolver may take
//! longer than a dial, and its result then serves the next dial.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metalbond::Instant;

use crate::Runtime;
use crate::mailbox::{Event, Events};
use crate::tasks::Tasks;

/// How long a result that no dial was waiting for is kept for the next dial. A server is dialled again sooner, also with the longest
/// back-off's default.
const KEPT: Duration = Duration::from_secs(60);

/// The lookups of a node.
#[derive(Debug)]
pub(crate) struct Lookups<T> {
    by_name: BTreeMap<Arc<str>, Lookup<T>>,
}

#[derive(Debug)]
enum Lookup<T> {
    UnderWay {
        _task: T,
    },
    /// Its dial had ended before it.
    Kept {
        at: Instant,
        addresses: Vec<SocketAddr>,
    },
}

impl<T> Default for Lookups<T> {
    fn default() -> Self {
        Self { by_name: BTreeMap::new() }
    }
}

impl<T> Lookups<T> {
    /// Returns the addresses of `host:port` if they are known: written in it, or kept. Otherwise begins a lookup, unless one is under way;
    /// an [`Event::Resolved`] tells its end.
    pub(crate) fn begin<R: Runtime<Task = T>>(
        &mut self,
        now: Instant,
        endpoint: &Arc<str>,
        tasks: &Tasks<R>,
    ) -> Option<Vec<SocketAddr>> {
        if let Ok(address) = endpoint.parse() {
            return Some(vec![address]);
        }
        self.by_name.retain(|_, lookup| match lookup {
            Lookup::UnderWay { .. } => true,
            Lookup::Kept { at, .. } => now.saturating_since(*at) < KEPT,
        });
        match self.by_name.get_mut(endpoint) {
            Some(Lookup::UnderWay { .. }) => None,
            Some(Lookup::Kept { addresses, .. }) => {
                let addresses = std::mem::take(addresses);
                self.by_name.remove(endpoint);
                Some(addresses)
            }
            None => {
                let _task = tasks.spawn(resolve(tasks.runtime().clone(), Arc::clone(endpoint), tasks.events()));
                self.by_name.insert(Arc::clone(endpoint), Lookup::UnderWay { _task });
                None
            }
        }
    }

    /// Notes that a lookup has ended.
    pub(crate) fn end(&mut self, endpoint: &str) {
        self.by_name.remove(endpoint);
    }

    /// Keeps the result of a lookup that no dial is waiting for.
    pub(crate) fn keep(&mut self, now: Instant, endpoint: Arc<str>, addresses: Vec<SocketAddr>) {
        self.by_name.insert(endpoint, Lookup::Kept { at: now, addresses });
    }
}

async fn resolve<R: Runtime>(runtime: R, endpoint: Arc<str>, events: Events<R>) {
    let result = runtime.resolve(&endpoint).await;
    let result = result.map_err(|e| format!("cannot look up the name: {e}").into());
    // An actor that has ended needs no addresses.
    let _ = events.send(Event::Resolved { endpoint, result }).await;
}
