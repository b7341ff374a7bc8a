//! Random cases, of which the smallest that fails is printed as a regression test.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestError, TestRunner};

use super::act::run;
use super::ops::{self, Op};
use super::quiet::quietly;
use super::world::Setup;

/// So often at most is a case run that fails, in search of the smallest. Some are hundreds of operations long.
const SHRINKS: u32 = 30_000;

/// Runs a share of the usual number of cases.
pub(crate) fn check_cases(setup: Setup, share: u32) {
    let cases = number("METALBOND_SIM_CASES").unwrap_or(10_000.0) as u32;
    let ops = proptest::collection::vec(ops::all(), 0..40);
    if let Err(why) = try_cases(setup, (cases / share).max(1), ops) {
        panic!("{why}");
    }
}

/// Runs random cases; returns how many operations they were. On failure, says why and gives the line to paste.
pub(crate) fn try_cases(setup: Setup, cases: u32, ops: impl Strategy<Value = Vec<Op>>) -> Result<usize, String> {
    let config =
        ProptestConfig { cases, failure_persistence: None, max_shrink_iters: SHRINKS, ..ProptestConfig::default() };
    let done = Cell::new(0);
    let case = |(ops, seed): (Vec<Op>, u64)| {
        run(Setup { seed, ..setup }, &ops);
        done.set(done.get() + ops.len());
        Ok::<(), TestCaseError>(())
    };
    match quietly(|| TestRunner::new(config).run(&(ops, any::<u64>()), case)) {
        Ok(()) => Ok(done.get()),
        Err(TestError::Fail(why, (ops, seed))) => {
            Err(format!("{why}\n\n    run({:?}, &{ops:?});\n", Setup { seed, ..setup }))
        }
        Err(other) => Err(other.to_string()),
    }
}

/// A number that was set in the environment.
pub(crate) fn number(name: &str) -> Option<f64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}
