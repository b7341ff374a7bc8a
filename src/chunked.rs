//! A vector in pieces of one size.
//!
//! Invariant: all pieces but the last are full, and none is empty; no operation copies more than one piece.

use alloc::vec::Vec;
use core::ops::{Index, IndexMut};

use crate::pieces;

/// A vector without the moments in which all of its values are copied.
#[derive(Debug)]
pub(crate) struct Chunked<T> {
    pieces: Vec<Vec<T>>,
}

impl<T> Default for Chunked<T> {
    fn default() -> Self {
        Self { pieces: Vec::new() }
    }
}

impl<T> Chunked<T> {
    #[inline(always)]
    fn shift() -> u32 {
        pieces::either(const { pieces::shift_of::<T>() }, 2)
    }

    #[inline(always)]
    fn split(at: usize) -> (usize, usize) {
        let shift = Self::shift();
        (at >> shift, at & ((1 << shift) - 1))
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.pieces.last().map_or(0, |last| ((self.pieces.len() - 1) << Self::shift()) + last.len())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(crate) fn push(&mut self, item: T) {
        if let Some(last) = self.pieces.last_mut()
            && last.len() < last.capacity()
        {
            last.push(item);
            return;
        }
        self.grow();
        if let Some(last) = self.pieces.last_mut() {
            last.push(item);
        }
    }

    /// Makes room for more values. The first piece doubles, so that a small vector stays small.
    #[cold]
    fn grow(&mut self) {
        let all = 1 << Self::shift();
        match &mut self.pieces[..] {
            [first] if first.len() < all => {
                pieces::count(first.len() / pieces::COPIED);
                first.reserve_exact(first.len().min(all - first.len()));
            }
            [.., last] if last.len() < all => last.reserve_exact(all - last.len()),
            [] => self.pieces.push(Vec::with_capacity(1)),
            _ => self.pieces.push(Vec::with_capacity(all)),
        }
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        let last = self.pieces.last_mut()?;
        let item = last.pop();
        if last.is_empty() {
            self.pieces.pop();
        }
        if let [only] = &mut self.pieces[..]
            && only.capacity() > 64
            && only.len() < only.capacity() / 4
        {
            pieces::count(only.len() / pieces::COPIED);
            only.shrink_to(only.len() * 2);
        }
        if self.pieces.capacity() > 4 * self.pieces.len() + 4 {
            self.pieces.shrink_to(self.pieces.len() * 2);
        }
        item
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().flatten()
    }
}

impl<T: Copy> Chunked<T> {
    pub(crate) fn swap(&mut self, a: usize, b: usize) {
        let item = self[a];
        self[a] = self[b];
        self[b] = item;
    }
}

impl<T> Index<usize> for Chunked<T> {
    type Output = T;

    #[inline(always)]
    fn index(&self, at: usize) -> &T {
        let (piece, at) = Self::split(at);
        &self.pieces[piece][at]
    }
}

impl<T> IndexMut<usize> for Chunked<T> {
    #[inline(always)]
    fn index_mut(&mut self, at: usize) -> &mut T {
        let (piece, at) = Self::split(at);
        &mut self.pieces[piece][at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_is_a_vector(ops in prop::collection::vec(prop::option::of(0..100usize), 0..100)) {
            let (mut chunked, mut model) = (Chunked::default(), Vec::new());
            for op in ops {
                match op {
                    Some(n) => {
                        chunked.push(n);
                        model.push(n);
                        let other = n % model.len();
                        let last = model.len() - 1;
                        chunked.swap(other, last);
                        model.swap(other, last);
                    }
                    None => prop_assert_eq!(chunked.pop(), model.pop()),
                }
                prop_assert_eq!(chunked.iter().copied().collect::<Vec<_>>(), model.clone());
                prop_assert_eq!((chunked.len(), chunked.is_empty()), (model.len(), model.is_empty()));
                prop_assert!((0..model.len()).all(|at| chunked[at] == model[at]));
            }
        }
    }
}
