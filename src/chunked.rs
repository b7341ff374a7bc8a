//! A vector in pieces of memory of one size.
//!
//! Invariant: all pieces but the last are full, and none but the first is empty; no operation copies more than one piece.

use alloc::vec::Vec;
use core::ops::{Index, IndexMut};

use crate::pieces;

/// A vector without the moments in which all of its values are copied.
#[derive(Debug)]
pub(crate) struct Chunked<T> {
    /// The first piece. It grows by doubling, so that a small vector is small; and it is by itself, so that the check of its bounds,
    /// which there would be anyhow, finds the piece for most vectors.
    first: Vec<T>,
    rest: Vec<Vec<T>>,
}

impl<T> Default for Chunked<T> {
    fn default() -> Self {
        Self { first: Vec::new(), rest: Vec::new() }
    }
}

impl<T> Chunked<T> {
    #[inline(always)]
    fn shift() -> u32 {
        pieces::either(const { pieces::shift_of::<T>() }, 2)
    }

    /// Returns the values in a piece.
    #[inline(always)]
    fn piece_len() -> usize {
        1 << Self::shift()
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        match self.rest.last() {
            None => self.first.len(),
            Some(last) => (self.rest.len() << Self::shift()) + last.len(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Whether all values are in the first piece.
    pub(crate) fn is_small(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(crate) fn push(&mut self, item: T) {
        if self.first.len() < self.first.capacity() {
            self.first.push(item);
        } else {
            self.push_beyond(item);
        }
    }

    /// Pushes a value for which the first piece has no room.
    fn push_beyond(&mut self, item: T) {
        let all = Self::piece_len();
        if self.first.len() < all {
            pieces::count(self.first.len() / pieces::COPIED);
            self.first.reserve_exact(self.first.len().max(2).min(all - self.first.len()));
            self.first.push(item);
        } else if let Some(last) = self.rest.last_mut()
            && last.len() < all
        {
            last.push(item);
        } else {
            let mut piece = Vec::with_capacity(all);
            piece.push(item);
            self.rest.push(piece);
        }
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<T> {
        if self.rest.is_empty() {
            let item = self.first.pop();
            if self.first.capacity() > 64 && self.first.len() < self.first.capacity() / 4 {
                self.shrink();
            }
            item
        } else {
            self.pop_beyond()
        }
    }

    /// Removes the last value, which is not in the first piece.
    fn pop_beyond(&mut self) -> Option<T> {
        let last = self.rest.last_mut()?;
        let item = last.pop();
        if last.is_empty() {
            self.rest.pop();
            self.shrink();
        }
        item
    }

    /// Removes the values from a place on.
    pub(crate) fn truncate(&mut self, len: usize) {
        while self.len() > len {
            let before = self.rest.len() << Self::shift();
            match self.rest.last_mut() {
                None => self.first.truncate(len),
                Some(last) => {
                    last.truncate(len.saturating_sub(before));
                    if last.is_empty() {
                        self.rest.pop();
                    }
                }
            }
        }
        self.shrink();
    }

    /// Gives back memory, if little of it is used.
    fn shrink(&mut self) {
        if self.first.capacity() > 64 && self.first.len() < self.first.capacity() / 4 {
            pieces::count(self.first.len() / pieces::COPIED);
            self.first.shrink_to(self.first.len() * 2);
        }
        if self.rest.capacity() > 4 * self.rest.len() + 4 {
            self.rest.shrink_to(self.rest.len() * 2);
        }
    }

    #[inline]
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        match self.first.get(at) {
            None if at >= Self::piece_len() => {
                let at = at - Self::piece_len();
                self.rest.get(at >> Self::shift())?.get(at & (Self::piece_len() - 1))
            }
            found => found,
        }
    }

    #[inline]
    fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        if at >= self.len() { None } else { Some(&mut self[at]) }
    }

    /// The values from a place on.
    pub(crate) fn iter_from(&self, at: usize) -> impl Iterator<Item = &T> {
        let (piece, at) = (at >> Self::shift(), at & (Self::piece_len() - 1));
        let mut skipped = at;
        let pieces = core::iter::once(&self.first).chain(&self.rest).skip(piece);
        pieces.flat_map(move |piece| piece.iter().skip(core::mem::take(&mut skipped)))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.iter_from(0)
    }
}

impl<T: Copy> Chunked<T> {
    pub(crate) fn swap(&mut self, a: usize, b: usize) {
        let item = self[a];
        self[a] = self[b];
        self[b] = item;
    }

    /// Removes the value in a place, which the last one takes. Panics if there is none.
    #[inline]
    pub(crate) fn swap_remove(&mut self, at: usize) -> T {
        let item = self[at];
        if let Some(last) = self.pop()
            && let Some(place) = self.get_mut(at)
        {
            *place = last;
        }
        item
    }
}

impl<T> Index<usize> for Chunked<T> {
    type Output = T;

    #[inline(always)]
    fn index(&self, at: usize) -> &T {
        match self.first.get(at) {
            Some(item) => item,
            None => {
                let at = at.wrapping_sub(Self::piece_len());
                &self.rest[at >> Self::shift()][at & (Self::piece_len() - 1)]
            }
        }
    }
}

impl<T> IndexMut<usize> for Chunked<T> {
    #[inline(always)]
    fn index_mut(&mut self, at: usize) -> &mut T {
        if at < self.first.len() {
            &mut self.first[at]
        } else {
            let at = at.wrapping_sub(Self::piece_len());
            &mut self.rest[at >> Self::shift()][at & (Self::piece_len() - 1)]
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use proptest::prelude::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_is_a_vector(ops in prop::collection::vec(prop::option::of(0..100usize), 0..100), from in 0..30usize) {
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
                        if n % 5 == 0 {
                            prop_assert_eq!(chunked.swap_remove(other), model.swap_remove(other));
                        }
                    }
                    None if model.len() % 7 == 6 => {
                        let len = model.len() - 1 - model.len() % 4;
                        chunked.truncate(len);
                        model.truncate(len);
                    }
                    None => prop_assert_eq!(chunked.pop(), model.pop()),
                }
                prop_assert_eq!(chunked.iter().copied().collect::<Vec<_>>(), model.clone());
                prop_assert!(chunked.iter_from(from).eq(model.iter().skip(from)));
                prop_assert_eq!((chunked.len(), chunked.is_empty()), (model.len(), model.is_empty()));
                prop_assert!((0..model.len()).all(|at| chunked[at] == model[at]));
                prop_assert!((0..model.len() + 9).all(|at| chunked.get(at) == model.get(at)));
            }
        }

        /// Every place after the last value is refused, in whichever piece it would be.
        #[test]
        fn a_place_without_a_value_is_refused(len in 0..20usize, over in 0..20usize) {
            let mut chunked = Chunked::default();
            (0..len).for_each(|n| chunked.push(n));
            let value = catch_unwind(AssertUnwindSafe(|| chunked[len + over]));
            prop_assert!(value.is_err(), "{:?} at {} of {}", value, len + over, len);
        }
    }
}
