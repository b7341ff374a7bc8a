//! Histograms of durations in constant memory.

use core::time::Duration;

/// Upper bounds of the ranges, in microseconds; one more range has no bound.
const BOUNDS: [u64; 17] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// A count of durations for each of 18 ranges: up to 50 µs, up to 100 µs, up to 250 µs and so on up to 10 s, and longer than 10 s.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Histogram {
    counts: [u64; BOUNDS.len() + 1],
    sum: Duration,
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&mut self, duration: Duration) {
        let range = BOUNDS.partition_point(|&bound| Duration::from_micros(bound) < duration);
        self.counts[range] += 1;
        self.sum = self.sum.saturating_add(duration);
    }

    /// Iterates over the ranges, the shortest durations first: the longest duration of the range (`None` for the last range), and the count of
    /// this range alone.
    pub fn ranges(&self) -> impl Iterator<Item = (Option<Duration>, u64)> + '_ {
        let bounds = BOUNDS.iter().map(|&bound| Some(Duration::from_micros(bound))).chain([None]);
        bounds.zip(self.counts.iter().copied())
    }

    /// Returns the sum of all durations. It saturates.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// Returns the number of all durations.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn a_duration_belongs_to_the_first_range_that_it_does_not_exceed() {
        let mut histogram = Histogram::default();
        for micros in [0, 50, 51, 10_000_000, 10_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let full: Vec<_> = histogram.ranges().filter(|(_, count)| *count > 0).collect();
        let micros = |n| Some(Duration::from_micros(n));
        assert_eq!(full, [(micros(50), 2), (micros(100), 1), (micros(10_000_000), 1), (None, 1)]);
        assert_eq!((histogram.count(), histogram.sum()), (5, Duration::from_micros(20_000_102)));
    }
}
