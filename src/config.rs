//! A node's settings. Plain values with the protocol's defaults; checked once, when the node is made.

use core::fmt;
use core::time::Duration;

use crate::{Limits, PeerLimit, Policy};

/// The settings of a [`Node`](crate::Node): plain fields, to be written with `..Config::default()`. A builder would repeat each name, and check
/// nothing that [`validate`](Self::validate) does not check. A minor version may add fields: code that names all of them, without the
/// default, has to be changed then.
///
/// Times that the protocol carries are whole seconds; [`validate`](Self::validate) refuses fractions of them.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Config {
    /// The interval of KEEPALIVE that this node proposes in its HELLO; the lower of the two ends' proposals holds for a session.
    /// Whole seconds, from 1 to 4,294,967,295. Default 5 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::whole_seconds"))]
    pub keepalive: Duration,
    /// How long the dial, the wait for HELLO and the wait for the first KEEPALIVE may take, each. Over zero. Default 10 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::seconds"))]
    pub handshake_timeout: Duration,
    /// How long bytes that were handed to a connection may stay unwritten: the send hold time (RFC 9687). A peer that says it
    /// lives but does not read is closed then. At least 1 s. Default 60 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::seconds"))]
    pub send_hold: Duration,
    /// The shortest wait before a server is dialled again; doubled at each failure. Default 100 ms.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::seconds"))]
    pub backoff_min: Duration,
    /// The longest wait before a server is dialled again. Default 5 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::seconds"))]
    pub backoff_max: Duration,
    /// How long a session has to have been ESTABLISHED for the back-off to start anew. Zero: the back-off starts anew with each
    /// session. Default 5 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::seconds"))]
    pub backoff_reset: Duration,
    /// How long the routes of a server whose session was lost stay while the server has no session (the *stale time*). Zero: not
    /// at all, as the reference does. `None`: for as long as no server has a session, for an application whose routes are to
    /// outlive its servers; with a session to another server, for [`session_stale_time`](Self::session_stale_time). They go sooner at the
    /// End-of-RIB of a server that has `ordered` and is not converging. Default 60 s.
    #[cfg_attr(feature = "serde", serde(alias = "hold", with = "crate::serde::optional_seconds"))]
    pub stale_time: Option<Duration>,
    /// How long such routes stay, after the server's first new session was established, if that session cannot tell which of them
    /// are gone: the server is converging, or lacks `ordered`. A sync that is in progress extends it. Default 120 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::seconds"))]
    pub session_stale_time: Duration,
    /// How long this node asks its servers to retain its routes when its process goes away (HELLO's `restartTime`). A server may
    /// grant less: [`SessionInfo::restart_time`](crate::SessionInfo::restart_time). Whole seconds, at most 4,294,967,295. Zero: not at all.
    /// Default 10 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::whole_seconds"))]
    pub restart_time: Duration,
    /// The longest time for which this node, as a server, retains the routes of a client whose process went away, whatever the
    /// client asked for. The server's HELLO tells the client what it grants. Whole seconds, at most 4,294,967,295. Zero: the server
    /// retains no routes. Default 60 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::whole_seconds"))]
    pub restart_time_max: Duration,
    /// How long a listening node is *converging*: it says in its HELLO that its table may be incomplete. The time begins when the
    /// node starts to listen, and again when a client's hold time expires, because the node may be cut off from other clients too.
    /// Zero: never. Default 60 s.
    #[cfg_attr(feature = "serde", serde(alias = "warming", with = "crate::serde::seconds"))]
    pub convergence_time: Duration,
    /// How fast routes are sent to a client without the capability `ordered`; `None`: as fast as it takes them.
    /// Default: [`Pacing::default`].
    pub pacing: Option<Pacing>,
    /// The most bytes sent to a server without the capability `ordered` before it has answered a KEEPALIVE: its
    /// answer proves that it has read them. Default 48 KiB; at least 4 KiB.
    pub unproven_max: usize,
    /// How many servers the application may configure at once. Zero: none, for a node that only listens. Default 1,024.
    pub peers_max: usize,
    /// How many VNIs the application may subscribe to at once. Zero: none. Default 1,048,576.
    pub subscriptions_max: usize,
    /// How many routes the application may announce at once. Zero: none. Default 16,777,216.
    pub announcements_max: usize,
    /// How much peers may ask of this node. Each number is at least 1.
    pub limits: Limits,
    /// What the peers that this node accepts may do; `None`: everything. [`Command::SetPolicy`](crate::Command::SetPolicy) replaces
    /// it. Default `None`.
    pub policy: Option<Policy>,
    /// How long a shutdown may take before sessions are cut. Zero: they are cut at once. Default 800 ms. Drivers wait for a day at
    /// most.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::seconds"))]
    pub shutdown_timeout: Duration,
    /// Seeds hash maps and the jitter of the back-off. Same seed, same inputs, same outputs.
    ///
    /// The default, 0, is a seed that everybody knows. It is right for tests, simulations and replays only: whoever knows the seed
    /// can choose routes that fall together in the hash maps and make the node slow (hash flooding). A node that strangers reach needs
    /// a random seed. The drivers draw one from the operating system where it is 0; a driver of your own has to do the same.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            keepalive: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(10),
            send_hold: Duration::from_secs(60),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(5),
            backoff_reset: Duration::from_secs(5),
            stale_time: Some(Duration::from_secs(60)),
            session_stale_time: Duration::from_secs(120),
            restart_time: Duration::from_secs(10),
            restart_time_max: Duration::from_secs(60),
            convergence_time: Duration::from_secs(60),
            pacing: Some(Pacing::default()),
            unproven_max: 48 * 1024,
            peers_max: 1 << 10,
            subscriptions_max: 1 << 20,
            announcements_max: 1 << 24,
            limits: Limits::default(),
            policy: None,
            shutdown_timeout: Duration::from_millis(800),
            seed: 0,
        }
    }
}

