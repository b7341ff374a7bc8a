//! Encoded routes, kept for those who stand at the same place: each change is encoded once, for whomever it is.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::rib::{Order, Position, TableVersion, Viewer, Walked};

/// At most this many bytes of encodings are kept.
const CAPACITY: usize = 2 << 20;

/// Equal keys, equal bytes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Key {
    pub(super) version: TableVersion,
    pub(super) position: Position,
    pub(super) viewer: Viewer,
    pub(super) order: Order,
    pub(super) limit: usize,
}

/// What a walk told, and where it led.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    pub(super) bytes: Bytes,
    /// Messages in it.
    pub(super) updates: u32,
    pub(super) walked: Walked,
}

impl Chunk {
    /// Without what is not for `viewer`, who is no exception.
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

#[derive(Debug, Default)]
pub(super) struct Shared {
    chunks: HashMap<Key, Chunk, FixedState>,
    oldest_first: VecDeque<Key>,
    bytes: usize,
}

impl Shared {
    /// What is kept under `key`, or else what `encode` makes.
    pub(super) fn get_or_insert(&mut self, key: Key, encode: impl FnOnce() -> Chunk) -> Chunk {
        if let Some(chunk) = self.chunks.get(&key) {
            return chunk.clone();
        }
        let chunk = encode();
        self.bytes += Self::cost(&chunk);
        self.oldest_first.push_back(key.clone());
        self.chunks.insert(key, chunk.clone());
        while self.bytes > CAPACITY
            && let Some(old) = self.oldest_first.pop_front()
        {
            self.bytes -= self.chunks.remove(&old).map_or(0, |chunk| Self::cost(&chunk));
        }
        chunk
    }

    fn cost(chunk: &Chunk) -> usize {
        chunk.bytes.len() + chunk.walked.heap_len() + size_of::<(Key, Chunk)>()
    }
}
