//! Connections that may have something to send, in the order in which they became ready.
//!
//! Invariant: a connection is in the queue at most once, and is not added while a transmit of it is in flight. Each connection keeps
//! its own part of the state, its [`Progress`].

use alloc::collections::VecDeque;

use crate::ConnId;

/// The queue of ready connections.
#[derive(Debug, Default)]
pub(super) struct Ready(VecDeque<ConnId>);

/// Whether a connection is in the queue, and whether a transmit of it is in flight.
#[derive(Debug, Default)]
pub(super) struct Progress {
    is_queued: bool,
    is_in_flight: bool,
}

impl Ready {
    /// Adds a connection, unless it is there or waits for [`Input::Sent`](crate::Input::Sent).
    pub(super) fn add(&mut self, id: ConnId, progress: &mut Progress) {
        if !progress.is_in_flight && !progress.is_queued {
            progress.is_queued = true;
            self.0.push_back(id);
        }
    }

    /// Takes the first connection out. Its owner calls [`Progress::begin`], if the connection still exists.
    pub(super) fn pop(&mut self) -> Option<ConnId> {
        self.0.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Progress {
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
