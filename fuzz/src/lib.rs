//! The fuzz targets: three functions that take bytes and panic if something is wrong with the core, and what a fuzzer
//! changes in such bytes. `tests/fuzz_corpus.rs` of the core includes `targets`, too, and replays the corpus without a fuzzer.

pub mod mutate;
#[expect(dead_code, reason = "the targets use a part of it; the core's tests use all of it, and hold no dead code")]
#[path = "../../tests/sim/mod.rs"]
mod sim;
mod targets;

/// A stream of bytes, taken apart.
///
/// # Panics
/// If something is wrong with the core.
pub fn frames(data: &[u8]) {
    targets::frames::run(data);
}

/// One node, and peers that say anything.
///
/// # Panics
/// If something is wrong with the core.
pub fn session(data: &[u8]) {
    targets::session::run(data);
}

/// Nodes on a network.
///
/// # Panics
/// If something is wrong with the core.
pub fn world(data: &[u8]) {
    targets::world::run(data);
}
