//! Shared parts of the benchmarks: frames, a server without sockets, the cases, the median of rounds.
#![allow(dead_code, reason = "each benchmark uses a part of it")]

pub(crate) mod calls;
pub(crate) mod case;
pub(crate) mod frames;
pub(crate) mod rounds;
pub(crate) mod server;
