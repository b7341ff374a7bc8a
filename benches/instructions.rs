//! Counts the instructions of the core's hot functions. The count does not depend on the machine's load, so that a
//! regression is noticeable. Each of the cases (`common/case.rs`) runs twice under valgrind's callgrind: completely,
//! and only its preparation. The difference is compared with the bound in `instructions.txt`. The configuration seeds
//! the hash maps.
//!
//! Also counts the instructions of the longest single call in situations with much work (`common/calls.rs`), because
//! the work per call is bounded.
//!
//! `cargo bench --bench instructions`; a part of a case's name after `--` selects cases; `-- --renew` writes new
//! bounds, 10 % above the measured counts. Skipped without valgrind. `-- --test` only checks that each case has a
//! bound.
//!
//! To see where the instructions are spent, start the program in the same way as it starts itself: `valgrind
//! --tool=callgrind PROGRAM --whole announce`, built with `--profile profiling`.

use std::process::ExitCode;

#[path = "common"]
mod common {
    pub(crate) mod calls;
    pub(crate) mod case;
    mod frames;
    mod server;
    mod updates;
}
use common::calls::SITUATIONS;
use common::case::CASES;

#[path = "instructions/bounds.rs"]
mod bounds;
#[path = "instructions/count.rs"]
mod count;
#[path = "instructions/longest.rs"]
mod longest;
use bounds::Bounds;
use count::Counted;

/// More than one read and more than one transmit, but few enough for valgrind.
const ROUTES: usize = 4_000;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    if let [flag, name] = &args[..]
        && let Some(case) = CASES.iter().find(|case| case.name == name)
    {
        // This process runs under valgrind.
        return count::run(case, ROUTES, flag == "--whole");
    }
    if let [flag, name] = &args[..]
        && flag == "--longest"
        && let Some(situation) = SITUATIONS.iter().find(|situation| situation.name == name)
    {
        return longest::run(situation);
    }
    let part = args.iter().find(|arg| !arg.starts_with("--"));
    let bounds = Bounds::read();
    if has("--test") {
        return bounds.check_names();
    }
    if cfg!(debug_assertions) {
        println!("skipped: it is not built as it is released; `cargo bench` does that");
        return ExitCode::SUCCESS;
    }
    if !has("--renew") && !bounds.is_for_this_processor() {
        println!("skipped: the bounds are those of another kind of processor");
        return ExitCode::SUCCESS;
    }
    let is_chosen = |name: &str| has("--renew") || part.is_none_or(|part| name.contains(part));
    let hot = CASES.iter().filter(|case| is_chosen(case.name)).map(|case| {
        let each = |all: u64| all.div_ceil((ROUTES * case.times) as u64);
        (case.name, count::count(case).map(|counted| counted.map(each)))
    });
    let longest = SITUATIONS.iter().filter(|situation| is_chosen(situation.name));
    let longest = longest.map(|situation| (situation.name, longest::count(situation)));
    let mut counts = Vec::new();
    let mut excess = 0;
    println!(
        "{ROUTES} routes; instructions per change, or per delivery, and their bound; then those of the longest call"
    );
    for (name, counted) in hot.chain(longest) {
        let count = match counted {
            Ok(Counted::Instructions(count)) => count,
            Ok(Counted::NoValgrind) => {
                println!("skipped: there is no valgrind");
                return ExitCode::SUCCESS;
            }
            Err(why) => {
                println!("{name}: {why}");
                return ExitCode::FAILURE;
            }
        };
        counts.push((name, count));
        excess += usize::from(!has("--renew") && !judge(name, count, bounds.of(name)));
    }
    if has("--renew") {
        bounds::write(&counts);
    } else if excess > 0 {
        println!("{excess} over their bounds. If that is meant: `cargo bench --bench instructions -- --renew`");
        bounds.warn_of_other_compiler();
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Prints a result. Returns true if the count is within the bound.
fn judge(name: &str, count: u64, bound: Option<u64>) -> bool {
    let (is_within, word) = match bound {
        None => (false, "FAILED: it has no bound"),
        Some(bound) if count > bound => (false, "FAILED: more than the bound"),
        Some(bound) if count * 5 < bound * 4 => (true, "a fifth below the bound and more: it may be lowered"),
        Some(_) => (true, ""),
    };
    let bound = bound.map_or(String::from("-"), |bound| bound.to_string());
    println!("{}", format!("{name:<50} {count:>9} {bound:>9}  {word}").trim_end());
    is_within
}
