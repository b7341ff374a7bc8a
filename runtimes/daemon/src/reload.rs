//! Reloads settings after SIGHUP, or when one of their files has changed.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::{error, info, warn};

use crate::config::{Arguments, Problem, Setting, Settings, Source};
use crate::reading::{Reading, Watched};

/// Interval at which files are checked. Checking works for every way of replacing a file and on every file system,
/// unlike notifications.
const LOOK: Duration = Duration::from_secs(1);

/// The sources of this process's settings, and what was read from them.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) source: Source,
    /// The settings of the file that are not overridden.
    pub(crate) from_file: Vec<Setting>,
    pub(crate) reading: Reading,
}

/// Decides when to reload, and reads the settings.
#[derive(Debug)]
pub(crate) struct Reload {
    source: Source,
    /// The settings of the file that were in use at the start.
    at_start: Vec<Setting>,
    hangup: Signal,
    look: Interval,
    watched: Watched,
    outcomes: watch::Sender<Outcomes>,
}

/// The outcomes of reloads so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcomes {
    pub(crate) done: u64,
    pub(crate) failed: u64,
    pub(crate) is_last_good: bool,
    /// The time when everything in use was read without an error: the start, or the last successful reload.
    pub(crate) last_success: Timestamp,
}

/// One reload: the files that are read, and whether there was an error.
#[derive(Debug, Default)]
pub(crate) struct Round {
    pub(crate) reading: Reading,
    has_failed: bool,
    /// True if an error prevented files from being read.
    is_partial: bool,
}

impl Round {
    /// Logs an error and notes that the reload failed.
    pub(crate) fn fail(&mut self, why: impl fmt::Display) {
        error!("{why}");
        (self.has_failed, self.is_partial) = (true, true);
    }
}

impl Reload {
    /// Handles SIGHUP from now on, so that it does not end the process. Also returns the reading of the start, to be
    /// continued.
    pub(crate) fn new(Origin { source, from_file, reading }: Origin) -> io::Result<(Self, Reading)> {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let outcomes = Outcomes { done: 0, failed: 0, is_last_good: true, last_success: Timestamp::now() };
        let (hangup, outcomes) = (signal(SignalKind::hangup())?, watch::Sender::new(outcomes));
        let watched = Watched::default();
        Ok((Self { source, at_start: from_file, hangup, look, watched, outcomes }, reading))
    }

    /// Notes that everything that is read at the start is in use.
    pub(crate) fn started(&mut self, reading: Reading) {
        self.watched.update(reading, true, Instant::now());
    }

    /// Returns a receiver for the outcomes of reloads.
    pub(crate) fn outcomes(&self) -> watch::Receiver<Outcomes> {
        self.outcomes.subscribe()
    }

    /// Waits until there is a reason to reload. Can be cancelled.
    pub(crate) async fn wait(&mut self) {
        loop {
            tokio::select! {
                _ = self.hangup.recv() => {
                    info!("SIGHUP: settings are read again");
                    return;
                }
                _ = self.look.tick() => {
                    if self.watched.has_changed() || self.has_hidden_change().await {
                        info!("a file has changed: settings are read again");
                        return;
                    }
                }
            }
        }
    }

    /// Returns true if a file was written a second time without a change of its stamp.
    async fn has_hidden_change(&mut self) -> bool {
        let doubtful = self.watched.doubtful(Instant::now());
        if doubtful.is_empty() {
            return false;
        }
        let files = doubtful.clone();
        // Fails only if the runtime is shutting down.
        let has_changed = spawn_blocking(move || files.has_changed()).await.unwrap_or(false);
        self.watched.compared(&doubtful);
        has_changed
    }

    /// Reads the settings again. Returns `None` if they are invalid.
    pub(crate) async fn read<A: Arguments + Send + 'static>(&mut self, round: &mut Round) -> Option<A> {
        // On another thread than the one of the sessions: a file may be long or on a slow file system.
        let source = self.source.clone();
        match round.reading.on_a_thread(move |reading| source.read_again(reading)).await {
            Ok(Settings { args, from_file, warnings }) => {
                self.source.warn(warnings);
                self.warn_of_restart_settings(&from_file);
                Some(args)
            }
            Err(problem @ Problem::ReadOnce(_)) => {
                warn!("the settings stay unchanged: {problem}");
                round.is_partial = true;
                None
            }
            Err(problem) => {
                round.fail(format_args!("the settings stay unchanged: {problem}"));
                None
            }
        }
    }

    /// Ends a reload and updates the outcomes.
    pub(crate) fn end(&mut self, round: Round) {
        let is_good = !round.has_failed;
        self.watched.update(round.reading, !round.is_partial, Instant::now());
        self.outcomes.send_modify(|outcomes| {
            outcomes.is_last_good = is_good;
            if is_good {
                outcomes.done += 1;
                outcomes.last_success = Timestamp::now();
            } else {
                outcomes.failed += 1;
            }
        });
    }

    /// Logs which settings have changed but need a restart.
    fn warn_of_restart_settings(&self, now: &[Setting]) {
        const AT_ONCE: [&str; 4] = ["server", "subscribe", "announce", "announce-file"];
        let value = |all: &[Setting], name: &str| {
            all.iter().find(|setting| setting.name == name).map(|setting| setting.args.clone())
        };
        let mut names: Vec<_> = self.at_start.iter().chain(now).map(|setting| setting.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names.retain(|name| !AT_ONCE.contains(name) && value(&self.at_start, name) != value(now, name));
        if !names.is_empty() {
            warn!("changed settings that need a restart: {}", names.join(", "));
        }
    }
}
