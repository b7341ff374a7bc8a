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
use metalbond_tokio::{Changes, CommandError, MetalBond, Node, PeerSnapshot};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::refusal::Result;
use super::{App, server};
use crate::api::PeerEvent;
use crate::look::{self, PIECE};

/// Events that wait for a reader at most.
const WAITING: usize = 8192;
/// How often it is seen whether somebody follows, whether there are new tables, and what peers do.
const LOOK: Duration = Duration::from_millis(250);
/// The longest time between two looks.
const LOOK_MAX: Duration = Duration::from_secs(10);
/// Looks take one in so many parts of the time at most.
const SHARE: u32 = 10;
/// After so many looks, changes are reported even if the routes that were there before are still coming: 10 s if looks are short.
const FILLING_MAX: u32 = 40;
/// VNIs without routes to which the node may stay subscribed.
const SPARE: usize = 4096;
/// How often a reader hears something, if there is nothing to tell.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Route(RouteChange),
    Peer(PeerEvent),
    /// Changes of some VNIs are not reported, and why.
    Incomplete(String),
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
    // None of them has a key that is no text.
    sse::Event::default().event(name).json_data(data).expect("an event is an object")
}

/// Reports a server's peers, and the routes of all VNIs: it subscribes the node to them while somebody follows. Ends with the node only.
pub(crate) async fn watch_all(node: MetalBond, changes: Changes, events: Events) {
    Watch::new(node, Some(changes), events).run().await;
}

/// Reports a client's peers. Ends with the node only. The task that takes a client's changes reports its routes.
pub(crate) async fn watch_peers(node: MetalBond, events: Events) {
    Watch::new(node, None, events).run().await;
}

/// How far the subscriptions for the followers are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Nobody follows.
    Idle,
    /// The routes that were there before still come, and are not reported; looked at so many times.
    Filling(u32),
    /// Every change is reported.
    Following,
}

