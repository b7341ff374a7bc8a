//! Runs a recording again, and compares the outputs with the recorded ones. Uses no clock and no socket.

use std::io::{self, BufRead, Read as _};
use std::time::Duration;

use metalbond::{Action, ConfigError, Input, Instant, Node, RouteChange, Transmit};
use serde::de::DeserializeOwned;

use super::digest::{Digest, Replies, Sent};
use super::line::{AnyHeader, FORMAT, Header, Line};

/// The longest line in bytes that is accepted: far longer than the line for any message.
const LINE_MAX: u64 = 16 * 1024 * 1024;

/// A step of a replay: an input of the node, or an output that it returns now.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Step<'a> {
    /// An input, at this time.
    Input(Instant, &'a Input),
    /// An action that the last input returned.
    Action(&'a Action),
    /// A transmit that the node returned.
    Transmit(&'a Transmit),
    /// A route change that the node returned.
    Change(&'a RouteChange),
    /// The end of an iteration, and the result of [`Node::poll_timeout`].
    Iteration(Option<Instant>),
}

/// The result of a replay that had the same outputs as the recording: its counts.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// The version of `metalbond-driver` that made the recording.
    pub version: String,
    /// Number of inputs, including [`Input::Tick`].
    pub inputs: u64,
    /// Number of iterations of the actor's loop.
    pub iterations: u64,
    /// Number of transmits that the node returned.
    pub transmits: u64,
    /// Number of bytes in the transmits.
    pub bytes: u64,
    /// Number of route changes that were reported to the application.
    pub changes: u64,
    /// The time from the node's start to the last input.
    pub duration: Duration,
    /// Whether the last line is not complete, and was left out: the recorder was killed, or its disk was full.
    pub is_cut: bool,
}

/// Why a recording was not replayed to its end. Line 1 is the header.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The recording cannot be read.
    #[error("cannot read the recording: {0}")]
    Io(#[from] io::Error),
    /// `show` returned this error.
    #[error("cannot write the replayed outputs: {0}")]
    Show(io::Error),
    /// A line is not a line of a recording.
    #[error("line {line}: {why}")]
    Line {
        /// The number of the line.
        line: u64,
        /// The error in the line.
        why: String,
    },
    /// The recording has another format, with this number.
    #[error("format {0}; this version reads format {FORMAT}")]
    Format(u32),
    /// A setting of the recording is out of its range.
    #[error("line 1: {0}")]
    Config(#[from] ConfigError),
    /// An output differs from the recorded one.
    #[error("line {line}: {what} is {now}, and was {then} when it was recorded")]
    Differs {
        /// The number of the first line with a difference.
        line: u64,
        /// The value that differs: `crc`, the checksum of all outputs up to this line, or `poll_timeout`.
        what: &'static str,
        /// The recorded value.
        then: String,
        /// The value now.
        now: String,
    },
}

/// Replays a recording that [`StartOptions::record`](crate::StartOptions::record) made: makes a node with the same settings and the same
/// seed, makes the same calls, and compares the outputs by their checksum. Calls `show` for each step, with the number of its line. Needs
/// no runtime.
///
/// # Errors
/// If the recording cannot be read or is not valid, at the first line whose outputs differ, and if `show` returns an error.
pub fn replay(
    recording: impl BufRead,
    mut show: impl FnMut(u64, Step<'_>) -> io::Result<()>,
) -> Result<Summary, ReplayError> {
    let mut lines = Lines { recording, number: 0, text: Vec::new() };
    let Header { version, start, config, .. } = lines.header()?;
    let mut node = Node::new(config, start)?;
    let mut now = start;
    let mut digest = Digest::default();
    let mut sum = Summary { version, ..Summary::default() };
    while lines.next()? {
        let line: Line = lines.parse()?;
        let number = lines.number;
        let mut show = |step: Step<'_>| show(number, step).map_err(ReplayError::Show);
        let then = line.crc.unwrap_or_else(|| digest.crc());
        if let Some(input) = line.input {
            now = line.now.unwrap_or(now);
            sum.inputs += 1;
            show(Step::Input(now, &input))?;
            let replies = Replies::to(&input);
            for action in node.handle_input(now, input) {
                digest.action(&action, replies);
                show(Step::Action(&action))?;
            }
        }
        for transmit in (0..line.poll_transmit).filter_map(|_| node.poll_transmit()) {
            sum.transmits += 1;
            sum.bytes += transmit.len() as u64;
            digest.transmit(&Sent::from(&transmit));
            show(Step::Transmit(&transmit))?;
        }
        for change in (0..line.poll_change).filter_map(|_| node.poll_change()) {
            sum.changes += 1;
            digest.change(&change);
            show(Step::Change(&change))?;
        }
        lines.compare("crc", then, digest.crc())?;
        if let Some(then) = line.poll_timeout {
            sum.iterations += 1;
            show(Step::Iteration(node.poll_timeout()))?;
            lines.compare("poll_timeout", Timeout(then), Timeout(node.poll_timeout()))?;
        }
    }
    sum.duration = now.saturating_since(start);
    sum.is_cut = !lines.text.is_empty();
    Ok(sum)
}

/// The lines of a recording. At the end, `text` has the incomplete last line, if there is one.
struct Lines<R> {
    recording: R,
    number: u64,
    text: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// Reads the next line. Returns false if there are no more.
    fn next(&mut self) -> Result<bool, ReplayError> {
        self.text.clear();
        self.number += 1;
        self.recording.by_ref().take(LINE_MAX).read_until(b'\n', &mut self.text)?;
        if self.text.pop_if(|last| *last == b'\n').is_some() {
            return Ok(true);
        }
        if self.text.len() as u64 == LINE_MAX {
            return Err(self.wrong("it is longer than a line of a recording can be"));
        }
        Ok(false)
    }

    fn header(&mut self) -> Result<Header, ReplayError> {
        if !self.next()? {
            return Err(self.wrong("there is no whole header: this is not a recording"));
        }
        let AnyHeader { metalbond_recording: format } = match self.parse() {
            Err(ReplayError::Line { why, .. }) => {
                return Err(self.wrong(format_args!("this is not a recording: {why}")));
            }
            header => header?,
        };
        if format != FORMAT {
            return Err(ReplayError::Format(format));
        }
        self.parse()
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T, ReplayError> {
        serde_json::from_slice(&self.text).map_err(|error| {
            // The message has a place in a text that is always one line.
            let why = error.to_string();
            let why = why.split(" at line ").next().unwrap_or_default();
            self.wrong(format_args!("{why} (column {})", error.column()))
        })
    }

    fn wrong(&self, why: impl ToString) -> ReplayError {
        ReplayError::Line { line: self.number, why: why.to_string() }
    }

    fn compare<T: PartialEq + ToString>(&self, what: &'static str, then: T, now: T) -> Result<(), ReplayError> {
        if then == now {
            return Ok(());
        }
        Err(ReplayError::Differs { line: self.number, what, then: then.to_string(), now: now.to_string() })
    }
}

/// A result of `poll_timeout`, written as in the recording.
#[derive(PartialEq, Eq)]
struct Timeout(Option<Instant>);

impl std::fmt::Display for Timeout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.map(Instant::since_epoch) {
            Some(at) => write!(f, "{}.{:09}", at.as_secs(), at.subsec_nanos()),
            None => f.write_str("null"),
        }
    }
}
