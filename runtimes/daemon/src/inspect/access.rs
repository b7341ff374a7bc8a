//! How to reach a daemon: its address, its token, and the CAs that it is verified with.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context as _, bail};
use metalbond_tokio::Endpoint;
use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::Daemon;
use crate::reading::Reading;
use crate::tls;
use crate::token::Token;

/// The address of a daemon's HTTP side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(super) is_tls: bool,
    place: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.is_tls { "https" } else { "http" }, self.place)
    }
}

impl Place {
    /// Returns the address without the scheme.
    pub(super) fn host_and_port(&self) -> &str {
        &self.place
    }
}

impl FromStr for Place {
    type Err = String;

    /// Parses `host:port`, or the same as a URL. `:4712` means this machine, which works for a daemon that listens on
    /// all addresses.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (is_tls, place) = match text.strip_prefix("https://") {
            Some(place) => (true, place),
            None => (false, text.strip_prefix("http://").unwrap_or(text)),
        };
        let place = place.trim_end_matches('/');
        let place = if place.starts_with(':') { format!("localhost{place}") } else { place.to_owned() };
        let place = place.parse::<Endpoint>().map_err(|error| error.to_string())?.to_string();
        // Checks that the host is valid in a URL: a resolver would accept any text.
        Uri::from_str(&format!("http://{place}/")).map_err(|error| error.to_string())?;
        Ok(Self { is_tls, place })
    }
}

#[derive(clap::Args, Clone, Debug)]
pub(crate) struct AccessArgs {
    /// A file with the daemon's token (its --http-token), readable by its owner only
    #[arg(long, value_name = "FILE", env = "METALBOND_HTTP_TOKEN")]
    token: Option<PathBuf>,
    /// A PEM file with CA certificates. One of the CAs must have signed the daemon's certificate (its --http-tls-cert)
    #[arg(long, value_name = "FILE", env = "METALBOND_HTTP_CA")]
    ca: Option<PathBuf>,
}

impl AccessArgs {
    /// Returns the daemon at an address, with the token and the CAs in these files.
    pub(super) fn of(&self, place: &Place) -> anyhow::Result<Daemon> {
        if place.is_tls && self.ca.is_none() {
            bail!("{place}/: --ca is missing, the file with the CA certificates for the daemon's certificate");
        }
        let token = self
            .token
            .as_deref()
            .map(|path| Token::read(path, &mut Reading::default()))
            .transpose()
            .context("--token")?;
        let cas = self
            .ca
            .as_deref()
            .map(|path| tls::cas(path, &mut Reading::default()))
            .transpose()
            .context("--ca")?
            .unwrap_or_default();
        let cas: Vec<_> = cas.iter().map(|ca| Certificate::from_der(ca).to_owned()).collect();
        let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&cas));
        let tls = tls.unversioned_rustls_crypto_provider(tls::provider()).build();
        Ok(Daemon::new(place.clone(), token, tls))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_named_by_host_and_port_or_by_url() {
        for text in ["127.0.0.1:4712", "http://127.0.0.1:4712", "http://127.0.0.1:4712/"] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), "http://127.0.0.1:4712");
        }
        for text in ["", "localhost", "ftp://localhost:4712", "http://localhost", "a b:4712", "[::1:4712", "h:65536"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
        assert_eq!("https://[::1]:4712/".parse::<Place>().unwrap().to_string(), "https://[::1]:4712");
        assert_eq!(":4712".parse::<Place>().unwrap().to_string(), "http://localhost:4712");
    }
}