/// What looks at the node for those who follow. Nothing that a peer can cause ends it.
#[derive(Debug)]
struct Watch {
    node: MetalBond,
    /// `None`: another task takes them, and reports them.
    changes: Option<Changes>,
    events: Events,
    phase: Phase,
    /// VNIs to which it has subscribed the node.
    watched: BTreeSet<Vni>,
    /// The peers at the last look.
    peers: Option<Peers>,
    /// The node refused a subscription at the last look: its log and its followers know.
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
                    // The node is gone.
                    None => return,
                },
                () = sleep_until(next_look) => {
                    let start = Instant::now();
                    match self.look().await {
                        Ok(()) => self.complete(),
                        Err(CommandError::Closed) => return,
                        Err(why) => self.refused(&why),
                    }
                    // A look is as long as the table of peers and that of VNIs, which grow with what strangers ask for.
                    let pause = (start.elapsed() * (SHARE - 1)).clamp(LOOK, LOOK_MAX);
                    next_look = Instant::now() + pause;
                }
            }
        }
    }

    /// Looks at the node once.
    async fn look(&mut self) -> Outcome<()> {
        if !self.events.has_followers() {
            return self.rest().await;
        }
        let subscribed = if self.changes.is_some() { self.follow_routes().await } else { Ok(()) };
        if subscribed != Err(CommandError::Closed) {
            let now = states(&self.node).await?;
            if let Some(before) = self.peers.replace(now.clone()) {
                differences(&before, &now).for_each(|event| self.events.tell(Event::Peer(event)));
            }
            if self.changes.is_none() || self.phase == Phase::Following {
                self.events.is_told.send_replace(true);
            }
        }
        subscribed
    }

    /// Nobody follows: the node does no more than it has to.
    async fn rest(&mut self) -> Outcome<()> {
        for vni in std::mem::take(&mut self.watched) {
            self.node.unsubscribe(vni).await?;
        }
        (self.phase, self.peers) = (Phase::Idle, None);
        self.events.is_told.send_replace(false);
        Ok(())
    }

    /// Sees to it that the node is subscribed to every VNI in which somebody announces a route, and that what was there before somebody
    /// followed is not reported.
    async fn follow_routes(&mut self) -> Outcome<()> {
        let subscribed = self.subscribe_where_routes_are().await;
        if subscribed == Err(CommandError::Closed) || self.phase == Phase::Following {
            return subscribed;
        }
        let looks = if let Phase::Filling(looks) = self.phase { looks } else { 0 };
        // Peers that announce and withdraw without an end can't keep it from beginning.
        if looks < FILLING_MAX && self.node.inspect(Node::has_changes).await? {
            self.phase = Phase::Filling(looks + 1);
            return subscribed;
        }
        // All of it is in the stream.
        while waiting(&mut self.changes).await.is_some() {}
        self.phase = Phase::Following;
        subscribed
    }

    /// Only there: to how many VNIs strangers subscribe is no matter. Returns the first refusal.
    async fn subscribe_where_routes_are(&mut self) -> Outcome<()> {
        let tables = tables_with_routes(&self.node).await?;
        // Those that strangers use once and never again must not pile up. A few may stay, because a VNI whose routes come and go would be
        // reported twice if it were unsubscribed in between.
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

    /// The node refuses a subscription: it is logged, and sent to the followers, once.
    fn refused(&mut self, why: &CommandError) {
        if !std::mem::replace(&mut self.is_incomplete, true) {
            let why = format!("changes of some networks are not reported: {why}");
            warn!("events: {why}; tried again until it succeeds");
            self.events.tell(Event::Incomplete(why));
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

/// A change that has already come.
async fn waiting(changes: &mut Option<Changes>) -> Option<RouteChange> {
    tokio::select! {
        biased;
        change = next(changes) => change,
        () = std::future::ready(()) => None,
    }
}

/// A table with destinations, perhaps only such as a subscriber is still to be told that they are gone.
struct Used {
    vni: Vni,
    has_routes: bool,
}

/// Returns the tables with destinations, in no particular order. Looks at all tables in pieces, between which the node works.
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

/// Returns the peers with their states. Looks at them in pieces, between which the node works.
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

    /// A server that may subscribe to so many VNIs itself, what reports its changes, and a client of it.
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

    /// Follows from the time on at which changes are reported.
    async fn follow(events: &Events) -> broadcast::Receiver<Event> {
        let followed = events.sender.subscribe();
        server::until(events.is_told.subscribe()).await;
        followed
    }

    /// The VNI of the next route that is reported.
    async fn next_vni(followed: &mut broadcast::Receiver<Event>) -> u32 {
        loop {
            if let Event::Route(change) = followed.recv().await.unwrap() {
                return change.vni.0;
            }
        }
    }

    #[tokio::test]
    async fn subscriptions_of_peers_take_nothing_from_those_who_follow() {
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
    async fn a_refused_subscription_is_reported_once_and_made_up_for_when_there_is_room() {
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
        // The others go on.
        client.announce_route(route(1, 2)).await.unwrap();
        assert_eq!(next_vni(&mut followed).await, 1);
        client.withdraw_routes([route(1, 1), route(1, 2)]).await.unwrap();
        assert_eq!((next_vni(&mut followed).await, next_vni(&mut followed).await), (1, 1));
        assert_eq!(next_vni(&mut followed).await, 2, "its routes are reported now");
        let said = std::iter::from_fn(|| followed.try_recv().ok());
        assert!(!said.into_iter().any(|event| matches!(event, Event::Incomplete(_))));
    }

    #[tokio::test]
    async fn vnis_that_are_used_once_do_not_pile_up() {
        let (server, events, client) = start(SPARE * 8).await;
        let _followed = follow(&events).await;
        let used = SPARE as u32 + 100;
        client.announce_routes((0..used).map(|vni| route(vni, 1))).await.unwrap();
        until(&server, move |node| node.subscribed_vnis().count() == used as usize).await;
        client.withdraw_routes((0..used).map(|vni| route(vni, 1))).await.unwrap();
        until(&server, |node| node.subscribed_vnis().count() == 0).await;
    }

    #[tokio::test]
    async fn nothing_is_subscribed_to_when_nobody_follows() {
        let (server, events, client) = start(8).await;
        client.announce_route(route(1, 1)).await.unwrap();
        until(&server, |node| node.route_count() == 1).await;
        let followed = follow(&events).await;
        until(&server, |node| node.subscribed_vnis().count() == 1).await;
        drop(followed);
        until(&server, |node| node.subscribed_vnis().count() == 0).await;
    }
}
