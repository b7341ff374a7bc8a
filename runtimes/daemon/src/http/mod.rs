//! `--http`: what the daemon tells of itself over HTTP. It has a thread of its own, which asks the node like any other embedder:
//! what is written for many readers, or for slow ones, does not hold up a session.

mod app;
mod connections;
mod events;
mod filter;
mod health;
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
mod tables;

use clap::Args;
use clap::builder::BoolishValueParser;

pub(crate) use app::App;
pub(crate) use events::{Events, watch_all, watch_peers};
pub(crate) use server::Http;

use crate::cli::Listen;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "HTTP")]
pub(crate) struct HttpArgs {
    /// Where to listen for HTTP: a page at /, metrics at /metrics, /healthz, /readyz, and an API described by
    /// /api/v1/openapi.json. Whoever reaches it can read all routes. A socket named http that a service manager hands over
    /// takes its place
    #[arg(long, value_name = "HOST:PORT", value_parser = crate::cli::parse_listen, env = "METALBOND_HTTP")]
    pub(crate) http: Option<Listen>,
    /// Leave out what /metrics says of each peer: some twenty lines
    #[arg(long, value_parser = BoolishValueParser::new(), env = "METALBOND_NO_PEER_METRICS")]
    pub(crate) no_peer_metrics: bool,
    /// Leave out what /metrics says of each virtual network: three lines
    #[arg(long, value_parser = BoolishValueParser::new(), env = "METALBOND_NO_VNI_METRICS")]
    pub(crate) no_vni_metrics: bool,
}
