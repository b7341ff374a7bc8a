//! The simulator's only source of random numbers.

// The core's own generator: one implementation, and no public item for it.
#[path = "../../src/splitmix.rs"]
mod splitmix;

use splitmix::SplitMix64;

/// A generator of pseudo-random numbers. The same seed gives the same numbers.
#[derive(Clone, Debug)]
pub(crate) struct Rng(SplitMix64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SplitMix64::new(seed))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0.next()
    }

    /// Returns a number from 1 to `max`.
    pub(crate) fn up_to(&mut self, max: usize) -> usize {
        1 + (self.next() % max.max(1) as u64) as usize
    }
}
