//! `metalbond bench`: loads a server with announcers and subscribers, which are clients in this process, and reports
//! how long each phase took. At the end, also after an error, all routes are withdrawn.

mod churn;
mod clients;
mod load;
mod phase;
mod plan;
mod progress;
mod report;
mod subscriber;

use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use hdrhistogram::Histogram;
use metalbond::Vni;
use metalbond_tokio::Endpoint;

use crate::api::Role;
use crate::http::HttpArgs;
use crate::reading::Reading;
use crate::signals::Stop;
use crate::tls::{Files, SecretStore, TlsArgs};
use crate::{inspect, limits, spec};
use load::Load;
use phase::Measured;
use report::Report;

/// Maximum number of routes that one node may announce.
const ROUTES_MAX: u32 = 1 << 24;
/// Maximum number of connections that a server accepts from one address by default.
const CLIENTS_MAX: u32 = 1 << 12;

#[derive(Args, Debug)]
#[command(
    after_help = "Announcers and subscribers are clients in this process. They connect, announce routes until every \
        subscriber has all of them, move some to other next hops (with --rate), and withdraw them until no subscriber has \
        any. Routes are also withdrawn at the end of a run that fails, and after Ctrl-C. Prefixes and next hops are in \
        2001:db8::/32, the range for documentation; nothing else should use the VNI. Other clients of the server are \
        served more slowly meanwhile. Each subscriber keeps all routes, 125 bytes each."
)]
pub(crate) struct BenchArgs {
    /// The server to load
    // Has no environment variable, unlike the client's servers: a benchmark must not hit a server by accident.
    #[arg(long, value_name = "HOST:PORT")]
    server: Endpoint,
    /// Number of routes of all announcers together
    #[arg(long, value_name = "NUMBER", value_parser = parse_routes, allow_negative_numbers = true)]
    #[arg(default_value = "100000")]
    routes: u32,
    /// Number of clients that announce
    #[arg(long, value_name = "NUMBER", value_parser = parse_clients, allow_negative_numbers = true)]
    #[arg(default_value = "1")]
    announcers: u32,
    /// Number of clients that subscribe
    #[arg(long, value_name = "NUMBER", value_parser = parse_clients, allow_negative_numbers = true)]
    #[arg(default_value = "10")]
    subscribers: u32,
    /// The VNI to use
    #[arg(long, value_name = "VNI", value_parser = spec::parse_vni, allow_negative_numbers = true)]
    #[arg(default_value = "16777215")]
    vni: Vni,
    /// Routes that move to another next hop per second, between the announcement and the withdrawal; each route moves at most
    /// once per millisecond. Default: none
    #[arg(long, value_name = "NUMBER", value_parser = parse_rate, allow_negative_numbers = true)]
    rate: Option<u32>,
    /// How long routes move
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, allow_negative_numbers = true)]
    #[arg(default_value = "10")]
    #[arg(requires = "rate")]
    duration: u32,
    /// Time without any progress after which the run fails
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, allow_negative_numbers = true)]
    #[arg(default_value = "30")]
    timeout: u32,
    /// Print the report as one JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tls: TlsArgs,
}

impl BenchArgs {
    /// Checks the combination of arguments. Returns what is wrong.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.tls.check()
    }

    /// Returns the files with certificates.
    fn secrets(&self) -> Files {
        Files { role: Role::Client, tls: self.tls.clone(), is_anonymous: false, http: HttpArgs::default() }
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout.into())
    }

    fn duration(&self) -> Duration {
        Duration::from_secs(self.duration.into())
    }

    /// Returns the number of moves that the arguments ask for.
    fn moves_wanted(&self) -> u64 {
        u64::from(self.rate.unwrap_or(0)) * u64::from(self.duration)
    }
}

/// Loads a server and prints the report.
pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<()> {
    limits::raise_descriptors();
    // Uses one thread per processor, so that the server is the bottleneck and not this process.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (measured, delays) = runtime.block_on(load(args))?;
    let report = Report { args, measured, delays };
    inspect::print(&if args.json { report.as_json() } else { report.as_text() })?;
    Ok(())
}

/// Runs the benchmark. Returns the measurements, and the delays of moved routes.
async fn load(args: &BenchArgs) -> anyhow::Result<(Measured, Histogram<u64>)> {
    let mut stop = Stop::new()?;
    let tls = SecretStore::read(args.secrets(), &mut Reading::default()).await?.current().peers();
    let mut load = Load::new(args, tls);
    let measured = tokio::select! {
        signal = stop.signalled() => Err(anyhow!("{signal} before the end; all is withdrawn")),
        measured = load.run() => measured,
    };
    let delays = load.clients.end().await;
    Ok((measured?, delays?))
}

fn parse_routes(text: &str) -> Result<u32, String> {
    spec::number(text, 1, ROUTES_MAX)
}

fn parse_clients(text: &str) -> Result<u32, String> {
    spec::number(text, 1, CLIENTS_MAX)
}

fn parse_rate(text: &str) -> Result<u32, String> {
    spec::number(text, 1, 10_000_000)
}

fn parse_seconds(text: &str) -> Result<u32, String> {
    spec::number(text, 1, 1_000_000)
}
