//! TLS between a socket and the node, by rustls, which does no I/O either: whoever owns the connection owns this as well.
//! Without the feature `tls` a channel lets everything pass as it is, and that is all there is.

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
