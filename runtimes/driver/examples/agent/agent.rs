//! An agent of a hypervisor, on any runtime: `tokio-agent` and `smol-agent` are its main functions.
//!
//! It announces routes of its own, and keeps a file with the routes of its VNIs. The file is replaced as a whole, once per burst of
//! changes; a write that fails is repeated. When `stop` ends the agent, the file stays until the agent's next start has received all
//! routes, and servers retain the agent's own routes for some seconds.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::pin::pin;
use std::thread;
use std::time::Duration;

use futures_lite::future::or;
use metalbond_driver::{Changes, Config, MetalBond, NextHop, Node, Prefix, Route, RouteChange, Runtime, Vni, start};

/// The time for which changes are collected before the file is written.
const BURST: Duration = Duration::from_millis(50);

/// The wait after a failed write before the next try.
const RETRY: Duration = Duration::from_secs(1);

const USAGE: &str = "usage: agent HOST:PORT FILE VNI[,VNI...] [VNI#PREFIX#NEXTHOP...]";

/// Runs the agent as the program's arguments say, until `stop` is ready.
pub(crate) async fn run<R: Runtime>(
    runtime: R,
    stop: impl Future<Output = io::Result<()>>,
) -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [server, file, vnis, routes @ ..] = &args[..] else { return Err(USAGE.into()) };

    // These calls need no connection to a server: the node keeps the subscriptions and the announcements, and sends them when it has a
    // session.
    let (node, changes) = start(runtime.clone(), Config::default())?;
    for vni in vnis.split(',') {
        node.subscribe(Vni(vni.parse()?)).await?;
    }
    for route in routes {
        node.announce_route(parse(route)?).await?;
    }
    node.add_peer(server.parse()?).await?;

    let mut follow = pin!(follow(&runtime, &node, changes, file));
    let stopped = async { stop.await.map(|()| true) };
    let ended = async {
        follow.as_mut().await;
        Ok(false)
    };
    if or(ended, stopped).await? {
        node.shutdown().await;
        // The stream of changes has ended now. This writes its last changes to the file.
        follow.await;
    }
    Ok(())
}

fn parse(text: &str) -> Result<Route, Box<dyn Error>> {
    let parts: Vec<&str> = text.split('#').collect();
    let [vni, prefix, next_hop] = parts[..] else { return Err(USAGE.into()) };
    Ok(Route { vni: Vni(vni.parse()?), prefix: prefix.parse()?, next_hop: NextHop::standard(next_hop.parse()?) })
}

enum Event {
    Change(RouteChange),
    WriteIsDue,
    End,
}

/// Keeps the file up to date until the stream of changes ends.
async fn follow<R: Runtime>(runtime: &R, node: &MetalBond, mut changes: Changes, file: &str) {
    let mut table = Table::default();
    let mut write_at = Some(runtime.now() + BURST);
    let mut is_complete = false;
    loop {
        let due = async {
            match write_at {
                Some(at) => runtime.sleep_until(at).await,
                None => std::future::pending().await,
            }
            Event::WriteIsDue
        };
        let change = async { changes.next().await.map_or(Event::End, Event::Change) };
        match or(due, change).await {
            Event::Change(change) => {
                table.apply(&change);
                write_at.get_or_insert_with(|| runtime.now() + BURST);
            }
            Event::WriteIsDue => {
                is_complete = is_complete || has_all(node).await;
                if !is_complete {
                    write_at = Some(runtime.now() + BURST);
                    continue;
                }
                write_at = table.save(file).await.err().map(|e| {
                    println!("cannot write {file}: {e}; trying again");
                    runtime.now() + RETRY
                });
            }
            Event::End => break,
        }
    }
    if is_complete
        && write_at.is_some()
        && let Err(e) = table.save(file).await
    {
        eprintln!("cannot write {file}: {e}");
    }
}

/// Returns true if the servers have sent all their routes, or have been away for so long that routes of an earlier run may be removed.
/// Until then, the file of an earlier run is better than an incomplete table.
async fn has_all(node: &MetalBond) -> bool {
    let has_all = |node: &Node| node.peers().all(|server| server.synced) || node.may_remove_adopted();
    node.inspect(has_all).await.unwrap_or_default()
}

/// The content of the file.
#[derive(Default)]
struct Table(BTreeMap<(Vni, Prefix), Vec<NextHop>>);

impl Table {
    fn apply(&mut self, change: &RouteChange) {
        let key = (change.vni, change.prefix);
        // A change has all next hops of its destination: they replace the stored ones.
        match change.next_hops() {
            [] => drop(self.0.remove(&key)),
            next_hops => drop(self.0.insert(key, next_hops.to_vec())),
        }
    }

    /// Replaces the file as a whole: a reader sees the old content or the new content. During the write, changes wait in the stream, and
    /// merge in the node.
    async fn save(&self, file: &str) -> io::Result<()> {
        let mut text = String::new();
        for ((vni, prefix), next_hops) in &self.0 {
            for next_hop in next_hops {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{vni} {prefix} via {next_hop}");
            }
        }
        let (file, draft) = (file.to_owned(), format!("{file}.new"));
        // A thread writes, because a disk may be slow and the node has to go on meanwhile.
        let (sender, written) = async_channel::bounded(1);
        let write = move || {
            let mut new = File::create(&draft)?;
            new.write_all(text.as_bytes())?;
            new.sync_all()?;
            fs::rename(draft, file)
        };
        thread::Builder::new().spawn(move || sender.send_blocking(write()))?;
        written.recv().await.map_err(io::Error::other)??;
        println!("wrote {} destinations", self.0.len());
        Ok(())
    }
}
