//! A node on plain threads and blocking sockets, with only the standard library: a small driver to start from.
//!
//! - `cargo run --example blocking_threads`: a server and a client in one process exchange routes and end.
//! - `cargo run --example blocking_threads -- server 127.0.0.1:4711`
//! - `cargo run --example blocking_threads -- client 127.0.0.1:4711 23 [10.0.23.1/32 2001:db8::1]`

mod connection;
mod owner;

use std::error::Error;
use std::process::ExitCode;
use std::sync::mpsc::sync_channel;

use metalbond::{Command, NextHop, Route, RouteChange, Vni};

use crate::owner::start;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => both(),
        ["server", addr] => server(addr),
        ["client", addr, vni] => client(addr, vni, None),
        ["client", addr, vni, prefix, next_hop] => client(addr, vni, Some((prefix, next_hop))),
        _ => Err("usage: blocking_threads [server ADDR | client ADDR VNI [PREFIX NEXTHOP]]".into()),
    };
    result.map_or_else(
        |e| {
            eprintln!("{e}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

fn server(addr: &str) -> Result<(), Box<dyn Error>> {
    let (server, thread) = start(drop)?;
    println!("listening on {}", server.listen(addr.parse()?)?);
    thread.join().map_err(|_| "the owner has panicked".into())
}

fn client(addr: &str, vni: &str, announced: Option<(&str, &str)>) -> Result<(), Box<dyn Error>> {
    let vni = Vni(vni.parse()?);
    let (client, thread) = start(|change| show("client", &change))?;
    client.command(Command::Subscribe(vni))?;
    if let Some((prefix, next_hop)) = announced {
        let next_hop = NextHop::standard(next_hop.parse()?);
        client.command(Command::Announce(Route { vni, prefix: prefix.parse()?, next_hop }))?;
    }
    client.command(Command::AddPeer { endpoint: addr.into() })?;
    thread.join().map_err(|_| "the owner has panicked".into())
}

/// Runs a server and a client. Each announces a route, receives the other's, and sees its withdrawal.
fn both() -> Result<(), Box<dyn Error>> {
    let (seen, changes) = sync_channel(16);
    let watch = |name: &'static str| {
        let seen = seen.clone();
        // Fails only after `main` has stopped reading changes, which are not needed then.
        move |change: RouteChange| {
            show(name, &change);
            let _ = seen.send(name);
        }
    };
    let (server, server_thread) = start(watch("server"))?;
    let (client, client_thread) = start(watch("client"))?;
    let vni = Vni(23);
    for (node, prefix, next_hop) in [(&server, "10.0.23.1/32", "2001:db8::1"), (&client, "10.0.23.2/32", "2001:db8::2")]
    {
        let route = Route { vni, prefix: prefix.parse()?, next_hop: NextHop::standard(next_hop.parse()?) };
        node.command(Command::Announce(route))?;
        node.command(Command::Subscribe(vni))?;
    }
    let addr = server.listen("127.0.0.1:0".parse()?)?;
    println!("listening on {addr}");
    client.command(Command::AddPeer { endpoint: addr.to_string().into() })?;
    // One change each. Then the client leaves for good, which withdraws its route at the server.
    let mut arrived = [changes.recv()?, changes.recv()?];
    arrived.sort_unstable();
    assert_eq!(arrived, ["client", "server"]);
    client.command(Command::Shutdown { cleanup: true })?;
    client_thread.join().map_err(|_| "the client has panicked")?;
    assert_eq!(changes.recv()?, "server");
    server.command(Command::Shutdown { cleanup: false })?;
    server_thread.join().map_err(|_| "the server has panicked")?;
    println!("done");
    Ok(())
}

fn show(name: &str, change: &RouteChange) {
    let next_hops: Vec<_> = change.next_hops().iter().map(NextHop::to_string).collect();
    println!("{name}: {} {} via [{}]", change.vni, change.prefix, next_hops.join(", "));
}
