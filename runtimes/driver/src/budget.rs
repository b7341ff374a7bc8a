//! The limits of the driver: on one iteration of the actor's loop, on the queues towards the actor and from it, and on waiting.

use std::time::Duration;

use metalbond::RouteChange;

/// Events that the actor's mailbox holds: as many as one iteration takes, because more would only wait longer. Each may hold
/// [`READ`] bytes, 4 MiB in all. When the mailbox is full, readers stop, and TCP stops the peers.
pub(crate) const EVENTS: usize = 256;

/// Requests that the actor's mailbox holds. Most callers wait for an answer before the next request, and one request carries many commands.
pub(crate) const REQUESTS: usize = 64;

/// The most bytes that one read takes from a connection.
pub(crate) const READ: usize = 16 * 1024;

/// The most commands in one request; larger sets are sent in several.
pub(crate) const BATCH: usize = 1024;

/// Peers or tables that are looked at in one request: some 0.1 ms.
pub(crate) const PIECE: usize = 256;

/// The number of next hops at which a batch of route changes is full.
const CHANGES_BATCH: usize = 256;

/// The most batches of route changes that wait for the application. What follows stays in the node, where changes of one
/// destination merge.
pub(crate) const CHANGES: usize = 16;

/// How long a closed connection lingers: until then it is read, because closing it with unread input would reset it and destroy what is
/// on the way to the peer.
pub(crate) const DRAIN: Duration = Duration::from_secs(1);

/// The most closed connections that linger at a time. Those that the node refuses beyond this number are closed at once, and may not receive
/// the reason.
pub(crate) const DRAINS: usize = 256;

/// How long one iteration may spend on TLS handshakes: no step begins after that.
pub(crate) const HANDSHAKES: Duration = Duration::from_millis(1);

/// How long the last connections may linger after the node's own
/// [`shutdown_timeout`](metalbond::Config::shutdown_timeout). With its default, a shutdown takes less than a second.
pub(crate) const SHUTDOWN_MARGIN: Duration = Duration::from_millis(150);

/// How long the end of a node waits until the last lines of its recording are written.
pub(crate) const LAST_LINES: Duration = Duration::from_secs(1);

/// The longest [`shutdown_timeout`](metalbond::Config::shutdown_timeout) that counts: a day.
pub(crate) const SHUTDOWN_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a listener waits when the system cannot accept, because it is out of descriptors for example. Connections wait in the kernel
/// meanwhile.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is left of the work that one part of an iteration may do. It does one thing at least, and stops as soon as a limit is
/// reached; the rest waits for the next iteration.
#[derive(Debug)]
pub(crate) struct Budget {
    items: usize,
    bytes: usize,
}

impl Budget {
    /// For messages to the actor: as many as 256, or 1 MiB received, which takes a few milliseconds to decode.
    pub(crate) const fn messages() -> Self {
        Self { items: EVENTS, bytes: 1024 * 1024 }
    }

    /// For writes: to 1,024 connections, or 4 MiB copied to the kernel.
    pub(crate) const fn transmits() -> Self {
        Self { items: 1024, bytes: 4 * 1024 * 1024 }
    }

    /// For steps of TLS handshakes. With P-256 keys at both ends, the first step of a server takes 0.2 ms and the second 0.4 ms.
    pub(crate) const fn handshakes() -> Self {
        Self { items: 4, bytes: usize::MAX }
    }

    /// For batches of route changes: as many as the stream holds.
    pub(crate) const fn changes() -> Self {
        Self { items: CHANGES, bytes: usize::MAX }
    }

    pub(crate) const fn is_left(&self) -> bool {
        self.items > 0 && self.bytes > 0
    }

    /// Notes that one thing was done, of so many bytes.
    pub(crate) const fn spend(&mut self, bytes: usize) {
        self.items = self.items.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// Returns the next batch of changes for the application, and whether there are no more. A destination's next hops stay together: where they
/// are more than 256, the batch has more.
pub(crate) fn change_batch(mut poll_change: impl FnMut() -> Option<RouteChange>) -> (Vec<RouteChange>, bool) {
    let (mut batch, mut hops) = (Vec::new(), 0);
    while hops < CHANGES_BATCH {
        let Some(change) = poll_change() else { return (batch, true) };
        hops += change.next_hops().len() + change.removed().len();
        batch.push(change);
    }
    (batch, false)
}

#[cfg(test)]
mod tests {
    use metalbond::{NextHop, Vni};

    use super::*;

    #[test]
    fn a_batch_is_full_by_next_hops_and_keeps_a_destination_whole() {
        let change = |hops: u32| {
            let prefix = "10.0.0.0/8".parse().unwrap();
            let hops = (0..hops).map(|n| NextHop::standard(std::net::Ipv4Addr::from(n).into()));
            RouteChange::new(Vni(1), prefix, [], hops, [])
        };
        let mut changes = [200, 1000, 100, 100].map(change).into_iter();
        let sizes = |(batch, last): (Vec<RouteChange>, bool)| {
            (batch.iter().map(|change| change.next_hops().len()).collect::<Vec<_>>(), last)
        };
        assert_eq!(sizes(change_batch(|| changes.next())), (vec![200, 1000], false));
        assert_eq!(sizes(change_batch(|| changes.next())), (vec![100, 100], true));
    }

    #[test]
    fn a_budget_ends_by_items_or_by_bytes() {
        let mut by_items = Budget::messages();
        (1..EVENTS).for_each(|_| by_items.spend(0));
        assert!(by_items.is_left());
        by_items.spend(0);
        assert!(!by_items.is_left());

        let mut by_bytes = Budget::messages();
        by_bytes.spend(2 * 1024 * 1024);
        assert!(!by_bytes.is_left());
    }
}
