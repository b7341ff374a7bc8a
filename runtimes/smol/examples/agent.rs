//! An agent of a hypervisor, on smol: announces routes of its own, and keeps a file with the routes of its VNIs. Ctrl-C ends it.
//!
//! `cargo run -p metalbond-smol --example smol-agent -- 127.0.0.1:4711 routes.txt 23,24 '23#10.0.23.1/32#2001:db8::1'`
//!
//! Only this file names the runtime.

use std::error::Error;

use async_signal::{Signal, Signals};
use metalbond_smol::Smol;
use smol::stream::StreamExt;

#[path = "../../driver/examples/agent/agent.rs"]
mod agent;

fn main() -> Result<(), Box<dyn Error>> {
    let mut signals = Signals::new([Signal::Int])?;
    let ctrl_c = async move { signals.next().await.transpose().map(|_| ()) };
    smol::block_on(agent::run(Smol, ctrl_c))
}
