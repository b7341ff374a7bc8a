//! `--http`: the daemon's HTTP side. It runs on its own thread and queries the node as any other application does, so
//! that many or slow readers do not delay a session.

mod app;
mod connections;
mod events;
mod filter;
mod guard;
mod health;
mod host;
mod metrics;
mod openapi;
mod page;
mod peers;
mod pieces;
mod reference;
mod refusal;
mod routes;
mod server;
mod status;
mod stream;
mod tables;

use std::path::PathBuf;

use clap::Args;
use clap::builder::BoolishValueParser;

pub(crate) use app::{App, Seen};
pub(crate) use events::{Events, watch_all, watch_peers};
pub(crate) use host::HostPattern;
pub(crate) use server::Http;

use crate::args::Listen;
use crate::tls::together;

#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "HTTP")]
pub(crate) struct HttpArgs {
    /// Where to listen for HTTP: a page at /, metrics at /metrics, /healthz, /readyz, and an API described by
    /// /api/v1/openapi.json. Whoever reaches it can read all routes, unless there is a token. A socket named http that a service manager hands over
    /// takes its place
    #[arg(long, value_name = "HOST:PORT", value_parser = crate::args::parse_listen, env = "METALBOND_HTTP")]
    pub(crate) http: Option<Listen>,
    /// The certificate of HTTP over TLS, in PEM; behind it those that lead to its CA
    #[arg(long, value_name = "FILE", env = "METALBOND_HTTP_TLS_CERT")]
    pub(crate) http_tls_cert: Option<PathBuf>,
    /// Its private key, in PEM, in a file that nobody else may read
    #[arg(long, value_name = "FILE", env = "METALBOND_HTTP_TLS_KEY")]
    pub(crate) http_tls_key: Option<PathBuf>,
    /// A file that nobody else may read, with a token of at least 16 characters: all but /healthz and /readyz is only for
    /// who shows it (Authorization: Bearer TOKEN)
    #[arg(long, value_name = "FILE", env = "METALBOND_HTTP_TOKEN")]
    pub(crate) http_token: Option<PathBuf>,
    /// A name by which HTTP may be asked, besides addresses, localhost, this machine's name and the one in --http; with '.' or '*.' before it, all
    /// names below it; or several, separated by commas. Requests for other names are refused, so that no website can read with a visitor's
    /// browser; those with the token are not, nor /healthz and /readyz. Can be repeated
    #[arg(long, value_name = "NAME", value_delimiter = ',', env = "METALBOND_HTTP_HOST")]
    pub(crate) http_host: Vec<HostPattern>,
    /// Leave out what /metrics says of each peer: some twenty lines
    #[arg(long, value_parser = BoolishValueParser::new(), env = "METALBOND_NO_PEER_METRICS")]
    pub(crate) no_peer_metrics: bool,
    /// Leave out what /metrics says of each virtual network: three lines
    #[arg(long, value_parser = BoolishValueParser::new(), env = "METALBOND_NO_VNI_METRICS")]
    pub(crate) no_vni_metrics: bool,
}

impl HttpArgs {
    /// Returns true if a port to listen on needs privileges.
    pub(crate) fn has_low_port(&self) -> bool {
        self.http.as_ref().is_some_and(Listen::is_low)
    }

    /// Checks that the arguments are complete.
    pub(crate) fn check(&self) -> Result<(), String> {
        together(("--http-tls-cert", &self.http_tls_cert), ("--http-tls-key", &self.http_tls_key))
    }
}
