//! The behaviours of the smol driver. The global executor has one thread, or as many as SMOL_THREADS says.

use std::future::Future;

use metalbond_smol as driver;

/// What is spoken: MetalBond over TCP.
const TLS: bool = false;

#[path = "behaviours/mod.rs"]
mod behaviours;

fn run(behaviour: impl Future<Output = ()>) {
    smol::block_on(behaviour);
}
