//! Settings that are read again: when SIGHUP asks for it, or when a file that they came from has changed.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::{error, info, warn};

use crate::cli::Cli;
use crate::config::{Setting, Settings, Source};

/// How often files are looked at. Not watched: so it doesn't matter by what they are replaced, and on which file system they are.
const LOOK: Duration = Duration::from_secs(1);

/// What tells whether a file is another one, or has been written to; `None`: there is none that can be read again.
type Stamp = Option<(u64, u64, i64, i64, u64)>;

/// Where settings came from, and what was there.
#[derive(Debug)]
pub(crate) struct Reload {
    source: Source,
    /// The settings of the file that counted at the start.
    at_start: Vec<Setting>,
    hangup: Signal,
    look: Interval,
    files: Vec<PathBuf>,
    /// Those that are looked at from the start to the end.
    always: Vec<PathBuf>,
    /// What was read, and what was seen last.
    read: Vec<Stamp>,
    seen: Vec<Stamp>,
}

impl Reload {
    /// From its creation on, SIGHUP doesn't kill the process.
    pub(crate) fn new(
        source: Source,
        at_start: Vec<Setting>,
        mut files: Vec<PathBuf>,
        always: Vec<PathBuf>,
    ) -> io::Result<Self> {
        files.extend(always.iter().cloned());
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let read: Vec<_> = files.iter().map(stamp).collect();
        let (hangup, seen) = (signal(SignalKind::hangup())?, read.clone());
        Ok(Self { source, at_start, hangup, look, files, always, read, seen })
    }

    /// Waits until there is a reason to read again. Can be cancelled.
    pub(crate) async fn wait(&mut self) {
        loop {
            tokio::select! {
                _ = self.hangup.recv() => {
                    info!("SIGHUP: settings are read again");
                    return;
                }
                _ = self.look.tick() => {
                    let now: Vec<_> = self.files.iter().map(stamp).collect();
                    // Not while somebody is still writing.
                    let has_settled = now == self.seen;
                    self.seen = now;
                    if has_settled && self.seen != self.read {
                        info!("a file has changed: settings are read again");
                        return;
                    }
                }
            }
        }
    }

    /// Reads again. `None`: what is there is no good, which has been logged.
    pub(crate) async fn read(&mut self) -> Option<Cli> {
        self.read = self.files.iter().map(stamp).collect();
        // Not on the thread of the sessions: a file may be long, or far away.
        let source = self.source.clone();
        let Ok(read) = tokio::task::spawn_blocking(move || source.read_again()).await else {
            // Only when the runtime ends.
            return None;
        };
        match read {
            Ok(Settings { cli, from_file, warnings }) => {
                self.source.warn(warnings);
                self.tell_what_waits(&from_file);
                Some(cli)
            }
            Err(problem) => {
                error!("settings stay as they were: {problem}");
                None
            }
        }
    }

    /// Looks at these files from now on. Before they are read: so no change is missed.
    pub(crate) fn look_at(&mut self, mut files: Vec<PathBuf>) {
        files.extend(self.always.iter().cloned());
        if files != self.files {
            let known = |path| self.files.iter().position(|file| file == path).and_then(|at| self.read.get(at));
            self.read = files.iter().map(|path| known(path).copied().unwrap_or_else(|| stamp(path))).collect();
            (self.seen, self.files) = (self.read.clone(), files);
        }
    }

    /// Says which settings have changed and are not carried out now.
    fn tell_what_waits(&self, now: &[Setting]) {
        const AT_ONCE: [&str; 4] = ["server", "subscribe", "announce", "announce-file"];
        let value = |all: &[Setting], name: &str| {
            all.iter().find(|setting| setting.name == name).map(|setting| setting.args.clone())
        };
        let mut names: Vec<_> = self.at_start.iter().chain(now).map(|setting| setting.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names.retain(|name| !AT_ONCE.contains(name) && value(&self.at_start, name) != value(now, name));
        if !names.is_empty() {
            warn!("changed settings that wait for a restart: {}", names.join(", "));
        }
    }
}

fn stamp(path: &PathBuf) -> Stamp {
    let meta = std::fs::metadata(path).ok().filter(Metadata::is_file)?;
    Some((meta.dev(), meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.len()))
}
