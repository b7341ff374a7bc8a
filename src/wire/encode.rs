//! Encoding of frames, by hand. Invariant: no encoding fails, because every value is valid by construction. Tests compare the
//! bytes with prost's.

use core::net::IpAddr;

use bytes::{Bytes, BytesMut};

use super::{HEADER_LEN, Update, UpdateAction, VERSION};
use crate::{MessageType, NextHop, NextHopKind, Prefix, Route, Vni};

/// The length of the longest SUBSCRIBE or UNSUBSCRIBE frame, in bytes: header 4, VNI 6.
pub const MAX_SUBSCRIPTION: usize = 10;
/// The length of the longest UPDATE frame, in bytes: header 4, action 2, VNI 6, destination 25, next hop 36.
pub const MAX_UPDATE: usize = 73;

/// Returns the frame of a KEEPALIVE.
pub const fn keepalive() -> Bytes {
    Bytes::from_static(&[VERSION, 0, 0, MessageType::Keepalive as u8])
}

/// Appends the frame of a SUBSCRIBE or, if not `on`, an UNSUBSCRIBE.
pub fn encode_subscription(out: &mut BytesMut, on: bool, vni: Vni) {
    let kind = if on { MessageType::Subscribe } else { MessageType::Unsubscribe };
    append(out, kind, |frame| frame.field(0x08, vni.0));
}

/// Appends the frame of an UPDATE.
pub fn encode_update(out: &mut BytesMut, update: &Update) {
    let Route { vni, prefix, next_hop } = &update.route;
    encode_route(out, update.action, *vni, prefix, next_hop);
}

/// Appends the frame of an UPDATE whose route is in parts.
pub(crate) fn encode_route(out: &mut BytesMut, action: UpdateAction, vni: Vni, prefix: &Prefix, next_hop: &NextHop) {
    append(out, MessageType::Update, |frame| {
        frame.field(0x08, action as u32);
        frame.field(0x10, vni.0);
        frame.nested(0x1a, |frame| {
            frame.field(0x08, u32::from(prefix.is_ipv6()));
            frame.octets(0x12, prefix.padded_octets(), prefix.octets().len());
            frame.field(0x18, u32::from(prefix.prefix_len()));
        });
        frame.nested(0x22, |frame| {
            match next_hop.addr {
                IpAddr::V4(v4) => frame.octets(0x0a, &(u128::from(v4.to_bits()) << 96).to_be_bytes(), 4),
                IpAddr::V6(v6) => frame.octets(0x0a, &v6.octets(), 16),
            }
            frame.field(0x10, next_hop.target_vni.0);
            match next_hop.kind {
                NextHopKind::Standard => {}
                NextHopKind::LoadBalancer => frame.field(0x18, 2),
                NextHopKind::Nat { from, to } => {
                    frame.field(0x18, 1);
                    frame.field(0x20, u32::from(from));
                    frame.field(0x28, u32::from(to));
                }
            }
        });
    });
}

/// How many bytes more than it appends [`encode_update`] needs in a buffer that is not to grow.
pub(crate) const ENCODE_ROOM: usize = ROOM;

/// The space for a frame while it is encoded: the longest frame, and 16 bytes more, because addresses are always written as 16
/// bytes. A power of two, so that no index has to be checked.
const ROOM: usize = 128;
const _: () = assert!(MAX_UPDATE + 16 <= ROOM);

/// Appends a frame with a payload of under 128 bytes. The frame is written in place: written byte by byte elsewhere and then
/// copied, it takes twice as long, because the processor waits for the bytes before it loads them as words.
#[inline(always)]
fn append(out: &mut BytesMut, kind: MessageType, payload: impl FnOnce(&mut Frame<'_>)) {
    let start = out.len();
    out.resize(start + ROOM, 0);
    let mut end = start;
    if let Some(bytes) = out[start..].first_chunk_mut() {
        let mut frame = Frame { bytes, len: HEADER_LEN };
        payload(&mut frame);
        (frame.bytes[0], frame.bytes[2], frame.bytes[3]) = (VERSION, (frame.len - HEADER_LEN) as u8, kind as u8);
        end += frame.len;
    }
    out.truncate(end);
}

/// A frame that is being encoded.
struct Frame<'a> {
    bytes: &'a mut [u8; ROOM],
    len: usize,
}

impl Frame<'_> {
    #[inline(always)]
    fn push(&mut self, byte: u8) {
        self.bytes[self.len % ROOM] = byte;
        self.len += 1;
    }

    /// Appends a tag and a varint, unless the value is zero.
    #[inline(always)]
    fn field(&mut self, tag: u8, mut value: u32) {
        if value == 0 {
            return;
        }
        self.push(tag);
        while value >= 0x80 {
            self.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.push(value as u8);
    }

    /// Appends a tag, a length and the first `len` octets.
    #[inline(always)]
    fn octets(&mut self, tag: u8, octets: &[u8; 16], len: usize) {
        self.push(tag);
        self.push(len as u8);
        if let Some(place) = self.bytes[self.len % ROOM..].first_chunk_mut() {
            *place = *octets;
        }
        self.len += len;
    }

    /// Appends a tag, a submessage's length, and the submessage.
    #[inline(always)]
    fn nested(&mut self, tag: u8, message: impl FnOnce(&mut Self)) {
        self.push(tag);
        self.push(0);
        let start = self.len;
        message(self);
        self.bytes[(start - 1) % ROOM] = (self.len - start) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::UpdateAction;
    use crate::{NextHop, Prefix};
    use core::net::Ipv6Addr;

    #[test]
    fn nothing_is_longer_than_is_said() {
        let addr = IpAddr::V6(Ipv6Addr::LOCALHOST);
        let kind = NextHopKind::Nat { from: u16::MAX, to: u16::MAX };
        let next_hop = NextHop { addr, target_vni: Vni(u32::MAX), kind };
        let route = Route { vni: Vni(u32::MAX), prefix: Prefix::new(addr, 128).unwrap(), next_hop };
        let mut longest = BytesMut::new();
        encode_update(&mut longest, &Update { action: UpdateAction::Remove, route });
        assert_eq!(longest.len(), MAX_UPDATE);
        longest.clear();
        encode_subscription(&mut longest, true, Vni(u32::MAX));
        assert_eq!(longest.len(), MAX_SUBSCRIPTION);
    }
}
