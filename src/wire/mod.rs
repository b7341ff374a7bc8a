//! The wire: frames, protobuf, typed messages. The only place that knows bytes, and every leniency towards them.
//!
//! An application needs none of it. It is public for tools that read or make the bytes of a connection: `metalbond replay`, test peers,
//! benchmarks and fuzzers.
//!
//! Format: protocol.md, 'Frames'. A frame is `version 1 | payload length, big endian u16 | type | payload`.

mod encode;
mod frame;
mod message;
mod proto;
mod update;

pub use encode::{MAX_SUBSCRIPTION, MAX_UPDATE, keepalive, put_update, subscription};
pub use frame::{Deframer, Frame};
pub use message::{Decoded, Hello, Impossible, Message};
pub use update::{Update, UpdateAction};

/// The protocol version of every frame.
pub(crate) const VERSION: u8 = 1;
/// Bytes of a frame before its payload.
pub(crate) const HEADER_LEN: usize = 4;
/// The longest payload of a frame.
pub const MAX_PAYLOAD: usize = 1188;
/// The longest frame.
pub const MAX_FRAME: usize = HEADER_LEN + MAX_PAYLOAD;
