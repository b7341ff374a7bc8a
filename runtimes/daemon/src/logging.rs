//! Logging to standard error, as text or as one JSON object per line. A separate thread writes the lines, so that a
//! blocked standard error delays nothing. Lines that do not fit into its queue are lost.

use std::io::IsTerminal as _;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use tracing::{Level, warn};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Maximum number of lines that wait to be written, about 2 MB.
const LINES_MAX: usize = 16 * 1024;

/// How long the process waits at its end for its last lines to be written.
const LAST_LINES: Duration = Duration::from_millis(300);

/// The same if lines were lost because standard error is blocked. Less than the 100 ms after which the logging guard
/// prints a message to standard output.
const LAST_LINES_UNREAD: Duration = Duration::from_millis(50);

/// How a log line looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people, in colour on a terminal.
    Text,
    /// One JSON object on each line.
    Json,
}

/// Keeps logging active. Lines that are logged after its drop are lost.
#[derive(Debug)]
pub(crate) struct Logs {
    guard: Option<WorkerGuard>,
    lost: ErrorCounter,
}

impl Drop for Logs {
    /// Waits for a bounded time until the last lines are written.
    fn drop(&mut self) {
        let guard = self.guard.take();
        let patience = if self.lost.dropped_lines() == 0 { LAST_LINES } else { LAST_LINES_UNREAD };
        within(patience, move || drop(guard));
    }
}

/// Runs `work`, which may block, on another thread, and waits for at most `patience`.
pub(crate) fn within(patience: Duration, work: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        work();
        // Fails if the caller has stopped waiting.
        let _ = done.send(());
    });
    // A timeout means that the work is blocked; it is abandoned.
    let _ = is_done.recv_timeout(patience);
}

/// Sets up logging for the process. `-v` overrides `RUST_LOG`, which overrides the default.
pub(crate) fn start(verbose: u8, default: Level, format: LogFormat) -> Logs {
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
    let (writer, guard) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(LINES_MAX).finish(std::io::stderr());
    let logs = Logs { guard: Some(guard), lost: writer.error_counter() };
    // Errors of logging are ignored: printing them to the same stream would panic.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).log_internal_errors(false);
    match format {
        LogFormat::Text => builder.with_target(false).with_ansi(colour).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    if let Some(error) = ignored {
        warn!("RUST_LOG is ignored: {error}");
    }
    logs
}
