//! Sums over all connections since the node began, kept while it runs: to read them costs the same with any number of connections.
//!
//! Invariant: between two inputs, `total` is the sum of the counters of all connections, those that have ended included.

use alloc::collections::BTreeMap;

use super::Counters;
use crate::{CloseKind, CloseReason};

#[derive(Debug, Default)]
pub(super) struct Statistics {
    total: Counters,
    /// Connections that ended or were refused, by reason.
    closed: BTreeMap<CloseKind, u64>,
}

impl Statistics {
    /// Adds what was counted on a connection since the last call for it.
    pub(super) fn add(&mut self, recent: &Counters) {
        self.total.add(recent);
    }

    /// Counts routes of departed clients that the policy refuses.
    pub(super) fn refused_retained(&mut self, routes: u64) {
        self.total.denied_routes += routes;
    }

    /// Counts a connection that ended or was refused, or a restart time that ended early.
    pub(super) fn closed(&mut self, reason: &CloseReason) {
        *self.closed.entry(reason.kind()).or_default() += 1;
    }

    pub(super) fn total(&self) -> Counters {
        self.total
    }

    /// Returns how many connections ended, by reason, without those of which there are none.
    pub(super) fn by_reason(&self) -> impl Iterator<Item = (CloseKind, u64)> + '_ {
        self.closed.iter().map(|(&kind, &count)| (kind, count))
    }
}
