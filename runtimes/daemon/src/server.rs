//! `metalbond server`: listens, and passes routes on until it is told to stop.

use anyhow::Context as _;
use metalbond::Config;
use metalbond_tokio::MetalBond;
use tracing::info;

use crate::cli::{Listen, ServerArgs};
use crate::limits;
use crate::signals::Stop;

/// Runs a server until SIGTERM or SIGINT.
pub(crate) async fn run(args: ServerArgs) -> anyhow::Result<()> {
    let mut stop = Stop::new()?;
    limits::raise_descriptors();
    let started = tokio::select! {
        signal = stop.signalled() => {
            info!("{signal} while a file was opened");
            return Ok(());
        }
        started = args.record.start(Config::from(&args)) => started,
    };
    let (node, _changes) = started?;
    let signal = tokio::select! {
        signal = stop.signalled() => signal,
        listening = listen(&node, &args.listen) => {
            listening?;
            stop.signalled().await
        }
    };
    info!("{signal}: closing all sessions");
    limits::log_closed(&node).await;
    node.shutdown().await;
    Ok(())
}

/// Listens everywhere.
async fn listen(node: &MetalBond, places: &[Listen]) -> anyhow::Result<()> {
    for place in places {
        let addrs = match place {
            Listen::Addr(addr) => vec![*addr],
            Listen::Name(name) => {
                let addrs = tokio::net::lookup_host(name.as_str()).await;
                addrs.with_context(|| format!("cannot listen on {name}"))?.collect()
            }
        };
        for addr in addrs {
            let bound = node.listen(addr).await?;
            info!("listening on {bound}");
        }
    }
    Ok(())
}
