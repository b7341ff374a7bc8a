//! `metalbond replay`: runs a recording again, without a network and as fast as possible.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::Args;
use metalbond_tokio::{ReplayError, Step, Summary, replay};

use crate::steps::{Steps, outputs};

/// How many outputs are listed if they differ.
const NAMED: usize = 5;

#[derive(Args, Debug)]
pub(crate) struct ReplayArgs {
    /// The recording; `-` reads standard input. If an output differs, the exit code is 1, and the line of the recording is
    /// printed
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print every input and every output on a line of its own: `->` from a peer, `<-` to a peer
    #[arg(long)]
    print: bool,
}

/// Replays a file to its end or to the first difference.
pub(crate) fn run(args: &ReplayArgs) -> anyhow::Result<()> {
    let name = args.file.display();
    let recording: Box<dyn Read> = if args.file.as_os_str() == "-" {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(&args.file).with_context(|| format!("cannot open {name}"))?)
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let mut steps = Steps::default();
    let mut outcome = Outcome::default();
    let replayed = replay(BufReader::with_capacity(128 * 1024, recording), |line, step| {
        outcome.take(line, &step);
        if args.print { steps.write(&mut out, &step) } else { Ok(()) }
    });
    let result = match replayed {
        Ok(summary) => writeln!(out, "{}", Equal(&summary)).and_then(|()| out.flush()),
        Err(ReplayError::Show(error)) => Err(error),
        Err(error) => {
            // Prints the steps before the difference.
            let _ = out.flush();
            let is_difference = matches!(error, ReplayError::Differs { .. });
            let outcome = if is_difference { outcome.to_string() } else { String::new() };
            return Err(anyhow!("{name}: {error}{outcome}"));
        }
    };
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}

/// The first outputs of a line.
#[derive(Default)]
struct Outcome {
    line: u64,
    first: Vec<String>,
    is_more: bool,
}

impl Outcome {
    fn take(&mut self, line: u64, step: &Step<'_>) {
        if self.line != line {
            *self = Self { line, ..Self::default() };
        }
        // One more than is listed, to know whether there are more.
        self.first.extend(outputs(step, NAMED + 1 - self.first.len()));
        self.is_more |= self.first.len() > NAMED;
        self.first.truncate(NAMED);
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first.is_empty() {
            return f.write_str("; the line has no outputs now");
        }
        let more = if self.is_more { ", and more" } else { "" };
        write!(f, "; the line's outputs are now: {}{more}", self.first.join(", "))
    }
}

/// Formats the summary of a recording whose replay had no difference.
struct Equal<'a>(&'a Summary);

impl fmt::Display for Equal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { version, inputs, iterations, transmits, bytes, changes, duration, is_cut, .. } = self.0;
        let secs = duration.as_secs_f64();
        write!(
            f,
            "equal: {inputs} inputs in {iterations} iterations over {secs:.3} s; {transmits} transmits of {bytes} bytes, "
        )?;
        write!(f, "{changes} changes of routes; recorded by version {version}")?;
        if *is_cut { f.write_str("\nThe last line was cut off, and is left out.") } else { Ok(()) }
    }
}
