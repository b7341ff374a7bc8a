//! The sizes of the pieces in which large collections grow, shrink and are searched; in tests also a count of the work done.
//!
//! Invariant: no operation on a collection of this crate moves, hashes or visits more values than one piece has.

/// Values in a piece of a [`Pool`](crate::pool::Pool), a [`Chunked`](crate::chunked::Chunked) or a journal, as a power of two.
pub(crate) const fn shift_of<T>() -> u32 {
    // About a MiB at most, of which half is copied in 0.1 ms when the first piece grows.
    match size_of::<T>() {
        0..=64 => 14,
        65..=256 => 12,
        _ => 10,
    }
}

/// Values that are copied for one unit of work, which is some 50 ns: to hash or visit one takes as long.
pub(crate) const COPIED: usize = 16;

#[cfg(not(test))]
mod sizes {
    /// Returns `real`; tests of this crate run with `small`, so that small inputs have several pieces.
    #[inline(always)]
    pub(crate) fn either<T>(real: T, _small: T) -> T {
        real
    }

    /// Counts units of work, in tests.
    #[inline(always)]
    pub(crate) fn count(_units: usize) {}
}

pub(crate) use sizes::*;

#[cfg(test)]
mod sizes {
    use core::cell::Cell;

    extern crate std;

    std::thread_local! {
        static IS_REAL: Cell<bool> = const { Cell::new(false) };
        static WORK: Cell<usize> = const { Cell::new(0) };
    }

    /// Returns `small`, or after [`use_real_sizes`] `real`.
    pub(crate) fn either<T>(real: T, small: T) -> T {
        if IS_REAL.get() { real } else { small }
    }

    /// Makes the present test run with the sizes of a release. Collections that exist already would break.
    pub(crate) fn use_real_sizes() {
        IS_REAL.set(true);
    }

    /// Counts units of work: values moved, hashed or visited.
    pub(crate) fn count(units: usize) {
        WORK.set(WORK.get() + units);
    }

    /// Returns the units of work since the last call.
    pub(crate) fn take_work() -> usize {
        WORK.take()
    }
}
