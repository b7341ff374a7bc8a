//! `metalbond client`: announces routes, and prints those of others, until it is told to stop.

use std::io::ErrorKind;
use std::net::TcpListener;

use anyhow::Context as _;
use metalbond::{Config, PeerId, Route};
use metalbond_tokio::{Changes, Endpoint, MetalBond};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::announce_file::{self, Batch, Lines};
use crate::api::Role;
use crate::cli::{Cli, ClientArgs, Command};
use crate::config::{Setting, Source};
use crate::http::{self, App, Events, Http, HttpArgs};
use crate::install::{self, KernelRoutes};
use crate::output;
use crate::privileges;
use crate::reload::Reload;
use crate::signals::Stop;
use crate::systemd::{self, Sockets};
use crate::tls::{self, Holder};
use crate::wanted::{Wanted, watched};

/// Runs a client until SIGTERM or SIGINT, or until nobody reads its standard output any more.
pub(crate) async fn run(
    mut args: Box<ClientArgs>,
    source: Source,
    from_file: Vec<Setting>,
    sockets: Sockets,
) -> anyhow::Result<()> {
    let mut stop = Stop::new()?;
    let secrets = args.secrets();
    let mut reload = Reload::new(source, from_file, watched(&args), secrets.paths())?;
    let files = args.files();
    let start = async {
        let routes = tokio::task::spawn_blocking(move || announce_file::read_all(&files)).await??;
        let secrets = Holder::read(secrets).await?;
        let node = args.record.start(Config::from(&*args), secrets.held().peers()).await?;
        anyhow::Ok((routes, secrets, node))
    };
    let kernel = args.install.start()?;
    // A file may be anything, a pipe in which nothing comes for example.
    let (from_files, secrets, (node, mut changes)) = tokio::select! {
        signal = stop.signalled() => {
            info!("{signal} while files were opened");
            if let Some(kernel) = &kernel {
                install::stop(kernel, args.cleanup).await;
            }
            return Ok(());
        }
        started = start => started?,
    };
    let wanted = Wanted::of(&mut args, from_files);
    tokio::spawn(tls::remind(secrets.watch()));
    let client = Client { node, kernel, secrets, events: Events::new() };
    if !sockets.listen.is_empty() {
        let unused = sockets.listen.len();
        warn!("{unused} sockets that were handed over are of no use: a client listens for HTTP only");
    }
    let http = client.start_http(&args.http, sockets.http).await?;
    privileges::settle(args.install.is_wanted());
    let result = tokio::select! {
        signal = stop.signalled() => {
            info!("{signal}: closing all sessions");
            Ok(())
        }
        result = client.serve(&args, wanted, &mut changes, &mut reload) => result,
    };
    systemd::stopping().await;
    client.end(args.cleanup).await;
    if let Some(http) = http {
        http.stop().await;
    }
    result
}

pub(crate) struct Client {
    pub(crate) node: MetalBond,
    /// Where routes are installed, if they are.
    pub(crate) kernel: Option<KernelRoutes>,
    /// What its files with certificates say.
    secrets: Holder,
    /// For those who follow what happens.
    events: Events,
}

impl Client {
    async fn start_http(&self, args: &HttpArgs, socket: Option<TcpListener>) -> anyhow::Result<Option<Http>> {
        let Self { node, kernel, secrets, events } = self;
        let (_, nowhere) = watch::channel(Vec::new());
        let app = App::new(node.clone(), Role::Client, nowhere, kernel.clone(), events.clone(), secrets.watch(), args);
        let http = Http::start(args.http.as_ref(), socket, app).await?;
        if http.is_some() {
            tokio::spawn(http::watch_peers(node.clone(), events.clone()));
        }
        Ok(http)
    }

    /// Everything that a client does between its start and its end. Doesn't end by itself, but by an error or with its
    /// standard output.
    async fn serve(
        &self,
        args: &ClientArgs,
        mut wanted: Wanted,
        changes: &mut Changes,
        reload: &mut Reload,
    ) -> anyhow::Result<()> {
        let Self { node, kernel, secrets, events } = self;
        for &vni in &wanted.subscriptions {
            node.subscribe(vni).await.with_context(|| format!("cannot subscribe to {vni}"))?;
        }
        // One that is announced twice, by a file and another, is announced.
        self.announce(wanted.announcements.iter().copied().collect()).await?;
        // Last, so that all of it is there when the first session opens. How they fare is logged by the driver: a server
        // that is away once, and then rarely.
        for (server, id) in &mut wanted.servers {
            *id = Some(self.add_server(server).await?);
        }
        tokio::spawn(systemd::report(node.clone()));
        systemd::ready().await;
        let change = async {
            loop {
                reload.wait().await;
                systemd::reloading().await;
                if let Some(tls) = secrets.read_again().await {
                    node.set_tls(tls).await?;
                }
                if let Some(Cli { command: Command::Client(args), .. }) = reload.read().await {
                    self.change(&mut wanted, args, reload).await?;
                }
                systemd::ready().await;
            }
        };
        let feed = async {
            if args.reads_stdin() {
                self.feed().await?;
            }
            // What was announced stands; now there is nothing more to come.
            std::future::pending().await
        };
        let listen = async {
            if let Some(kernel) = kernel {
                let hold = Config::from(args).hold;
                return install::install(node, changes, kernel, hold, events).await.context("cannot install routes");
            }
            match output::print(changes, args.output, events).await {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
                printed => printed.context("cannot write to standard output"),
            }
        };
        tokio::select! {
            listened = listen => listened,
            fed = feed => fed,
            changed = change => changed,
        }
    }

    pub(crate) async fn add_server(&self, server: &Endpoint) -> anyhow::Result<PeerId> {
        info!("connecting to {server}");
        self.node.add_peer(server.clone()).await.with_context(|| format!("cannot add server {server}"))
    }

    pub(crate) async fn announce(&self, routes: Vec<Route>) -> anyhow::Result<()> {
        if let Some(kernel) = &self.kernel {
            kernel.announced(routes.clone()).await?;
        }
        self.node.announce_routes(routes).await.context("cannot announce")?;
        Ok(())
    }

    /// Announces and withdraws what standard input says, until its end.
    async fn feed(&self) -> anyhow::Result<()> {
        let mut lines = Lines::of_stdin();
        loop {
            let batch = lines.next(|number, why| error!("standard input:{number}: {why}; the line is skipped")).await;
            for (number, warning) in lines.warnings.drain(..) {
                warn!("standard input:{number}: {warning}");
            }
            match batch.context("cannot read standard input")? {
                Some(Batch::Add(routes)) => self.announce(routes).await?,
                Some(Batch::Withdraw(routes)) => self.withdraw(routes).await?,
                None => {
                    info!("standard input has ended; what was announced stands");
                    return Ok(());
                }
            }
        }
    }

    pub(crate) async fn withdraw(&self, routes: Vec<Route>) -> anyhow::Result<()> {
        if let Some(kernel) = &self.kernel {
            kernel.withdrawn(routes.clone()).await?;
        }
        let wanted = routes.len();
        let gone = self.node.withdraw_routes(routes).await.context("cannot withdraw")?;
        if gone < wanted {
            warn!("{} of {wanted} routes to withdraw were not announced", wanted - gone);
        }
        Ok(())
    }

    /// Closes the sessions, and lets go of the kernel's routes or removes them.
    async fn end(self, cleanup: bool) {
        if cleanup {
            self.node.shutdown_with_cleanup().await;
        } else {
            self.node.shutdown().await;
        }
        if let Some(kernel) = &self.kernel {
            install::stop(kernel, cleanup).await;
        }
    }
}
