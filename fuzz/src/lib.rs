//! The fuzz targets, three functions that take bytes and panic if they find a defect of the core, and the mutations of
//! such bytes. `tests/fuzz_corpus.rs` of the core includes `targets` as well, and replays the corpus without a fuzzer.

pub mod mutate;
#[expect(dead_code, reason = "the targets use a part of it; the core's tests use all of it, and hold no dead code")]
#[path = "../../tests/sim/mod.rs"]
mod sim;
mod targets;

/// Decodes a byte stream.
///
/// # Panics
///
/// If there is a defect of the core.
pub fn frames(data: &[u8]) {
    targets::frames::run(data);
}

/// Runs one node whose peers send arbitrary data.
///
/// # Panics
///
/// If there is a defect of the core.
pub fn session(data: &[u8]) {
    targets::session::run(data);
}

/// Runs nodes on a simulated network.
///
/// # Panics
///
/// If there is a defect of the core.
pub fn world(data: &[u8]) {
    targets::world::run(data);
}
