//! The bounds: of one turn of the actor, of the queues towards it and from it, and of the waits around it.

use std::time::Duration;

use metalbond::RouteChange;

/// Messages that the actor's mailbox holds. As many as one turn takes: more would only be older when they are read,
/// and each may hold [`READ`] bytes (4 MiB in all). A full mailbox stops the readers, and TCP tells the sender.
pub const MAILBOX: usize = 256;

/// Bytes of one read.
pub const READ: usize = 16 * 1024;

/// Commands that one message carries; larger sets are sent in several.
pub const BATCH: usize = 1024;

/// Next hops at which a message with route changes to the embedder is full.
const CHANGES_BATCH: usize = 256;

/// Messages with route changes that wait for the embedder at most; then the node keeps (and merges) what follows.
pub const CHANGES: usize = 16;

/// How long a closing connection is read for the sake of what is still under way to the peer.
pub const DRAIN: Duration = Duration::from_secs(1);

/// Closing connections that are read at a time. What is refused beyond them is closed at once, and may not hear why.
pub const DRAINS: usize = 256;

/// How long the handshakes of TLS may take of a turn: none is begun behind that.
pub const HANDSHAKES: Duration = Duration::from_millis(1);

/// How long the last connections may drain after the node's own
/// [`shutdown_timeout`](metalbond::Config::shutdown_timeout). With its default, a shutdown takes under a second.
pub const SHUTDOWN_MARGIN: Duration = Duration::from_millis(150);

/// How long the end of a node waits for the last lines of its recording to be written.
pub const LAST_LINES: Duration = Duration::from_secs(1);

/// The longest [`shutdown_timeout`](metalbond::Config::shutdown_timeout) that counts: a day.
pub const SHUTDOWN_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a listener waits when the system cannot accept (out of descriptors, say): the backlog stays in the kernel.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What one phase of a turn may still do. At least one thing is always done, then it stops as soon as a limit is
/// reached; the rest waits for the next turn.
#[derive(Debug)]
pub struct Budget {
    items: usize,
    bytes: usize,
}

impl Budget {
    /// For messages in: a mailbox full, or 1 MiB received. Decoding that takes a few milliseconds.
    pub const fn messages() -> Self {
        Self { items: MAILBOX, bytes: 1024 * 1024 }
    }

    /// For writes: 1,024 connections served, or 4 MiB copied to the kernel.
    pub const fn transmits() -> Self {
        Self { items: 1024, bytes: 4 * 1024 * 1024 }
    }

    /// For steps of TLS handshakes. With P-256 keys at both ends, a server's first takes 0.2 ms and its second 0.4 ms.
    pub const fn handshakes() -> Self {
        Self { items: 4, bytes: usize::MAX }
    }

    /// For messages of route changes: all that the stream holds, once.
    pub const fn changes() -> Self {
        Self { items: CHANGES, bytes: usize::MAX }
    }

    /// Whether there is some left.
    pub const fn is_left(&self) -> bool {
        self.items > 0 && self.bytes > 0
    }

    /// One thing was done; it had this many bytes.
    pub const fn spend(&mut self, bytes: usize) {
        self.items = self.items.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// The next message for the embedder, and whether that was all. A destination's next hops are never parted: what they
/// are in number beyond 256, the message has more.
pub fn change_batch(mut poll_change: impl FnMut() -> Option<RouteChange>) -> (Vec<RouteChange>, bool) {
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
    fn a_message_is_full_by_next_hops_and_keeps_a_destination_whole() {
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
        (1..MAILBOX).for_each(|_| by_items.spend(0));
        assert!(by_items.is_left());
        by_items.spend(0);
        assert!(!by_items.is_left());

        let mut by_bytes = Budget::messages();
        by_bytes.spend(2 * 1024 * 1024);
        assert!(!by_bytes.is_left());
    }
}
