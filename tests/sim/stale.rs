//! Stale routes: what a node has to keep of the sessions with its servers that were lost, and until when. By protocol.md, 'When stale
//! and adopted routes go', and never too much: where the node may know better, nothing is asked of it.

use std::collections::BTreeMap;
use std::time::Duration;

use metalbond::{Config, Instant, PeerId, Route, Vni};

use super::model::Routes;

#[derive(Clone, Copy, Debug)]
struct Stale {
    /// Since when there is no session with the server. `None`: there is one.
    away_since: Option<Instant>,
    /// What was left of the stale time without a session at that time.
    left: Duration,
    /// When the first session since the loss was opened.
    opened: Option<Instant>,
    /// Whether it was counted that it stays with a session that has sent all.
    is_counted: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct StaleRoutes {
    away: Duration,
    in_session: Duration,
    /// By server and route.
    kept: BTreeMap<(PeerId, Route), Stale>,
}

impl StaleRoutes {
    pub(crate) fn new(config: &Config) -> Self {
        // Without an end only as long as no server has a session: not asked of it here.
        let away = config.stale_time.unwrap_or(Duration::ZERO);
        Self { away, in_session: config.session_stale_time, kept: BTreeMap::new() }
    }

    /// A session with a server was lost, which certainly gave these routes.
    pub(crate) fn lost(&mut self, now: Instant, server: PeerId, routes: Routes) {
        self.expire(now);
        for ((of, _), stale) in &mut self.kept {
            if *of == server {
                stale.away_since = Some(now);
            }
        }
        for route in routes {
            let stale = Stale { away_since: Some(now), left: self.away, opened: None, is_counted: false };
            self.kept.insert((server, route), stale);
        }
    }

    /// A new session with a server is open.
    pub(crate) fn opened(&mut self, now: Instant, server: PeerId) {
        self.expire(now);
        for ((of, _), stale) in &mut self.kept {
            if *of == server
                && let Some(since) = stale.away_since.take()
            {
                stale.left = stale.left.saturating_sub(now.saturating_since(since));
                stale.opened.get_or_insert(now);
            }
        }
    }

    /// A server withdrew the route, or it is the node's own now.
    pub(crate) fn forget(&mut self, route: &Route) {
        self.kept.retain(|(_, other), _| other != route);
    }

    pub(crate) fn forget_vni(&mut self, vni: Vni) {
        self.kept.retain(|(_, route), _| route.vni != vni);
    }

    /// A server was removed.
    pub(crate) fn forget_server(&mut self, server: PeerId) {
        self.kept.retain(|(of, _), _| *of != server);
    }

    /// A server whose table is complete has sent all.
    pub(crate) fn forget_all(&mut self) {
        self.kept.clear();
    }

    fn expire(&mut self, now: Instant) {
        let in_session = self.in_session;
        self.kept.retain(|_, stale| match stale.away_since {
            Some(since) => now < since + stale.left,
            None => stale.opened.is_some_and(|at| now < at + in_session),
        });
    }

    /// Returns the routes that have to be there.
    pub(crate) fn routes(&mut self, now: Instant) -> Routes {
        self.expire(now);
        self.kept.keys().map(|(_, route)| *route).collect()
    }

    /// Returns how many routes of a server stay now, although its new session has sent all, which were not counted before.
    pub(crate) fn count_fresh(&mut self, server: PeerId) -> usize {
        let of_server = self.kept.iter_mut().filter(|((of, _), _)| *of == server);
        let fresh = of_server.filter(|(_, stale)| stale.away_since.is_none() && !stale.is_counted);
        fresh.map(|(_, stale)| stale.is_counted = true).count()
    }
}
