//! The HTTP thread with its listener, and the router.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use axum::routing::get;
use axum::{Router, middleware};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::connections::{Connection, Connections};
use super::guard::{Guard, guard};
use super::{App, HttpArgs, events, health, metrics, openapi, page, peers, reference, refusal, routes, status, tables};
use crate::args::Listen;
use crate::flag;
use crate::privileges;

/// Maximum time for unfinished answers when the server stops.
const DRAIN: Duration = Duration::from_secs(2);
/// Timeout of a request's header. Also the time that a connection may wait for its next request.
const REQUEST: Duration = Duration::from_secs(30);
/// Maximum size of a request in bytes. Valid requests have no body.
const REQUEST_MAX: usize = 16 * 1024;

/// A running HTTP server.
#[derive(Debug)]
pub(crate) struct Http {
    closing: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Http {
    /// Listens on a socket that was handed over, or otherwise on an address, and starts to answer. Returns `None` if
    /// there is neither.
    pub(crate) async fn start(
        args: &HttpArgs,
        socket: Option<std::net::TcpListener>,
        app: App,
    ) -> anyhow::Result<Option<Self>> {
        let place = args.http.as_ref();
        let listener = match (socket, place) {
            (Some(socket), _) => socket,
            (None, Some(place)) => bind(place).await?,
            (None, None) => return Ok(None),
        };
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let secrets = app.secrets.clone();
        let (is_tls, has_token) = (secrets.borrow().web().is_some(), secrets.borrow().token.is_some());
        let checks = Arc::new(Guard::new(secrets.clone(), place, &args.http_host));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (closing, closed) = watch::channel(false);
        let thread = std::thread::Builder::new().name("http".to_owned()).spawn(move || {
            privileges::drop_all_of_this_thread();
            let served = runtime.block_on(async {
                let connections = Connections::of(TcpListener::from_std(listener)?, secrets);
                let router = router(Arc::new(app), closed.clone()).layer(middleware::from_fn_with_state(checks, guard));
                serve(connections, router, closed).await;
                std::io::Result::Ok(())
            });
            if let Err(error) = served {
                error!("HTTP has ended: {error}");
            }
        })?;
        info!("HTTP on {}://{addr}/", if is_tls { "https" } else { "http" });
        if !addr.ip().to_canonical().is_loopback() {
            warn_of(is_tls, has_token);
        }
        Ok(Some(Self { closing, thread }))
    }

    /// Stops the server. Unfinished answers have a short time to complete.
    pub(crate) async fn stop(self) {
        let Self { closing, thread } = self;
        let _ = closing.send(true);
        // The thread ends within two seconds; its result is not needed.
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

/// Warns about what other machines that can connect may read.
fn warn_of(is_tls: bool, has_token: bool) {
    match (is_tls, has_token) {
        (true, true) => {}
        (_, false) => warn!("HTTP: everybody who can connect can read all routes: see --http-token"),
        (false, true) => warn!("HTTP: the token and all routes are sent without encryption: see --http-tls-cert"),
    }
}

/// Serves connections until the server is stopped.
async fn serve(mut connections: Connections, router: Router, closed: watch::Receiver<bool>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            connection = connections.accept() => {
                open.spawn(speak(connection, router.clone(), closed.clone()));
            }
            Some(_) = open.join_next() => {}
            () = flag::set(closed.clone()) => break,
        }
    }
    drop(connections);
    // Answers that take longer are cut off.
    let _ = timeout(DRAIN, async { while open.join_next().await.is_some() {} }).await;
}

async fn speak(connection: Connection, router: Router, closed: watch::Receiver<bool>) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(REQUEST).max_buf_size(REQUEST_MAX);
    let mut served = pin!(http.serve_connection(TokioIo::new(connection), TowerToHyperService::new(router)));
    tokio::select! {
        // An error of the connection is the reader's problem.
        _ = served.as_mut() => return,
        () = flag::set(closed) => served.as_mut().graceful_shutdown(),
    }
    let _ = served.await;
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::time::{Instant, advance, pause};

    use super::*;
    use crate::tls::Secrets;

    #[tokio::test]
    async fn a_request_that_comes_too_slowly_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut connections = Connections::of(listener, watch::channel(Secrets::default()).1);
        let near = connections.accept().await;
        let (_closing, closed) = watch::channel(false);
        let spoken = tokio::spawn(speak(near, Router::new(), closed));
        tokio::task::yield_now().await;
        // One byte every few seconds: never idle, never complete.
        pause();
        let begin = Instant::now();
        for byte in b"GET /healthz HTTP/1.1\r\nx: ".iter().chain([b'y'].iter().cycle()) {
            if spoken.is_finished() || far.write_all(&[*byte]).await.is_err() {
                break;
            }
            assert!(begin.elapsed() < REQUEST * 2);
            advance(Duration::from_secs(3)).await;
        }
        spoken.await.unwrap();
        assert!(begin.elapsed() >= REQUEST);
        let mut rest = Vec::new();
        let _ = far.read_to_end(&mut rest).await;
        assert!(!rest.starts_with(b"HTTP/1.1 2"));
    }
}
