//! An agent of a hypervisor: announces routes of its own, and keeps a file with the routes of its networks.
//!
//! `cargo run -p metalbond-smol --example smol-agent -- 127.0.0.1:4711 routes.txt 23,24 '23#10.0.23.1/32#2001:db8::1'`
//!
//! The file is replaced as a whole, once per burst of changes; a write that fails is repeated. Ctrl-C ends the agent: the
//! file stays until its next start has received all routes, and servers keep its own routes for some seconds.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::pin::pin;
use std::time::{Duration, Instant};

use async_signal::{Signal, Signals};
use metalbond_smol::{ApiMisuse, Changes, Config, MetalBond, NextHop, Node, Prefix, Route, RouteChange, Vni, start};
use smol::Timer;
use smol::future::or;
use smol::stream::StreamExt;

/// How long changes are collected for one write.
const BURST: Duration = Duration::from_millis(50);

/// How long after a failed write the next is tried.
const RETRY: Duration = Duration::from_secs(1);

const USAGE: &str = "usage: agent HOST:PORT FILE VNI[,VNI...] [VNI#PREFIX#NEXTHOP...]";

fn main() -> Result<(), Box<dyn Error>> {
    smol::block_on(run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [server, file, vnis, routes @ ..] = &args[..] else { return Err(USAGE.into()) };

    // No server need be there for any of this: it is what the node shall want, from now on.
    let (node, changes) = start(Config::default())?;
    for vni in vnis.split(',') {
        desired(node.subscribe(Vni(vni.parse()?)).await)?;
    }
    for route in routes {
        desired(node.announce_route(parse(route)?).await)?;
    }
    desired(node.add_peer(server.parse()?).await.map(|_| ()))?;

    let mut follow = pin!(follow(&node, changes, file));
    let mut ctrl_c = Signals::new([Signal::Int])?;
    let signal = async { ctrl_c.next().await.transpose().map(|_| true) };
    let goes_on = async {
        follow.as_mut().await;
        Ok(false)
    };
    if or(goes_on, signal).await? {
        node.shutdown().await;
        // The stream has ended now; what came out of it gets into the file.
        follow.await;
    }
    Ok(())
}

/// Said again at each reconciliation, that something is so already is a success.
fn desired(result: Result<(), ApiMisuse>) -> Result<(), ApiMisuse> {
    match result {
        Err(ApiMisuse::AlreadySubscribed | ApiMisuse::AlreadyAnnounced | ApiMisuse::PeerExists) => Ok(()),
        other => other,
    }
}

fn parse(text: &str) -> Result<Route, Box<dyn Error>> {
    let parts: Vec<&str> = text.split('#').collect();
    let [vni, prefix, next_hop] = parts[..] else { return Err(USAGE.into()) };
    Ok(Route { vni: Vni(vni.parse()?), prefix: prefix.parse()?, next_hop: NextHop::standard(next_hop.parse()?) })
}

/// Keeps the file up to date until the stream of changes ends.
async fn follow(node: &MetalBond, mut changes: Changes, file: &str) {
    let mut table = Table::default();
    let mut write_at = Some(Instant::now() + BURST);
    let mut is_whole = false;
    loop {
        let event = match write_at {
            None => Some(changes.next().await),
            Some(at) => {
                let timer = async {
                    Timer::at(at).await;
                    None
                };
                or(timer, async { Some(changes.next().await) }).await
            }
        };
        let Some(change) = event else {
            is_whole = is_whole || has_all(node).await;
            if !is_whole {
                write_at = Some(Instant::now() + BURST);
                continue;
            }
            write_at = table.save(file).await.err().map(|e| {
                println!("cannot write {file}: {e}; trying again");
                Instant::now() + RETRY
            });
            continue;
        };
        let Some(change) = change else { break };
        table.apply(&change);
        write_at.get_or_insert_with(|| Instant::now() + BURST);
    }
    if is_whole
        && write_at.is_some()
        && let Err(e) = table.save(file).await
    {
        eprintln!("cannot write {file}: {e}");
    }
}

/// Whether the servers have told all that they have, or have been away for so long that the routes of an earlier run go.
/// Before, the file of an earlier run is better than a half.
async fn has_all(node: &MetalBond) -> bool {
    let has_all = |node: &Node| node.peers().all(|server| server.synced) || node.may_remove_adopted();
    node.inspect(has_all).await.unwrap_or_default()
}

/// What the file shall say.
#[derive(Default)]
struct Table(BTreeMap<(Vni, Prefix), Vec<NextHop>>);

impl Table {
    fn apply(&mut self, change: &RouteChange) {
        let key = (change.vni, change.prefix);
        // A change has all next hops that there are: nothing is to be added up.
        match change.next_hops() {
            [] => drop(self.0.remove(&key)),
            next_hops => drop(self.0.insert(key, next_hops.to_vec())),
        }
    }

    /// Whoever reads the file sees the old one or the new one. While it is written, changes wait in the stream, and
    /// merge in the node.
    async fn save(&self, file: &str) -> io::Result<()> {
        let mut text = String::new();
        for ((vni, prefix), next_hops) in &self.0 {
            for next_hop in next_hops {
                // To a string it cannot fail.
                let _ = writeln!(text, "{vni} {prefix} via {next_hop}");
            }
        }
        let (file, draft) = (file.to_owned(), format!("{file}.new"));
        // A disk may take its time, in which the node has to go on.
        let written = smol::unblock(move || {
            let mut new = File::create(&draft)?;
            new.write_all(text.as_bytes())?;
            new.sync_all()?;
            fs::rename(draft, file)
        });
        written.await?;
        println!("wrote {} destinations", self.0.len());
        Ok(())
    }
}
