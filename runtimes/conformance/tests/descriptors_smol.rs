//! A node on smol, in a process without free descriptors.
#![cfg(target_os = "linux")]

use std::future::Future;

use metalbond_smol as driver;

mod descriptors;

fn run(behaviour: impl Future<Output = ()>) {
    smol::block_on(behaviour);
}
