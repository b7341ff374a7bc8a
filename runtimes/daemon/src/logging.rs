//! Logs, on standard error: text for people, one JSON object a line for machines.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing::{Level, warn};
use tracing_subscriber::EnvFilter;

/// How a log line looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people, in colour on a terminal.
    Text,
    /// One object a line.
    Json,
}

/// Sets up logging for the whole process. `-v` counts for more than `RUST_LOG`, which counts for more than the default.
pub(crate) fn start(verbose: u8, default: Level, format: LogFormat) {
    let level = match verbose {
        0 => default,
        1 => Level::DEBUG,
        _ => Level::TRACE,
    };
    let from_env = std::env::var("RUST_LOG").ok().filter(|directives| verbose == 0 && !directives.is_empty());
    let (filter, ignored) = match from_env.map(EnvFilter::try_new).transpose() {
        Ok(filter) => (filter, None),
        Err(error) => (None, Some(error)),
    };
    let filter = filter.unwrap_or_else(|| EnvFilter::new(level.as_str()));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    // A log that can't be written is lost: the attempt to say so on the same stream would panic.
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    match format {
        LogFormat::Text => builder.with_target(false).with_ansi(colour).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    if let Some(error) = ignored {
        warn!("RUST_LOG is ignored: {error}");
    }
}
