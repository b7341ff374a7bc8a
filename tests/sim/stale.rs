//! Stale routes: which routes of lost sessions with its servers a node has to keep, and until when. Follows
//! protocol.md, 'When stale and adopted routes go'. Never asks for too much: where the node may know better, it does
//! not have to keep anything.

use std::collections::BTreeMap;
use std::time::Duration;

use metalbond::{Config, Instant, PeerId, Route, Vni};

use super::model::Routes;

#[derive(Clone, Copy, Debug)]
struct Stale {
    /// Since when there is no session with the server. `None`: there is one.
    away_since: Option<Instant>,
    /// The remaining stale time without a session at that time.
    left: Duration,
    /// When the first session since the loss opened.
    opened: Option<Instant>,
    /// True if it was counted that the route stays with a session that has sent everything.
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
        // Without a stale time, routes stay only while no server has a session; this is not checked here.
        let away = config.stale_time.unwrap_or(Duration::ZERO);
        Self { away, in_session: config.session_stale_time, kept: BTreeMap::new() }
    }

    /// Handles the loss of a session with a server that certainly gave these routes.
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

    /// Handles the opening of a session with a server.
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

    /// Removes a route that a server withdrew or that the node now announces itself.
    pub(crate) fn forget(&mut self, route: &Route) {
        self.kept.retain(|(_, other), _| other != route);
    }

    pub(crate) fn forget_vni(&mut self, vni: Vni) {
        self.kept.retain(|(_, route), _| route.vni != vni);
    }

    /// Removes the routes of a server that was removed.
    pub(crate) fn forget_server(&mut self, server: PeerId) {
        self.kept.retain(|(of, _), _| *of != server);
    }

    /// Removes all routes: a server whose table is complete has sent all of it.
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

    /// Counts the routes of a server that stay although its new session has sent everything. Counts each route once.
    pub(crate) fn count_fresh(&mut self, server: PeerId) -> usize {
        let of_server = self.kept.iter_mut().filter(|((of, _), _)| *of == server);
        let fresh = of_server.filter(|(_, stale)| stale.away_since.is_none() && !stale.is_counted);
        fresh.map(|(_, stale)| stale.is_counted = true).count()
    }
}
