//! Numbered places for values, in pieces of memory of one size.
//!
//! Invariants: a value keeps its number until it is released or, by [`Pool::move_last`], gets a lower one. A piece of memory has a
//! value in at least one of its places; when the last one is released, the piece is freed. No operation copies more than one piece.

use alloc::vec::Vec;
use core::ops::{Index, IndexMut};

use crate::pieces;

/// Values by their numbers. A released value stays readable, in the state that its owner left it in, until its place is used again or
/// freed.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    pieces: Vec<Piece<T>>,
    /// One bit for each piece in which a value can be inserted.
    open: Vec<u64>,
    /// Values.
    len: usize,
    /// Places that take memory.
    held: usize,
}

#[derive(Debug)]
struct Piece<T> {
    items: Vec<T>,
    /// One bit for each free place among `items`; words at the end may be missing.
    free: Vec<u64>,
    /// One bit for each word of `free` that is not 0.
    summary: u64,
    free_count: u32,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { pieces: Vec::new(), open: Vec::new(), len: 0, held: 0 }
    }
}

impl<T> Piece<T> {
    const fn new() -> Self {
        Self { items: Vec::new(), free: Vec::new(), summary: 0, free_count: 0 }
    }

    fn is_free(&self, at: usize) -> bool {
        self.free_count > 0 && self.free.get(at / 64).is_some_and(|word| word & (1 << (at % 64)) != 0)
    }

    fn set_free(&mut self, at: usize) {
        if at / 64 >= self.free.len() {
            self.free.resize(at / 64 + 1, 0);
        }
        self.free[at / 64] |= 1 << (at % 64);
        self.summary |= 1 << (at / 64);
        self.free_count += 1;
    }

    fn set_used(&mut self, at: usize) {
        let word = &mut self.free[at / 64];
        *word &= !(1 << (at % 64));
        if *word == 0 {
            self.summary &= !(1 << (at / 64));
        }
        self.free_count -= 1;
    }

    /// Returns the lowest free place. There must be one.
    fn lowest_free(&self) -> usize {
        let word = self.summary.trailing_zeros() as usize;
        word * 64 + self.free[word].trailing_zeros() as usize
    }
}

impl<T> Pool<T> {
    #[inline(always)]
    fn shift() -> u32 {
        pieces::either(const { pieces::shift_of::<T>() }, 2)
    }

    #[inline(always)]
    fn split(id: u32) -> (usize, usize) {
        let shift = Self::shift();
        ((id >> shift) as usize, (id & ((1 << shift) - 1)) as usize)
    }

    /// Inserts a value in the lowest piece that has room, and returns its number.
    pub(crate) fn insert(&mut self, item: T) -> u32 {
        let words = self.open.iter().position(|word| *word != 0);
        let piece = match words {
            Some(word) => word * 64 + self.open[word].trailing_zeros() as usize,
            None => self.add_piece(),
        };
        self.len += 1;
        let Piece { items, free_count, .. } = &self.pieces[piece];
        let at = if *free_count > 0 {
            let at = self.pieces[piece].lowest_free();
            self.pieces[piece].items[at] = item;
            self.pieces[piece].set_used(at);
            at
        } else {
            let at = items.len();
            if items.capacity() == at {
                self.grow(piece);
            }
            self.pieces[piece].items.push(item);
            self.held += 1;
            at
        };
        let Piece { items, free_count, .. } = &self.pieces[piece];
        if *free_count == 0 && items.len() == 1 << Self::shift() {
            self.open[piece / 64] &= !(1 << (piece % 64));
        }
        // 2^32 values of 8 bytes and more do not fit a machine's memory.
        u32::try_from(piece << Self::shift() | at).expect("fewer than 2^32 values")
    }

    #[cold]
    fn add_piece(&mut self) -> usize {
        let piece = self.pieces.len();
        if piece == 0 {
            self.pieces.reserve_exact(1);
        }
        self.pieces.push(Piece::new());
        self.set_open(piece);
        piece
    }

    /// Makes room for more values. The first piece doubles, so that a small pool stays small.
    #[cold]
    fn grow(&mut self, piece: usize) {
        let all = 1 << Self::shift();
        let items = &mut self.pieces[piece].items;
        let len = items.len();
        pieces::count(len / pieces::COPIED);
        items.reserve_exact(if piece == 0 { len.clamp(1, all - len) } else { all - len });
    }

    fn set_open(&mut self, piece: usize) {
        if piece / 64 >= self.open.len() {
            self.open.resize(piece / 64 + 1, 0);
        }
        self.open[piece / 64] |= 1 << (piece % 64);
    }

    /// Frees a value's place.
    pub(crate) fn release(&mut self, id: u32) {
        let (piece, at) = Self::split(id);
        self.pieces[piece].set_free(at);
        self.set_open(piece);
        self.len -= 1;
        let Piece { items, free_count, .. } = &mut self.pieces[piece];
        if *free_count as usize == items.len() {
            self.held -= items.len();
            pieces::count(items.len() / pieces::COPIED);
            self.pieces[piece] = Piece::new();
            self.drop_last_pieces();
        }
    }

    /// Drops the last pieces, as far as they have no memory.
    fn drop_last_pieces(&mut self) {
        while let Some(last) = self.pieces.last()
            && last.items.is_empty()
        {
            self.pieces.pop();
            let piece = self.pieces.len();
            self.open[piece / 64] &= !(1 << (piece % 64));
        }
        if self.pieces.capacity() > 4 * self.pieces.len() + 4 || self.pieces.is_empty() {
            self.pieces.shrink_to(self.pieces.len() * 2);
            self.open.truncate(self.pieces.len().div_ceil(64));
            self.open.shrink_to(self.pieces.len().div_ceil(32));
        }
    }

