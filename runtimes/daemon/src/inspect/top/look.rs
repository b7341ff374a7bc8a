//! A snapshot of a daemon, and the rates since the snapshot before.

use std::collections::HashMap;
use std::time::Instant;

use super::super::{Daemon, Failure};
use crate::api::{Peer, Status, Vni};

/// The table that is shown, and queried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum View {
    Peers,
    Vnis,
}

/// A snapshot of a daemon.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) at: Instant,
    pub(super) status: Status,
    pub(super) peers: Vec<Peer>,
    /// `None` if they were not queried, because there may be many.
    pub(super) vnis: Option<Vec<Vni>>,
}

impl Look {
    pub(super) fn at(daemon: &Daemon, view: View) -> Result<Self, Failure> {
        let status = daemon.get("/api/v1/status", &[])?;
        let vnis = (view == View::Vnis).then(|| daemon.list("/api/v1/vnis", &[])).transpose()?;
        let peers = daemon.list("/api/v1/peers", &[])?;
        Ok(Self { at: Instant::now(), status, peers, vnis })
    }

    /// Returns how fast each peer's figures have grown since an earlier snapshot, in the order of the peers, and their
    /// sum.
    pub(super) fn rates_since(&self, earlier: &Self) -> (Vec<Rates>, Rates) {
        let seconds = self.at.saturating_duration_since(earlier.at).as_secs_f64();
        let before: HashMap<&str, Counts> = earlier.peers.iter().map(|peer| (&*peer.name, Counts::of(peer))).collect();
        let rates = |peer: &Peer| {
            let now = Counts::of(peer);
            // The figures of a new connection start at 0, also if the peer was connected before.
            let before = before.get(&*peer.name).copied().filter(|before| before.is_before(&now)).unwrap_or_default();
            now.since(&before, seconds)
        };
        let rates: Vec<Rates> = self.peers.iter().map(rates).collect();
        let total = rates.iter().fold(Rates::default(), |total, rates| total.plus(rates));
        (rates, total)
    }
}

/// The figures of a connection so far, which only increase.
#[derive(Clone, Copy, Default)]
struct Counts([u64; 4]);

impl Counts {
    fn of(peer: &Peer) -> Self {
        Self([peer.messages_in.update, peer.messages_out.update, peer.bytes_in, peer.bytes_out])
    }

    fn is_before(&self, later: &Self) -> bool {
        self.0.iter().zip(later.0).all(|(before, later)| *before <= later)
    }

    fn since(&self, before: &Self, seconds: f64) -> Rates {
        let mut rates = [0.0; 4];
        if seconds > 0.0 {
            for (rate, (now, before)) in rates.iter_mut().zip(self.0.iter().zip(before.0)) {
                *rate = now.saturating_sub(before) as f64 / seconds;
            }
        }
        let [updates_in, updates_out, bytes_in, bytes_out] = rates;
        Rates { updates_in, updates_out, bytes_in, bytes_out }
    }
}

/// Rates per second.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(super) struct Rates {
    pub(super) updates_in: f64,
    pub(super) updates_out: f64,
    pub(super) bytes_in: f64,
    pub(super) bytes_out: f64,
}

impl Rates {
    fn plus(&self, other: &Self) -> Self {
        Self {
            updates_in: self.updates_in + other.updates_in,
            updates_out: self.updates_out + other.updates_out,
            bytes_in: self.bytes_in + other.bytes_in,
            bytes_out: self.bytes_out + other.bytes_out,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::screen::tests::{look, peer};
    use super::*;

    #[test]
    fn rates_are_computed_from_the_last_two_snapshots() {
        let figures = |name: &str, updates: u64, bytes: u64| {
            let mut peer = peer(name);
            (peer.messages_in.update, peer.bytes_in, peer.bytes_out) = (updates, 0, bytes);
            peer
        };
        let first = look(vec![figures("a1", 100, 1000), figures("p0", 50, 500), figures("a2", 1, 1)]);
        let mut second = look(vec![figures("a1", 300, 1000), figures("p0", 10, 20), figures("a3", 4, 0)]);
        second.at = first.at + Duration::from_secs(2);
        let rates = |updates_in, bytes_out| Rates { updates_in, bytes_out, ..Rates::default() };
        // a1 continues, p0 has reconnected, a3 is new, and a2 is gone.
        let expected = vec![rates(100.0, 0.0), rates(5.0, 10.0), rates(2.0, 0.0)];
        assert_eq!(second.rates_since(&first), (expected, rates(107.0, 10.0)));
        assert_eq!(first.rates_since(&first).1, Rates::default());
    }
}
