//! A server: `cargo run -p metalbond-tokio --example tokio-server -- 127.0.0.1:4711`. Ctrl-C ends it.

use std::error::Error;

use metalbond_tokio::{Config, start};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let addr = std::env::args().nth(1).ok_or("usage: server ADDR:PORT")?;
    let (server, changes) = start(Config::default())?;
    // A server has no subscriptions, so it needs no stream of changes.
    drop(changes);
    println!("listening on {}", server.listen(addr.parse()?).await?);
    tokio::signal::ctrl_c().await?;
    server.shutdown().await;
    Ok(())
}
