//! Converts PEM files to configurations of rustls: the certificates that a daemon presents, and the CAs that it trusts.
//! Only TLS 1.3, with the cryptography of ring.

mod args;
mod config;
mod expiry;
mod own;
mod pem;
mod remind;
mod secrets;
mod trust;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

pub(crate) use args::{TlsArgs, together};
pub(crate) use remind::remind;
pub(crate) use secrets::{Files, SecretStore, Secrets};
pub(crate) use trust::cas;

/// Returns the provider of cryptography.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
