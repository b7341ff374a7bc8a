//! Runs a `metalbond` node on tokio.
//!
//! [`start`] returns a handle, cheap to clone, and the stream of route changes:
//!
//! ```
//! use metalbond_tokio::{Config, NextHop, Route, Vni, start};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (server, _) = start(Config::default())?;
//! let addr = server.listen("127.0.0.1:0".parse()?).await?;
//!
//! let (web, _) = start(Config::default())?;
//! web.add_peer(addr.into()).await?;
//! let next_hop = NextHop::standard("2001:db8::1".parse()?);
//! web.announce_route(Route { vni: Vni(23), prefix: "10.0.23.0/24".parse()?, next_hop }).await?;
//!
//! let (host, mut changes) = start(Config::default())?;
//! host.add_peer(addr.into()).await?;
//! host.subscribe(Vni(23)).await?;
//! let change = changes.next().await.expect("the node runs");
//! assert_eq!((change.prefix.to_string().as_str(), change.next_hops()), ("10.0.23.0/24", &[next_hop][..]));
//! # Ok(())
//! # }
//! ```
//!
//! Begin with [`MetalBond`], the handle, and [`Changes`], the stream. The guide for applications is [`embedding`]. Everything except the
//! start is the same under every runtime, and comes from [`metalbond_driver`], whose documentation shows the tasks of a node.
//!
//! # Where it runs
//!
//! Call [`start`] inside of a tokio runtime with I/O and time enabled; it panics outside of one. A runtime of one thread is enough.
//!
//! # Features
//!
//! `serde`, `tls` and `record`, all off by default, are those of [`metalbond_driver`].

#![forbid(unsafe_code)]

mod runtime;

pub use metalbond_driver::*;
pub use runtime::{Tokio, TokioStream, TokioTask};

/// Starts a node on the current tokio runtime, which must have I/O and time enabled. Returns a handle, and the stream of route changes.
/// The node does not use TLS, and is not recorded: see [`start_with`]. A [`Config::seed`] of 0 is replaced by a random one.
///
/// # Errors
/// A setting is out of its range.
///
/// # Panics
/// Outside of a tokio runtime. (For another runtime than the current one, call [`metalbond_driver::start`] with a [`Tokio`].) If the
/// runtime has no I/O and no time enabled, the node's task panics later, and calls fail with [`Closed`].
///
/// ```
/// use metalbond_tokio::{Config, ConfigError, start};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let config = Config { keepalive: std::time::Duration::ZERO, ..Config::default() };
/// assert_eq!(start(config).unwrap_err(), ConfigError::Keepalive);
/// # }
/// ```
pub fn start(config: Config) -> Result<(MetalBond, Changes), ConfigError> {
    metalbond_driver::start(Tokio::current(), config)
}

/// Starts a node like [`start`], with [`StartOptions`]: TLS, the address that it dials from, and a recording.
///
/// # Errors
/// A setting is out of its range, or the thread for the recording cannot be started.
///
/// # Panics
/// Outside of a tokio runtime.
pub fn start_with(config: Config, options: StartOptions) -> Result<(MetalBond, Changes), StartError> {
    metalbond_driver::start_with(Tokio::current(), config, options)
}

/// Makes the README's example a documentation test. The README of the workspace has the same example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
