//! Wall time: the median of several rounds, each on its own prepared node.

use std::time::{Duration, Instant};

pub(crate) fn median(rounds: usize, mut round: impl FnMut() -> Duration) -> Duration {
    let mut all: Vec<_> = (0..rounds).map(|_| round()).collect();
    all.sort();
    all[rounds / 2]
}

pub(crate) fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
