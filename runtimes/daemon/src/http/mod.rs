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
    /// Address to listen on for HTTP: a page at /, metrics at /metrics, probes at /healthz and /readyz, and an API that
    /// /api/v1/openapi.json describes. Without --http-token, everybody who can connect can read all routes. A socket named
    /// `http` from a service manager replaces it
    #[arg(long, value_name = "HOST:PORT", value_parser = crate::args::parse_listen, env = "METALBOND_HTTP")]
    pub(crate) http: Option<Listen>,
    /// A PEM file with the certificate of HTTP over TLS, followed by the intermediate certificates
    #[arg(long, value_name = "FILE", env = "METALBOND_HTTP_TLS_CERT")]
    pub(crate) http_tls_cert: Option<PathBuf>,
    /// A PEM file with the private key of --http-tls-cert, readable by its owner only
    #[arg(long, value_name = "FILE", env = "METALBOND_HTTP_TLS_KEY")]
    pub(crate) http_tls_key: Option<PathBuf>,
    /// A file with a token of at least 16 characters, readable by its owner only. Requests for all but /healthz and /readyz
    /// must have it (Authorization: Bearer TOKEN)
    #[arg(long, value_name = "FILE", env = "METALBOND_HTTP_TOKEN")]
    pub(crate) http_token: Option<PathBuf>,
    /// A name that the Host header of requests may have, besides addresses, localhost, the host's own name and the one of
    /// --http; '.NAME' or '*.NAME': all names below NAME. May be given several times. Requests with other names are refused
    /// against DNS rebinding, except those with the token and those for /healthz and /readyz
    #[arg(long, value_name = "NAME", value_delimiter = ',', env = "METALBOND_HTTP_HOST")]
    pub(crate) http_host: Vec<HostPattern>,
    /// Leave the metrics of each peer (about 20 lines for each) out of /metrics
    #[arg(long, value_parser = BoolishValueParser::new(), env = "METALBOND_NO_PEER_METRICS")]
    pub(crate) no_peer_metrics: bool,
    /// Leave the metrics of each VNI (3 lines for each) out of /metrics
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
