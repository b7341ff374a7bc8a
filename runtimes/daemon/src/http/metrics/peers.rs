//! Metrics of each peer. A configured server is labelled by its endpoint. A client is labelled by its address without
//! the port, so that it keeps its metrics when it reconnects; several connections from one address are added up. A
//! counter never decreases when a connection ends, because the node keeps the counts of ended connections.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use metalbond::HostAddr;
use metalbond_tokio::{ConnId, Counters, Instant, MessageCounts, Node, PeerSnapshot, SessionInfo, SessionState};
use prometheus_client::registry::Unit;

use super::super::App;
use super::super::refusal::Result;
use super::node::by_type;
use super::out::Out;
use crate::look::{self, PIECE};

#[derive(Debug)]
pub(super) struct Peers(BTreeMap<String, Peer>);

#[derive(Debug, Default)]
struct Peer {
    established: usize,
    routes: usize,
    stale: usize,
    subscriptions: usize,
    lag: u64,
    /// Counters of the peer's connections, including ended ones.
    counters: Vec<Counters>,
    /// Time since the last received byte.
    last_received: Option<Duration>,
    /// Set for configured servers only.
    dials: Option<(u64, u64)>,
}

impl Peer {
    /// Returns a peer whose counters start from these.
    fn counting(past: Counters) -> Self {
        Self { counters: vec![past], ..Self::default() }
    }

    /// Adds the figures of a session.
    fn add(&mut self, session: &SessionInfo, now: Instant) {
        self.subscriptions += session.subscriptions;
        let last_received = now.saturating_since(session.last_received);
        self.last_received = Some(self.last_received.map_or(last_received, |other| other.min(last_received)));
    }
}

impl Peers {
    /// Reads the peers in pieces. One piece covers a configured server with its counters, or all clients of an address,
    /// so that a connection that ends meanwhile is counted once.
    pub(super) async fn of(app: &App) -> Result<Self> {
        let mut peers = BTreeMap::new();
        // The lag is added up separately: reading it takes long for clients with many VNIs, and a piece ends when it
        // takes too long.
        let mut hosts = BTreeMap::<HostAddr, (Vec<ConnId>, u64)>::new();
        let mut last = None;
        loop {
            let now = app.node.now();
            let look = move |node: &Node| look::peers(node, last, |peer| found(node, peer, now));
            let (some, end) = app.look(look).await?;
            if end.is_none() {
                break;
            }
            last = end;
            for found in some.into_iter().flatten() {
                match found {
                    Found::Server(endpoint, peer) => drop(peers.insert(endpoint, peer)),
                    Found::Client(host, conn, lag) => {
                        let (conns, sum) = hosts.entry(host).or_default();
                        conns.push(conn);
                        *sum += lag;
                    }
                }
            }
        }
        let mut hosts = hosts.into_iter().peekable();
        while hosts.peek().is_some() {
            let (mut some, mut sessions) = (Vec::new(), 0);
            // An address may have more connections than a piece normally covers: up to
            // `Limits::connections_per_address`.
            while let Some(host) = hosts.next_if(|(_, (conns, _))| sessions == 0 || sessions + conns.len() <= PIECE) {
                sessions += host.1.0.len();
                some.push(host);
            }
            let now = app.node.now();
            let look = move |node: &Node| {
                let clients = some.into_iter().map(|(host, (conns, lag))| {
                    let peer = Peer { lag, ..client(node, host, &conns, now) };
                    (host.to_string(), peer)
                });
                clients.collect::<Vec<_>>()
            };
            peers.extend(app.look(look).await?);
        }
        Ok(Self(peers))
    }

