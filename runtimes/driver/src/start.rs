//! The start of a node: its options besides the settings, and its first task.

use std::net::IpAddr;
use std::sync::Arc;

use metalbond::{Config, ConfigError, Instant};

use crate::actor::Actor;
use crate::clock::Clock;
use crate::mailbox::mailboxes;
use crate::recorded::Recorded;
use crate::seed::seeded;
use crate::tasks::{Tasks, token};
use crate::{Changes, MetalBond, Runtime, Task, TlsConfig, changes};

/// Starts a node on a runtime. Returns a handle, and the stream of route changes. The node does not use TLS, and is not recorded: see
/// [`start_with`]. A [`Config::seed`] of 0 is replaced by a random one.
///
/// Applications call the `start` of their runtime's package, `metalbond_tokio::start` for example.
///
/// # Errors
/// A setting is out of its range.
pub fn start(runtime: impl Runtime, config: Config) -> Result<(MetalBond, Changes), ConfigError> {
    let clock = Clock::start(runtime);
    let node = Recorded::new(seeded(config), clock.now())?;
    Ok(run(clock, node, StartOptions::default()))
}

/// Starts a node like [`start`], with options: TLS, the address that it dials from, and a recording. (The [policy](Config::policy) is a
/// setting of the [`Config`].)
///
/// # Errors
/// A setting is out of its range, or the thread for the recording cannot be started.
pub fn start_with(
    runtime: impl Runtime,
    config: Config,
    mut options: StartOptions,
) -> Result<(MetalBond, Changes), StartError> {
    let clock = Clock::start(runtime);
    let node = make_node(config, &mut options, clock.now())?;
    Ok(run(clock, node, options))
}

/// Makes the node, with a recording if the options ask for one.
fn make_node(config: Config, options: &mut StartOptions, now: Instant) -> Result<Recorded, StartError> {
    let config = seeded(config);
    #[cfg(feature = "record")]
    if let Some(out) = options.record.take() {
        return Recorded::recording(config, now, out);
    }
    let _ = options;
    Ok(Recorded::new(config, now)?)
}

fn run<R: Runtime>(clock: Clock<R>, node: Recorded, options: StartOptions) -> (MetalBond, Changes) {
    let StartOptions { tls, local_address, .. } = options;
    let (requests, events, inbox) = mailboxes();
    let (alive, ended) = token();
    let timer: Arc<Clock<R>> = Arc::new(clock.clone());
    let (sender, changes) = changes::channel(ended.clone(), Arc::clone(&timer) as _);
    let runtime = clock.runtime().clone();
    let tasks = Tasks::new(runtime.clone(), events);
    runtime.spawn(Actor::new(node, tls, local_address, clock, inbox, sender, tasks, alive).run()).detach();
    (MetalBond::new(requests, ended, timer), changes)
}

/// The options of [`start_with`], besides the [`Config`]: those that a node needs before it listens or dials for the first time.
///
/// By default the node does not use TLS, dials from an address that the system chooses, and is not recorded.
#[derive(Default)]
#[must_use = "it is for the start of a node"]
pub struct StartOptions {
    tls: TlsConfig,
    local_address: Option<IpAddr>,
    #[cfg(feature = "record")]
    record: Option<Box<dyn std::io::Write + Send>>,
}

impl StartOptions {
    /// Sets the configuration of TLS. The node uses the part for a server where it listens with
    /// [`listen_tls`](crate::MetalBond::listen_tls), and the part for a client for every dial. Each part can be replaced later
    /// ([`set_tls`](crate::MetalBond::set_tls)), but neither added nor removed, so that no connection is without TLS by mistake.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = tls;
        self
    }

    /// Sets the address of this host that the node dials from. It applies to servers of the same address family. Without it, the system
    /// chooses the address.
    pub const fn local_address(mut self, address: IpAddr) -> Self {
        self.local_address = Some(address);
        self
    }

    /// Records the node: writes its inputs (bytes, commands, time) and its settings to `out`. [`replay`](crate::replay) repeats the inputs,
    /// and compares the outputs. A recording contains all routes, and the seed that protects the hash maps: keep it secret.
    ///
    /// A thread of its own writes, within a second after an input. Only the node's shutdown waits for it, for a second at most. If the
    /// recording cannot be written, or not as fast as it grows (64 MiB wait at most), an error is logged and the recording ends; the node
    /// goes on.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use metalbond_tokio::{Config, StartOptions, Vni, replay};
    ///
    /// # let path = std::env::temp_dir().join(format!("metalbond-record-{}.jsonl", std::process::id()));
    /// let options = StartOptions::default().record(std::fs::File::create(&path)?);
    /// let (node, _) = metalbond_tokio::start_with(Config::default(), options)?;
    /// node.subscribe(Vni(23)).await?;
    /// node.shutdown().await;
    ///
    /// let recording = std::io::BufReader::new(std::fs::File::open(&path)?);
    /// let summary = replay(recording, |line, step| Ok(println!("{line}: {step:?}")))?;
    /// assert!(summary.inputs >= 2, "the subscription, and the end");
    /// # std::fs::remove_file(path)?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "record")]
    pub fn record(mut self, out: impl std::io::Write + Send + 'static) -> Self {
        self.record = Some(Box::new(out));
        self
    }
}

impl std::fmt::Debug for StartOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut options = f.debug_struct("StartOptions");
        options.field("tls", &self.tls).field("local_address", &self.local_address);
        #[cfg(feature = "record")]
        options.field("record", &self.record.is_some());
        options.finish()
    }
}

/// The error of [`start`](crate::start()) and [`start_with`](crate::start_with): why a node cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting is out of its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The thread for the recording cannot be started.
    #[error("cannot start a thread for the recording: {0}")]
    Thread(std::io::Error),
}
