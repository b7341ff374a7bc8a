//! An agent of a hypervisor, on tokio: announces routes of its own, and keeps a file with the routes of its VNIs. Ctrl-C ends it.
//!
//! `cargo run -p metalbond-tokio --example tokio-agent -- 127.0.0.1:4711 routes.txt 23,24 '23#10.0.23.1/32#2001:db8::1'`
//!
//! Only this file names the runtime.

use std::error::Error;

use metalbond_tokio::Tokio;

#[path = "../../driver/examples/agent/agent.rs"]
mod agent;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    agent::run(Tokio::current(), tokio::signal::ctrl_c()).await
}
