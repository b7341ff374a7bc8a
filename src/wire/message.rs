//! The typed messages. Decoding decides, here and nowhere else, which frame is a message, is skipped, is dropped, or ends the
//! session (docs/wire.md, 'A session').

use core::fmt;
use core::net::IpAddr;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message as _;

use super::update::{self, Update};
use super::{Frame, HEADER_LEN, VERSION, proto};
use crate::{DecodeError, Martian, MessageType, Vni};

/// A message of the MetalBond protocol: docs/wire.md has their fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// Opens a session.
    Hello(Hello),
    /// Shows that the sender is alive.
    Keepalive,
    /// Requests the routes of a VNI.
    Subscribe(Vni),
    /// Ends a subscription.
    Unsubscribe(Vni),
    /// Adds or removes a route.
    Update(Update),
}

/// The content of a HELLO: the properties of a node, which it sends when a session opens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hello {
    /// The proposed KEEPALIVE interval, in seconds, from 1.
    pub keepalive: u32,
    /// Whether the node listens.
    pub is_server: bool,
    /// Capability bit 0, `ordered`: the node reassembles frames, processes messages strictly in order, and answers a KEEPALIVE
    /// after the initial sync of every SUBSCRIBE before it.
    pub ordered: bool,
    /// Capability bit 1: the server is converging, so its table may be incomplete.
    pub converging: bool,
    /// The restart time, in seconds. From a client: the time that it requests. From a server: the time that it grants, at most as long as
    /// requested. 0: none is requested or granted.
    pub restart_time: u32,
}

/// The result of decoding a frame: a message, or why the frame is skipped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decoded {
    /// A message.
    Message(Message),
    /// A frame of an unknown type, which is skipped.
    Unknown(u8),
    /// An UPDATE whose protobuf is valid but whose route is not. It is dropped, and never advertised.
    InvalidUpdate(InvalidUpdate),
}

/// Why the route of an UPDATE is not valid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum InvalidUpdate {
    /// An action that is neither ADD nor REMOVE.
    Action(i32),
    /// A destination of neither 4 nor 16 bytes.
    PrefixBytes(usize),
    /// A prefix length over 32 (IPv4) or 128 (IPv6).
    PrefixLength(u32),
    /// A next hop of neither 4 nor 16 bytes.
    AddressBytes(usize),
    /// An unknown type of next hop.
    Kind(i32),
    /// A port over 65,535.
    Port(u32),
    /// A next hop to which no packet can be sent, and the reason.
    Martian(IpAddr, Martian),
}

impl fmt::Display for InvalidUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Action(n) => write!(f, "action {n}"),
            Self::PrefixBytes(n) => write!(f, "destination of {n} bytes"),
            Self::PrefixLength(n) => write!(f, "prefix length {n}"),
            Self::AddressBytes(n) => write!(f, "next hop of {n} bytes"),
            Self::Kind(n) => write!(f, "next hop of type {n}"),
            Self::Port(n) => write!(f, "port {n}"),
            Self::Martian(addr, why) => write!(f, "next hop {addr}, {why}"),
        }
    }
}

impl Message {
    /// Decodes a frame.
    ///
    /// # Errors
    /// If its type is known and its payload cannot be decoded. A node closes the session then.
    #[inline(always)]
    pub fn decode(frame: Frame<'_>) -> Result<Decoded, DecodeError> {
        let subscription = |kind| {
            proto::Subscription::decode(frame.payload).map(|s| Vni(s.vni)).map_err(|_| DecodeError::Protobuf(kind))
        };
        Ok(Decoded::Message(match frame.kind {
            1 => Self::Hello(Hello::decode(frame.payload)?),
            2 => Self::Keepalive,
            3 => Self::Subscribe(subscription(MessageType::Subscribe)?),
            4 => Self::Unsubscribe(subscription(MessageType::Unsubscribe)?),
            5 => return update::decode(frame.payload),
            other => return Ok(Decoded::Unknown(other)),
        }))
    }

    /// Returns the message's type.
    pub const fn kind(&self) -> MessageType {
        match self {
            Self::Hello(_) => MessageType::Hello,
            Self::Keepalive => MessageType::Keepalive,
            Self::Subscribe(_) => MessageType::Subscribe,
            Self::Unsubscribe(_) => MessageType::Unsubscribe,
            Self::Update(_) => MessageType::Update,
        }
    }
}

const ORDERED: u32 = 1 << 0;
const CONVERGING: u32 = 1 << 1;

impl Hello {
    fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let hello = proto::Hello::decode(payload).map_err(|_| DecodeError::Protobuf(MessageType::Hello))?;
        if hello.keepalive_interval == 0 {
            return Err(DecodeError::ZeroKeepalive);
        }
        Ok(Self {
            keepalive: hello.keepalive_interval,
            is_server: hello.is_server,
            ordered: hello.capabilities & ORDERED != 0,
            converging: hello.capabilities & CONVERGING != 0,
            restart_time: hello.restart_time,
        })
    }

    /// Returns the frame of a HELLO.
    pub fn encode(&self) -> Bytes {
        let flag = |on, bit| if on { bit } else { 0 };
        let hello = proto::Hello {
            keepalive_interval: self.keepalive,
            is_server: self.is_server,
            capabilities: flag(self.ordered, ORDERED) | flag(self.converging, CONVERGING),
            restart_time: self.restart_time,
        };
        // At most 22 bytes: four fields of at most 5 bytes and their tags.
        let len = hello.encoded_len() as u8;
        let mut frame = BytesMut::with_capacity(HEADER_LEN + usize::from(len));
        frame.put_slice(&[VERSION, 0, len, MessageType::Hello as u8]);
        hello.encode_raw(&mut frame);
        frame.freeze()
    }
}
