//! `metalbond client`: announces routes, and prints those of others, until it is told to stop.

use std::io::ErrorKind;
use std::mem;

use anyhow::Context as _;
use metalbond::{Config, Route};
use metalbond_tokio::{Changes, MetalBond};
use tracing::{error, info, warn};

use crate::announce_file::{self, Batch, Lines};
use crate::cli::ClientArgs;
use crate::output;
use crate::signals::Stop;

/// Runs a client until SIGTERM or SIGINT, or until nobody reads its standard output any more.
pub(crate) async fn run(mut args: Box<ClientArgs>) -> anyhow::Result<()> {
    let mut stop = Stop::new()?;
    let files = args.files();
    let start = async {
        let routes = tokio::task::spawn_blocking(move || announce_file::read_all(&files)).await??;
        anyhow::Ok((routes, args.record.start(Config::from(&*args)).await?))
    };
    // A file may be anything, a pipe in which nothing comes for example.
    let (from_files, (node, mut changes)) = tokio::select! {
        signal = stop.signalled() => {
            info!("{signal} while files were opened");
            return Ok(());
        }
        started = start => started?,
    };
    let announcements = mem::take(&mut args.announce).into_iter().chain(from_files);
    let result = tokio::select! {
        signal = stop.signalled() => {
            info!("{signal}: closing all sessions");
            Ok(())
        }
        result = serve(&args, announcements, &node, &mut changes) => result,
    };
    if args.cleanup {
        node.shutdown_with_cleanup().await;
    } else {
        node.shutdown().await;
    }
    result
}

/// Everything that a client does between its start and its end. Doesn't end by itself, but by an error or with its
/// standard output.
async fn serve(
    args: &ClientArgs,
    announcements: impl IntoIterator<Item = Route>,
    node: &MetalBond,
    changes: &mut Changes,
) -> anyhow::Result<()> {
    for &vni in &args.subscribe {
        node.subscribe(vni).await.with_context(|| format!("cannot subscribe to {vni}"))?;
    }
    // One that is announced twice, by a file and another, is announced.
    node.announce_routes(announcements).await.context("cannot announce")?;
    // Last, so that all of it is there when the first session opens. How they fare is logged by the driver: a server
    // that is away once, and then rarely.
    for server in &args.server {
        info!("connecting to {server}");
        node.add_peer(server.clone()).await.with_context(|| format!("cannot add server {server}"))?;
    }
    let feed = async {
        if args.reads_stdin() {
            feed(node).await?;
        }
        // What was announced stands; now there is nothing more to come.
        std::future::pending().await
    };
    tokio::select! {
        printed = output::print(changes, args.output) => match printed {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            printed => printed.context("cannot write to standard output"),
        },
        fed = feed => fed,
    }
}

/// Announces and withdraws what standard input says, until its end.
async fn feed(node: &MetalBond) -> anyhow::Result<()> {
    let mut lines = Lines::of_stdin();
    loop {
        let batch = lines.next(|number, why| error!("standard input:{number}: {why}; the line is skipped")).await;
        match batch.context("cannot read standard input")? {
            Some(Batch::Add(routes)) => {
                node.announce_routes(routes).await.context("cannot announce")?;
            }
            Some(Batch::Withdraw(routes)) => withdraw(node, routes).await?,
            None => {
                info!("standard input has ended; what was announced stands");
                return Ok(());
            }
        }
    }
}

async fn withdraw(node: &MetalBond, routes: Vec<Route>) -> anyhow::Result<()> {
    let wanted = routes.len();
    let gone = node.withdraw_routes(routes).await.context("cannot withdraw")?;
    if gone < wanted {
        warn!("{} of {wanted} routes to withdraw were not announced", wanted - gone);
    }
    Ok(())
}
