//! Metrics of the daemon as a whole.

use std::fmt;

use metalbond_tokio::{CloseKind, Counters, Histogram, MessageCounts, SessionState};
use prometheus_client::registry::Unit;

use super::super::App;
use super::super::refusal::Result;
use super::out::Out;
use crate::api::Role;

#[derive(Debug)]
pub(super) struct Process {
    role: Role,
    is_ready: bool,
    is_converging: bool,
    started: f64,
    peers: [(SessionState, usize); 6],
    vnis: usize,
    routes: usize,
    announced: usize,
    counters: Counters,
    closed: Vec<(CloseKind, u64)>,
    convergence: Histogram,
    iterations: Histogram,
}

impl Process {
    pub(super) async fn of(app: &App) -> Result<Self> {
        let is_ready = app.waiting_for().await?.is_empty();
        let iterations = app.within(app.node.iteration_times()).await?;
        let (role, started) = (app.role, app.started.as_millisecond() as f64 / 1e3);
        app.look(move |node| {
            let peers = SessionState::ALL.map(|state| (state, node.peer_count(state)));
            Self {
                role,
                is_ready,
                is_converging: node.is_converging(),
                started,
                peers,
                vnis: node.vni_count(),
                routes: node.route_count(),
                announced: node.announcement_count(),
                counters: node.counters(),
                closed: node.closed().collect(),
                convergence: *node.convergence(),
                iterations,
            }
        })
        .await
    }

    pub(super) fn encode(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let Counters {
            bytes_in,
            bytes_out,
            messages_in,
            messages_out,
            invalid_updates,
            unsubscribed_updates,
            denied_routes,
            ..
        } = self.counters;
        let role = if self.role == Role::Server { "server" } else { "client" };
        let build = [("version", env!("CARGO_PKG_VERSION")), ("role", role)];
        out.gauges(("build_info", "The version of the program; always 1"), None, [(build, 1.0)])?;
        let started = [([], self.started)];
        out.gauges(("start_time", "Start of the process, in seconds since 1970"), Some(&Unit::Seconds), started)?;
        out.gauge(("ready", "1 if /readyz answers that the daemon is ready, otherwise 0"), self.is_ready.into())?;
        out.gauge(
            ("converging", "1 while the daemon says in its HELLO that its table may be incomplete, otherwise 0"),
            self.is_converging.into(),
        )?;
        let peers = self.peers.iter().map(|(state, count)| ([("state", state.name())], *count as f64));
        out.gauges(("peers", "Peers by state"), None, peers)?;
        out.gauge(("vnis", "VNIs that have a route"), self.vnis)?;
        out.gauge(("routes", "Announced routes: one for each next hop of a destination"), self.routes)?;
        out.gauge(("announced_routes", "Routes that this daemon itself announces"), self.announced)?;
        let bytes = Some(&Unit::Bytes);
        let messages = |counts| by_type(counts).map(|(name, count)| ([("type", name)], count));
        out.counter(("received", "Bytes received from peers"), bytes, bytes_in)?;
        out.counter(("sent", "Bytes sent to peers"), bytes, bytes_out)?;
        out.counters(("messages_received", "Messages from peers by type"), None, messages(&messages_in))?;
        out.counters(("messages_sent", "Messages to peers by type"), None, messages(&messages_out))?;
        let dropped = [("invalid", invalid_updates), ("unsubscribed", unsubscribed_updates), ("policy", denied_routes)];
        let dropped = dropped.map(|(reason, count)| ([("reason", reason)], count));
        out.counters(("updates_dropped", "UPDATEs received and dropped"), None, dropped)?;
        let help = "Subscriptions that the policy denied";
        out.counter(("subscriptions_denied", help), None, self.counters.denied_subscriptions)?;
        let closed = self.closed.iter().map(|(kind, count)| ([("reason", kind.name())], *count));
        out.counters(("connections_closed", "Connections that were closed or refused, by reason"), None, closed)?;
        let help =
            "Time from a change of a VNI's routes until a peer that had received all earlier changes has received it";
        out.histogram(("convergence", help), &self.convergence)?;
        out.histogram(
            ("iteration", "Duration of one iteration of the actor's loop: inputs, timers, outputs"),
            &self.iterations,
        )
    }
}

/// Returns the name and the count of each message type.
pub(super) fn by_type(counts: &MessageCounts) -> [(&'static str, u64); 6] {
    let MessageCounts { hello, keepalive, subscribe, unsubscribe, update, unknown, .. } = *counts;
    [
        ("hello", hello),
        ("keepalive", keepalive),
        ("subscribe", subscribe),
        ("unsubscribe", unsubscribe),
        ("update", update),
        ("unknown", unknown),
    ]
}
