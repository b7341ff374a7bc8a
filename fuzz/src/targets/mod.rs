//! The targets. Each one returns what it reached, so that a test can check that the corpus reaches something.

pub(crate) mod frames;
pub(crate) mod session;
mod source;
pub(crate) mod world;
