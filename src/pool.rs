//! Numbered places for values, in pieces of memory of one size.
//!
//! Invariants: a value keeps its number until it is released or, by [`Pool::compact`], gets a lower one. No operation copies more than one
//! piece of memory.

use core::ops::{Index, IndexMut};

use crate::bits::Bits;
use crate::chunked::Chunked;
use crate::pieces;

/// Free places that are given back together, or half of that.
const TRIMMED: usize = 64;

/// Values by their numbers. A released value stays readable, in the state that its owner left it in, until its place is used again or
/// given back.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    items: Chunked<T>,
    free: Bits,
}

/// What a step of compaction did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Compaction {
    /// The last value has another number.
    Moved {
        /// The number that it had, which is free.
        from: u32,
        /// Its number from now on.
        to: u32,
    },
    /// Free places behind the last value were given back.
    Trimmed,
    /// No place is free.
    Done,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { items: Chunked::default(), free: Bits::default() }
    }
}

impl<T> Pool<T> {
    /// Inserts a value in the lowest free place, and returns its number.
    #[inline]
    pub(crate) fn insert(&mut self, item: T) -> u32 {
        if self.free.is_empty() {
            // 2^32 values of 8 bytes and more do not fit a machine's memory.
            let id = u32::try_from(self.items.len()).expect("fewer than 2^32 values");
            self.items.push(item);
            id
        } else {
            self.insert_in_free(item)
        }
    }

    /// Returns the number that the next value will have.
    #[inline]
    pub(crate) fn next(&self) -> u32 {
        if self.free.is_empty() { self.places() } else { self.lowest_free() }
    }

    fn lowest_free(&self) -> u32 {
        self.free.first().expect("there is a free place")
    }

    fn insert_in_free(&mut self, item: T) -> u32 {
        let id = self.lowest_free();
        self.free.remove(id);
        self.items[id as usize] = item;
        id
    }

    /// Frees a value's place. Some places behind the last value are given back now and then, and all when no value is left.
    #[inline]
    pub(crate) fn release(&mut self, id: u32) {
        debug_assert!(id < self.places() && !self.free.contains(id), "a value is released once");
        if id + 1 == self.places() {
            self.items.pop();
        } else {
            self.free.insert(id);
        }
        let free = self.free.len();
        if free.is_multiple_of(TRIMMED) && free > 0 || free == self.items.len() {
            self.trim();
        }
    }

    /// Gives back free places behind the last value: twice as many, at most, as are released from one time to the next.
    #[cold]
    fn trim(&mut self) {
        let places = self.places();
        let trimmed = self.free.remove_run_below(places, 2 * TRIMMED as u32);
        self.items.truncate((places - trimmed) as usize);
        if self.items.is_empty() {
            *self = Self::default();
        }
    }

    /// Whether the pool takes several times the memory that its values need.
    /// Then it is worth compacting: one value is moved for every eight or more that were released. In tests of this crate each free
    /// place is one too many, so that numbers change at every chance.
    pub(crate) fn is_sparse(&self) -> bool {
        self.items.len() > pieces::either(8 * self.len() + 4, self.len())
    }

    /// Does a step of compaction: moves the last value to the lowest free place, or gives back some free places behind it.
    pub(crate) fn compact(&mut self) -> Compaction {
        let Some(last) = self.places().checked_sub(1).filter(|_| !self.free.is_empty()) else {
            return Compaction::Done;
        };
        pieces::count(1);
        if self.free.contains(last) {
            self.trim();
            return Compaction::Trimmed;
        }
        let Some(item) = self.items.pop() else { return Compaction::Done };
        Compaction::Moved { from: last, to: self.insert_in_free(item) }
    }

    /// Whether the pool is quickly dropped.
    pub(crate) fn is_small(&self) -> bool {
        self.items.is_small()
    }

    /// Returns the number behind the last value, or a higher one.
    #[inline]
    pub(crate) fn places(&self) -> u32 {
        self.items.len() as u32
    }

    #[inline]
    pub(crate) fn get(&self, id: u32) -> Option<&T> {
        self.items.get(id as usize)
    }

    /// The number of values.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.items.len() - self.free.len()
    }

    /// The values with their numbers, in the order of these.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.iter_from(0)
    }

    /// The values from a number on, with their numbers.
    pub(crate) fn iter_from(&self, id: u32) -> impl Iterator<Item = (u32, &T)> {
        (id..).zip(self.items.iter_from(id as usize)).filter(|&(id, _)| self.free.is_empty() || !self.free.contains(id))
    }
}

impl<T> Index<u32> for Pool<T> {
    type Output = T;

    #[inline(always)]
    fn index(&self, id: u32) -> &T {
        &self.items[id as usize]
    }
}

impl<T> IndexMut<u32> for Pool<T> {
    #[inline(always)]
    fn index_mut(&mut self, id: u32) -> &mut T {
        &mut self.items[id as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Op {
        Insert,
        Release(usize),
        Step,
        Compact,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => Just(Op::Insert),
            4 => (0..100usize).prop_map(Op::Release),
            1 => Just(Op::Step),
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
                    Op::Step | Op::Compact => loop {
                        match pool.compact() {
                            Compaction::Moved { from, to } => {
                                prop_assert!(to < from);
                                let item = model.remove(&from).unwrap();
                                prop_assert_eq!(model.insert(to, item), None);
                            }
                            Compaction::Trimmed => {}
                            Compaction::Done => {
                                prop_assert_eq!(pool.places() as usize, pool.len());
                                prop_assert!(!pool.is_sparse());
                                break;
                            }
                        }
                        if matches!(op, Op::Step) {
                            break;
                        }
                    }
                }
                prop_assert_eq!(pool.len(), model.len());
                let all: BTreeMap<u32, i32> = pool.iter().map(|(id, item)| (id, *item)).collect();
                prop_assert_eq!(&all, &model);
                let some: Vec<(u32, i32)> = pool.iter_from(5).map(|(id, item)| (id, *item)).collect();
                prop_assert!(some.iter().copied().eq(model.range(5..).map(|(&id, &item)| (id, item))));
                prop_assert!(model.keys().all(|id| *id < pool.places()));
            }
            for id in model.into_keys() {
                pool.release(id);
            }
            while pool.compact() != Compaction::Done {}
            prop_assert_eq!(pool.places(), 0);
        }
    }
}
