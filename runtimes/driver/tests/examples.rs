//! Tests of the example: its runtime runs to its end, and two processes exchange routes.

#[path = "../../../tests/example/adapters.rs"]
mod adapters;
#[path = "../../../tests/example/mod.rs"]
mod example;

const NAME: &str = "own_runtime";
