//! UPDATEs as the contents of reads.

use std::hint::black_box;
use std::net::{Ipv4Addr, Ipv6Addr};

use bytes::{Bytes, BytesMut};
use metalbond::wire::{Decoded, Deframer, Message, Update, UpdateAction, encode_update};
use metalbond::{NextHop, Prefix, Route, Vni};

pub(crate) const VNI: Vni = Vni(23);
/// Number of bytes in one read.
const READ: usize = 64 * 1024;
/// Length in bytes of an UPDATE of this module.
pub(crate) const ADD: usize = 36;
pub(crate) const REMOVE: usize = ADD + 2;

/// Returns an UPDATE of the `n`th prefix with the next hop of this hypervisor.
pub(crate) fn update(action: UpdateAction, n: usize, hypervisor: u16) -> Update {
    let prefix = Prefix::new(Ipv4Addr::from(0x0a00_0000 + n as u32).into(), 32).unwrap();
    let next_hop = NextHop::standard(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, hypervisor).into());
    Update { action, route: Route { vni: VNI, prefix, next_hop } }
}

/// Returns announcements with one next hop.
pub(crate) fn adds(routes: usize) -> Vec<Bytes> {
    reads((0..routes).map(|n| update(UpdateAction::Add, n, 1)))
}

/// Returns the withdrawals of the same routes.
pub(crate) fn removes(routes: usize) -> Vec<Bytes> {
    reads((0..routes).map(|n| update(UpdateAction::Remove, n, 1)))
}

pub(crate) fn reads(updates: impl Iterator<Item = Update>) -> Vec<Bytes> {
    let mut out = BytesMut::new();
    updates.for_each(|update| encode_update(&mut out, &update));
    cut(out)
}

/// Returns the same frames, each with an additional unknown field, which no known implementation writes.
pub(crate) fn with_unknown_field(reads: &[Bytes]) -> Vec<Bytes> {
    let (mut out, mut deframer) = (BytesMut::new(), Deframer::default());
    for read in reads {
        let mut input = &read[..];
        while let Some(frame) = deframer.next(&mut input).unwrap() {
            out.extend_from_slice(&[1, 0, frame.payload.len() as u8 + 2, frame.kind]);
            out.extend_from_slice(frame.payload);
            out.extend_from_slice(&[0x28, 1]);
        }
    }
    cut(out)
}

fn cut(bytes: BytesMut) -> Vec<Bytes> {
    let bytes = bytes.freeze();
    (0..bytes.len()).step_by(READ).map(|at| bytes.slice(at..bytes.len().min(at + READ))).collect()
}

/// Decodes all frames. Returns the number of UPDATEs.
pub(crate) fn decode(reads: &[Bytes]) -> usize {
    let (mut updates, mut deframer) = (0, Deframer::default());
    for read in reads {
        let mut input = &read[..];
        while let Some(frame) = deframer.next(&mut input).unwrap() {
            let decoded = black_box(Message::decode(frame).unwrap());
            updates += usize::from(matches!(decoded, Decoded::Message(Message::Update(_))));
        }
    }
    updates
}
