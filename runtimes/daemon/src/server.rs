//! `metalbond server`: listens, and passes routes on until it is told to stop.

use std::net::SocketAddr;

use anyhow::Context as _;
use metalbond::Config;
use metalbond_tokio::MetalBond;
use tokio::sync::watch;
use tracing::info;

use crate::api::Role;
use crate::cli::{Listen, ServerArgs};
use crate::config::{Setting, Source};
use crate::http::{self, App, Events, Http};
use crate::limits;
use crate::reload::Reload;
use crate::signals::Stop;

/// Runs a server until SIGTERM or SIGINT.
pub(crate) async fn run(args: ServerArgs, source: Source, from_file: Vec<Setting>) -> anyhow::Result<()> {
    let mut stop = Stop::new()?;
    let mut reload = Reload::new(source, from_file, args.config.config.iter().cloned().collect())?;
    limits::raise_descriptors();
    let started = tokio::select! {
        signal = stop.signalled() => {
            info!("{signal} while a file was opened");
            return Ok(());
        }
        started = args.record.start(Config::from(&args)) => started,
    };
    let (node, changes) = started?;
    let (bound, listening) = watch::channel(Vec::new());
    let serve = async {
        let http = match &args.http.http {
            None => None,
            Some(place) => {
                let events = Events::new();
                let app = App::new(node.clone(), Role::Server, listening, None, events.clone(), &args.http);
                let http = Http::start(place, app).await?;
                tokio::spawn(http::watch_all(node.clone(), changes, events));
                Some(http)
            }
        };
        bound.send_replace(listen(&node, &args.listen).await?);
        anyhow::Ok(http)
    };
    let (signal, http) = tokio::select! {
        signal = stop.signalled() => (signal, None),
        http = serve => {
            let http = http?;
            let signal = loop {
                tokio::select! {
                    signal = stop.signalled() => break signal,
                    // What it has to say, it says; there is nothing yet that a server changes while it runs.
                    () = reload.wait() => drop(reload.read()),
                }
            };
            (signal, http)
        }
    };
    info!("{signal}: closing all sessions");
    limits::log_closed(&node).await;
    node.shutdown().await;
    if let Some(http) = http {
        http.stop().await;
    }
    Ok(())
}

/// Listens everywhere; returns where that is.
async fn listen(node: &MetalBond, places: &[Listen]) -> anyhow::Result<Vec<SocketAddr>> {
    let mut all = Vec::new();
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
            all.push(bound);
        }
    }
    Ok(all)
}
