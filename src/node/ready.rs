//! Connections that may have something to send, in the order in which they became ready.
//!
//! Invariant: a connection is in the queue at most once, and is not added while a transmit of it is in flight. Each connection keeps
//! its own part of the state, a [`Turn`].

use alloc::collections::VecDeque;

use crate::ConnId;

/// The queue of ready connections.
#[derive(Debug, Default)]
pub(super) struct Ready(VecDeque<ConnId>);

/// Whether a connection is in the queue, and whether a transmit of it is in flight.
#[derive(Debug, Default)]
pub(super) struct Turn {
    is_queued: bool,
    is_in_flight: bool,
}

impl Ready {
    /// Adds a connection, unless it is there or waits for [`Input::Sent`](crate::Input::Sent).
    pub(super) fn add(&mut self, id: ConnId, turn: &mut Turn) {
        if !turn.is_in_flight && !turn.is_queued {
            turn.is_queued = true;
            self.0.push_back(id);
        }
    }

    /// Takes the first connection out. Its owner calls [`Turn::begin`], if the connection still exists.
    pub(super) fn pop(&mut self) -> Option<ConnId> {
        self.0.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Turn {
    /// Notes that the connection was taken out of the queue.
    pub(super) fn begin(&mut self) {
        self.is_queued = false;
    }

    /// Notes that a transmit was handed out.
    pub(super) fn sending(&mut self) {
        self.is_in_flight = true;
    }

    /// Notes that the transmit was written.
    pub(super) fn sent(&mut self) {
        self.is_in_flight = false;
    }
}
