//! The event loop runs: to its end, and as processes that talk to each other.

#[path = "../../../tests/example/adapters.rs"]
mod adapters;
#[path = "../../../tests/example/mod.rs"]
mod example;

const NAME: &str = "event_loop";
