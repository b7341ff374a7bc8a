//! The limits of the driver: on one iteration of the actor's loop, on the queues towards the actor and from it, and on waiting.

use std::time::Duration;

use metalbond::RouteChange;

/// The most events in the actor's mailbox: as many as one iteration takes, because more would only wait longer. Each event may have
/// [`READ`] bytes, 4 MiB in all. When the mailbox is full, readers stop, and TCP flow control stops the peers.
pub(crate) const EVENTS: usize = 256;

/// The most requests in the actor's mailbox. Most callers wait for an answer before the next request, and one request has many commands.
pub(crate) const REQUESTS: usize = 64;

/// The most bytes that one read takes from a connection.
pub(crate) const READ: usize = 16 * 1024;

/// The most commands in one request. Larger sets take several requests.
pub(crate) const BATCH: usize = 1024;

/// The number of peers or tables that one request visits, which takes about 0.1 ms.
pub(crate) const PIECE: usize = 256;

/// The number of next hops at which a batch of route changes is full.
const CHANGES_BATCH: usize = 256;

/// The most batches of route changes that wait for the application. Further changes stay in the node, where changes of one destination
/// merge.
pub(crate) const CHANGES: usize = 16;

/// How long a closed connection lingers. It is read until then, because closing it with unread input would reset it and destroy bytes on
/// their way to the peer.
pub(crate) const DRAIN: Duration = Duration::from_secs(1);

/// The most closed connections that linger at a time. A connection that the node refuses beyond this number is closed at once, and its peer
/// may not receive the reason.
pub(crate) const DRAINS: usize = 256;

/// The time in one iteration after which no further step of a TLS handshake begins.
pub(crate) const HANDSHAKES: Duration = Duration::from_millis(1);

/// How long the last connections may linger after the node's own
/// [`shutdown_timeout`](metalbond::Config::shutdown_timeout). With its default, a shutdown takes less than a second.
pub(crate) const SHUTDOWN_MARGIN: Duration = Duration::from_millis(150);

/// How long the end of a node waits until the last lines of its recording are written.
pub(crate) const LAST_LINES: Duration = Duration::from_secs(1);

/// The longest [`shutdown_timeout`](metalbond::Config::shutdown_timeout) that counts: a day.
pub(crate) const SHUTDOWN_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a listener waits when the system cannot accept a connection, for example without a free descriptor. New connections wait in the
/// kernel.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The remaining work that one part of an iteration may do. A part does at least one thing, and stops when a limit is reached; the rest
/// waits for the next iteration.
#[derive(Debug)]
pub(crate) struct Budget {
    items: usize,
    bytes: usize,
}

impl Budget {
    /// Returns the budget for messages to the actor: 256 of them, or 1 MiB of received bytes, which takes a few milliseconds to decode.
    pub(crate) const fn messages() -> Self {
        Self { items: EVENTS, bytes: 1024 * 1024 }
    }

    /// Returns the budget for writes: to 1,024 connections, or 4 MiB copied to the kernel.
    pub(crate) const fn transmits() -> Self {
        Self { items: 1024, bytes: 4 * 1024 * 1024 }
    }

    /// Returns the budget for steps of TLS handshakes. With P-256 keys at both ends, a server's first step takes 0.2 ms and its second 0.4
    /// ms.
    pub(crate) const fn handshakes() -> Self {
        Self { items: 4, bytes: usize::MAX }
    }

    /// Returns the budget for batches of route changes: as many as fit into the stream.
    pub(crate) const fn changes() -> Self {
        Self { items: CHANGES, bytes: usize::MAX }
    }

    pub(crate) const fn is_left(&self) -> bool {
        self.items > 0 && self.bytes > 0
    }

    /// Counts one thing that was done, with its size in bytes.
    pub(crate) const fn spend(&mut self, bytes: usize) {
        self.items = self.items.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// Returns the next batch of changes for the application, and whether there are no more. All next hops of a destination are in one batch,
/// so a destination with more than 256 of them makes the batch larger.
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
