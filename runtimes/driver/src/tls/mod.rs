//! TLS between a socket and the node, by rustls, which does no I/O: the owner of the connection owns its TLS state as well. Without the
//! feature `tls`, a channel passes all bytes unchanged.

mod channel;
mod config;
#[cfg(feature = "tls")]
mod engine;
#[cfg(feature = "tls")]
mod names;
#[cfg(all(test, feature = "tls"))]
mod tests;
#[cfg(feature = "tls")]
mod words;

pub(crate) use channel::{Channel, Opened};
#[cfg(not(feature = "tls"))]
pub(crate) use config::TlsConfig;
pub(crate) use config::Transport;
#[cfg(feature = "tls")]
pub use config::{SetTlsError, TlsConfig};
