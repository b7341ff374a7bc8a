//! The owners of the route table's ids. The table knows origins and subscribers by numbers only; the node knows which connection or
//! configured server each one stands for.
//!
//! Invariant: an id that the table has given out and not taken back has exactly the owner that was set for it last.

use alloc::vec::Vec;

use crate::rib::{OriginId, SubscriberId};
use crate::{Announcer, ConnId};

/// The announcer behind each origin.
#[derive(Debug)]
pub(super) struct Origins(Vec<Announcer>);

impl Origins {
    /// Starts with the node itself.
    pub(super) fn new() -> Self {
        let mut origins = Self(Vec::new());
        origins.set(OriginId::LOCAL, Announcer::Local);
        origins
    }

    /// Notes who an origin is.
    pub(super) fn set(&mut self, origin: OriginId, announcer: Announcer) {
        if self.0.len() <= origin.index() {
            self.0.resize(origin.index() + 1, Announcer::Departed);
        }
        self.0[origin.index()] = announcer;
    }

    /// Returns who an origin is.
    pub(super) fn get(&self, origin: OriginId) -> Announcer {
        self.0.get(origin.index()).copied().unwrap_or(Announcer::Departed)
    }
}

/// The connection of each subscriber of one table.
#[derive(Default, Debug)]
pub(super) struct Subscribers(Vec<Option<ConnId>>);

impl Subscribers {
    /// Notes the connection of a new subscriber.
    pub(super) fn set(&mut self, subscriber: SubscriberId, conn: ConnId) {
        if self.0.len() <= subscriber.index() {
            self.0.resize(subscriber.index() + 1, None);
        }
        self.0[subscriber.index()] = Some(conn);
    }

    /// Returns the connection that a subscriber belongs to.
    pub(super) fn get(&self, subscriber: SubscriberId) -> Option<ConnId> {
        self.0.get(subscriber.index()).copied().flatten()
    }
}
