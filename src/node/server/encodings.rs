//! Encoded routes, kept for subscribers at the same position: each change is encoded once for all of them.
//!
//! Invariant: equal keys stand for equal bytes. At most `CAPACITY` bytes are kept.

use alloc::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::super::transmit::Chunk;
use crate::rib::{Dialect, Position, TableVersion, Viewer};

/// The most bytes of encodings.
const CAPACITY: usize = 2 << 20;

/// All that the bytes of a chunk depend on.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Key {
    version: TableVersion,
    position: Position,
    viewer: Viewer,
    dialect: Dialect,
    limit: usize,
}

impl Key {
    pub(super) fn new(
        version: TableVersion,
        position: Position,
        viewer: Viewer,
        dialect: Dialect,
        limit: usize,
    ) -> Self {
        Self { version, position, viewer, dialect, limit }
    }
}

#[derive(Debug, Default)]
pub(super) struct Encodings {
    chunks: HashMap<Key, Chunk, FixedState>,
    oldest_first: VecDeque<Key>,
    bytes: usize,
}

impl Encodings {
    /// Returns the chunk that is kept under `key`. If there is none, keeps and returns what `encode` makes.
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
        chunk.len() + chunk.walked().heap_len() + size_of::<(Key, Chunk)>()
    }
}
