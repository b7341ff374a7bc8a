//! `metalbond server`: listens, and passes routes on until it is stopped.

mod args;

use std::net::{Ipv6Addr, SocketAddr, TcpListener};

use anyhow::Context as _;
use metalbond::Config;
use metalbond_tokio::{Changes, MetalBond};
use tokio::sync::watch;
use tracing::info;

use crate::api::Role;
use crate::args::Listen;
use crate::http::{self, App, Events, Http, Seen};
use crate::limits;
use crate::policy;
use crate::privileges;
use crate::reading::Reading;
use crate::reload::{Origin, Reload, Round};
use crate::signals::Stop;
use crate::systemd::{self, Sockets};
use crate::tls::{self, Files, SecretStore};
pub(crate) use args::ServerArgs;

/// Runs a server until SIGTERM or SIGINT.
pub(crate) async fn run(args: Box<ServerArgs>, origin: Origin, sockets: Sockets) -> anyhow::Result<()> {
    let mut stop = Stop::new()?;
    let secrets = args.secrets();
    let policy = args.policy.policy.clone();
    let (mut reload, mut reading) = Reload::new(origin)?;
    limits::raise_descriptors();
    let started = tokio::select! {
        signal = stop.signalled() => {
            info!("{signal} while a file was opened");
            return Ok(());
        }
        started = begin(&args, secrets, &mut reading) => started,
    };
    let (secrets, (node, changes)) = started?;
    reload.started(reading);
    tokio::spawn(tls::remind(secrets.watch()));
    let (bound, listening) = watch::channel(Vec::new());
    let serve = async {
        let events = Events::new();
        let seen = Seen { secrets: secrets.watch(), reloads: reload.outcomes() };
        let app = App::new(node.clone(), Role::Server, listening, None, events.clone(), seen, &args.http);
        let http = Http::start(&args.http, sockets.http, app).await?;
        if http.is_some() {
            tokio::spawn(http::watch_all(node.clone(), changes, events));
        }
        bound.send_replace(listen(&node, &args, sockets.listen).await?);
        privileges::settle(false);
        tokio::spawn(systemd::report(node.clone()));
        systemd::ready().await;
        anyhow::Ok(http)
    };
    let (signal, http) = tokio::select! {
        signal = stop.signalled() => (signal, None),
        http = serve => {
            let http = http?;
            let follow = async {
                loop {
                    reload.wait().await;
                    systemd::reloading().await;
                    // Each part is used as soon as it is valid: a revocation must not wait until another file is
                    // repaired.
                    let mut round = Round::default();
                    if let Some(tls) = secrets.read_again(&mut round).await {
                        // Fails only if the node has ended.
                        let _ = node.set_tls(tls).await;
                    }
                    if let Some(path) = &policy
                        && let Some(policy) = policy::read_again(path.clone(), &mut round).await
                    {
                        let _ = node.set_policy(Some(policy)).await;
                    }
                    // Only reports errors and warnings: a server has no other settings that can change while it runs.
                    reload.read::<ServerArgs>(&mut round).await;
                    reload.end(round);
                    systemd::ready().await;
                }
            };
            let signal = tokio::select! {
                signal = stop.signalled() => signal,
                never = follow => never,
            };
            (signal, http)
        }
    };
    info!("{signal}: closing all sessions");
    systemd::stopping().await;
    limits::log_closed(&node).await;
    node.shutdown().await;
    if let Some(http) = http {
        http.stop().await;
    }
    Ok(())
}

/// Reads the files and starts the node.
async fn begin(
    args: &ServerArgs,
    secrets: Files,
    reading: &mut Reading,
) -> anyhow::Result<(SecretStore, (MetalBond, Changes))> {
    let secrets = SecretStore::read(secrets, reading).await?;
    let mut config = Config::from(args);
    if let Some(path) = args.policy.policy.clone() {
        config.policy = Some(policy::read_first(path, reading).await?);
    }
    let node = args.record.start(config, secrets.current().peers()).await?;
    Ok((secrets, node))
}

/// Listens on all addresses. Returns the local addresses. Sockets that were handed over replace the default address.
/// With certificates, all listeners except the plain ones use TLS.
async fn listen(node: &MetalBond, args: &ServerArgs, sockets: Vec<TcpListener>) -> anyhow::Result<Vec<SocketAddr>> {
    let is_built_in = args.listen == [Listen::Addr((Ipv6Addr::UNSPECIFIED, 4711).into())];
    let places = if sockets.is_empty() || !is_built_in { &args.listen[..] } else { &[] };
    let is_tls = args.tls.is_on();
    let mut all = Vec::new();
    for socket in sockets {
        let bound = if is_tls { node.listen_tls_on(socket).await? } else { node.listen_on(socket).await? };
        info!("{}listening on {bound}", if is_tls { "TLS: " } else { "" });
        all.push(bound);
    }
    let places = places.iter().map(|place| (place, is_tls));
    for (place, is_tls) in places.chain(args.listen_plain.iter().map(|place| (place, false))) {
        let addrs = match place {
            Listen::Addr(addr) => vec![*addr],
            Listen::Name(name) => {
                let addrs = tokio::net::lookup_host(name.as_str()).await;
                addrs.with_context(|| format!("cannot listen on {name}"))?.collect()
            }
        };
        for addr in addrs {
            let bound = if is_tls { node.listen_tls(addr).await? } else { node.listen(addr).await? };
            info!("{}listening on {bound}", if is_tls { "TLS: " } else { "" });
            all.push(bound);
        }
    }
    Ok(all)
}
