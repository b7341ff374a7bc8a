//! `GET /api/v1/status`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use metalbond::SessionState;

use super::App;
use super::refusal::Result;
use crate::api::{Kernel, Role, Status};
use crate::install;

pub(super) async fn status(State(app): State<Arc<App>>) -> Result<Json<Status>> {
    let waiting_for = app.waiting_for().await?;
    let kernel = match &app.kernel {
        Some(routes) => install::stats(routes).await,
        None => None,
    };
    let (version, role) = (env!("CARGO_PKG_VERSION").to_owned(), app.role);
    let (started, uptime_seconds) = (app.started.to_string(), app.since.elapsed().as_secs_f64());
    let listening = app.listening.borrow().clone();
    let status = app.look(move |node| {
        let counts = SessionState::ALL.map(|state| (state.to_string(), node.peer_count(state)));
        let peers: BTreeMap<_, _> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
        Status {
            version,
            role,
            started,
            uptime_seconds,
            ready: waiting_for.is_empty(),
            waiting_for,
            listening,
            converging: node.is_converging(),
            peers,
            vnis: node.vni_count(),
            routes: node.route_count(),
            announced: node.announcement_count(),
            // A server's own subscriptions are only those for the readers of its events.
            subscriptions: if role == Role::Client { node.subscription_count() } else { 0 },
            kernel: kernel.map(Kernel::from),
        }
    });
    Ok(Json(status.await?))
}
