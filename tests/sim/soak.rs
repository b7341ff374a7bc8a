//! Thousands of random worlds, on every core: a number of rounds, or as many as there is time for.

use std::num::NonZero;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::cases::{number, try_cases};
use super::ops::{self, Op};
use super::plots;
use super::world::Setup;

/// Number of worlds of one setup and one length.
const ROUND: u32 = 25;
const LENGTHS: [usize; 4] = [40, 80, 160, 320];

/// The number of worlds that were run, and of operations in them; or the failure.
type Outcome = Result<(u32, usize), String>;

/// Runs this many rounds of each setup in each length, and of its plots; for METALBOND_SIM_MINUTES instead, if that is
/// set.
pub(crate) fn soak(setups: &'static [Setup], rounds: usize) {
    let begin = Instant::now();
    let until = number("METALBOND_SIM_MINUTES").map(|m| begin + Duration::from_secs_f64(m * 60.0));
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let (sender, outcomes) = channel();
    for worker in 0..workers {
        let sender = sender.clone();
        thread::spawn(move || {
            let rounds = until.map_or(rounds * setups.len() * (LENGTHS.len() + 1), |_| usize::MAX);
            work(setups, (worker..rounds).step_by(workers), until, &sender);
        });
    }
    drop(sender);
    let (mut worlds, mut operations, mut minutes) = (0_u64, 0_u64, 0);
    for outcome in outcomes {
        let (w, o) = outcome.unwrap_or_else(|why| panic!("{why}"));
        worlds += u64::from(w);
        operations += o as u64;
        if begin.elapsed().as_secs() / 60 > minutes {
            minutes = begin.elapsed().as_secs() / 60;
            println!("{minutes} min: {worlds} worlds, {operations} operations");
        }
    }
    println!("{worlds} worlds, {operations} operations in {:?}", begin.elapsed());
}

fn work(setups: &[Setup], rounds: impl Iterator<Item = usize>, until: Option<Instant>, outcomes: &Sender<Outcome>) {
    for round in rounds.take_while(|_| until.is_none_or(|until| Instant::now() < until)) {
        let setup = setups[round % setups.len()];
        let outcome = match LENGTHS.get(round / setups.len() % (LENGTHS.len() + 1)) {
            Some(length) => try_cases(setup, ROUND, operations(*length)),
            None => try_cases(setup, ROUND, plots::worlds(setup.servers)),
        };
        let outcome = outcome.map(|operations| (ROUND, operations));
        let is_last = outcome.is_err();
        // The receiver is gone if another worker's case failed.
        if outcomes.send(outcome).is_err() || is_last {
            return;
        }
    }
}

/// Generates at most this many operations, with more faults than elsewhere. Each server has its own delay from the
/// start.
pub(crate) fn operations(length: usize) -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![20 => ops::all(), 5 => ops::fault(), 2 => ops::between_servers()];
    (any::<u8>(), proptest::collection::vec(op, 0..length)).prop_map(|(delays, mut ops)| {
        ops.insert(0, Op::Delays(delays));
        ops
    })
}
