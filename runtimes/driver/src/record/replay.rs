//! Runs a recording again, and compares what comes out with what came out then. Nothing else: no clock, no socket.

use std::io::{self, BufRead, Read as _};
use std::time::Duration;

use metalbond::{Action, ConfigError, Input, Instant, Node, RouteChange, Transmit};
use serde::de::DeserializeOwned;

use super::digest::{Digest, Replies, Sent};
use super::line::{AnyHeader, FORMAT, Header, Line};

/// The longest line that is taken for one: far more than a message of a driver becomes.
const LINE_MAX: u64 = 16 * 1024 * 1024;

/// What happens in a replay: what goes into the node, or what comes out of it now.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Step<'a> {
    /// In, at this time.
    Input(Instant, &'a Input),
    /// Out, because of the last input.
    Action(&'a Action),
    /// Out.
    Transmit(&'a Transmit),
    /// Out.
    Change(&'a RouteChange),
    /// The end of a turn. The node has nothing to do before this; `None`: not by itself.
    Turn(Option<Instant>),
}

/// What a recording holds, replayed with the same outputs.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// The version of `metalbond-driver` that recorded it.
    pub version: String,
    /// Inputs, time's included.
    pub inputs: u64,
    /// Ends of turns.
    pub turns: u64,
    /// Transmits.
    pub transmits: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Route changes told to the embedder.
    pub changes: u64,
    /// From the node's start to the last input.
    pub duration: Duration,
    /// The last line is not whole, and was left out: the recorder was killed, or its disk was full.
    pub is_cut: bool,
}

/// Why a recording is not replayed to its end. Lines count from 1, which is the header.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// It cannot be read.
    #[error("cannot read the recording: {0}")]
    Io(#[from] io::Error),
    /// Nobody is shown any more.
    #[error("cannot show what is replayed: {0}")]
    Show(io::Error),
    /// It is not a recording.
    #[error("line {line}: {why}")]
    Line {
        /// Where.
        line: u64,
        /// What is wrong.
        why: String,
    },
    /// Another version wrote it.
    #[error("format {0}; this version reads format {FORMAT}")]
    Format(u32),
    /// Its settings are out of their range.
    #[error("line 1: {0}")]
    Config(#[from] ConfigError),
    /// What comes out differs from what came out then.
    #[error("line {line}: {what} is {now}, and was {then} when it was recorded")]
    Differs {
        /// The first line for which it does.
        line: u64,
        /// `crc`, of all outputs up to here, or `poll_timeout`.
        what: &'static str,
        /// The value that was recorded.
        then: String,
        /// The value now.
        now: String,
    },
}

/// Replays a recording: makes a node with the same settings and the same seed, makes the same calls, and compares what
/// comes out byte for byte (by checksum). `show` is told each step, with the number of its line; its error is the end.
///
/// # Errors
/// If it can't be read or understood; at the first line whose outputs differ.
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
            sum.turns += 1;
            show(Step::Turn(node.poll_timeout()))?;
            lines.compare("poll_timeout", Timeout(then), Timeout(node.poll_timeout()))?;
        }
    }
    sum.duration = now.saturating_since(start);
    sum.is_cut = !lines.text.is_empty();
    Ok(sum)
}

/// A recording's lines. At the end, `text` has what there is of the last one, if it is not whole.
struct Lines<R> {
    recording: R,
    number: u64,
    text: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// Reads the next line. False: there are no more.
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
            // It has a place in a text of one line.
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

/// A `poll_timeout`, as in the recording.
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
