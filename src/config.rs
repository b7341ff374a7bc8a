//! A node's settings. Plain values with the protocol's defaults; checked once, when the node is made.

use core::fmt;
use core::time::Duration;

use crate::{Limits, PeerLimit, Policy};

/// The settings of a [`Node`](crate::Node). [`Node::new`](crate::Node::new) checks their ranges by [`validate`](Self::validate).
///
/// A minor version may add fields: write `..Config::default()` for those that you leave out.
///
/// ```
/// use core::time::Duration;
/// use metalbond::Config;
///
/// let config = Config { keepalive: Duration::from_secs(2), ..Config::default() };
/// assert!(config.validate().is_ok());
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Config {
    /// The KEEPALIVE interval that this node proposes in its HELLO. A session has the lower of the two ends' proposals.
    /// Whole seconds, from 1 to 4,294,967,295. Default 5 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::whole_seconds"))]
    pub keepalive: Duration,
    /// How long each step of the handshake may take: the dial, the wait for HELLO, and the wait for the first KEEPALIVE. Over zero.
    /// Default 10 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::seconds"))]
    pub handshake_timeout: Duration,
    /// The send hold time (RFC 9687): how long a [`Transmit`](crate::Transmit) may stay unwritten, or routes may wait for the receive window
    /// of a client without `ordered`. Then the connection is closed: its peer does not read, although it may still send. At least 1 s.
    /// Default 60 s.
    #[cfg_attr(feature = "serde", serde(alias = "send_hold", with = "crate::serde::seconds"))]
    pub send_hold_time: Duration,
    /// The shortest wait before a server is dialled again. It doubles at each failure; a random part of it, less than half, is left out.
    /// Over zero, at most [`backoff_max`](Self::backoff_max). Default 100 ms.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::seconds"))]
    pub backoff_min: Duration,
    /// The longest wait before a server is dialled again. Default 5 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::seconds"))]
    pub backoff_max: Duration,
    /// How long a session has to be ESTABLISHED before it resets the back-off: the server is then dialled at once when the session is lost.
    /// Zero: each session resets it. Default 5 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::seconds"))]
    pub backoff_reset: Duration,
    /// The stale time: how long the routes of a server whose session was lost stay while this server has no session. They go sooner at the
    /// End-of-RIB of a server that has `ordered` and is not converging. Zero: they go at once, as in the reference. `None`: they stay as
    /// long as no server has a session, for an application whose routes are to outlive its servers; with a session to another server, they
    /// stay for [`session_stale_time`](Self::session_stale_time). Default 60 s.
    #[cfg_attr(feature = "serde", serde(alias = "hold", with = "crate::serde::optional_seconds"))]
    pub stale_time: Option<Duration>,
    /// How long stale routes stay after the server's first new session was established, if the server cannot show which of them are gone,
    /// because it is converging or lacks `ordered`. They do not go before the end of an initial sync that is in progress. Default 120 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::seconds"))]
    pub session_stale_time: Duration,
    /// The restart time that this node requests in its HELLO (`restartTime`): how long its servers retain its routes when its process goes
    /// away. A server may grant less: [`SessionInfo::restart_time`](crate::SessionInfo::restart_time). Whole seconds, at most 4,294,967,295.
    /// Zero: none. Default 10 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::whole_seconds"))]
    pub restart_time: Duration,
    /// The longest restart time that this node, as a server, grants a client. The server's HELLO contains the time that it grants. Whole
    /// seconds, at most 4,294,967,295. Zero: the server retains no routes. Default 60 s.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::whole_seconds"))]
    pub restart_time_max: Duration,
    /// The convergence time: how long a listening node is *converging*, which means that it says in its HELLO that its table may be
    /// incomplete. The time begins when the node starts to listen. It begins again when the connection to a client with routes times out or
    /// fails ([`CloseReason::HoldTime`](crate::CloseReason::HoldTime), [`TransportEnd::TimedOut`](crate::TransportEnd::TimedOut),
    /// [`TransportEnd::Error`](crate::TransportEnd::Error)), because the node may be cut off from other clients, too. Zero: never. Default 60 s.
    #[cfg_attr(feature = "serde", serde(alias = "warming", with = "crate::serde::seconds"))]
    pub convergence_time: Duration,
    /// How fast routes are sent to a client without the capability `ordered`, at most: the client's TCP window shows what it has read
    /// ([`Action::MeasureWindow`](crate::Action::MeasureWindow)), and the node sends no more than the client can read. `None`: as fast as the
    /// socket takes them, without regard to the window; a client of the reference may then lose its session again and again.
    /// Default: [`Pacing::default`].
    pub pacing: Option<Pacing>,
    /// Which of its own routes a client without the capability `ordered` is sent back. Default [`Echo::None`].
    pub echo: Echo,
    /// The most bytes that are sent to a server without the capability `ordered` before it answers a KEEPALIVE. The answer proves that the
    /// server has read them. At least 4,096 bytes. Default 48 KiB.
    pub unproven_max: usize,
    /// How many servers the application may configure at once. Zero: none, for a node that only listens. Default 1,024.
    pub peers_max: usize,
    /// How many VNIs the application may subscribe to at once. Zero: none. Default 1,048,576.
    pub subscriptions_max: usize,
    /// How many routes the application may announce at once. Zero: none. Default 16,777,216.
    pub announcements_max: usize,
    /// Limits on what peers may make this node store and do. Each number is at least 1. Default: [`Limits::default`].
    pub limits: Limits,
    /// What the peers that this node accepts may do. `None`: everything. [`Command::SetPolicy`](crate::Command::SetPolicy) replaces it.
    /// Default `None`.
    pub policy: Option<Policy>,
    /// How long a shutdown with `cleanup` may take before sessions are closed ([`Command::Shutdown`](crate::Command::Shutdown)). Zero: they
    /// are closed at the next tick. The drivers of this project wait for a day at most. Default 800 ms.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::seconds"))]
    pub shutdown_timeout: Duration,
    /// The seed of hash maps and of the jitter of the back-off. The same seed and the same inputs give the same outputs.
    ///
    /// The default, 0, is for tests, simulations and replays only. A peer that knows the seed can choose routes that collide in the hash
    /// maps and make the node slow (hash flooding), so a node that strangers reach needs a random seed. `metalbond-tokio` and
    /// `metalbond-smol` replace 0 by a random number of the operating system; a driver of your own has to do the same.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            keepalive: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(10),
            send_hold_time: Duration::from_secs(60),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(5),
            backoff_reset: Duration::from_secs(5),
            stale_time: Some(Duration::from_secs(60)),
            session_stale_time: Duration::from_secs(120),
            restart_time: Duration::from_secs(10),
            restart_time_max: Duration::from_secs(60),
            convergence_time: Duration::from_secs(60),
            pacing: Some(Pacing::default()),
            echo: Echo::None,
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

/// How fast routes are sent to a client without the capability `ordered`, at most. A client of the reference loses its session when 64 KiB
/// wait unread. No minor version adds fields.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Pacing {
    /// The rate at which routes are sent to each client without `ordered`, in bytes per second. At least [`Pacing::MIN`].
    pub rate: u32,
    /// The most bytes at once. At least [`Pacing::MIN`].
    pub burst: u32,
}

