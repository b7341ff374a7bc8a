//! The node: sessions, route table and configured peers behind `handle_input` and the `poll_*`.

mod info;
mod input;
mod output;

use core::marker::PhantomData;

pub use info::{Counters, PeerInfo, SessionInfo};
pub use input::{Command, Input};
pub use output::{Action, Actions, Close, Peer, Reply, RouteChange, Transition, Transmit, TransmitMode};

use crate::{Config, ConfigError, Instant, PeerId, Route, SessionState, Vni};

/// STUB: interface only
#[derive(Debug)]
pub struct Node(PhantomData<()>);

#[allow(missing_docs, unused_variables)]
impl Node {
    pub fn new(config: Config, now: Instant) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self(PhantomData))
    }
    /// one event in, control actions out
    pub fn handle_input(&mut self, now: Instant, input: Input) -> Actions {
        unimplemented!()
    }
    /// drain at the end of each turn
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        unimplemented!()
    }
    /// drain (as far as the embedder has room) at the end of each turn
    pub fn poll_change(&mut self) -> Option<RouteChange> {
        unimplemented!()
    }
    /// when to feed `Tick`; `<= now` while work is left
    pub fn poll_timeout(&self) -> Option<Instant> {
        unimplemented!()
    }
    pub fn config(&self) -> &Config {
        unimplemented!()
    }
    /// state of a configured peer
    pub fn peer_state(&self, peer: PeerId) -> Option<SessionState> {
        unimplemented!()
    }
    pub fn peers(&self) -> impl Iterator<Item = PeerInfo> + '_ {
        core::iter::empty()
    }
    pub fn sessions(&self) -> impl Iterator<Item = SessionInfo> + '_ {
        core::iter::empty()
    }
    pub fn is_subscribed(&self, vni: Vni) -> bool {
        unimplemented!()
    }
    pub fn subscribed_vnis(&self) -> impl Iterator<Item = Vni> + '_ {
        core::iter::empty()
    }
    pub fn is_announced(&self, route: &Route) -> bool {
        unimplemented!()
    }
    pub fn announcements(&self) -> impl Iterator<Item = Route> + '_ {
        core::iter::empty()
    }
    /// the VNIs of which the table holds a route
    pub fn vnis(&self) -> impl Iterator<Item = Vni> + '_ {
        core::iter::empty()
    }
    /// every route of a VNI that somebody, this node included, announces
    pub fn routes(&self, vni: Vni) -> impl Iterator<Item = Route> + '_ {
        core::iter::empty()
    }
    /// the routes of a VNI as `poll_change` tells them: those of others that this node doesn't announce itself
    pub fn learned(&self, vni: Vni) -> impl Iterator<Item = Route> + '_ {
        core::iter::empty()
    }
}
