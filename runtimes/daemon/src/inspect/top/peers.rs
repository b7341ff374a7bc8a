//! Peers as rows of a table.

use super::super::table::{bytes, count, duration};
use super::column::Column;
use super::look::Rates;
use super::sheet::Row;
use crate::api::Peer;

/// A peer with its rates per second.
#[derive(Debug)]
pub(super) struct PeerRow {
    pub(super) peer: Peer,
    pub(super) rates: Rates,
}

impl Row for PeerRow {
    /// In the order of their importance.
    const COLUMNS: &'static [Column<Self>] = &[
        Column::word("NAME", 7, |row| row.peer.name.clone(), |a, b| place(a).cmp(&place(b))),
        Column::word("ADDRESS", 22, PeerRow::address, |a, b| a.address().cmp(&b.address())),
        Column::word("STATE", 14, |row| row.peer.state.to_string(), |a, b| a.peer.state.cmp(&b.peer.state)),
        Column::number("ROUTES", 9, |row| row.peer.routes.to_string(), |a, b| a.peer.routes.cmp(&b.peer.routes)),
        Column::number("LAG", 8, |row| row.peer.lag.to_string(), |a, b| a.peer.lag.cmp(&b.peer.lag)),
        Column::number(
            "UPD IN/S",
            9,
            |row| count(row.rates.updates_in),
            |a, b| a.rates.updates_in.total_cmp(&b.rates.updates_in),
        ),
        Column::number(
            "UPD OUT/S",
            10,
            |row| count(row.rates.updates_out),
            |a, b| a.rates.updates_out.total_cmp(&b.rates.updates_out),
        ),
        Column::number(
            "IN/S",
            8,
            |row| bytes(row.rates.bytes_in as u64),
            |a, b| a.rates.bytes_in.total_cmp(&b.rates.bytes_in),
        ),
        Column::number(
            "OUT/S",
            8,
            |row| bytes(row.rates.bytes_out as u64),
            |a, b| a.rates.bytes_out.total_cmp(&b.rates.bytes_out),
        ),
        Column::number(
            "NETWORKS",
            9,
            |row| row.peer.subscriptions.to_string(),
            |a, b| a.peer.subscriptions.cmp(&b.peer.subscriptions),
        ),
        Column::number(
            "HEARD",
            11,
            |row| time(row.peer.last_received_seconds),
            |a, b| seconds(a.peer.last_received_seconds).total_cmp(&seconds(b.peer.last_received_seconds)),
        ),
        Column::number(
            "SINCE",
            11,
            |row| time(row.peer.state_seconds),
            |a, b| seconds(a.peer.state_seconds).total_cmp(&seconds(b.peer.state_seconds)),
        ),
    ];

    fn matches(&self, text: &str) -> bool {
        let cells = [self.peer.name.clone(), self.address(), self.peer.state.to_string()];
        cells.iter().any(|cell| cell.to_lowercase().contains(&text.to_lowercase()))
    }

    fn details(&self) -> String {
        let peer = &self.peer;
        let mut parts = vec![format!("{} {}", peer.name, peer.direction)];
        parts.extend(peer.keepalive_seconds.map(|seconds| format!("keepalive {seconds} s")));
        parts.extend(peer.restart_time_seconds.map(|seconds| format!("restart time {seconds} s")));
        parts.extend(peer.is_server.then(|| "server".to_owned()));
        parts.extend(peer.converging.then(|| "converging".to_owned()));
        parts.extend(peer.synced.map(|synced| if synced { "synced".to_owned() } else { "not synced".to_owned() }));
        parts.extend((peer.stale > 0).then(|| format!("{} routes stale", peer.stale)));
        parts.extend(peer.names.iter().flatten().cloned());
        parts.extend(peer.rule.as_ref().map(|rule| format!("rule {rule}")));
        let dropped = peer.dropped.impossible + peer.dropped.unasked + peer.dropped.policy + peer.dropped.subscriptions;
        parts.extend((dropped > 0).then(|| format!("{dropped} messages dropped")));
        parts.push(format!("{} in, {} out", bytes(peer.bytes_in), bytes(peer.bytes_out)));
        parts.extend(peer.dials.map(|dials| format!("dialled {dials}x")));
        parts.extend(peer.last_close.as_ref().map(|why| format!("last: {why}")));
        parts.join(", ")
    }
}

impl PeerRow {
    fn address(&self) -> String {
        let remote = || self.peer.remote.map(|remote| remote.to_string());
        self.peer.endpoint.clone().or_else(remote).unwrap_or_default()
    }
}

/// Returns a sort key: configured servers first, then clients, each by number.
fn place(row: &PeerRow) -> (bool, u64) {
    let name = &row.peer.name;
    (!name.starts_with('p'), name.trim_start_matches(char::is_alphabetic).parse().unwrap_or(u64::MAX))
}

fn time(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), duration)
}

/// Returns a sort key. A missing value sorts before all others.
fn seconds(seconds: Option<f64>) -> f64 {
    seconds.unwrap_or(-1.0)
}
