//! A dialled connection: what every connection has, the configured server that it is to, and from ESTABLISHED on the session with it.
//!
//! Invariant: `upstream` is there exactly from ESTABLISHED on.

use alloc::boxed::Box;

use super::super::conn::Conn;
use super::upstream::{Taken, Upstream};
use crate::rib::Rib;
use crate::session::Step;
use crate::{CloseReason, PeerId};

#[derive(Debug)]
pub(super) struct Dialled {
    conn: Conn,
    peer: PeerId,
    upstream: Option<Box<Upstream>>,
}

impl Dialled {
    pub(super) fn new(conn: Conn, peer: PeerId) -> Self {
        Self { conn, peer, upstream: None }
    }

    pub(super) fn conn(&self) -> &Conn {
        &self.conn
    }

    pub(super) fn conn_mut(&mut self) -> &mut Conn {
        &mut self.conn
    }

    pub(super) fn peer(&self) -> PeerId {
        self.peer
    }

    pub(super) fn upstream(&self) -> Option<&Upstream> {
        self.upstream.as_deref()
    }

    /// Returns the session together with the connection.
    pub(super) fn upstream_mut(&mut self) -> (Option<&mut Upstream>, &mut Conn) {
        (self.upstream.as_deref_mut(), &mut self.conn)
    }

    /// Returns the session, if there was one, of a connection that has ended.
    pub(super) fn into_upstream(self) -> Option<Upstream> {
        self.upstream.map(|upstream| *upstream)
    }

    /// Notes that the session is ESTABLISHED.
    pub(super) fn open(&mut self, upstream: Upstream) {
        self.upstream = Some(Box::new(upstream));
    }

    /// Carries out UPDATEs from `input` up to the first message that is something else, and returns what follows from that one. `None`: all of
    /// `input` is taken.
    ///
    /// # Errors
    /// If a message is not valid, or may not come now. The connection is to be closed.
    pub(super) fn receive(&mut self, rib: &mut Rib, input: &mut &[u8]) -> Result<Option<Step>, CloseReason> {
        let Self { conn, upstream, .. } = self;
        let upstream = upstream.as_deref();
        conn.receive(input, |counters, update| {
            if let Some(upstream) = upstream
                && upstream.update(rib, update) == Taken::Unasked
            {
                counters.unsubscribed_updates += 1;
            }
        })
    }
}
