//! The committed bounds: one line each in `instructions.txt`, and the compiler that they were measured with.

use std::env::consts::ARCH;
use std::process::{Command, ExitCode};
use std::{env, fs};

use crate::common::calls::SITUATIONS;
use crate::common::case::CASES;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");

pub(crate) struct Bounds {
    text: String,
}

impl Bounds {
    pub(crate) fn read() -> Self {
        Self { text: fs::read_to_string(FILE).unwrap_or_default() }
    }

    fn lines(&self) -> impl Iterator<Item = (u64, &str)> {
        let lines = self.text.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| line.trim().split_once("  ")).filter_map(|(n, name)| Some((n.parse().ok()?, name)))
    }

    pub(crate) fn of(&self, case: &str) -> Option<u64> {
        self.lines().find(|(_, name)| *name == case).map(|(bound, _)| bound)
    }

    /// Fails unless there is a bound for each case and no other bound.
    pub(crate) fn check_names(&self) -> ExitCode {
        let bounds: Vec<&str> = self.lines().map(|(_, name)| name).collect();
        let cases = CASES.iter().map(|case| case.name);
        let cases: Vec<&str> = cases.chain(SITUATIONS.iter().map(|situation| situation.name)).collect();
        if bounds == cases {
            println!("each of {} cases has a bound", cases.len());
            return ExitCode::SUCCESS;
        }
        println!("instructions.txt has bounds for {bounds:?}, and the cases are {cases:?}: `-- --renew`");
        ExitCode::FAILURE
    }

    pub(crate) fn is_for_this_processor(&self) -> bool {
        self.text.contains(&format!(" for {ARCH}"))
    }

    pub(crate) fn warn_of_other_compiler(&self) {
        let here = compiler();
        if !self.text.contains(&here) {
            println!("The bounds were measured with another compiler than {here}: see the head of instructions.txt");
        }
    }
}

/// Writes new bounds, 10 % above these counts.
pub(crate) fn write(counts: &[(&str, u64)]) {
    let compiler = compiler();
    let mut text = format!(
        "# The most instructions of each case, per change or per delivery, and then of the longest single call in each situation: 10 % over
# what was measured. They depend on the compiler, and a little on the C library and the processor: another compiler may need other
# bounds. Measured with
# {compiler} for {ARCH}.
# `cargo bench --bench instructions` compares, and with `-- --renew` writes this file anew.
"
    );
    for (name, each) in counts {
        let bound = (each * 11).div_ceil(10);
        println!("{name:<50} {each:>9} {bound:>9}");
        text.push_str(&format!("{bound:>9}  {name}\n"));
    }
    fs::write(FILE, text).expect("benches/instructions.txt can be written");
}

/// Returns the version of the compiler that cargo uses.
fn compiler() -> String {
    let version = Command::new("rustc").arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string());
    version.unwrap_or_else(|_| "an unknown compiler".to_string())
}
