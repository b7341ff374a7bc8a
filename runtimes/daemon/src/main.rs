//! `metalbond`: the server and the client of the MetalBond protocol, recordings of them, and a demonstration of both.
//!
//! Exit codes: 0 for a requested end, 1 for an error of the system, 2 for a bad argument.

mod announce_file;
mod api;
mod args;
mod bench;
mod check;
mod cli;
mod client;
mod config;
mod demo;
mod flag;
#[cfg(target_os = "linux")]
mod flush;
mod go_flags;
mod http;
mod inspect;
#[cfg(target_os = "linux")]
mod install;
#[cfg(not(target_os = "linux"))]
#[path = "install_nothing.rs"]
mod install;
mod limits;
mod logging;
mod look;
mod manual;
#[cfg(target_os = "linux")]
mod networkd;
mod output;
mod policy;
mod position;
#[cfg(target_os = "linux")]
mod privileges;
#[cfg(not(target_os = "linux"))]
#[path = "privileges_nothing.rs"]
mod privileges;
mod reading;
mod record;
mod reload;
mod replay;
mod secret;
mod server;
mod signals;
mod spec;
mod steps;
mod systemd;
mod tls;
mod token;
mod usage;

use std::io;
use std::process::ExitCode;

use announce_file::FileError;
use clap::CommandFactory as _;
use cli::{Cli, Command};
use client::OverLimit;
use config::{Problem, Settings, Source};
use policy::BadPolicy;
use reading::Reading;
use reload::Origin;
use systemd::Sockets;
use tracing::Level;

fn main() -> ExitCode {
    // Must be first, because it changes the environment.
    let sockets = Sockets::take();
    let mut source = Source::of_process(Cli::command());
    let mut reading = Reading::default();
    let Settings::<Cli> { args: cli, from_file, warnings } = match source.read(&mut reading) {
        Ok(settings) => settings,
        Err(Problem::Arguments(error)) => return usage::from_clap(&error),
        Err(Problem::Text(lines)) => return usage::complain_all(2, lines),
        Err(problem @ Problem::ReadOnce(_)) => return usage::complain(2, format_args!("{problem}")),
    };
    // Must happen before other threads are started.
    match &cli.command {
        Command::Server(args) => privileges::reduce(false, args.has_low_port()),
        Command::Client(args) => privileges::reduce(args.install.is_wanted(), args.http.has_low_port()),
        _ => {}
    }
    // The demonstration and the benchmark print their own messages.
    let level = if matches!(cli.command, Command::Demo | Command::Bench(_)) { Level::WARN } else { Level::INFO };
    let verbosity = cli.verbose.iter().fold(0, |sum: u8, more| sum.saturating_add(*more));
    let logs = logging::start(verbosity, level, cli.log_format);
    source.warn(warnings);
    let result = sockets.and_then(|sockets| run(cli.command, Origin { source, from_file, reading }, sockets));
    // Writes the last lines of the log before the error.
    drop(logs);
    match result {
        Ok(code) => code,
        Err(error) => {
            let code =
                if error.is::<FileError>() || error.is::<BadPolicy>() || error.is::<OverLimit>() { 2 } else { 1 };
            usage::complain(code, format_args!("{error:#}"))
        }
    }
}

/// Runs the subcommand to its end. A server or a client runs on this thread. Reads of standard input, writes to
/// standard output, logs and HTTP have their own threads, so that none of them can delay a session.
fn run(command: Command, origin: Origin, sockets: Sockets) -> anyhow::Result<ExitCode> {
    match command {
        Command::Server(args) => on_runtime(server::run(args, origin, sockets))?,
        Command::Client(args) => on_runtime(client::run(args, origin, sockets))?,
        Command::Demo => on_runtime(demo::run())?,
        Command::Replay(args) => replay::run(&args)?,
        Command::Show(args) => inspect::show(&args)?,
        Command::Watch(args) => on_runtime(inspect::watch(args))?,
        Command::Diff(args) => return Ok(inspect::diff(&args)),
        Command::Top(args) => inspect::top(&args)?,
        Command::Bench(args) => bench::run(&args)?,
        Command::Completions(args) => unless_unread(manual::completions(&args, Cli::command()))?,
        Command::Man(args) => unless_unread(manual::man(&args, Cli::command()))?,
        #[cfg(target_os = "linux")]
        Command::FlushRoutes(args) => unless_unread(flush::run(&args))?,
        Command::Check(args) => {
            return Ok(check::run(&args, &Cli::command()).unwrap_or_else(|lines| usage::complain_all(2, lines)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn on_runtime(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(work);
    // Does not wait for reads of standard input, which can't be interrupted.
    runtime.shutdown_background();
    result
}

/// Ignores a closed pipe (`metalbond completions bash | head -1`).
fn unless_unread(written: anyhow::Result<()>) -> anyhow::Result<()> {
    let is_unread = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    match written {
        Err(error) if error.downcast_ref().is_some_and(is_unread) => Ok(()),
        written => written,
    }
}
