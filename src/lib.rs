//! Route distribution for virtual networks.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod config;
mod error;
mod node;
mod rib;
mod session;
mod time;
mod types;
pub mod wire;

pub use config::{Config, ConfigError, Pacing};
pub use error::{ApiMisuse, CloseReason, DecodeError, MessageType, PeerMisbehaved, SessionState, TransportEnd};
pub use node::{
    Action, Actions, Close, Command, Counters, Input, Node, Peer, PeerInfo, Reply, RouteChange, SessionInfo,
    Transition, Transmit, TransmitMode,
};
pub use time::Instant;
pub use types::{ConnId, NextHop, NextHopKind, ParsePrefixError, PeerId, Prefix, PrefixLengthError, Route, Vni};