impl Pacing {
    /// The lowest value of both fields: the bytes of the longest segment ([`TransmitMode::Segments`](crate::TransmitMode::Segments)).
    pub const MIN: u32 = 1208;

    /// The highest rate while the client's window is not known, in bytes per second: the reference's client, when it installed kernel routes,
    /// lost its session at four times this rate, and kept it at twice this rate.
    pub const SLOW: u32 = 180_000;

    /// Returns a pacing of `rate` bytes per second, with a burst of what this rate sends in 50 ms. Raises both to [`Pacing::MIN`] if they are lower.
    pub fn per_second(rate: u32) -> Self {
        Self { rate: rate.max(Self::MIN), burst: (rate / 20).max(Self::MIN) }
    }

    /// Returns this pacing, or that of [`Pacing::SLOW`] if it is slower.
    pub(crate) fn slow(self) -> Self {
        if self.rate <= Self::SLOW { self } else { Self::per_second(Self::SLOW) }
    }
}

impl Default for Pacing {
    /// Returns 4 MB/s in bursts of at most 200 kB: 50,000 routes in 0.6 s.
    fn default() -> Self {
        Self::per_second(4_000_000)
    }
}

/// Which routes a client without the capability `ordered` is sent although it is the only one that announces them. Versions of the
/// reference's server send a client its own routes back, and some programs rely on that.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Echo {
    /// None, as docs/wire.md says.
    #[default]
    None,
    /// Those whose next hop is a load balancer's.
    LoadBalancers,
    /// All.
    All,
}

/// The error of [`Config::validate`]: a setting that is out of its range.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// [`Config::keepalive`] is zero.
    Keepalive,
    /// The setting with this field name, `keepalive` for example, is not a whole number of seconds from 0 to 4,294,967,295. The protocol
    /// cannot carry other times.
    WholeSeconds(&'static str),
    /// [`Config::handshake_timeout`] is zero.
    HandshakeTimeout,
    /// [`Config::send_hold_time`] is under 1 s.
    SendHoldTime,
    /// [`Config::backoff_min`] is zero or over [`Config::backoff_max`].
    Backoff,
    /// [`Pacing::rate`] or [`Pacing::burst`] is under [`Pacing::MIN`].
    Pacing,
    /// [`Config::unproven_max`] is under 4,096 bytes.
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
            Self::SendHoldTime => "the send hold time must be at least 1 second",
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
        if self.send_hold_time < Duration::from_secs(1) {
            return Err(ConfigError::SendHoldTime);
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
