//! Recordings: what went into a node, call by call, and a digest of what came out; and their replay.
//!
//! One JSON object a line. The first one is a header: the format's version, the program's, when the node began, and its
//! settings, seed included. Each of the others is what was called, in this order: `handle_input` with `input` (at
//! `now`, which is left out if it is the one of the line before), `poll_transmit` and `poll_change` so many times, and, at the end
//! of a turn, `poll_timeout`, with what it said. `crc` is of all outputs so far; it is left out if there were no new ones.

mod digest;
mod line;
mod recorder;
mod replay;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use recorder::Recorder;
pub use replay::{ReplayError, Step, Summary, replay};
