//! The commands that query running daemons over HTTP: `show`, `watch`, `top` and `diff`.

mod access;
mod client;
mod diff;
mod show;
pub(crate) mod table;
mod top;
mod watch;

use std::fmt::Display;
use std::io::{self, Write as _};

pub(crate) use client::{Daemon, Failure};
pub(crate) use diff::DiffArgs;
pub(crate) use show::ShowArgs;
pub(crate) use top::TopArgs;
pub(crate) use watch::WatchArgs;

use self::access::{AccessArgs, Place};
use crate::api;

/// Where a daemon is asked.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct HttpPlace {
    /// The HTTP address of the daemon (its --http); https://HOST:PORT for HTTP over TLS
    #[arg(long, value_name = "HOST:PORT", default_value = api::HTTP, env = "METALBOND_HTTP")]
    http: Place,
    #[command(flatten)]
    access: AccessArgs,
}

impl HttpPlace {
    /// # Errors
    ///
    /// If a file is missing or invalid.
    pub(crate) fn daemon(&self) -> anyhow::Result<Daemon> {
        self.access.of(&self.http)
    }
}

/// Writes a text to standard output. A closed pipe (`| head`) is not an error.
pub(crate) fn print(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// Writes a message to standard error, ignoring errors.
pub(crate) fn to_stderr(what: impl Display) {
    let _ = writeln!(io::stderr(), "metalbond: {what}");
}

/// Prints the answer to a query.
pub(crate) fn show(args: &ShowArgs) -> anyhow::Result<()> {
    Ok(print(&show::text(args)?)?)
}

pub(crate) use diff::run as diff;
pub(crate) use top::run as top;
pub(crate) use watch::run as watch;
