//! The wall time of the core's hot functions: each case is the median of several rounds; the last column is relative to
//! decoding an UPDATE. `instructions` counts the instructions of the same cases.
//!
//! `cargo bench --bench hot`; a part of a case's name after `--` selects cases; `-- --test` runs one small round.

use std::time::Duration;

mod common {
    pub(crate) mod case;
    mod frames;
    pub(crate) mod rounds;
    mod server;
    mod updates;
}
use common::case::{CASES, Case};
use common::rounds::{median, time};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (routes, rounds) = if args.iter().any(|arg| arg == "--test") { (1_000, 1) } else { (100_000, 9) };
    let part = args.iter().find(|arg| !arg.starts_with("--"));
    let decode = measure(&CASES[0], routes, rounds);
    println!("{routes} routes; median of {rounds}; each: per change, or per delivery");
    for case in CASES.iter().filter(|case| part.is_none_or(|part| case.name.contains(part))) {
        let took = if case.name == CASES[0].name { decode } else { measure(case, routes, rounds) };
        let each = took.as_nanos() as f64 / (routes * case.times) as f64;
        let ratio = each * routes as f64 / decode.as_nanos() as f64;
        println!("{:<44} {:>9.3} ms {each:>8.1} ns each {ratio:>7.2} x decode", case.name, took.as_secs_f64() * 1e3);
    }
}

fn measure(case: &Case, routes: usize, rounds: usize) -> Duration {
    median(rounds, || {
        let (mut work, mut done) = ((case.prepare)(routes), 0);
        let took = time(|| done = work());
        assert_eq!(done, (case.expect)(routes), "{}: not what is to be done", case.name);
        took
    })
}
