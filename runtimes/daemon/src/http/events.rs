//! `GET /api/v1/events`: changes of routes and peers as server-sent events. A reader that is too slow is sent the
//! number of events that it missed.

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
use metalbond_tokio::{Changes, CommandError, MetalBond, Node, PeerSnapshot};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::App;
use super::refusal::Result;
use crate::api::PeerEvent;
use crate::flag;
use crate::look::{self, PIECE};

/// Maximum number of events that wait for a reader.
const WAITING: usize = 8192;
/// Interval at which the followers, the list of tables and the states of peers are checked.
const LOOK: Duration = Duration::from_millis(250);
/// Maximum time between two checks.
const LOOK_MAX: Duration = Duration::from_secs(10);
/// Checks take at most one part in this many of the time.
const SHARE: u32 = 10;
/// Number of checks after which changes are reported even if existing routes still arrive: 10 s if checks are short.
const FILLING_MAX: u32 = 40;
/// Maximum number of VNIs without routes to which the node stays subscribed.
const SPARE: usize = 4096;
/// Interval of heartbeats, which are sent to a reader if there are no events.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// An event.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Route(RouteChange),
    Peer(PeerEvent),
    /// Changes of some VNIs are not reported. The text says why.
    Incomplete(String),
}

/// Sends events to all followers.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    sender: broadcast::Sender<Event>,
    /// True while events are reported. False until the first follower's initial state is complete.
    is_reported: watch::Sender<bool>,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self { sender: broadcast::Sender::new(WAITING), is_reported: watch::Sender::new(false) }
    }

    pub(crate) fn has_followers(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    /// Reports a change of a route, if there is a follower.
    pub(crate) fn route(&self, change: &RouteChange) {
        if self.has_followers() {
            self.send(Event::Route(change.clone()));
        }
    }

    fn send(&self, event: Event) {
        // Fails if the last follower has just left.
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
    let Events { sender, is_reported } = &app.events;
    let (events, is_reported) = (sender.subscribe(), is_reported.subscribe());
    let stream = unfold((events, closed, Some(is_reported)), move |(mut events, closed, is_reported)| async move {
        if let Some(is_reported) = is_reported {
            tokio::select! {
                () = flag::set(closed.clone()) => return None,
                () = flag::set(is_reported) => {}
            }
            return Some((Ok(event_of("following", &json!({}))), (events, closed, None)));
        }
        loop {
            let event = tokio::select! {
                () = flag::set(closed.clone()) => return None,
                event = events.recv() => event,
            };
            let shown = match event {
                Ok(Event::Route(change)) if vni.is_none_or(|vni| vni == change.vni) => event_of("route", &change),
                Ok(Event::Route(_)) => continue,
                Ok(Event::Peer(peer)) => event_of("peer", &peer),
                Ok(Event::Incomplete(why)) => event_of("incomplete", &json!({ "why": why })),
                Err(RecvError::Lagged(missed)) => event_of("missed", &json!({ "missed": missed })),
                Err(RecvError::Closed) => return None,
            };
            return Some((Ok(shown), (events, closed, None)));
        }
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

fn event_of(name: &str, data: &impl serde::Serialize) -> sse::Event {
    // Serialising fails only for maps whose keys are not strings.
    sse::Event::default().event(name).json_data(data).expect("an event is an object")
}

/// Reports a server's peers, and the routes of all VNIs. While there are followers, the node is subscribed to all VNIs
/// that have routes. Returns when the node ends.
pub(crate) async fn watch_all(node: MetalBond, changes: Changes, events: Events) {
    Watch::new(node, Some(changes), events).run().await;
}

/// Reports a client's peers. Returns when the node ends. The routes are reported by the task that reads the client's
/// changes.
pub(crate) async fn watch_peers(node: MetalBond, events: Events) {
    Watch::new(node, None, events).run().await;
}

/// The state of the subscriptions that are made for followers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// There is no follower.
    Idle,
    /// Existing routes still arrive and are not reported. The number counts the checks so far.
    Filling(u32),
    /// Every change is reported.
    Following,
}

/// Checks the node and reports events to the followers. No action of a peer can end it.
#[derive(Debug)]
struct Watch {
    node: MetalBond,
    /// `None` if another task reads and reports the changes.
    changes: Option<Changes>,
    events: Events,
    phase: Phase,
    /// The VNIs to which this task has subscribed the node.
    watched: BTreeSet<Vni>,
    /// The peers at the last check.
    peers: Option<Peers>,
    /// True if the node refused a subscription at the last check, which has been logged and reported.
    is_incomplete: bool,
}

impl Watch {
    fn new(node: MetalBond, changes: Option<Changes>, events: Events) -> Self {
        let (watched, peers) = (BTreeSet::new(), None);
        Self { node, changes, events, phase: Phase::Idle, watched, peers, is_incomplete: false }
    }

    async fn run(mut self) {
        let mut next_look = Instant::now();
        loop {
            tokio::select! {
                change = next(&mut self.changes) => match change {
                    Some(change) if self.phase == Phase::Following => self.events.route(&change),
                    Some(_) => {}
                    // The node has ended.
                    None => return,
                },
                () = sleep_until(next_look) => {
                    let start = Instant::now();
                    match self.look().await {
                        Ok(()) => self.complete(),
                        Err(CommandError::Closed) => return,
                        Err(why) => self.refused(&why),
                    }
                    // A check takes time in proportion to the number of peers and VNIs, which any client can increase.
                    let pause = (start.elapsed() * (SHARE - 1)).clamp(LOOK, LOOK_MAX);
                    next_look = Instant::now() + pause;
                }
            }
        }
    }

    /// Checks the node once.
    async fn look(&mut self) -> Outcome<()> {
        if !self.events.has_followers() {
            return self.rest().await;
        }
        let subscribed = if self.changes.is_some() { self.follow_routes().await } else { Ok(()) };
        if subscribed != Err(CommandError::Closed) {
            let now = states(&self.node).await?;
            if let Some(before) = self.peers.replace(now.clone()) {
                differences(&before, &now).for_each(|event| self.events.send(Event::Peer(event)));
            }
            if self.changes.is_none() || self.phase == Phase::Following {
                self.events.is_reported.send_replace(true);
            }
        }
        subscribed
    }

    /// Removes all subscriptions while there is no follower.
    async fn rest(&mut self) -> Outcome<()> {
        for vni in std::mem::take(&mut self.watched) {
            self.node.unsubscribe(vni).await?;
        }
        (self.phase, self.peers) = (Phase::Idle, None);
        self.events.is_reported.send_replace(false);
        Ok(())
    }

    /// Subscribes the node to every VNI that has routes. Changes are reported only after the existing routes have
    /// arrived.
    async fn follow_routes(&mut self) -> Outcome<()> {
        let subscribed = self.subscribe_where_routes_are().await;
        if subscribed == Err(CommandError::Closed) || self.phase == Phase::Following {
            return subscribed;
        }
        let looks = if let Phase::Filling(looks) = self.phase { looks } else { 0 };
        // Peers that announce and withdraw all the time can't delay the reporting forever.
        if looks < FILLING_MAX && self.node.inspect(Node::has_changes).await? {
            self.phase = Phase::Filling(looks + 1);
            return subscribed;
        }
        // All existing routes are in the stream now; discards them.
        while waiting(&mut self.changes).await.is_some() {}
        self.phase = Phase::Following;
        subscribed
    }

    /// Subscribes the node to all VNIs with routes, and not to those that peers are merely subscribed to. Returns the
    /// first refusal.
    async fn subscribe_where_routes_are(&mut self) -> Outcome<()> {
        let tables = tables_with_routes(&self.node).await?;
        // VNIs that were used once and never again must not accumulate. Some may stay: if a VNI whose routes come and
        // go were unsubscribed meanwhile, its routes would be reported twice.
        if self.watched.len() > tables.len() * 2 + SPARE || self.is_incomplete {
            let used: BTreeSet<Vni> = tables.iter().map(|table| table.vni).collect();
            for vni in self.watched.extract_if(.., |vni| !used.contains(vni)) {
                self.node.unsubscribe(vni).await?;
            }
        }
        for vni in tables.into_iter().filter(|table| table.has_routes).map(|table| table.vni) {
            if !self.watched.contains(&vni) {
                self.node.subscribe(vni).await?;
                self.watched.insert(vni);
            }
        }
        Ok(())
    }

    /// Logs and reports that the node refused a subscription, once until all succeed again.
    fn refused(&mut self, why: &CommandError) {
        if !std::mem::replace(&mut self.is_incomplete, true) {
            let why = format!("changes of some networks are not reported: {why}");
            warn!("events: {why}; tried again until it succeeds");
            self.events.send(Event::Incomplete(why));
        }
    }

    fn complete(&mut self) {
        if std::mem::take(&mut self.is_incomplete) {
            info!("events: changes of all networks are reported again");
        }
    }
}

type Outcome<T> = std::result::Result<T, CommandError>;

async fn next(changes: &mut Option<Changes>) -> Option<RouteChange> {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

/// Returns a change that has already arrived, without waiting.
async fn waiting(changes: &mut Option<Changes>) -> Option<RouteChange> {
    tokio::select! {
        biased;
        change = next(changes) => change,
        () = std::future::ready(()) => None,
    }
}

/// A table with destinations. They may all be tombstones.
struct Used {
    vni: Vni,
    has_routes: bool,
}

/// Returns the tables with destinations, in no particular order. Works in pieces, between which the node does its work.
async fn tables_with_routes(node: &MetalBond) -> Outcome<Vec<Used>> {
    let (mut used, mut from) = (Vec::new(), 0);
    loop {
        let look = move |node: &Node| {
            let (mut used, mut last) = (Vec::new(), None);
            for (place, table) in node.tables(from).take(PIECE) {
                last = Some(place);
                if table.destinations > 0 {
                    used.push(Used { vni: table.vni, has_routes: table.routes > 0 });
                }
            }
            (used, last)
        };
        let (mut some, last) = node.inspect(look).await?;
        used.append(&mut some);
        let Some(last) = last else { return Ok(used) };
        from = last + 1;
    }
}

type Peers = BTreeMap<String, (String, metalbond::SessionState)>;

/// Returns the peers with their states. Works in pieces, between which the node does its work.
async fn states(node: &MetalBond) -> Outcome<Peers> {
    let (mut peers, mut last) = (Peers::new(), None);
    loop {
        let (some, end) = node.inspect(move |node| look::peers(node, last, state)).await?;
        if end.is_none() {
            return Ok(peers);
        }
        peers.extend(some);
        last = end;
    }
}

fn state(peer: &PeerSnapshot) -> (String, (String, metalbond::SessionState)) {
    let endpoint = peer.configured().map(|peer| peer.endpoint.to_string());
    let address = endpoint.or_else(|| peer.remote().map(|remote| remote.to_string()));
    (peer.announcer().to_string(), (address.unwrap_or_default(), peer.state()))
}

fn differences<'a>(before: &'a Peers, now: &'a Peers) -> impl Iterator<Item = PeerEvent> + 'a {
    let gone =
        before.iter().filter(|(name, _)| !now.contains_key(*name)).map(|(name, (address, _))| (name, address, None));
    let new = now.iter().filter(|(name, peer)| before.get(*name) != Some(*peer));
    let new = new.map(|(name, (address, state))| (name, address, Some(*state)));
    gone.chain(new).map(|(name, address, state)| PeerEvent { name: name.clone(), address: address.clone(), state })
}

#[cfg(test)]
mod tests {
    use metalbond::{Config, NextHop, Route};

    use super::*;

    /// Starts a server with this limit on its own subscriptions, the task that reports its changes, and a client of it.
    async fn start(subscriptions_max: usize) -> (MetalBond, Events, MetalBond) {
        let (server, changes) = metalbond_tokio::start(Config { subscriptions_max, ..Config::default() }).unwrap();
        let addr = server.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (client, _) = metalbond_tokio::start(Config::default()).unwrap();
        client.add_peer(addr.into()).await.unwrap();
        let events = Events::new();
        tokio::spawn(watch_all(server.clone(), changes, events.clone()));
        (server, events, client)
    }

    fn route(vni: u32, host: u8) -> Route {
        let prefix = metalbond::Prefix::from(std::net::IpAddr::from([10, 0, 0, host]));
        Route { vni: Vni(vni), prefix, next_hop: NextHop::standard("2001:db8::1".parse().unwrap()) }
    }

    async fn until(server: &MetalBond, is_so: impl Fn(&Node) -> bool + Clone + Send + 'static) {
        while !server.inspect(is_so.clone()).await.unwrap() {
            tokio::task::yield_now().await;
        }
    }

    /// Follows the events and waits until changes are reported.
    async fn follow(events: &Events) -> broadcast::Receiver<Event> {
        let followed = events.sender.subscribe();
        flag::set(events.is_reported.subscribe()).await;
        followed
    }

    /// Returns the VNI of the next reported route.
    async fn next_vni(followed: &mut broadcast::Receiver<Event>) -> u32 {
        loop {
            if let Event::Route(change) = followed.recv().await.unwrap() {
                return change.vni.0;
            }
        }
    }

    #[tokio::test]
    async fn subscriptions_of_peers_do_not_count_towards_the_limit_of_followers() {
        let (server, events, client) = start(2).await;
        for vni in 1..=9 {
            client.subscribe(Vni(vni)).await.unwrap();
        }
        until(&server, |node| node.sessions().any(|session| session.subscriptions == 9)).await;
        let mut followed = follow(&events).await;
        client.announce_route(route(7, 1)).await.unwrap();
        assert_eq!(next_vni(&mut followed).await, 7);
    }

    #[tokio::test]
    async fn a_refused_subscription_is_reported_once_and_tried_again_until_it_succeeds() {
        let (server, events, client) = start(1).await;
        client.announce_route(route(1, 1)).await.unwrap();
        until(&server, |node| node.route_count() == 1).await;
        let mut followed = follow(&events).await;
        client.announce_route(route(2, 1)).await.unwrap();
        let why = loop {
            if let Event::Incomplete(why) = followed.recv().await.unwrap() {
                break why;
            }
        };
        assert!(why.starts_with("changes of some networks are not reported: "), "{why}");
        // The other VNIs are still reported.
        client.announce_route(route(1, 2)).await.unwrap();
        assert_eq!(next_vni(&mut followed).await, 1);
        client.withdraw_routes([route(1, 1), route(1, 2)]).await.unwrap();
        assert_eq!((next_vni(&mut followed).await, next_vni(&mut followed).await), (1, 1));
        assert_eq!(next_vni(&mut followed).await, 2, "its routes are reported now");
        let said = std::iter::from_fn(|| followed.try_recv().ok());
        assert!(!said.into_iter().any(|event| matches!(event, Event::Incomplete(_))));
    }

    #[tokio::test]
    async fn vnis_that_were_used_once_are_unsubscribed() {
        let (server, events, client) = start(SPARE * 8).await;
        let _followed = follow(&events).await;
        let used = SPARE as u32 + 100;
        client.announce_routes((0..used).map(|vni| route(vni, 1))).await.unwrap();
        until(&server, move |node| node.subscribed_vnis().count() == used as usize).await;
        client.withdraw_routes((0..used).map(|vni| route(vni, 1))).await.unwrap();
        until(&server, |node| node.subscribed_vnis().count() == 0).await;
    }

    #[tokio::test]
    async fn there_are_no_subscriptions_without_a_follower() {
        let (server, events, client) = start(8).await;
        client.announce_route(route(1, 1)).await.unwrap();
        until(&server, |node| node.route_count() == 1).await;
        let followed = follow(&events).await;
        until(&server, |node| node.subscribed_vnis().count() == 1).await;
        drop(followed);
        until(&server, |node| node.subscribed_vnis().count() == 0).await;
    }
}
