//! Target `world`.
pub fn run(_: &[u8]) {}
