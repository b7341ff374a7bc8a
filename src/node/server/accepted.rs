//! An accepted connection: what every connection has, and what a client has beside it: permission, origin and outbound routes.
//!
//! Invariant: the origin and the outbound routes are there from ESTABLISHED on, both or none. `free_origin` is the origin unless there is a
//! permit to ask.

use super::super::Counters;
use super::super::conn::Conn;
use super::outbound::Outbound;
use super::permits::{NotPermitted, Permission};
use crate::rib::{OriginId, Rib};
use crate::session::Step;
use crate::wire::{Update, UpdateAction};
use crate::{CloseReason, Permit, Policy};

#[derive(Debug)]
pub(super) struct Accepted {
    conn: Conn,
    permission: Permission,
    origin: Option<OriginId>,
    free_origin: Option<OriginId>,
    outbound: Option<Outbound>,
}

impl Accepted {
    pub(super) fn new(conn: Conn) -> Self {
        Self { conn, permission: Permission::default(), origin: None, free_origin: None, outbound: None }
    }

    pub(super) fn conn(&self) -> &Conn {
        &self.conn
    }

    pub(super) fn conn_mut(&mut self) -> &mut Conn {
        &mut self.conn
    }

    pub(super) fn permission(&self) -> &Permission {
        &self.permission
    }

    /// Returns the permission together with the connection.
    pub(super) fn permission_mut(&mut self) -> (&mut Permission, &mut Conn) {
        (&mut self.permission, &mut self.conn)
    }

    pub(super) fn origin(&self) -> Option<OriginId> {
        self.origin
    }

    pub(super) fn outbound(&self) -> Option<&Outbound> {
        self.outbound.as_ref()
    }

    /// Returns the outbound routes together with the connection.
    pub(super) fn outbound_mut(&mut self) -> (Option<&mut Outbound>, &mut Conn) {
        (self.outbound.as_mut(), &mut self.conn)
    }

    /// Brings the permission up to date with the policy of this number. Returns the permit before.
    ///
    /// # Errors
    /// If the policy permits nothing to this client.
    pub(super) fn renew_permit(
        &mut self,
        number: u32,
        policy: Option<&Policy>,
    ) -> Result<Option<Permit>, NotPermitted> {
        let renewed = self.permission.renew(number, policy, &self.conn);
        self.set_free_origin();
        renewed
    }

    /// Notes that the session is ESTABLISHED.
    pub(super) fn open(&mut self, origin: OriginId, outbound: Outbound) {
        (self.origin, self.outbound) = (Some(origin), Some(outbound));
        self.set_free_origin();
    }

    fn set_free_origin(&mut self) {
        self.free_origin = self.origin.filter(|_| self.permission.permit().is_none());
    }

    /// Carries out UPDATEs from `input` up to the first message that is something else, and returns what follows from that one. `None`: all of
    /// `input` is taken.
    ///
    /// # Errors
    /// If a message is not valid, or may not come now. The connection is to be closed.
    pub(super) fn receive(&mut self, rib: &mut Rib, input: &mut &[u8]) -> Result<Option<Step>, CloseReason> {
        let Self { conn, permission, origin, free_origin, .. } = self;
        // The same test shows whether there is a policy and whether there is an origin, which has to be known anyway.
        conn.receive(input, |counters, update| match *free_origin {
            Some(origin) => carry_out(rib, origin, update),
            None => carry_out_by_rule(rib, *origin, permission, counters, update),
        })
    }
}

#[inline(never)]
fn carry_out_by_rule(
    rib: &mut Rib,
    origin: Option<OriginId>,
    permission: &mut Permission,
    counters: &mut Counters,
    update: &Update,
) {
    let Some(origin) = origin else { return };
    // A withdrawal is always permitted.
    if update.action == UpdateAction::Add && !permission.announce(&update.route) {
        counters.refused_routes += 1;
        return;
    }
    carry_out(rib, origin, update);
}

/// Inlined in both of its places, because one of them is the hottest of the node.
#[inline(always)]
fn carry_out(rib: &mut Rib, origin: OriginId, update: &Update) {
    match update.action {
        UpdateAction::Add => rib.announce(origin, &update.route),
        UpdateAction::Remove => rib.withdraw(origin, &update.route),
    };
}
