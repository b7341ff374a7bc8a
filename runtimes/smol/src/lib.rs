//! Runs a `metalbond` node on smol.
//!
//! [`start`] returns a handle, cheap to clone, and the stream of route changes:
//!
//! ```
//! use metalbond_smol::{Config, NextHop, Route, Vni, start};
//!
//! # #[macro_rules_attribute::apply(smol_macros::main!)]
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
//! Tasks run on smol's global executor, on threads that it starts itself: one, or as many as the environment variable `SMOL_THREADS` says.
//! So [`start`] may be called anywhere.
//!
//! # Features
//!
//! `serde`, `tls` and `record`, all off by default, are those of [`metalbond_driver`].

#![forbid(unsafe_code)]

mod runtime;

pub use metalbond_driver::*;
pub use runtime::{Smol, SmolStream, SmolTask};

/// Starts a node on smol's global executor. Returns a handle, and the stream of route changes.
/// The node does not use TLS, and is not recorded: see [`start_with`]. A [`Config::seed`] of 0 is replaced by a random one.
///
/// # Errors
/// A setting is out of its range.
///
/// ```
/// use metalbond_smol::{Config, ConfigError, start};
///
/// # #[macro_rules_attribute::apply(smol_macros::main!)]
/// # async fn main() {
/// let config = Config { keepalive: std::time::Duration::ZERO, ..Config::default() };
/// assert_eq!(start(config).unwrap_err(), ConfigError::Keepalive);
/// # }
/// ```
pub fn start(config: Config) -> Result<(MetalBond, Changes), ConfigError> {
    metalbond_driver::start(Smol, config)
}

/// Starts a node like [`start`], with [`StartOptions`]: TLS, the address that it dials from, and a recording.
///
/// # Errors
/// A setting is out of its range, or the thread for the recording cannot be started.
pub fn start_with(config: Config, options: StartOptions) -> Result<(MetalBond, Changes), StartError> {
    metalbond_driver::start_with(Smol, config, options)
}

/// Makes the README's example a documentation test. The README of the workspace has the same example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
