//! `metalbond`: the server and the client of the MetalBond protocol, recordings of them, and a demonstration of both.
//! Exit codes: 0 for an end that was asked for, 1 for an error of the system, 2 for a bad argument.

mod announce_file;
mod api;
mod cli;
mod client;
mod demo;
mod http;
#[cfg(target_os = "linux")]
mod install;
#[cfg(not(target_os = "linux"))]
#[path = "install_nothing.rs"]
mod install;
mod limits;
mod logging;
mod output;
mod record;
mod replay;
mod server;
mod signals;
mod spec;
mod steps;
mod usage;

use std::process::ExitCode;

use announce_file::FileError;
use cli::Command;
use tracing::Level;

fn main() -> ExitCode {
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    // The demonstration speaks for itself.
    let level = if matches!(cli.command, Command::Demo) { Level::WARN } else { Level::INFO };
    let logs = logging::start(cli.verbose, level, cli.log_format);
    let result = run(cli.command);
    // First the last lines of the log, then the error.
    drop(logs);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = if error.is::<FileError>() { 2 } else { 1 };
            usage::complain(code, format_args!("{error:#}"))
        }
    }
}

/// Runs the subcommand to its end. Everything happens on this thread; only reads of standard input, writes to
/// standard output and those of logs have threads of their own, so that none can hold up a session.
fn run(command: Command) -> anyhow::Result<()> {
    if let Command::Replay(args) = command {
        return replay::run(&args);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        match command {
            Command::Server(args) => server::run(args).await,
            Command::Client(args) => client::run(args).await,
            Command::Demo => demo::run().await,
            Command::Replay(args) => replay::run(&args),
        }
    });
    // A read of standard input can't be interrupted: leave without it.
    runtime.shutdown_background();
    result
}
