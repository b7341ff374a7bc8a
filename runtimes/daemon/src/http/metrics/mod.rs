//! `GET /metrics`, for Prometheus. Counters are kept where the events happen, and read for each request.

mod certificates;
mod kernel;
mod node;
mod out;
mod peers;
mod reloads;
mod tables;

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;

use self::certificates::Certificates;
use self::kernel::Kernel;
use self::node::Process;
use self::peers::Peers;
use self::reloads::Reloads;
use self::tables::Tables;
use super::App;
use super::refusal::{Fault, Result};

/// All metrics at one time, by topic.
#[derive(Debug)]
struct Snapshot {
    process: Process,
    peers: Option<Peers>,
    tables: Option<Tables>,
    kernel: Option<Kernel>,
    certificates: Certificates,
    reloads: Reloads,
}

pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<impl IntoResponse> {
    let snapshot = Snapshot {
        process: Process::of(&app).await?,
        peers: if app.peer_metrics { Some(Peers::of(&app).await?) } else { None },
        tables: if app.vni_metrics { Some(Tables::of(&app).await?) } else { None },
        kernel: Kernel::of(&app).await,
        certificates: Certificates::of(&app),
        reloads: Reloads::of(&app),
    };
    let mut registry = Registry::with_prefix("metalbond");
    registry.register_collector(Box::new(snapshot));
    let mut text = String::new();
    text::encode(&mut text, &registry).map_err(|_| Fault::unavailable("metrics can't be written"))?;
    Ok(([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let mut out = out::Out(&mut encoder);
        self.process.encode(&mut out)?;
        self.peers.as_ref().map_or(Ok(()), |peers| peers.encode(&mut out))?;
        self.tables.as_ref().map_or(Ok(()), |tables| tables.encode(&mut out))?;
        self.kernel.as_ref().map_or(Ok(()), |kernel| kernel.encode(&mut out))?;
        self.certificates.encode(&mut out)?;
        self.reloads.encode(&mut out)
    }
}
