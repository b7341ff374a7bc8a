//! Recordings: the inputs of a node, call by call, with a checksum of its outputs; and their replay.
//!
//! A recording has one JSON object per line. The first line is a header: the versions of the format and of the program, the time of the
//! node's start, and its settings with the seed. Each other line has the calls that were made, in this order: `handle_input` with `input`
//! (at the time `now`, which is absent if it is that of the previous input), the numbers of calls of `poll_transmit` and `poll_change`,
//! and, at the end of an iteration, the result of `poll_timeout`. `crc` is the checksum of all outputs so far; it is absent if there were
//! no new ones.

mod digest;
mod line;
mod recorder;
mod replay;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use recorder::Recorder;
pub use replay::{ReplayError, Step, Summary, replay};
