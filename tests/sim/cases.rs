//! Random cases. The smallest one that fails is printed as a regression test.

use std::cell::{Cell, RefCell};

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::act::run;
use super::ops::{self, Op};
use super::quiet::quietly;
use super::reached::Reached;
use super::world::{Setup, World};

/// Maximum number of runs of a failing case in search of the smallest one. Some cases are hundreds of operations long.
const SHRINKS: u32 = 30_000;

/// Runs a share of the usual number of cases.
pub(crate) fn check_cases(setup: Setup, share: u32) {
    let cases = number("METALBOND_SIM_CASES").unwrap_or(10_000.0) as u32;
    let ops = proptest::collection::vec(ops::all(), 0..40);
    if let Err(why) = try_cases(setup, (cases / share).max(1), ops) {
        panic!("{why}");
    }
}

/// Runs random cases. Returns the number of their operations. On failure, returns the reason and the line to paste.
pub(crate) fn try_cases(setup: Setup, cases: u32, ops: impl Strategy<Value = Vec<Op>>) -> Result<usize, String> {
    let done = Cell::new(0);
    run_cases(TestRunner::new(config(cases)), setup, ops, |ops, _| done.set(done.get() + ops))?;
    Ok(done.get())
}

/// Runs cases, the same ones each time. Returns how often they reached each situation. Fails as `try_cases`.
pub(crate) fn reach(setup: Setup, cases: u32, ops: impl Strategy<Value = Vec<Op>>) -> Result<Reached, String> {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let reached = RefCell::new(Reached::default());
    let runner = TestRunner::new_with_rng(config(cases), rng);
    run_cases(runner, setup, ops, |_, world| reached.borrow_mut().add(&world.reached()))?;
    Ok(reached.into_inner())
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: SHRINKS, ..ProptestConfig::default() }
}

/// Calls `then` for each case with its number of operations and the world at its end.
fn run_cases(
    mut runner: TestRunner,
    setup: Setup,
    ops: impl Strategy<Value = Vec<Op>>,
    then: impl Fn(usize, &World),
) -> Result<(), String> {
    let case = |(ops, seed): (Vec<Op>, u64)| {
        then(ops.len(), &run(Setup { seed, ..setup }, &ops));
        Ok::<(), TestCaseError>(())
    };
    match quietly(|| runner.run(&(ops, any::<u64>()), case)) {
        Ok(()) => Ok(()),
        Err(TestError::Fail(why, (ops, seed))) => {
            Err(format!("{why}\n\n    run({:?}, &{ops:?});\n", Setup { seed, ..setup }))
        }
        Err(other) => Err(other.to_string()),
    }
}

/// Returns a number that is set in the environment.
pub(crate) fn number(name: &str) -> Option<f64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}
