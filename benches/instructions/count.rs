//! Runs one case under callgrind.

use std::hint::black_box;
use std::process::{Child, Command, ExitCode, Stdio};
use std::{env, io};

use crate::common::case::Case;

pub(crate) enum Counted {
    Instructions(u64),
    NoValgrind,
}

impl Counted {
    pub(crate) fn map(self, f: impl FnOnce(u64) -> u64) -> Self {
        match self {
            Self::Instructions(count) => Self::Instructions(f(count)),
            Self::NoValgrind => Self::NoValgrind,
        }
    }
}

/// Returns the number of instructions of the case without its preparation.
pub(crate) fn count(case: &Case) -> Result<Counted, String> {
    let (whole, stage) = match (spawn("--whole", case), spawn("--stage", case)) {
        (Ok(whole), Ok(stage)) => (whole, stage),
        (Err(error), _) | (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(Counted::NoValgrind),
        (Err(error), _) | (_, Err(error)) => return Err(format!("valgrind: {error}")),
    };
    let (whole, stage) = (collected(whole), collected(stage));
    Ok(Counted::Instructions(whole?.saturating_sub(stage?)))
}

/// Runs the case, or only its preparation. Ends the process before anything is freed.
pub(crate) fn run(case: &Case, routes: usize, whole: bool) -> ExitCode {
    let mut work = black_box((case.prepare)(routes));
    if whole {
        assert_eq!(work(), (case.expect)(routes), "{}: not what is to be done", case.name);
    }
    std::process::exit(0)
}

fn spawn(part: &str, case: &Case) -> io::Result<Child> {
    Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args([part, case.name])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
}

/// Returns the total that callgrind prints at its end.
fn collected(child: Child) -> Result<u64, String> {
    let output = child.wait_with_output().map_err(|error| format!("valgrind: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let total = text.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    total.filter(|_| output.status.success()).ok_or_else(|| format!("valgrind: {}\n{text}", output.status))
}
