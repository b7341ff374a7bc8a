//! Tests with a real kernel, each in a network namespace of its own. As root, or they are skipped.

#![cfg(target_os = "linux")]

mod foreign;
mod groups;
mod look;
mod netns;
mod others;
mod raw;
mod refusals;
mod routes;
