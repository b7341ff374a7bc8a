//! `metalbond client`: announces routes and prints the routes of other clients until it is stopped.

mod args;
mod wanted;

use std::future::pending;
use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::path::PathBuf;
use std::pin::pin;

use anyhow::Context as _;
use metalbond::{CommandError, Config};
use metalbond_tokio::{Changes, MetalBond, TlsConfig};
use tokio::io::Stdin;
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::announce_file::{self, Announcements, Batch, Lines};
use crate::api::Role;
use crate::http::{self, App, Events, Http, HttpArgs, Seen};
use crate::install::{self, KernelRoutes};
use crate::output;
use crate::privileges;
use crate::reload::{Origin, Outcomes, Reload, Round};
use crate::signals::Stop;
use crate::systemd::{self, Sockets};
use crate::tls::{self, SecretStore};
pub(crate) use args::ClientArgs;
pub(crate) use wanted::OverLimit;
use wanted::{Asked, Wanted};

/// Runs a client until SIGTERM, SIGINT, or a write to a standard output whose reader has closed it.
pub(crate) async fn run(mut args: Box<ClientArgs>, origin: Origin, sockets: Sockets) -> anyhow::Result<()> {
    let mut stop = Stop::new()?;
    let secrets = args.secrets();
    let (mut reload, mut reading) = Reload::new(origin)?;
    let files = args.files();
    let start = async {
        let routes = reading.on_a_thread(move |reading| announce_file::read_all(&files, reading)).await?;
        let secrets = SecretStore::read(secrets, &mut reading).await?;
        let node = args.record.start(Config::from(&*args), secrets.current().peers()).await?;
        anyhow::Ok((routes, secrets, node))
    };
    let kernel = args.install.start()?;
    // Reading a file may block forever, for example if it is a pipe without a writer; so signals are handled meanwhile.
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
    reload.started(reading);
    let asked = Asked::of(&mut args, &from_files);
    let pipes = from_files.into_iter().filter(|file| file.is_gone).collect();
    let reloads = reload.outcomes();
    tokio::spawn(tls::remind(secrets.watch()));
    let client = Client { node, kernel, secrets, events: Events::new() };
    if !sockets.listen.is_empty() {
        let unused = sockets.listen.len();
        warn!("{unused} sockets from the service manager are not used: a client listens only for HTTP");
    }
    let http = client.start_http(&args.http, sockets.http, reloads).await?;
    privileges::settle(args.install.is_wanted());
    let result = tokio::select! {
        signal = stop.signalled() => {
            info!("{signal}: closing all sessions");
            Ok(())
        }
        result = client.serve(&args, asked, &mut changes, Inputs { reload, pipes }) => result,
    };
    systemd::stopping().await;
    client.end(args.cleanup).await;
    if let Some(http) = http {
        http.stop().await;
    }
    result
}

/// A running client.
struct Client {
    node: MetalBond,
    /// The kernel routes, if routes are installed.
    kernel: Option<KernelRoutes>,
    /// The contents of the files with certificates.
    secrets: SecretStore,
    /// Sends events to the readers of the HTTP side.
    events: Events,
}

impl Client {
    async fn start_http(
        &self,
        args: &HttpArgs,
        socket: Option<TcpListener>,
        reloads: watch::Receiver<Outcomes>,
    ) -> anyhow::Result<Option<Http>> {
        let Self { node, kernel, secrets, events } = self;
        let (_, nowhere) = watch::channel(Vec::new());
        let seen = Seen { secrets: secrets.watch(), reloads };
        let app = App::new(node.clone(), Role::Client, nowhere, kernel.clone(), events.clone(), seen, args);
        let http = Http::start(args, socket, app).await?;
        if http.is_some() {
            tokio::spawn(http::watch_peers(node.clone(), events.clone()));
        }
        Ok(http)
    }

    /// Runs the client after its start. Returns only with an error or when standard output is closed.
    async fn serve(
        &self,
        args: &ClientArgs,
        asked: Asked,
        changes: &mut Changes,
        inputs: Inputs,
    ) -> anyhow::Result<()> {
        let Self { node, kernel, events, .. } = self;
        let config = Config::from(args);
        let mut wanted = Wanted::none(&config, node.clone(), kernel.clone());
        wanted.start(asked).await?;
        tokio::spawn(systemd::report(node.clone()));
        systemd::ready().await;
        let want = self.want(wanted, inputs, args.reads_stdin().then(Lines::of_stdin));
        let listen = async {
            if let Some(kernel) = kernel {
                return install::install(node, changes, kernel, events).await.context("cannot install routes");
            }
            match output::print(changes, args.output, events).await {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
                printed => printed.context("cannot write to standard output"),
            }
        };
        tokio::select! {
            listened = listen => listened,
            wanted = want => wanted,
        }
    }

