//! The application's own subscriptions: when it has to call [`poll_change`](super::Node::poll_change) again.
//!
//! Invariant: `is_unfinished` is set only if the last [`poll_change`](super::Node::poll_change) ran out of budget.

use crate::RouteChange;
use crate::rib::Rib;

/// Destinations and next hops that one call looks at; the last destination may add some more.
const STEPS: usize = 65_536;

#[derive(Debug, Default)]
pub(super) struct Changes {
    is_unfinished: bool,
}

impl Changes {
    /// Returns the next change. `None`: there is none, or the budget of one call is spent.
    pub(super) fn next(&mut self, rib: &mut Rib) -> Option<RouteChange> {
        let mut steps = STEPS;
        let change = rib.next_change(&mut steps);
        self.is_unfinished = change.is_none() && steps == 0;
        change
    }

    /// Returns whether the last call ran out of budget: the next one may find a change.
    pub(super) fn is_unfinished(&self) -> bool {
        self.is_unfinished
    }

    /// Notes that the application stopped calling. It calls again when it has room.
    pub(super) fn pause(&mut self) {
        self.is_unfinished = false;
    }
}
