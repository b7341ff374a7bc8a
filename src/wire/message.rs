//! The typed messages, and the one place that decides what of a peer's bytes is a message, what is skipped, what is
//! dropped, and what ends the session (protocol.md, 'input | what we do').

use core::fmt;
use core::net::IpAddr;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message as _;

use super::update::{self, Update};
use super::{Frame, HEADER_LEN, VERSION, proto};
use crate::{DecodeError, Martian, MessageType, Vni};

/// A message of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// Opens a session.
    Hello(Hello),
    /// A sign of life.
    Keepalive,
    /// Asks for the routes of a VNI.
    Subscribe(Vni),
    /// Ends that.
    Unsubscribe(Vni),
    /// Adds or removes a route.
    Update(Update),
}

/// What a node says of itself when a session opens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hello {
    /// The interval of KEEPALIVE that it proposes, in seconds; at least 1.
    pub keepalive: u32,
    /// Whether it listens.
    pub is_server: bool,
    /// Capability bit 0, `ordered`: it reassembles frames, works strictly in order, and answers a KEEPALIVE after the
    /// sync of every SUBSCRIBE before it.
    pub ordered: bool,
    /// Capability bit 1, `warming`: its table may still be incomplete.
    pub warming: bool,
    /// From the dialling end: seconds for which its routes are to be retained when its process goes away. From the accepting
    /// end: seconds for which it will retain them, as many as were asked for or fewer. 0: nothing is asked, or said.
    pub restart_time: u32,
}

/// What a whole frame turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decoded {
    /// A message.
    Message(Message),
    /// A frame of a type that this version doesn't know: to be skipped.
    Unknown(u8),
    /// An UPDATE that decodes but can't be: to be dropped, and never passed on.
    Impossible(Impossible),
}

/// Why an UPDATE can't be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Impossible {
    /// An action that is neither ADD nor REMOVE.
    Action(i32),
    /// A destination of neither 4 nor 16 bytes.
    PrefixBytes(usize),
    /// A prefix length that the destination doesn't allow.
    PrefixLength(u32),
    /// A next hop of neither 4 nor 16 bytes.
    AddressBytes(usize),
    /// A type of next hop that this version doesn't know.
    Kind(i32),
    /// A port over 65,535.
    Port(u32),
    /// A next hop to which no packet can be sent, and why.
    Martian(IpAddr, Martian),
}

impl fmt::Display for Impossible {
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
    /// What `frame` is.
    ///
    /// # Errors
    /// If it is of a known type and not decodable. The session is to be ended.
    #[inline]
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

    /// The type of this message.
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
const WARMING: u32 = 1 << 1;

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
            warming: hello.capabilities & WARMING != 0,
            restart_time: hello.restart_time,
        })
    }

    /// The frame.
    pub fn encode(&self) -> Bytes {
        let flag = |on, bit| if on { bit } else { 0 };
        let hello = proto::Hello {
            keepalive_interval: self.keepalive,
            is_server: self.is_server,
            capabilities: flag(self.ordered, ORDERED) | flag(self.warming, WARMING),
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
