//! The examples run, as processes that talk to each other.
#![cfg(target_os = "linux")]

#[path = "../../../tests/example/mod.rs"]
mod example;
#[path = "../../../tests/example/drivers.rs"]
mod tests;

const RUNTIME: &str = "smol";