    pub(super) fn encode(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let bytes = Some(&Unit::Bytes);
        let gauges =
            |value: fn(&Peer) -> f64| self.0.iter().map(move |(name, peer)| ([("peer", &**name)], value(peer)));
        out.gauges(
            ("peer_sessions_established", "Sessions in the state ESTABLISHED"),
            None,
            gauges(|p| p.established as f64),
        )?;
        out.gauges(("peer_routes", "Routes that the peer announces"), None, gauges(|p| p.routes as f64))?;
        out.gauges(("peer_stale_routes", "Stale routes: routes of a lost session"), None, gauges(|p| p.stale as f64))?;
        out.gauges(
            ("peer_subscriptions", "VNIs that the peer subscribed to"),
            None,
            gauges(|p| p.subscriptions as f64),
        )?;
        let help = "Upper bound of the changes that are still to be sent to the peer";
        out.gauges(("peer_lag_changes", help), None, gauges(|p| p.lag as f64))?;
        let now = Timestamp::now().as_millisecond() as f64 / 1e3;
        let last_received = self.0.iter().filter_map(|(name, peer)| {
            peer.last_received.map(|last_received| ([("peer", &**name)], now - last_received.as_secs_f64()))
        });
        out.gauges(
            ("peer_last_received_time", "Time of the last received byte, in seconds since 1970"),
            Some(&Unit::Seconds),
            last_received,
        )?;
        let sums = |value: fn(&Counters) -> u64| {
            self.0.iter().map(move |(name, peer)| ([("peer", &**name)], peer.counters.iter().map(value).sum()))
        };
        out.counters(
            ("peer_received", "Bytes received from the peer, on all its connections"),
            bytes,
            sums(|c| c.bytes_in),
        )?;
        out.counters(("peer_sent", "Bytes sent to the peer, on all its connections"), bytes, sums(|c| c.bytes_out))?;
        let messages = |which: fn(&Counters) -> &MessageCounts| {
            self.0.iter().flat_map(move |(name, peer)| {
                let mut sums = by_type(&MessageCounts::default());
                for counts in peer.counters.iter().map(which) {
                    sums.iter_mut().zip(by_type(counts)).for_each(|((_, sum), (_, count))| *sum += count);
                }
                sums.map(|(kind, count)| ([("peer", &**name), ("type", kind)], count))
            })
        };
        out.counters(("peer_messages_received", "Messages from the peer by type"), None, messages(|c| &c.messages_in))?;
        out.counters(("peer_messages_sent", "Messages to the peer by type"), None, messages(|c| &c.messages_out))?;
        let dropped = |reason, value: fn(&Counters) -> u64| {
            let sum = move |peer: &Peer| peer.counters.iter().map(value).sum();
            self.0.iter().map(move |(name, peer)| ([("peer", &**name), ("reason", reason)], sum(peer)))
        };
        let dropped = dropped("impossible", |c| c.impossible)
            .chain(dropped("unasked", |c| c.unasked))
            .chain(dropped("policy", |c| c.refused_routes));
        out.counters(("peer_updates_dropped", "UPDATEs from the peer that were dropped"), None, dropped)?;
        let help = "Subscriptions of the peer that the policy denied";
        out.counters(("peer_subscriptions_denied", help), None, sums(|c| c.refused_subscriptions))?;
        let configured = |value: fn((u64, u64)) -> u64| {
            self.0.iter().filter_map(move |(name, peer)| Some(([("peer", &**name)], value(peer.dials?))))
        };
        out.counters(("peer_dials", "Dials of the configured server"), None, configured(|(dials, _)| dials))?;
        let help = "Sessions with the configured server that were ESTABLISHED";
        out.counters(("peer_sessions", help), None, configured(|(_, sessions)| sessions))
    }
}

/// A peer that was found in a piece.
enum Found {
    /// A configured server, with its endpoint.
    Server(String, Peer),
    /// A client's connection, with its address and its lag.
    Client(HostAddr, ConnId, u64),
}

/// Returns all figures of a configured server; of a client only its address, connection and lag. Returns `None` for a
/// connection whose address is not known yet.
fn found(node: &Node, snapshot: &PeerSnapshot, now: Instant) -> Option<Found> {
    let Some(configured) = snapshot.configured() else {
        let session = snapshot.session()?;
        return Some(Found::Client(session.remote?.into(), session.conn, node.lag(session.conn)));
    };
    let mut peer = Peer::counting(configured.counters);
    peer.established = usize::from(configured.state == SessionState::Established);
    (peer.routes, peer.stale) = (configured.routes, configured.stale);
    peer.dials = Some((configured.dials, configured.sessions));
    if let Some(session) = snapshot.session() {
        peer.add(session, now);
        peer.lag = node.lag(session.conn);
    }
    Some(Found::Server(configured.endpoint.to_string(), peer))
}

/// Returns the figures of all clients of an address, including their ended connections.
fn client(node: &Node, host: HostAddr, conns: &[ConnId], now: Instant) -> Peer {
    let mut peer = Peer::counting(node.past_counters(host));
    for session in conns.iter().filter_map(|conn| node.session(*conn)) {
        peer.established += usize::from(session.state == SessionState::Established);
        peer.routes += session.routes;
        peer.counters.push(session.counters);
        peer.add(&session, now);
    }
    peer
}
