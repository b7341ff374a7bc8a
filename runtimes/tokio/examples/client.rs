//! A client that prints the routes of its VNIs as they change: `cargo run -p metalbond-tokio --example tokio-client -- 127.0.0.1:4711 23
//! 24`. Ctrl-C ends it.

use std::error::Error;
use std::pin::pin;

use metalbond_tokio::{Config, Vni, start};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(server), vnis) = (args.next(), args) else { return Err("usage: client HOST:PORT VNI...".into()) };
    let (client, mut changes) = start(Config::default())?;
    for vni in vnis {
        client.subscribe(Vni(vni.parse()?)).await?;
    }
    client.add_peer(server.parse()?).await?;

    let mut ctrl_c = pin!(tokio::signal::ctrl_c());
    loop {
        let change = tokio::select! {
            change = changes.next() => change,
            signal = &mut ctrl_c => {
                signal?;
                None
            }
        };
        let Some(change) = change else { break };
        let (vni, prefix) = (change.vni, change.prefix);
        change.added().iter().for_each(|next_hop| println!("+ {vni} {prefix} via {next_hop}"));
        change.removed().iter().for_each(|next_hop| println!("- {vni} {prefix} via {next_hop}"));
    }
    client.shutdown().await;
    Ok(())
}
