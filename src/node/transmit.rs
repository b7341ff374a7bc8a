//! The bytes of a transmit: whole frames within a budget of bytes, in portions that the far end can take; and routes that are encoded once
//! for several subscribers. Knows bytes only, no connection.
//!
//! Invariant: a transmit has under 64 KiB, and each chunk of [`TransmitMode::Segments`] fits a TCP segment. Room for KEEPALIVEs is kept
//! whatever else a transmit holds.

use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use super::{Chunks, MessageCounts, Transmit, TransmitMode};
use crate::rib::{Change, Dialect, Pending, Rib, Sink, Viewer, Walked};
use crate::wire::{self, Hello, MAX_SUBSCRIPTION, MAX_UPDATE, UpdateAction};
use crate::{ConnId, Vni};

/// The most bytes of a transmit: under 64 KiB.
const MAX_TRANSMIT: usize = 65_535;
/// Bytes that every transmit keeps free for KEEPALIVEs after the routes.
const RESERVE: usize = 1024;
/// The most bytes of one chunk of routes. Chunks are shared by subscribers; two of them fit a transmit.
const CHUNK: usize = 31 * 1024;
/// The most bytes of a chunk for a peer that takes whole frames only: the smallest MSS of TCP over IPv6 with timestamps.
pub(super) const SEGMENT: usize = 1208;
/// Bytes of one KEEPALIVE, and of another one after it that may be due as a barrier.
const KEEPALIVES: usize = 8;

/// Frames for one transmit.
pub(super) struct Frames {
    chunks: SmallVec<[Bytes; 4]>,
    /// Small frames after the last chunk.
    control: BytesMut,
    len: usize,
    mode: TransmitMode,
    messages: MessageCounts,
}

impl Frames {
    pub(super) fn new(mode: TransmitMode) -> Self {
        Self { chunks: SmallVec::new(), control: BytesMut::new(), len: 0, mode, messages: MessageCounts::default() }
    }

    fn room(&self) -> usize {
        MAX_TRANSMIT - self.len
    }

    /// Appends a small frame. Returns its length in bytes.
    fn put(&mut self, frame: impl FnOnce(&mut BytesMut), max: usize) -> usize {
        if self.mode == TransmitMode::Segments && self.control.len() + max > SEGMENT {
            self.seal();
        }
        let before = self.control.len();
        frame(&mut self.control);
        let added = self.control.len() - before;
        self.len += added;
        added
    }

    pub(super) fn hello(&mut self, hello: &Hello) {
        self.messages.hello += 1;
        self.put(|out| out.extend_from_slice(&hello.encode()), 32);
    }

    pub(super) fn keepalive(&mut self) {
        self.messages.keepalive += 1;
        self.put(|out| out.extend_from_slice(&wire::keepalive()), 4);
    }

    pub(super) fn has_room_for_keepalives(&self) -> bool {
        self.room() >= KEEPALIVES
    }

    /// Appends a SUBSCRIBE, or an UNSUBSCRIBE. Returns its length in bytes.
    pub(super) fn subscription(&mut self, subscribe: bool, vni: Vni) -> usize {
        let MessageCounts { subscribe: subscribes, unsubscribe: unsubscribes, .. } = &mut self.messages;
        *(if subscribe { subscribes } else { unsubscribes }) += 1;
        self.put(|out| wire::encode_subscription(out, subscribe, vni), MAX_SUBSCRIPTION)
    }

    pub(super) fn has_room_for_subscription(&self) -> bool {
        self.room() >= RESERVE
    }

    /// Appends a chunk of routes.
    pub(super) fn push(&mut self, chunk: Chunk) {
        self.seal();
        self.len += chunk.bytes.len();
        self.messages.update += u64::from(chunk.updates);
        self.chunks.push(chunk.bytes);
    }

    fn seal(&mut self) {
        if !self.control.is_empty() {
            self.chunks.push(self.control.split().freeze());
        }
    }

    /// Returns the most bytes of one chunk of routes.
    pub(super) fn chunk(&self) -> usize {
        match self.mode {
            TransmitMode::Stream => CHUNK,
            TransmitMode::Segments => SEGMENT,
        }
    }

    pub(super) fn has_room_for_chunk(&self) -> bool {
        self.len + self.chunk() + RESERVE <= MAX_TRANSMIT
    }

    /// Returns the transmit and how many messages it has. `None`: it is empty.
    pub(super) fn finish(mut self, conn: ConnId) -> Option<(Transmit, MessageCounts)> {
        self.seal();
        let Self { chunks, mode, messages, .. } = self;
        (!chunks.is_empty()).then_some((Transmit { conn, chunks: Chunks(chunks), mode }, messages))
    }
}

/// The encoded changes of a walk in a table, and the position where the walk ended.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    bytes: Bytes,
    /// UPDATEs in it.
    updates: u32,
    walked: Walked,
}

impl Chunk {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn walked(&self) -> &Walked {
        &self.walked
    }

    /// Returns the chunk without the changes that are not for `viewer`, which must not be an exception of the walk.
    pub(super) fn cut(self, viewer: Viewer) -> Self {
        let Self { bytes, mut updates, walked } = self;
        updates -= walked.cuts(viewer).iter().map(|cut| cut.changes).sum::<u32>();
        let bytes = match walked.cuts(viewer) {
            [] => bytes,
            [cut] if cut.from == 0 => bytes.slice(cut.to..),
            [cut] if cut.to == bytes.len() => bytes.slice(..cut.from),
            cuts => {
                let mut rest = Vec::with_capacity(bytes.len());
                let mut from = 0;
                for cut in cuts {
                    rest.extend_from_slice(&bytes[from..cut.from]);
                    from = cut.to;
                }
                rest.extend_from_slice(&bytes[from..]);
                rest.into()
            }
        };
        Self { bytes, updates, walked }
    }
}

/// Encodes the changes of walks, in memory for one chunk. A chunk that takes less than half of it is copied, and the memory used again:
/// chunks wait for slow peers, and together take no more than twice the memory that their bytes need.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    out: BytesMut,
}

impl Encoder {
    /// Walks on from a subscriber's position in a table, and encodes the changes for `viewer`, at most `limit` bytes.
    pub(super) fn encode(
        &mut self,
        rib: &Rib,
        pending: Pending,
        viewer: Viewer,
        dialect: Dialect,
        limit: usize,
        steps: &mut usize,
    ) -> Chunk {
        self.out.clear();
        self.out.reserve(limit + wire::ENCODE_ROOM);
        let mut encoding = Encoding { out: &mut self.out, updates: 0, limit };
        let walked = rib.walk(pending.table, rib.position(pending), viewer, dialect, steps, &mut encoding);
        let updates = encoding.updates;
        let bytes = if 2 * self.out.len() < self.out.capacity() {
            Bytes::copy_from_slice(&self.out)
        } else {
            core::mem::take(&mut self.out).freeze()
        };
        Chunk { bytes, updates, walked }
    }
}

/// A chunk while it is encoded.
struct Encoding<'a> {
    out: &'a mut BytesMut,
    updates: u32,
    limit: usize,
}

impl Sink for Encoding<'_> {
    fn has_room(&self, changes: usize) -> bool {
        self.out.len() + changes * MAX_UPDATE <= self.limit
    }

    fn len(&self) -> usize {
        self.out.len()
    }

    fn send(&mut self, change: Change<'_>) {
        let action = if change.there { UpdateAction::Add } else { UpdateAction::Remove };
        self.updates += 1;
        wire::encode_route(self.out, action, change.vni, change.prefix, change.next_hop);
    }
}