    /// Whether the pool takes several times the memory that its values need.
    /// Then it is worth compacting: one value is moved for every eight or more that were released. In tests of this crate each free
    /// place is one too many, so that numbers change at every chance.
    pub(crate) fn is_sparse(&self) -> bool {
        self.held > pieces::either(8 * self.len + 4, self.len)
    }

    /// Moves the last value to a lower free place. Returns its old and its new number; `None` if no place below it is free, and
    /// then the free places behind it are given back. The old number is free, and not readable any more.
    pub(crate) fn move_last(&mut self) -> Option<(u32, u32)> {
        let piece = self.pieces.len().checked_sub(1)?;
        let last = &mut self.pieces[piece];
        while last.is_free(last.items.len() - 1) {
            last.set_used(last.items.len() - 1);
            last.items.pop();
            self.held -= 1;
        }
        let lowest = self.open.iter().position(|word| *word != 0);
        let lowest = lowest.map(|word| word * 64 + self.open[word].trailing_zeros() as usize);
        let last = &self.pieces[piece];
        let is_lower = lowest.is_some_and(|lowest| lowest < piece || last.free_count > 0);
        if !is_lower {
            self.shrink_last();
            return None;
        }
        let from = piece << Self::shift() | (last.items.len() - 1);
        let item = self.pieces[piece].items.pop()?;
        (self.len, self.held) = (self.len - 1, self.held - 1);
        self.set_open(piece);
        pieces::count(1);
        let to = self.insert(item);
        let last = &self.pieces[piece];
        if last.items.len() == last.free_count as usize {
            self.held -= last.items.len();
            self.pieces[piece] = Piece::new();
            self.drop_last_pieces();
        }
        Some((from as u32, to))
    }

    fn shrink_last(&mut self) {
        if let [only] = &mut self.pieces[..]
            && only.items.capacity() > 2 * only.items.len()
        {
            pieces::count(only.items.len() / pieces::COPIED);
            only.items.shrink_to(2 * only.items.len());
            only.free = Vec::new();
        }
    }

    /// Returns the number behind the last value, or a higher one.
    pub(crate) fn places(&self) -> u32 {
        let last = self.pieces.last().map_or(0, |last| last.items.len());
        ((self.pieces.len().saturating_sub(1) << Self::shift()) + last) as u32
    }

    #[inline]
    pub(crate) fn get(&self, id: u32) -> Option<&T> {
        let (piece, at) = Self::split(id);
        self.pieces.get(piece)?.items.get(at)
    }

    /// The number of values.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The values with their numbers, in the order of these.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.iter_from(0)
    }

    /// The values from a number on, with their numbers.
    pub(crate) fn iter_from(&self, id: u32) -> impl Iterator<Item = (u32, &T)> {
        let (first, mut skipped) = Self::split(id);
        let pieces = self.pieces.iter().enumerate().skip(first);
        pieces.flat_map(move |(piece, all)| {
            let from = core::mem::take(&mut skipped);
            let used = all.items.iter().enumerate().skip(from).filter(|&(at, _)| !all.is_free(at));
            used.map(move |(at, item)| ((piece << Self::shift() | at) as u32, item))
        })
    }
}

impl<T> Index<u32> for Pool<T> {
    type Output = T;

    #[inline(always)]
    fn index(&self, id: u32) -> &T {
        let (piece, at) = Self::split(id);
        &self.pieces[piece].items[at]
    }
}

impl<T> IndexMut<u32> for Pool<T> {
    #[inline(always)]
    fn index_mut(&mut self, id: u32) -> &mut T {
        let (piece, at) = Self::split(id);
        &mut self.pieces[piece].items[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Op {
        Insert,
        Release(usize),
        Move,
        Compact,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => Just(Op::Insert),
            4 => (0..100usize).prop_map(Op::Release),
            1 => Just(Op::Move),
            1 => Just(Op::Compact),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn each_value_has_a_number_of_its_own(ops in prop::collection::vec(op(), 0..300)) {
            let (mut pool, mut model, mut next) = (Pool::default(), BTreeMap::new(), 0);
            for op in ops {
                match op {
                    Op::Insert => {
                        prop_assert_eq!(model.insert(pool.insert(next), next), None);
                        next += 1;
                    }
                    Op::Release(n) => {
                        let Some(&id) = model.keys().nth(n % model.len().max(1)) else { continue };
                        model.remove(&id);
                        pool.release(id);
                    }
                    Op::Move | Op::Compact => {
                        while let Some((from, to)) = pool.move_last() {
                            prop_assert!(to < from);
                            let item = model.remove(&from).unwrap();
                            prop_assert_eq!(model.insert(to, item), None);
                            if matches!(op, Op::Move) {
                                break;
                            }
                        }
                        if matches!(op, Op::Compact) {
                            prop_assert_eq!(pool.places() as usize, pool.len());
                            prop_assert!(!pool.is_sparse());
                        }
                    }
                }
                prop_assert_eq!(pool.len(), model.len());
                prop_assert_eq!(pool.held, pool.pieces.iter().map(|piece| piece.items.len()).sum::<usize>());
                let all: BTreeMap<u32, i32> = pool.iter().map(|(id, item)| (id, *item)).collect();
                prop_assert_eq!(&all, &model);
                let some: BTreeMap<u32, i32> = pool.iter_from(5).map(|(id, item)| (id, *item)).collect();
                prop_assert_eq!(&some, &model.split_off(&5));
                model = all;
                prop_assert!(model.keys().all(|id| *id < pool.places()));
            }
            for id in model.into_keys() {
                pool.release(id);
            }
            prop_assert_eq!((pool.places(), pool.pieces.capacity()), (0, 0));
        }
    }
}
