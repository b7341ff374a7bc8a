//! The behaviours of the tokio driver on a runtime with one thread.

use std::future::Future;

use metalbond_tokio as driver;

#[path = "behaviours/mod.rs"]
mod behaviours;

fn run(behaviour: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(behaviour);
}
