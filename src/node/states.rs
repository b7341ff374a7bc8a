//! How many peers are in which state, so that monitoring need not visit every session.
//!
//! Invariant: a state's number is that of the accepted connections, and of the configured servers, which were last moved to it.

use crate::SessionState;

/// The number of peers in each state but CLOSED: a peer that is not there is in CLOSED.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct States([usize; SessionState::ALL.len()]);

impl States {
    /// Returns the number of peers in a state.
    pub(super) const fn get(&self, state: SessionState) -> usize {
        self.0[state as usize]
    }

    /// Notes that a peer moves from one state to another.
    pub(super) fn move_to(&mut self, old: SessionState, new: SessionState) {
        if old != SessionState::Closed {
            self.0[old as usize] -= 1;
        }
        if new != SessionState::Closed {
            self.0[new as usize] += 1;
        }
    }
}
