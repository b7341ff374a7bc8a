//! A client that prints the routes of its VNIs as they change: `cargo run -p metalbond-smol --example smol-client -- 127.0.0.1:4711 23 24`.
//! Ctrl-C ends it.

use std::error::Error;

use async_signal::{Signal, Signals};
use metalbond_smol::{Config, Vni, start};
use smol::future::or;
use smol::stream::StreamExt;

fn main() -> Result<(), Box<dyn Error>> {
    smol::block_on(run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(server), vnis) = (args.next(), args) else { return Err("usage: client HOST:PORT VNI...".into()) };
    let (client, mut changes) = start(Config::default())?;
    for vni in vnis {
        client.subscribe(Vni(vni.parse()?)).await?;
    }
    client.add_peer(server.parse()?).await?;

    let mut ctrl_c = Signals::new([Signal::Int])?;
    loop {
        let signal = async {
            ctrl_c.next().await.transpose()?;
            Ok::<_, Box<dyn Error>>(None)
        };
        let Some(change) = or(signal, async { Ok(changes.next().await) }).await? else { break };
        let (vni, prefix) = (change.vni, change.prefix);
        change.added().iter().for_each(|next_hop| println!("+ {vni} {prefix} via {next_hop}"));
        change.removed().iter().for_each(|next_hop| println!("- {vni} {prefix} via {next_hop}"));
    }
    client.shutdown().await;
    Ok(())
}
