//! How many peers are in which state, so that monitoring need not visit every session. Counted from the transitions that the node reports: each
//! change of a state is reported exactly once.

use super::{Action, Transition};
use crate::SessionState;

/// The number of peers in each state: accepted connections, and configured servers over all their connections.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct States([usize; 6]);

impl States {
    /// Returns the number of peers in a state.
    pub(super) const fn get(&self, state: SessionState) -> usize {
        self.0[state as usize]
    }

    /// Notes a new accepted connection, of which no transition is reported.
    pub(super) fn accepted(&mut self) {
        self.0[SessionState::Connecting as usize] += 1;
    }

    /// Notes the transitions among actions. None of them may be of a connection that was refused.
    pub(super) fn note(&mut self, actions: &[Action]) {
        for action in actions {
            if let Action::State(transition) = action {
                self.transition(transition);
            }
        }
    }

    fn transition(&mut self, transition: &Transition) {
        // A peer that is not yet added, or that is removed, is in CLOSED.
        let [old, new] = [transition.old, transition.new].map(|state| state as usize);
        if transition.old != SessionState::Closed {
            self.0[old] = self.0[old].saturating_sub(1);
        }
        if transition.new != SessionState::Closed {
            self.0[new] += 1;
        }
    }
}