/// How fast a client of the reference implementation is fed. A rate and a burst are all that there is, so that no minor version adds fields: it dies of 64 KiB that it has not yet read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Pacing {
    /// Bytes a second. At least [`Pacing::MIN`].
    pub rate: u32,
    /// The most bytes at once. At least [`Pacing::MIN`].
    pub burst: u32,
}

impl Pacing {
    /// The least for both: the longest segment, 1,208 bytes.
    pub const MIN: u32 = 1208;

    /// `rate` bytes a second, in bursts of at most 50 ms worth. At least [`Pacing::MIN`] each.
    pub fn per_second(rate: u32) -> Self {
        Self { rate: rate.max(Self::MIN), burst: (rate / 20).max(Self::MIN) }
    }
}

impl Default for Pacing {
    /// 180 kB/s in bursts of at most 9 kB: about 250 routes in 50 ms. The reference's client was measured to lose its
    /// session at four times that when it installs kernel routes, and to live with twice that.
    fn default() -> Self {
        Self::per_second(180_000)
    }
}

/// A setting out of its range.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// [`Config::keepalive`] is 0.
    Keepalive,
    /// The setting of this name, [`Config::keepalive`] for example, is not a whole number of seconds from 0 to 4,294,967,295: the
    /// protocol has no other times.
    WholeSeconds(&'static str),
    /// [`Config::handshake_timeout`] is zero.
    HandshakeTimeout,
    /// [`Config::send_hold`] is under 1 s.
    SendHold,
    /// [`Config::backoff_min`] is 0 or over [`Config::backoff_max`].
    Backoff,
    /// [`Pacing::rate`] or [`Pacing::burst`] is under [`Pacing::MIN`].
    Pacing,
    /// [`Config::unproven_max`] is under 4 KiB.
    Unproven,
    /// One of [`Config::limits`] is 0.
    Limit(PeerLimit),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Limit(limit) => return write!(f, "the limit {} must be at least 1", limit.name()),
            Self::WholeSeconds(name) => {
                return write!(f, "{name} must be a whole number of seconds, at most 4294967295");
            }
            Self::Keepalive => "the keepalive interval must be at least 1 second",
            Self::HandshakeTimeout => "the handshake timeout must be over 0: no session would ever open",
            Self::SendHold => "the send hold time must be at least 1 second",
            Self::Backoff => "the shortest back-off must be over 0 and not over the longest",
            Self::Pacing => "rate and burst of the pacing must be at least 1,208 bytes",
            Self::Unproven => "the window towards a server must be at least 4 KiB",
        })
    }
}

impl core::error::Error for ConfigError {}

impl Config {
    /// Returns [`keepalive`](Self::keepalive) in the wire's unit, seconds.
    pub(crate) fn keepalive_secs(&self) -> u32 {
        wire_secs(self.keepalive)
    }

    /// Returns [`restart_time`](Self::restart_time) in the wire's unit, seconds.
    pub(crate) fn restart_time_secs(&self) -> u32 {
        wire_secs(self.restart_time)
    }

    /// Returns for how many seconds this node retains the routes of a client that asked for `asked` seconds.
    pub(crate) fn grant_restart_time(&self, asked: u32) -> u32 {
        asked.min(wire_secs(self.restart_time_max))
    }

    /// Checks every setting's range.
    ///
    /// # Errors
    /// The first setting that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.keepalive.is_zero() {
            return Err(ConfigError::Keepalive);
        }
        let on_the_wire = [
            ("keepalive", self.keepalive),
            ("restart_time", self.restart_time),
            ("restart_time_max", self.restart_time_max),
        ];
        if let Some((name, _)) = on_the_wire.into_iter().find(|(_, time)| !is_wire_time(*time)) {
            return Err(ConfigError::WholeSeconds(name));
        }
        if self.handshake_timeout.is_zero() {
            return Err(ConfigError::HandshakeTimeout);
        }
        if self.send_hold < Duration::from_secs(1) {
            return Err(ConfigError::SendHold);
        }
        if self.backoff_min.is_zero() || self.backoff_min > self.backoff_max {
            return Err(ConfigError::Backoff);
        }
        if self.pacing.is_some_and(|p| p.rate < Pacing::MIN || p.burst < Pacing::MIN) {
            return Err(ConfigError::Pacing);
        }
        if self.unproven_max < 4096 {
            return Err(ConfigError::Unproven);
        }
        match PeerLimit::ALL.into_iter().find(|limit| self.limits.get(*limit) == 0) {
            Some(limit) => Err(ConfigError::Limit(limit)),
            None => Ok(()),
        }
    }
}

/// Returns true if the wire can carry a time: a whole number of seconds in 32 bits.
fn is_wire_time(time: Duration) -> bool {
    time.subsec_nanos() == 0 && u32::try_from(time.as_secs()).is_ok()
}

/// Returns a time in the wire's unit. [`Config::validate`] has refused a time that does not fit.
fn wire_secs(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}
