//! A node on tokio, in a process without free descriptors.
#![cfg(target_os = "linux")]

use std::future::Future;

use metalbond_tokio as driver;

mod descriptors;

fn run(behaviour: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(behaviour);
}
