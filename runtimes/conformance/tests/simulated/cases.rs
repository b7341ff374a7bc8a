//! Runs random cases, and prints the smallest failing one as a test. Also runs as many cases as there is time for.

use std::cell::Cell;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestCaseError, TestError, TestRunner};

use super::ops::{self, Op};
use super::quiet::quietly;
use super::world::{Setup, run};

/// How often a failing case is run to find the smallest one.
const SHRINKS: u32 = 2000;

/// The number of cases in one round of the long run.
const ROUND: u32 = 50;

pub(crate) fn setup() -> impl Strategy<Value = Setup> {
    (1..=2_usize, 1..=3_usize, any::<u64>()).prop_map(|(servers, clients, seed)| Setup { servers, clients, seed })
}

/// Runs random cases, each of at most `length` operations.
pub(crate) fn check_cases(cases: u32, length: usize, check: impl Fn(Setup, &[Op])) {
    if let Err(why) = try_cases(cases, length, check) {
        panic!("{why}");
    }
}

fn try_cases(cases: u32, length: usize, check: impl Fn(Setup, &[Op])) -> Result<(), String> {
    let seed = number("METALBOND_SIM_SEED").map_or(RngSeed::Random, |seed| RngSeed::Fixed(seed as u64));
    let shrinks = number("METALBOND_SIM_SHRINKS").map_or(SHRINKS, |shrinks| shrinks as u32);
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: shrinks,
        rng_seed: seed,
        ..ProptestConfig::default()
    };
    let strategy = (setup(), proptest::collection::vec(ops::op(), 0..length));
    let passed = Cell::new(0);
    let case = |(setup, ops): (Setup, Vec<Op>)| {
        check(setup, &ops);
        passed.set(passed.get() + 1);
        Ok::<(), TestCaseError>(())
    };
    match quietly(|| TestRunner::new(config).run(&strategy, case)) {
        Ok(()) => Ok(()),
        Err(TestError::Fail(why, (setup, ops))) => {
            let why = format!("{why}\n\nAfter {} cases that passed. ", passed.get());
            Err(format!("{why}To run it again, paste this into a test:\n\n    run({setup:?}, &{ops:?});\n"))
        }
        Err(other) => Err(other.to_string()),
    }
}

/// Runs cases of different lengths: for `METALBOND_SIM_MINUTES` if that is set, otherwise a few.
pub(crate) fn soak() {
    let minutes = number("METALBOND_SIM_MINUTES");
    let begin = Instant::now();
    let mut cases = 0;
    for length in [10, 40, 120].into_iter().cycle() {
        check_cases(ROUND, length, |setup, ops| _ = run(setup, ops));
        cases += ROUND;
        let is_over = match minutes {
            Some(minutes) => begin.elapsed() >= Duration::from_secs_f64(60.0 * minutes),
            None => cases >= 3 * ROUND,
        };
        if is_over {
            break;
        }
    }
    println!("{cases} cases in {:?}", begin.elapsed());
}

/// Returns the number of cases in the environment, or `usual` if there is none.
pub(crate) fn cases(usual: u32) -> u32 {
    number("METALBOND_SIM_CASES").map_or(usual, |cases| cases as u32)
}

fn number(name: &str) -> Option<f64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}
