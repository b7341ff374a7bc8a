//! `GET /api/v1/events`: changes of routes and peers as server-sent events, for as long as somebody follows them. Who reads too
//! slowly is told how many it missed.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Sse;
use axum::response::sse::{self, KeepAlive};
use futures_util::Stream;
use futures_util::stream::unfold;
use metalbond::{RouteChange, Vni};
use metalbond_tokio::{ApiMisuse, Changes, MetalBond, Node, peer_snapshots};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::{MissedTickBehavior, interval};
use tracing::debug;

use super::refusal::Result;
use super::{App, server};
use crate::api::PeerEvent;

/// Events that wait for a reader at most.
const WAITING: usize = 8192;
/// How often it is seen whether somebody follows, whether there are new tables, and what peers do.
const LOOK: Duration = Duration::from_millis(250);
/// How often a reader hears something, if there is nothing to tell.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Route(RouteChange),
    Peer(PeerEvent),
}

/// Tells all who follow.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    sender: broadcast::Sender<Event>,
    /// Whether what happens is told: not yet, when the first has just begun to follow.
    is_told: watch::Sender<bool>,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self { sender: broadcast::Sender::new(WAITING), is_told: watch::Sender::new(false) }
    }

    pub(crate) fn has_followers(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    /// Tells of a change, if somebody follows.
    pub(crate) fn route(&self, change: &RouteChange) {
        if self.has_followers() {
            self.tell(Event::Route(change.clone()));
        }
    }

    fn tell(&self, event: Event) {
        // The last may have gone this moment.
        let _ = self.sender.send(event);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    vni: Option<u32>,
}

pub(super) async fn stream(
    State(app): State<Arc<App>>,
    asked: std::result::Result<Query<Asked>, QueryRejection>,
    closed: watch::Receiver<bool>,
) -> Result<Sse<impl Stream<Item = std::result::Result<sse::Event, Infallible>>>> {
    let Query(Asked { vni }) = asked?;
    let vni = vni.map(Vni);
    let Events { sender, is_told } = &app.events;
    let (events, is_told) = (sender.subscribe(), is_told.subscribe());
    let stream = unfold((events, closed, Some(is_told)), move |(mut events, closed, is_told)| async move {
        if let Some(is_told) = is_told {
            tokio::select! {
                () = server::until(closed.clone()) => return None,
                () = server::until(is_told) => {}
            }
            return Some((Ok(event_of("following", &json!({}))), (events, closed, None)));
        }
        loop {
            let event = tokio::select! {
                () = server::until(closed.clone()) => return None,
                event = events.recv() => event,
            };
            let shown = match event {
                Ok(Event::Route(change)) if vni.is_none_or(|vni| vni == change.vni) => event_of("route", &change),
                Ok(Event::Route(_)) => continue,
                Ok(Event::Peer(peer)) => event_of("peer", &peer),
                Err(RecvError::Lagged(missed)) => event_of("missed", &json!({ "missed": missed })),
                Err(RecvError::Closed) => return None,
            };
            return Some((Ok(shown), (events, closed, None)));
        }
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

fn event_of(name: &str, data: &impl serde::Serialize) -> sse::Event {
    // None of them has a key that is no text.
    sse::Event::default().event(name).json_data(data).expect("an event is an object")
}

/// Tells of a server's peers and of the routes of all VNIs, to which it subscribes while somebody follows; until the node is gone.
pub(crate) async fn watch_all(node: MetalBond, changes: Changes, events: Events) {
    if let Err(why) = watch(node, Some(changes), events).await {
        debug!("events have ended: {why}");
    }
}

/// Tells of a client's peers, until the node is gone. Of its routes tells whoever takes its changes.
pub(crate) async fn watch_peers(node: MetalBond, events: Events) {
    if let Err(why) = watch(node, None, events).await {
        debug!("events have ended: {why}");
    }
}

/// What there is when the first begins to follow is not told.
async fn watch(node: MetalBond, mut changes: Option<Changes>, events: Events) -> std::result::Result<(), ApiMisuse> {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watched = BTreeSet::new();
    // VNIs of which the routes that are there already may still come.
    let mut filling = BTreeSet::new();
    let mut peers = None;
    loop {
        tokio::select! {
            biased;
            change = next(&mut changes) => {
                let Some(change) = change else { return Ok(()) };
                if watched.contains(&change.vni) && !filling.contains(&change.vni) {
                    events.route(&change);
                }
            }
            _ = look.tick() => {
                if !events.has_followers() {
                    for vni in std::mem::take(&mut watched) {
                        unless_done(node.unsubscribe(vni).await)?;
                    }
                    (filling, peers) = (BTreeSet::new(), None);
                    events.is_told.send_replace(false);
                    continue;
                }
                if changes.is_some() {
                    if !filling.is_empty() && node.inspect(|node| !node.has_changes()).await? {
                        // All of it is in the stream, if not yet here.
                        while let Some(change) = waiting(&mut changes).await {
                            if !filling.contains(&change.vni) {
                                events.route(&change);
                            }
                        }
                        filling.clear();
                    }
                    // The first look since somebody follows, also if there was no VNI yet.
                    let is_first = peers.is_none();
                    for vni in new_vnis(&node, &watched).await? {
                        unless_done(node.subscribe(vni).await)?;
                        watched.insert(vni);
                        if is_first {
                            filling.insert(vni);
                        }
                    }
                }
                let now = node.inspect(states).await?;
                if let Some(before) = peers.replace(now.clone()) {
                    differences(&before, &now).for_each(|event| events.tell(Event::Peer(event)));
                }
                if filling.is_empty() {
                    events.is_told.send_replace(true);
                }
            }
        }
    }
}

async fn next(changes: &mut Option<Changes>) -> Option<RouteChange> {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

/// A change that has already come.
async fn waiting(changes: &mut Option<Changes>) -> Option<RouteChange> {
    tokio::select! {
        biased;
        change = next(changes) => change,
        () = std::future::ready(()) => None,
    }
}

fn unless_done(result: std::result::Result<(), ApiMisuse>) -> std::result::Result<(), ApiMisuse> {
    result.or_else(ApiMisuse::ok_if_no_change)
}

/// VNIs with a table, in pieces.
async fn new_vnis(node: &MetalBond, watched: &BTreeSet<Vni>) -> std::result::Result<Vec<Vni>, ApiMisuse> {
    const PIECE: usize = 4096;
    let (mut new, mut from) = (Vec::new(), 0);
    loop {
        let look = move |node: &Node| node.tables(from).map(|(place, table)| (place, table.vni)).take(PIECE).collect();
        let piece: Vec<_> = node.inspect(look).await?;
        let Some((last, _)) = piece.last() else { return Ok(new) };
        from = last + 1;
        new.extend(piece.iter().map(|(_, vni)| *vni).filter(|vni| !watched.contains(vni)));
    }
}

type Peers = BTreeMap<String, (String, metalbond::SessionState)>;

fn states(node: &Node) -> Peers {
    let snapshots = peer_snapshots(node).into_iter();
    snapshots
        .map(|peer| {
            let endpoint = peer.configured().map(|peer| peer.endpoint.to_string());
            let address = endpoint.or_else(|| peer.remote().map(|remote| remote.to_string()));
            (peer.announcer().to_string(), (address.unwrap_or_default(), peer.state()))
        })
        .collect()
}

fn differences<'a>(before: &'a Peers, now: &'a Peers) -> impl Iterator<Item = PeerEvent> + 'a {
    let gone =
        before.iter().filter(|(name, _)| !now.contains_key(*name)).map(|(name, (address, _))| (name, address, None));
    let new = now.iter().filter(|(name, peer)| before.get(*name) != Some(*peer));
    let new = new.map(|(name, (address, state))| (name, address, Some(*state)));
    gone.chain(new).map(|(name, address, state)| PeerEvent { name: name.clone(), address: address.clone(), state })
}
