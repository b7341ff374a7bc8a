//! An implementation of [`Runtime`](metalbond_driver::Runtime) on poll(2) and the standard library, for programs that use no
//! asynchronous runtime. `runtime.rs` has four parts:
//!
//! 1. The *loop* (`Own::run`) alternates between the executor and the reactor.
//! 2. The *executor* polls each task that a waker has made runnable.
//! 3. The *reactor* waits in poll(2) until a socket is ready or the earliest timer is due, and wakes the futures that wait for it.
//! 4. The *traits* make such futures of sockets, timers and name lookups.
//!
//! This file uses the runtime like any other:
//!
//! - `cargo run -p metalbond-driver --example own_runtime`: a server and a client in one process exchange routes, and end.
//! - `cargo run -p metalbond-driver --example own_runtime -- server 127.0.0.1:4711`
//! - `cargo run -p metalbond-driver --example own_runtime -- client 127.0.0.1:4711 23 [10.0.23.1/32 2001:db8::1]`

mod runtime;

use std::error::Error;
use std::io;
use std::process::ExitCode;

use metalbond::{Config, NextHop, Route, Vni};
use metalbond_driver::{Changes, start};

use crate::runtime::Own;

type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Vec<String>) -> Result {
    let runtime = Own::new()?;
    let node = runtime.clone();
    runtime.run(async move {
        match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] => both(node).await,
            ["server", addr] => server(node, addr).await,
            ["client", addr, vni] => client(node, addr, vni, None).await,
            ["client", addr, vni, prefix, next_hop] => client(node, addr, vni, Some((prefix, next_hop))).await,
            _ => Err("usage: own_runtime [server ADDR | client ADDR VNI [PREFIX NEXTHOP]]".into()),
        }
    })?
}

async fn server(runtime: Own, addr: &str) -> Result {
    let (server, mut changes) = start(runtime, Config::default())?;
    println!("listening on {}", server.listen(addr.parse()?).await?);
    while print_change("server", &mut changes).await {}
    Ok(())
}

async fn client(runtime: Own, addr: &str, vni: &str, announced: Option<(&str, &str)>) -> Result {
    let vni = Vni(vni.parse()?);
    let (client, mut changes) = start(runtime, Config::default())?;
    client.subscribe(vni).await?;
    if let Some((prefix, next_hop)) = announced {
        client.announce_route(route(vni, prefix, next_hop)?).await?;
    }
    client.add_peer(addr.parse()?).await?;
    while print_change("client", &mut changes).await {}
    Ok(())
}

async fn both(runtime: Own) -> Result {
    let vni = Vni(23);
    let (server, mut server_changes) = start(runtime.clone(), Config::default())?;
    let (client, mut client_changes) = start(runtime, Config::default())?;
    server.announce_route(route(vni, "10.0.23.1/32", "2001:db8::1")?).await?;
    client.announce_route(route(vni, "10.0.23.2/32", "2001:db8::2")?).await?;
    server.subscribe(vni).await?;
    client.subscribe(vni).await?;
    let addr = server.listen("127.0.0.1:0".parse()?).await?;
    println!("listening on {addr}");
    client.add_peer(addr.into()).await?;

    // Each node receives the route of the other.
    print_change("server", &mut server_changes).await;
    print_change("client", &mut client_changes).await;
    client.shutdown_with_cleanup().await;
    // The client has withdrawn its route.
    print_change("server", &mut server_changes).await;
    server.shutdown().await;
    println!("done");
    Ok(())
}

fn route(vni: Vni, prefix: &str, next_hop: &str) -> Result<Route> {
    Ok(Route { vni, prefix: prefix.parse()?, next_hop: NextHop::standard(next_hop.parse()?) })
}

/// Waits for the next change and prints it. Returns false if the node has ended.
async fn print_change(name: &str, changes: &mut Changes) -> bool {
    let Some(change) = changes.next().await else { return false };
    let next_hops: Vec<_> = change.next_hops().iter().map(NextHop::to_string).collect();
    println!("{name}: {} {} via [{}]", change.vni, change.prefix, next_hops.join(", "));
    true
}
