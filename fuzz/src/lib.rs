//! What the fuzz targets do with their bytes, as plain functions: `tests/fuzz_corpus.rs` of the core includes the same
//! files and replays the corpus without a fuzzer.

pub mod frames;
pub mod mutate;
pub mod session;
#[path = "../../tests/sim/mod.rs"]
mod sim;
mod source;
pub mod world;
