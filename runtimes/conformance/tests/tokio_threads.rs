//! The behaviours of the tokio driver on a runtime with several threads.

use std::future::Future;

use metalbond_tokio as driver;

/// What is spoken: MetalBond over TCP.
const TLS: bool = false;

#[path = "behaviours/mod.rs"]
mod behaviours;

fn run(behaviour: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap().block_on(behaviour);
}
