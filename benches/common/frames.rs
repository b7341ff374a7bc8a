//! UPDATEs as the contents of reads.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use metalbond::wire::{Decoded, Deframer, Message, Update, UpdateAction, encode_update};

use super::updates::update;

/// Number of bytes in one read.
const READ: usize = 64 * 1024;
/// Length in bytes of an UPDATE of this module.
pub(crate) const ADD: usize = 36;
pub(crate) const REMOVE: usize = ADD + 2;

/// Returns announcements with one next hop.
pub(crate) fn adds(routes: usize) -> Vec<Bytes> {
    reads((0..routes).map(|n| update(UpdateAction::Add, n, 1)))
}

pub(crate) fn reads(updates: impl Iterator<Item = Update>) -> Vec<Bytes> {
    let mut out = BytesMut::new();
    updates.for_each(|update| encode_update(&mut out, &update));
    cut(out)
}

/// Cuts bytes into reads.
pub(crate) fn cut(bytes: BytesMut) -> Vec<Bytes> {
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
