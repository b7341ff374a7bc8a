//! Properties of the driver on a simulated runtime, with any operations in any order and on any schedule.
//!
//! Each module documents the properties that it checks: [`record`] those of calls, [`reader`] those of the stream of changes, [`life`] what
//! a node uses, [`world`] the conditions at rest.

mod calls;
mod cases;
mod life;
mod ops;
#[path = "../../../../tests/sim/quiet.rs"]
mod quiet;
mod raw;
mod reader;
mod record;
mod scenarios;
mod world;

use cases::{cases, check_cases};
use world::run;

#[test]
fn whatever_happens_all_calls_are_answered_tables_converge_and_nothing_is_left() {
    check_cases(cases(500), 40, |setup, ops| _ = run(setup, ops));
}

#[test]
fn a_run_is_reproduced_by_its_setup_and_operations() {
    check_cases(cases(500) / 10, 40, |setup, ops| assert_eq!(run(setup, ops), run(setup, ops)));
}

#[test]
fn whatever_happens_for_long() {
    cases::soak();
}