    /// Applies reloaded settings and lines of standard input, one after the other. Waits for both at the same time.
    /// Returns only with an error.
    async fn want(&self, mut wanted: Wanted, inputs: Inputs, lines: Option<Lines<Stdin>>) -> anyhow::Result<()> {
        // Both futures are kept when the other one completes: reading a long file continues, and a partial line is not
        // lost.
        let (mut fresh, mut batch) = (pin!(inputs.next(&self.secrets)), pin!(next_batch(lines)));
        loop {
            tokio::select! {
                (inputs, read) = &mut fresh => {
                    let inputs = self.take(&mut wanted, inputs, read).await?;
                    fresh.set(inputs.next(&self.secrets));
                }
                (lines, next) = &mut batch => {
                    match next.context("cannot read standard input")? {
                        Some(next) => {
                            wanted.feed(next).await?;
                            batch.set(next_batch(Some(lines)));
                        }
                        None => {
                            info!("standard input has ended; the announced routes stay announced");
                            batch.set(next_batch(None));
                        }
                    }
                }
            }
        }
    }

    /// Applies reloaded settings, as far as they are valid.
    async fn take(&self, wanted: &mut Wanted, mut inputs: Inputs, fresh: Fresh) -> anyhow::Result<Inputs> {
        let Fresh { mut round, tls, asked } = fresh;
        if let Some(tls) = tls {
            self.node.set_tls(tls).await?;
        }
        if let Some(FreshAsked { asked, pipes, files }) = asked {
            inputs.pipes.extend(pipes);
            match wanted.change(asked).await {
                Ok(()) => inputs.pipes.retain(|pipe| files.contains(&pipe.path)),
                Err(error) if error.is::<OverLimit>() => {
                    round.fail(format_args!("the settings stay unchanged: {error}"));
                }
                Err(error) if matches!(error.downcast_ref(), Some(CommandError::Limit(_))) => {
                    round.fail(format_args!("the settings are applied in part: {error:#}"));
                }
                Err(error) => return Err(error),
            }
        }
        inputs.reload.end(round);
        systemd::ready().await;
        Ok(inputs)
    }

    /// Closes the sessions. With `cleanup` removes the kernel routes, otherwise leaves them in the kernel.
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

/// The sources of settings that can change while the program runs.
struct Inputs {
    reload: Reload,
    /// Announcements from files that can be read only once.
    pipes: Vec<Announcements>,
}

/// The result of one reload.
struct Fresh {
    round: Round,
    tls: Option<TlsConfig>,
    /// `None` if the settings are invalid.
    asked: Option<FreshAsked>,
}

/// The settings of a reload.
struct FreshAsked {
    asked: Asked,
    /// The files among them that can't be read again.
    pipes: Vec<Announcements>,
    files: Vec<PathBuf>,
}

impl Inputs {
    /// Waits until there is a reason to reload, and reads everything.
    async fn next(mut self, secrets: &SecretStore) -> (Self, Fresh) {
        self.reload.wait().await;
        systemd::reloading().await;
        let mut round = Round::default();
        let tls = secrets.read_again(&mut round).await;
        let asked = match self.reload.read(&mut round).await {
            Some(args) => self.asked(args, &mut round).await,
            None => None,
        };
        (self, Fresh { round, tls, asked })
    }

    /// Reads the files that the settings name.
    async fn asked(&self, mut args: ClientArgs, round: &mut Round) -> Option<FreshAsked> {
        let files = args.files();
        // Announcements from a pipe stay for as long as the settings name the pipe.
        let (kept, unread): (Vec<_>, Vec<_>) =
            files.iter().cloned().partition(|path| self.pipes.iter().any(|pipe| pipe.path == *path));
        let read = round.reading.on_a_thread(move |reading| announce_file::read_all(&unread, reading)).await;
        match read {
            Ok(mut read) => {
                let pipes = read.iter().filter(|file| file.is_gone).cloned().collect();
                read.extend(self.pipes.iter().filter(|pipe| kept.contains(&pipe.path)).cloned());
                Some(FreshAsked { asked: Asked::of(&mut args, &read), pipes, files })
            }
            Err(why) => {
                round.fail(format_args!("the settings stay unchanged: {why}"));
                None
            }
        }
    }
}

/// Returns the next batch of standard input. Never completes if standard input is not read.
async fn next_batch(lines: Option<Lines<Stdin>>) -> (Lines<Stdin>, io::Result<Option<Batch>>) {
    let Some(mut lines) = lines else { return pending().await };
    let next = lines.next(|number, why| error!("standard input:{number}: {why}; the line is skipped")).await;
    for (number, warning) in lines.warnings.drain(..) {
        warn!("standard input:{number}: {warning}");
    }
    (lines, next)
}
