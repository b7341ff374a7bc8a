//! Frames to bytes, by hand: every value is valid by construction, so that no encoding fails. Held to prost by tests.

use bytes::{BufMut, Bytes, BytesMut};

use super::{HEADER_LEN, Update, VERSION};
use crate::{MessageType, NextHopKind, Vni};

/// No SUBSCRIBE or UNSUBSCRIBE that is encoded here is longer: header 4, VNI 6.
pub const MAX_SUBSCRIPTION: usize = 10;
/// No UPDATE that is encoded here is longer: header 4, action 2, VNI 6, destination 25, next hop 36.
pub const MAX_UPDATE: usize = 73;

/// The frame of a KEEPALIVE.
pub const fn keepalive() -> Bytes {
    Bytes::from_static(&[VERSION, 0, 0, MessageType::Keepalive as u8])
}

/// Appends the frame of a SUBSCRIBE or, if not `on`, an UNSUBSCRIBE.
pub fn subscription(out: &mut BytesMut, on: bool, vni: Vni) {
    let kind = if on { MessageType::Subscribe } else { MessageType::Unsubscribe };
    frame(out, kind, |out| field(out, 0x08, vni.0));
}

/// Appends the frame of an UPDATE.
pub fn put_update(out: &mut BytesMut, update: &Update) {
    let route = &update.route;
    frame(out, MessageType::Update, |out| {
        field(out, 0x08, update.action as u32);
        field(out, 0x10, route.vni.0);
        out.put_u8(0x1a);
        nested(out, |out| {
            field(out, 0x08, u32::from(route.prefix.is_ipv6()));
            let octets = route.prefix.octets();
            out.put_slice(&[0x12, octets.len() as u8]); // 4 or 16
            out.put_slice(octets);
            field(out, 0x18, u32::from(route.prefix.prefix_len()));
        });
        out.put_u8(0x22);
        nested(out, |out| {
            match route.next_hop.addr {
                core::net::IpAddr::V4(v4) => {
                    out.put_slice(&[0x0a, 4]);
                    out.put_slice(&v4.octets());
                }
                core::net::IpAddr::V6(v6) => {
                    out.put_slice(&[0x0a, 16]);
                    out.put_slice(&v6.octets());
                }
            }
            field(out, 0x10, route.next_hop.target_vni);
            match route.next_hop.kind {
                NextHopKind::Standard => {}
                NextHopKind::LoadBalancer => field(out, 0x18, 2),
                NextHopKind::Nat { from, to } => {
                    field(out, 0x18, 1);
                    field(out, 0x20, u32::from(from));
                    field(out, 0x28, u32::from(to));
                }
            }
        });
    });
}

/// A frame with a payload of under 128 bytes.
fn frame(out: &mut BytesMut, kind: MessageType, payload: impl FnOnce(&mut BytesMut)) {
    out.put_slice(&[VERSION, 0, 0, kind as u8]);
    let start = out.len();
    payload(out);
    let len = out.len() - start;
    out[start - HEADER_LEN + 2] = len as u8;
}

/// A length, and a submessage of under 128 bytes: its length is one byte.
fn nested(out: &mut BytesMut, message: impl FnOnce(&mut BytesMut)) {
    out.put_u8(0);
    let start = out.len();
    message(out);
    let len = out.len() - start;
    out[start - 1] = len as u8;
}

/// A tag and a varint, unless it is zero.
fn field(out: &mut BytesMut, tag: u8, mut value: u32) {
    if value == 0 {
        return;
    }
    out.put_u8(tag);
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::UpdateAction;
    use crate::{NextHop, Prefix, Route};
    use core::net::{IpAddr, Ipv6Addr};

    #[test]
    fn nothing_is_longer_than_is_said() {
        let addr = IpAddr::V6(Ipv6Addr::LOCALHOST);
        let kind = NextHopKind::Nat { from: u16::MAX, to: u16::MAX };
        let next_hop = NextHop { addr, target_vni: u32::MAX, kind };
        let route = Route { vni: Vni(u32::MAX), prefix: Prefix::new(addr, 128).unwrap(), next_hop };
        let mut longest = BytesMut::new();
        put_update(&mut longest, &Update { action: UpdateAction::Remove, route });
        assert_eq!(longest.len(), MAX_UPDATE);
        longest.clear();
        subscription(&mut longest, true, Vni(u32::MAX));
        assert_eq!(longest.len(), MAX_SUBSCRIPTION);
    }
}
