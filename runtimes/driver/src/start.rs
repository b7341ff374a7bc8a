//! The start of a node: what it is given besides its settings.

use metalbond::{Config, ConfigError, Instant};

use crate::{Recorded, TlsConfig, seeded};

/// What a node is given at its start, besides its [`Config`]: what has to be there before it listens or dials for the first time.
///
/// By default nothing: the node speaks plain MetalBond and is not recorded.
#[derive(Default)]
#[must_use = "it is for the start of a node"]
pub struct StartOptions {
    tls: TlsConfig,
    #[cfg(feature = "record")]
    record: Option<Box<dyn std::io::Write + Send>>,
}

impl StartOptions {
    /// Has the node speak TLS: each half of the configuration that is there counts from the start to the end. Later on, a half can be
    /// replaced, but neither added nor taken away: so no connection is plain that should not be.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = tls;
        self
    }

    /// Has the node recorded: what goes into it (bytes, commands, time) is written to `out`, with its settings, the seed that protects
    /// its hash maps among them. [`replay`](crate::replay) runs it again and compares what comes out.
    ///
    /// A thread of its own writes, within a second of what happens, and nothing waits for it but the node's shutdown, for a second at
    /// most. If it fails, or can't keep up, an error is logged and the recording ends there; the node goes on.
    #[cfg(feature = "record")]
    pub fn record(mut self, out: impl std::io::Write + Send + 'static) -> Self {
        self.record = Some(Box::new(out));
        self
    }
}

impl std::fmt::Debug for StartOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut options = f.debug_struct("StartOptions");
        options.field("tls", &self.tls);
        #[cfg(feature = "record")]
        options.field("record", &self.record.is_some());
        options.finish()
    }
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting is out of its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The system has no thread for the writer of the recording.
    #[error("cannot start a thread for the recording: {0}")]
    Thread(std::io::Error),
}

/// Makes the node of a driver, with a random seed where none was chosen; and returns how it speaks TLS.
///
/// # Errors
/// A setting is out of its range; there is no thread for the recording.
pub fn make_node(config: Config, options: StartOptions, now: Instant) -> Result<(Recorded, TlsConfig), StartError> {
    let config = seeded(config);
    #[cfg(feature = "record")]
    if let Some(out) = options.record {
        return Ok((Recorded::recording(config, now, out)?, options.tls));
    }
    Ok((Recorded::new(config, now)?, options.tls))
}
