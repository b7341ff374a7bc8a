//! Numbered places for values, used again when they are free. A freed value stays in its place, in whatever state its
//! owner left it, until the place is used again. Owners that can give values other numbers have it compacted.

use alloc::vec::Vec;
use core::ops::{Index, IndexMut};

use super::bits::Bits;

/// With more places than this for each value, they are worth compacting: a value is moved for every eight or more that
/// are freed. In this crate's own tests every free place is one too many, so that numbers change at every chance.
const SPARSE: usize = if cfg!(test) { 1 } else { 8 };
/// So many places more are not worth it.
const SPARE: usize = if cfg!(test) { 0 } else { 4 };

/// Whether `capacity` is several times what `len` values need.
pub(super) fn is_sparse(capacity: usize, len: usize) -> bool {
    capacity > len * SPARSE + SPARE
}

#[derive(Debug)]
pub(super) struct Pool<T> {
    items: Vec<T>,
    free: Vec<u32>,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { items: Vec::new(), free: Vec::new() }
    }
}

impl<T> Pool<T> {
    pub(super) fn insert(&mut self, item: T) -> u32 {
        if let Some(id) = self.free.pop() {
            self.items[id as usize] = item;
            return id;
        }
        // 2^32 values of 60 bytes and more do not fit a machine's memory.
        let id = u32::try_from(self.items.len()).expect("fewer than 2^32 values");
        self.items.push(item);
        id
    }

    pub(super) fn release(&mut self, id: u32) {
        self.free.push(id);
        if self.free.len() == self.items.len() {
            *self = Self::default();
        }
    }

    /// Whether it takes several times the memory that its values need.
    pub(super) fn is_sparse(&self) -> bool {
        is_sparse(self.items.len(), self.len())
    }

    /// The moves (from, to) that bring all values to the first places. To be done one by one by `swap`, so that all numbers
    /// stand for something all the time, and followed by `cut`.
    pub(super) fn moves(&self) -> Vec<(u32, u32)> {
        let end = self.len() as u32;
        let mut is_free = Bits::default();
        for &id in &self.free {
            is_free.insert(id);
        }
        let used = (end..self.places()).filter(|&id| !is_free.contains(id));
        used.zip(self.free.iter().copied().filter(|&id| id < end)).collect()
    }

    pub(super) fn swap(&mut self, a: u32, b: u32) {
        self.items.swap(a as usize, b as usize);
    }

    /// Gives back the free places, which after the moves are the last ones.
    pub(super) fn cut(&mut self) {
        self.items.truncate(self.len());
        self.items.shrink_to(self.items.len() * 2);
        self.free = Vec::new();
    }

    /// The number of places, free ones included.
    pub(super) fn places(&self) -> u32 {
        self.items.len() as u32
    }

    pub(super) fn get(&self, id: u32) -> Option<&T> {
        self.items.get(id as usize)
    }

    /// The number of values.
    pub(super) fn len(&self) -> usize {
        self.items.len() - self.free.len()
    }

    /// The same.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.items.iter_mut()
    }

    /// All places, free ones included.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter()
    }
}

impl<T> Index<u32> for Pool<T> {
    type Output = T;

    fn index(&self, id: u32) -> &T {
        &self.items[id as usize]
    }
}

impl<T> IndexMut<u32> for Pool<T> {
    fn index_mut(&mut self, id: u32) -> &mut T {
        &mut self.items[id as usize]
    }
}
