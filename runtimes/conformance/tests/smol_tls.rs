//! The behaviours of a node on smol over TLS, and those of TLS itself. The global executor has one thread, or as many as SMOL_THREADS says.

use std::future::Future;
use std::time::{Duration, Instant};

use metalbond_smol as driver;

/// Whether the tests use TLS.
const TLS: bool = true;

#[path = "behaviours/mod.rs"]
mod behaviours;
#[path = "behaviours/tls.rs"]
mod tls;

fn run(behaviour: impl Future<Output = ()>) {
    smol::block_on(behaviour);
}

fn now() -> Instant {
    Instant::now()
}

async fn sleep(duration: Duration) {
    smol::Timer::after(duration).await;
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    smol::spawn(task).detach();
}
