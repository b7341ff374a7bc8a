//! `GET /api/v1/peers`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use metalbond_tokio::{Counters, MessageCounts, Node, PeerSnapshot};
use serde::Deserialize;

use super::App;
use super::filter::Limit;
use super::refusal::{Fault, Result};
use crate::api::{Dropped, Messages, Page, Peer};
use crate::look;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    peer: Option<String>,
    #[serde(default)]
    limit: Limit,
    after: Option<String>,
}

pub(super) async fn peers(
    State(app): State<Arc<App>>,
    asked: std::result::Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Page<Peer>>> {
    let Query(Asked { peer, limit, after }) = asked?;
    let after = match after.map(|after| after.parse::<usize>()) {
        None => 0,
        Some(Ok(after)) => after,
        Some(Err(_)) => return Err(Fault::bad("after: not what a page said as its next")),
    };
    let all = app.peers().await?;
    let is_asked_for = |other: &Peer| peer.as_ref().is_none_or(|name| *name == other.name);
    // Configured servers, then clients by their numbers, which only increase. So a peer's name is a valid bookmark even
    // if the peer has gone.
    let mut items = all.into_iter().filter(is_asked_for).skip_while(|peer| place(peer) < after);
    let page: Vec<_> = items.by_ref().take(limit.0).collect();
    Ok(Json(Page { next: items.next().map(|peer| place(&peer).to_string()), items: page }))
}

/// Returns a number that increases in the order of the peers.
fn place(peer: &Peer) -> usize {
    let number: usize = peer.name[1..].parse().unwrap_or(0);
    if peer.name.starts_with('p') { number } else { number + (1 << 32) }
}

impl App {
    /// Returns all peers: the configured servers first, then the clients in the order in which they connected.
    pub(super) async fn peers(&self) -> Result<Vec<Peer>> {
        let (mut peers, mut last) = (Vec::new(), None);
        loop {
            let now = self.node.now();
            let look = move |node: &Node| look::peers(node, last, |peer| shown(node, peer, now));
            let (mut some, end) = self.look(look).await?;
            if end.is_none() {
                return Ok(peers);
            }
            peers.append(&mut some);
            last = end;
        }
    }
}

fn shown(node: &Node, snapshot: &PeerSnapshot, now: metalbond::Instant) -> Peer {
    let (session, configured) = (snapshot.session(), snapshot.configured());
    let ago = |at: metalbond::Instant| now.saturating_since(at);
    let counters = session.map_or_else(Counters::default, |session| session.counters);
    Peer {
        name: snapshot.announcer().to_string(),
        direction: snapshot.direction(),
        state: snapshot.state(),
        state_seconds: session.map(|session| ago(session.since)).as_ref().map(Duration::as_secs_f64),
        endpoint: configured.map(|peer| peer.endpoint.to_string()),
        remote: snapshot.remote(),
        names: session
            .and_then(|session| session.names.as_deref())
            .map(|names| names.iter().map(ToString::to_string).collect()),
        rule: session.and_then(|session| session.rule.as_deref()).map(str::to_owned),
        ordered: session.is_some_and(|session| session.ordered),
        is_server: session.is_some_and(|session| session.is_server),
        converging: session.is_some_and(|session| session.converging),
        synced: configured.map(|peer| peer.synced),
        routes: configured.map_or_else(|| session.map_or(0, |session| session.routes), |peer| peer.routes),
        stale: configured.map_or(0, |peer| peer.stale),
        subscriptions: session.map_or(0, |session| session.subscriptions),
        lag: session.map_or(0, |session| node.lag(session.conn)),
        keepalive_seconds: session.and_then(|session| session.keepalive).map(|time| time.as_secs()),
        restart_time_seconds: session.and_then(|session| session.restart_time).map(|time| time.as_secs()),
        last_received_seconds: session.map(|session| ago(session.last_received)).as_ref().map(Duration::as_secs_f64),
        dials: configured.map(|peer| peer.dials),
        last_close: configured.and_then(|peer| peer.last_close.as_ref()).map(ToString::to_string),
        bytes_in: counters.bytes_in,
        bytes_out: counters.bytes_out,
        messages_in: counters.messages_in.into(),
        messages_out: counters.messages_out.into(),
        dropped: Dropped {
            impossible: counters.impossible,
            unasked: counters.unasked,
            policy: counters.refused_routes,
            subscriptions: counters.refused_subscriptions,
        },
    }
}

impl From<MessageCounts> for Messages {
    fn from(counts: MessageCounts) -> Self {
        let MessageCounts { hello, keepalive, subscribe, unsubscribe, update, unknown, .. } = counts;
        Self { hello, keepalive, subscribe, unsubscribe, update, unknown }
    }
}
