//! Tests that run the examples as processes that exchange routes.
#![cfg(target_os = "linux")]

#[path = "../../../tests/example/mod.rs"]
mod example;
#[path = "../../../tests/example/drivers.rs"]
mod tests;

const RUNTIME: &str = "tokio";
