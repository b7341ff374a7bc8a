//! Tests with a real kernel, each in a network namespace of its own. As root, or they are skipped.

#![cfg(target_os = "linux")]

mod look;
mod netns;
mod others;
mod refusals;
mod routes;
