//! The longest single call into a node in situations with much work: docs/robustness.md promises that no single event
//! takes long. Takes the longest call in each of five rounds, and compares the median of the five with 2 ms.
//!
//! `cargo bench --bench longest_call`; a part of a situation's name after `--` selects situations; `-- --test` runs one
//! small round. `instructions` counts the instructions of the longest call, which do not depend on the machine's load.

use std::time::{Duration, Instant};

mod common {
    pub(crate) mod calls;
    mod updates;
}
use common::calls::{SITUATIONS, Unwatched, Watch};

/// Remembers the longest call.
#[derive(Default)]
struct Longest {
    took: Duration,
    what: &'static str,
    calls: u64,
}

impl Watch for Longest {
    fn call<R>(&mut self, what: &'static str, call: impl FnOnce() -> R) -> R {
        let start = Instant::now();
        let result = call();
        let took = start.elapsed();
        self.calls += 1;
        if took > self.took {
            (self.took, self.what) = (took, what);
        }
        result
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let is_test = args.iter().any(|arg| arg == "--test");
    let part = args.iter().find(|arg| !arg.starts_with("--"));
    println!("the longest call of each round: median and worst of {}", if is_test { 1 } else { 5 });
    for situation in SITUATIONS.iter().filter(|one| part.is_none_or(|part| one.name.contains(part))) {
        let (size, rounds) = if is_test { (situation.small / 64, 1) } else { (situation.full, 5) };
        let mut longest: Vec<Longest> = Vec::new();
        for _ in 0..rounds {
            let mut watch = Longest::default();
            situation.run(size, &mut Unwatched, &mut watch);
            longest.push(watch);
        }
        longest.sort_by_key(|round| round.took);
        let (median, worst) = (&longest[rounds / 2], &longest[rounds - 1]);
        println!(
            "{:<50} {size:>9}: {:>9.3} ms ({}), worst {:>9.3} ms ({}), of {} calls",
            situation.name,
            median.took.as_secs_f64() * 1e3,
            median.what,
            worst.took.as_secs_f64() * 1e3,
            worst.what,
            median.calls
        );
    }
}
