//! The only source of randomness of a simulation.

// The generator of the core, included as source: there is one implementation, and it is not public.
#[path = "../../../../src/splitmix.rs"]
mod splitmix;

use splitmix::SplitMix64;
pub(super) use splitmix::mix;

/// A generator of pseudo-random numbers. The same seed gives the same numbers.
#[derive(Clone, Debug)]
pub(super) struct Random(SplitMix64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(SplitMix64::new(seed))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0.next()
    }

    /// Returns a number below `end`, which is at least 1.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Returns a number from 1 to `max`, which is at least 1.
    pub(super) fn up_to(&mut self, max: usize) -> usize {
        1 + self.below(max)
    }

    /// Returns true once in `n` times.
    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }

    /// Returns one of the choices.
    pub(super) fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}
