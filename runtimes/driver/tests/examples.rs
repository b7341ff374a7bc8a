//! The runtime of the example works: to its end, and as processes that talk to each other.

#[path = "../../../tests/example/adapters.rs"]
mod adapters;
#[path = "../../../tests/example/mod.rs"]
mod example;

const NAME: &str = "own_runtime";
