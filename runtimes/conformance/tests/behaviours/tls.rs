//! TLS itself.
