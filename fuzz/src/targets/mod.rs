//! What the targets do with their bytes. Each returns what it reached, so that a corpus can be seen to reach anything.

pub(crate) mod frames;
pub(crate) mod session;
mod source;
pub(crate) mod world;
