//! The behaviours of the smol driver over TLS, and those of TLS itself. The global executor has one thread, or as many as SMOL_THREADS says.

use std::future::Future;

use metalbond_smol as driver;

/// What is spoken: MetalBond over TLS.
const TLS: bool = true;

#[path = "behaviours/mod.rs"]
mod behaviours;
#[path = "behaviours/tls.rs"]
mod tls;

fn run(behaviour: impl Future<Output = ()>) {
    smol::block_on(behaviour);
}
