//! From files in PEM to configurations of rustls: what a daemon shows to prove who it is, and whom it believes. TLS 1.3 alone, with
//! the cryptography of ring.

mod args;
mod config;
mod expiry;
mod held;
mod own;
mod pem;
mod trust;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

pub(crate) use args::{TlsArgs, together};
pub(crate) use expiry::remind;
pub(crate) use held::{Files, Held, Holder};
pub(crate) use trust::cas;

/// What does the cryptography.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
