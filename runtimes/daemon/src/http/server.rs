//! The thread with the listener, and what is where.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{error, info};

use super::connections::Connections;
use super::{App, events, health, metrics, openapi, page, peers, reference, refusal, routes, status, tables};
use crate::cli::Listen;

/// How long answers that are under way may take at the end.
const DRAIN: Duration = Duration::from_secs(2);

/// Where HTTP is spoken, until it is stopped.
#[derive(Debug)]
pub(crate) struct Http {
    closing: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Http {
    /// Listens where a socket was handed over, or else at a place, and answers from then on. Neither: there is no HTTP.
    pub(crate) async fn start(
        place: Option<&Listen>,
        socket: Option<std::net::TcpListener>,
        app: App,
    ) -> anyhow::Result<Option<Self>> {
        let listener = match (socket, place) {
            (Some(socket), _) => socket,
            (None, Some(place)) => bind(place).await?,
            (None, None) => return Ok(None),
        };
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (closing, closed) = watch::channel(false);
        let thread = std::thread::Builder::new().name("http".to_owned()).spawn(move || {
            let served = runtime.block_on(async {
                let listener = Connections::of(TcpListener::from_std(listener)?);
                let router = router(Arc::new(app), closed.clone());
                let served = axum::serve(listener, router).with_graceful_shutdown(until(closed.clone()));
                tokio::select! {
                    served = async { served.await } => served,
                    () = async { until(closed).await; sleep(DRAIN).await } => Ok(()),
                }
            });
            if let Err(error) = served {
                error!("HTTP has ended: {error}");
            }
        })?;
        info!("HTTP on http://{addr}/");
        Ok(Some(Self { closing, thread }))
    }

    /// Ends it: at once, but for answers that are under way.
    pub(crate) async fn stop(self) {
        let Self { closing, thread } = self;
        let _ = closing.send(true);
        // It ends within two seconds, and has nothing to tell.
        let _ = tokio::task::spawn_blocking(|| thread.join()).await;
    }
}

async fn bind(place: &Listen) -> anyhow::Result<std::net::TcpListener> {
    let addrs: Vec<SocketAddr> = match place {
        Listen::Addr(addr) => vec![*addr],
        Listen::Name(name) => {
            let addrs = tokio::net::lookup_host(name.as_str()).await;
            addrs.with_context(|| format!("cannot listen for HTTP on {name}"))?.collect()
        }
    };
    std::net::TcpListener::bind(&addrs[..]).with_context(|| format!("cannot listen for HTTP on {place}"))
}

/// Waits for the end.
pub(super) async fn until(mut closed: watch::Receiver<bool>) {
    // If whoever would say so is gone, that is the end, too.
    let _ = closed.wait_for(|closed| *closed).await;
}

fn router(app: Arc<App>, closed: watch::Receiver<bool>) -> Router {
    let stream = move |state, query| events::stream(state, query, closed.clone());
    Router::new()
        .route("/", get(page::page))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .route("/routes.json", get(reference::json))
        .route("/routes.yaml", get(reference::yaml))
        .route("/api/v1/openapi.json", get(openapi::openapi))
        .route("/api/v1/status", get(status::status))
        .route("/api/v1/peers", get(peers::peers))
        .route("/api/v1/vnis", get(tables::vnis))
        .route("/api/v1/routes", get(routes::routes))
        .route("/api/v1/events", get(stream))
        .fallback(refusal::nowhere)
        .with_state(app)
}
