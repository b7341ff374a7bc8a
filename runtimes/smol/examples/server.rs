//! A server: `cargo run -p metalbond-smol --example smol-server -- 127.0.0.1:4711`. Ctrl-C ends it.

use std::error::Error;

use async_signal::{Signal, Signals};
use metalbond_smol::{Config, start};
use smol::stream::StreamExt;

fn main() -> Result<(), Box<dyn Error>> {
    smol::block_on(run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let addr = std::env::args().nth(1).ok_or("usage: server ADDR:PORT")?;
    let (server, changes) = start(Config::default())?;
    // A server has no subscriptions, so it needs no stream of changes.
    drop(changes);
    println!("listening on {}", server.listen(addr.parse()?).await?);
    Signals::new([Signal::Int])?.next().await.transpose()?;
    server.shutdown().await;
    Ok(())
}
