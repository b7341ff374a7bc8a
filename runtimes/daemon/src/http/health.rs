//! Liveness and readiness of the daemon.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use metalbond_tokio::{Node, PeerId, SessionInfo, SessionState};

use super::App;
use super::refusal::{Fault, Result};
use crate::api::Role;
use crate::install::{self, FibStats};
use crate::look::PIECE;

/// `GET /healthz`: 200 if the node answers.
pub(super) async fn healthz(State(app): State<Arc<App>>) -> (StatusCode, String) {
    match app.look(|_| ()).await {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(Fault { status, why }) => (status, format!("{why}\n")),
    }
}

/// `GET /readyz`: 200 for a server that listens, and for a client that has all the routes of at least one server, and, if it installs routes,
/// can install them.
pub(super) async fn readyz(State(app): State<Arc<App>>) -> (StatusCode, String) {
    match app.waiting_for().await {
        Ok(why) if why.is_empty() => (StatusCode::OK, "ready\n".to_owned()),
        Ok(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for {}\n", why.join(" and "))),
        Err(Fault { status, why }) => (status, format!("{why}\n")),
    }
}

impl App {
    /// Returns what the daemon waits for before it is ready. Empty if it is ready.
    pub(super) async fn waiting_for(&self) -> Result<Vec<String>> {
        let listens = self.look(|_| ()).await.map(|()| !self.listening.borrow().is_empty())?;
        let ready = match self.role {
            Role::Server => listens,
            Role::Client => self.has_synced().await?,
        };
        let what = match self.role {
            Role::Server => "its listeners",
            Role::Client => "the routes of a server",
        };
        let mut waiting_for = if ready { Vec::new() } else { vec![what.to_owned()] };
        if let Some(kernel) = &self.kernel {
            waiting_for.extend(install::stats(kernel).await.and_then(why_none_is_installed));
        }
        Ok(waiting_for)
    }

    async fn has_synced(&self) -> Result<bool> {
        let mut last = None;
        loop {
            match self.look(move |node| has_synced(node, last)).await? {
                (true, _) => return Ok(true),
                (false, None) => return Ok(false),
                (false, end) => last = end,
            }
        }
    }
}

/// Returns why no kernel route can be installed.
fn why_none_is_installed(stats: FibStats) -> Option<String> {
    let is_refused = stats.failing > 0 && stats.wanted > 0 && stats.installed == 0;
    let trouble = stats.trouble.filter(|_| is_refused || !stats.device.is_up())?;
    Some(format!("the kernel to accept routes ({trouble})"))
}

/// Checks the next configured servers after the server `last`. Returns true if one of them is synced; a server without
/// the capability `ordered` can't report that, so it counts once it is connected. Also returns the last server that was
/// checked; `None` if there are no more.
fn has_synced(node: &Node, last: Option<PeerId>) -> (bool, Option<PeerId>) {
    let is_legacy = |session: SessionInfo| session.state == SessionState::Established && !session.ordered;
    let mut end = None;
    for peer in node.peers_after(last).take(PIECE) {
        end = Some(peer.id);
        if peer.synced || peer.conn.and_then(|conn| node.session(conn)).is_some_and(is_legacy) {
            return (true, end);
        }
    }
    (false, end)
}
