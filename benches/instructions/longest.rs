//! Counts the instructions of the longest single call in each situation of `common/calls.rs`. Callgrind writes a file
//! with its counts at each call of [`mark`], and `mark` is called before and after each call into the node.

use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs, io};

use super::count::Counted;
use crate::common::calls::{Situation, Unwatched, Watch};

struct Marked;

impl Watch for Marked {
    fn call<R>(&mut self, _: &'static str, call: impl FnOnce() -> R) -> R {
        mark();
        let result = call();
        mark();
        result
    }
}

/// Callgrind identifies this function by its name, so the program must not be stripped.
#[inline(never)]
fn mark() {
    black_box(());
}

/// Runs a situation; this process runs under valgrind. Ends the process before anything is freed.
pub(crate) fn run(situation: &Situation) -> ExitCode {
    situation.run(situation.small, &mut Unwatched, &mut Marked);
    mark();
    std::process::exit(0)
}

/// Returns the number of instructions of the longest call.
pub(crate) fn count(situation: &Situation) -> Result<Counted, String> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("longest_call");
    let failed = |error: io::Error| format!("{}: {error}", dir.display());
    match fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => fs::create_dir_all(&dir).map_err(failed)?,
    }
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--dump-before=*longest*mark*"])
        .arg(format!("--callgrind-out-file={}", dir.join("count").display()))
        .arg(env::current_exe().map_err(failed)?)
        .args(["--longest", situation.name])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output();
    match output {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Counted::NoValgrind),
        Err(error) => return Err(format!("valgrind: {error}")),
        Ok(output) if !output.status.success() => {
            return Err(format!("valgrind: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)));
        }
        Ok(_) => {}
    }
    // The first file covers the time before the first call, the second one the first call, the third one the time
    // between two calls.
    let mut most = None;
    for number in (2u32..).step_by(2) {
        let file = dir.join(format!("count.{number}"));
        let text = match fs::read_to_string(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            text => text.map_err(|error| format!("{}: {error}", file.display()))?,
        };
        let summary = text.lines().find_map(|line| line.strip_prefix("summary: ")?.trim().parse::<u64>().ok());
        let instructions = summary.ok_or_else(|| format!("{}: without a count", file.display()))?;
        most = most.max(Some(instructions));
    }
    fs::remove_dir_all(&dir).map_err(failed)?;
    most.map(Counted::Instructions).ok_or_else(|| "callgrind noticed no call: is the program stripped?".to_string())
}
