//! `--record`: writes a node's inputs to a file, for `metalbond replay`.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process;
use std::time::SystemTime;

use anyhow::Context as _;
use clap::Args;
use metalbond::Config;
use metalbond_tokio::{Changes, MetalBond, StartOptions, TlsConfig, start_with};
use tracing::info;

#[derive(Args, Debug)]
pub(crate) struct RecordArgs {
    /// Record everything that is received, with its time, for `metalbond replay`. If the file exists, the program does not
    /// start; in a directory, each start makes a new file. The recording contains routes and the hash seed; only its owner can
    /// read it
    #[arg(long, value_name = "FILE|DIR", env = "METALBOND_RECORD")]
    record: Option<PathBuf>,
}

impl RecordArgs {
    /// Starts a node with this TLS configuration, if there is one. Records the node if the arguments ask for it.
    pub(crate) async fn start(&self, config: Config, tls: Option<TlsConfig>) -> anyhow::Result<(MetalBond, Changes)> {
        let options = StartOptions::default().tls(tls.unwrap_or_default());
        let Some(path) = self.record.clone() else { return Ok(start_with(config, options)?) };
        // Opening a pipe blocks until there is a reader.
        let (file, path) = tokio::task::spawn_blocking(move || {
            let opened = open(&path);
            opened.with_context(|| format!("cannot record to {}", path.display()))
        })
        .await??;
        info!("recording to {}", path.display());
        Ok(start_with(config, options.record(file))?)
    }
}

/// Creates a new file that only its owner may read. If the path is something else than a file or a directory, for
/// example a pipe, opens it.
fn open(path: &Path) -> io::Result<(File, PathBuf)> {
    let path = if path.is_dir() { path.join(name()) } else { path.to_owned() };
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if fs::metadata(&path)?.is_file() {
                return Err(io::Error::new(error.kind(), "it exists, and is not overwritten"));
            }
            Ok((OpenOptions::new().write(true).open(&path)?, path))
        }
        created => Ok((created?, path)),
    }
}

/// Returns a file name that no other recording has: the seconds since 1970 and the process id.
fn name() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("metalbond-{}-{}.jsonl", since.as_secs(), process::id())
}
