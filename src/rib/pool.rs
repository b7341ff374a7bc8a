//! Numbered places for values, used again when they are free. A freed value stays in its place, in whatever state its
//! owner left it, until the place is used again.

use alloc::vec::Vec;
use core::ops::{Index, IndexMut};

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
