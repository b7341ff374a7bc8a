//! The servers that a node dials, over all their sessions: which routes of lost sessions the node has, and until when.
//! Follows protocol.md, 'When stale and adopted routes go'. The one thing that the node says itself is when a server
//! counts as synced; the watcher holds it to that separately, from both sides.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use metalbond::{Config, Instant, PeerId, Route, Vni};

use super::model::Routes;

/// Where the session with a server stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Away,
    /// The server has not sent all routes yet.
    Syncing,
    /// The server has sent all routes, or cannot say whether it has.
    Settled,
}

/// How long the stale routes of a server stay, all together.
#[derive(Clone, Copy, Debug)]
struct StaleTime {
    /// What is left of the time without a session. `None`: it has no end.
    left: Option<Duration>,
    /// Since when there is no session with the server. `None`: there is one.
    away_since: Option<Instant>,
    /// When the first session since the loss opened: with the server, and with any.
    opened: Option<Instant>,
    any_opened: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Server {
    phase: Phase,
    stale: Routes,
    /// `None`: nothing is stale.
    time: Option<StaleTime>,
    /// Routes that the node is removing.
    swept: Routes,
    /// Routes whose removal the node may have broken off, because it lost another session meanwhile. They may
    /// stay as long as those that became stale then.
    doubtful: Routes,
    /// Routes that were counted as staying during a session that has sent everything.
    counted: Routes,
}

#[derive(Clone, Debug)]
pub(crate) struct Servers {
    /// `None`: a lost route stays until another session has opened.
    stale_time: Option<Duration>,
    session_stale_time: Duration,
    all: BTreeMap<PeerId, Server>,
}

impl Server {
    fn new() -> Self {
        Self {
            phase: Phase::Away,
            stale: Routes::new(),
            time: None,
            swept: Routes::new(),
            doubtful: Routes::new(),
            counted: Routes::new(),
        }
    }

    /// Ends the time of its stale routes. Returns those that the node certainly had.
    fn sweep(&mut self) -> Routes {
        self.time = None;
        let stale = std::mem::take(&mut self.stale);
        self.swept.append(&mut self.doubtful);
        self.swept.extend(&stale);
        stale
    }

    fn forget(&mut self, route: &Route) -> bool {
        self.swept.remove(route);
        self.doubtful.remove(route);
        self.stale.remove(route)
    }
}

impl Servers {
    pub(crate) fn new(config: &Config) -> Self {
        Self { stale_time: config.stale_time, session_stale_time: config.session_stale_time, all: BTreeMap::new() }
    }

    fn of(&mut self, server: PeerId) -> &mut Server {
        self.all.entry(server).or_insert_with(Server::new)
    }

    /// Handles the opening of a session. A server that is not `ordered` cannot say that it has sent everything.
    pub(crate) fn opened(&mut self, now: Instant, server: PeerId, is_ordered: bool) {
        self.of(server).phase = if is_ordered { Phase::Syncing } else { Phase::Settled };
        for (other, Server { time, .. }) in &mut self.all {
            let Some(time) = time else { continue };
            time.any_opened.get_or_insert(now);
            if *other == server {
                time.opened.get_or_insert(now);
                let away = time.away_since.take().map_or(Duration::ZERO, |since| now.saturating_since(since));
                time.left = time.left.map(|left| left.saturating_sub(away));
            }
        }
    }

    /// Handles the loss of a session in which the server announced these routes.
    pub(crate) fn lost(&mut self, now: Instant, server: PeerId, routes: &Routes) {
        let is_other_open = self.all.iter().any(|(other, s)| *other != server && s.phase != Phase::Away);
        let stale_time = self.stale_time;
        let lost = self.of(server);
        lost.phase = Phase::Away;
        if !routes.is_empty() {
            let any_opened = is_other_open.then_some(now);
            lost.time = Some(StaleTime { left: stale_time, away_since: Some(now), opened: None, any_opened });
            lost.doubtful.append(&mut lost.swept);
        } else if let Some(time) = &mut lost.time {
            time.away_since = Some(now);
        }
        for route in routes {
            lost.doubtful.remove(route);
            lost.counted.remove(route);
        }
        lost.stale.extend(routes);
    }

