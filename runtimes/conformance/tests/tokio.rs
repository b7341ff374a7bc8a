//! The behaviours of a node on tokio, on a runtime with one thread.

use std::future::Future;
use std::time::{Duration, Instant};

use metalbond_tokio as driver;

/// Whether the tests use TLS.
const TLS: bool = false;

#[path = "behaviours/mod.rs"]
mod behaviours;

fn run(behaviour: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(behaviour);
}

fn now() -> Instant {
    Instant::now()
}

async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}
