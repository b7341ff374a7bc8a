//! The wire format: frames, protobuf, typed messages. No other module knows bytes, or which deviations are tolerated.
//!
//! An application does not need this module. It is public for tools that read or make the bytes of a connection: `metalbond replay`, test
//! peers, benchmarks and fuzzers.
//!
//! A frame is `version 1 | payload length, big endian u16 | type | payload`. `docs/wire.md` of the repository describes the format. Pure: no
//! I/O.

mod encode;
mod frame;
mod message;
mod proto;
mod update;

pub(crate) use encode::{ENCODE_ROOM, encode_route};
pub use encode::{MAX_SUBSCRIPTION, MAX_UPDATE, encode_subscription, encode_update, keepalive};
pub use frame::{Deframer, Frame};
pub use message::{Decoded, Hello, InvalidUpdate, Message};
pub use update::{Update, UpdateAction};

/// The protocol version of every frame.
pub(crate) const VERSION: u8 = 1;
/// The length of a frame's header, in bytes.
pub(crate) const HEADER_LEN: usize = 4;
/// The length of the longest payload, in bytes.
pub const MAX_PAYLOAD: usize = 1188;
/// The length of the longest frame, in bytes.
pub const MAX_FRAME: usize = HEADER_LEN + MAX_PAYLOAD;