    /// Handles a route that a server announces.
    pub(crate) fn announced(&mut self, server: PeerId, route: &Route) {
        self.of(server).forget(route);
    }

    /// Handles a route that a server withdraws. Returns the servers whose stale route it was.
    pub(crate) fn withdrawn(&mut self, route: &Route) -> Vec<PeerId> {
        self.all.iter_mut().filter_map(|(id, server)| server.forget(route).then_some(*id)).collect()
    }

    /// Removes the routes of a VNI from which the application has unsubscribed, except for those of servers in `kept`.
    pub(crate) fn unsubscribed(&mut self, vni: Vni, kept: &BTreeSet<PeerId>) {
        for (_, server) in self.all.iter_mut().filter(|(id, _)| !kept.contains(id)) {
            server.stale.retain(|route| route.vni != vni);
            server.doubtful.retain(|route| route.vni != vni);
        }
    }

    pub(crate) fn is_synced(&self, server: PeerId) -> bool {
        self.all.get(&server).is_some_and(|server| server.phase == Phase::Settled)
    }

    /// Notes whether a server with an open session has sent everything.
    pub(crate) fn set_synced(&mut self, server: PeerId, is_synced: bool) {
        self.of(server).phase = if is_synced { Phase::Settled } else { Phase::Syncing };
    }

    /// Handles the end of the sync of a server whose table is complete: it announces `live`, and has just sent all
    /// routes of `vnis`. Returns the routes that are stale no more, with their servers.
    pub(crate) fn completed(&mut self, by: PeerId, vnis: &BTreeSet<Vni>, live: &Routes) -> Vec<(PeerId, Route)> {
        let mut gone: Vec<_> = self.of(by).sweep().into_iter().map(|route| (by, route)).collect();
        let is_refuted = |route: &Route| vnis.contains(&route.vni) && !live.contains(route);
        for (id, server) in self.all.iter_mut().filter(|(id, _)| **id != by) {
            gone.extend(server.stale.extract_if(.., |route| is_refuted(route)).map(|route| (*id, route)));
            server.doubtful.retain(|route| !is_refuted(route));
        }
        gone
    }

    /// Ends what is over now. Returns the routes that are stale no more, with their servers.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<(PeerId, Route)> {
        let is_any = |phase| self.all.values().any(|server| server.phase == phase);
        let (any_syncing, any_settled) = (is_any(Phase::Syncing), is_any(Phase::Settled));
        let (in_session, mut gone) = (self.session_stale_time, Vec::new());
        for (id, server) in &mut self.all {
            let end = server.time.and_then(|time| match (server.phase, time.left) {
                (Phase::Syncing, _) => None,
                (Phase::Settled, _) => time.opened.map(|at| at + in_session),
                (Phase::Away, Some(left)) => time.away_since.map(|since| since + left),
                (Phase::Away, None) if any_settled && !any_syncing => time.any_opened.map(|at| at + in_session),
                (Phase::Away, None) => None,
            });
            if end.is_some_and(|end| end <= now) {
                gone.extend(server.sweep().into_iter().map(|route| (*id, route)));
            }
        }
        gone
    }

    /// Removes a server that is not configured any more.
    pub(crate) fn remove(&mut self, server: PeerId) {
        self.all.remove(&server);
    }

    /// Ends an iteration: the node has no work left. Returns the routes that it may still have.
    pub(crate) fn turn_ended(&mut self) -> Routes {
        for server in self.all.values_mut() {
            server.swept.clear();
        }
        self.all.values().flat_map(|server| &server.doubtful).copied().collect()
    }

    /// Counts the stale routes of a server whose new session has sent everything. Counts each route once.
    pub(crate) fn count_fresh(&mut self, server: PeerId) -> usize {
        let Server { stale, counted, .. } = self.of(server);
        let fresh: Routes = stale.difference(counted).copied().collect();
        counted.extend(&fresh);
        fresh.len()
    }
}
