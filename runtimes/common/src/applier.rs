//! Calls a handler for each next hop of each change, and again for what failed. Waits for nothing but the handler.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Display;
use std::time::Duration;

use metalbond::{Instant, Route, RouteChange};
use tracing::{info, warn};

use crate::{Applied, Clock, Failure, Operation, RouteHandler};

/// How long to wait before a call that failed is made again; doubled each time, up to the latter.
const RETRY: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// How often failures are logged.
const LOG: Duration = Duration::from_secs(10);

/// The calls that a handler still owes.
#[derive(Debug)]
pub struct Applier<H> {
    handler: H,
    clock: Clock,
    /// Of the change that came last.
    calls: VecDeque<(Operation, Route)>,
    failed: BTreeMap<Route, Retry>,
    due: BTreeSet<(Instant, Route)>,
    logged: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Retry {
    operation: Operation,
    times: u32,
    at: Instant,
}

impl<H: RouteHandler> Applier<H> {
    /// One that owes nothing.
    pub fn new(handler: H, clock: Clock) -> Self {
        let (calls, failed, due) = Default::default();
        Self { handler, clock, calls, failed, due, logged: None }
    }

    /// When to call [`work`](Self::work), if no change comes before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Carries a change out, and makes one of the calls again that are due.
    pub async fn work(&mut self, change: Option<RouteChange>) {
        if let Some(change) = change {
            self.plan(&change);
        }
        while let Some((operation, route)) = self.calls.pop_front() {
            self.call(operation, route, 0).await;
        }
        if let Some(&(at, route)) = self.due.first()
            && at <= self.clock.now()
            && let Some(Retry { operation, times, .. }) = self.forget(&route)
        {
            self.call(operation, route, times).await;
        }
    }

    /// The node is gone.
    pub fn finish(self) -> Applied<H> {
        let undone: Vec<_> = self.failed.into_iter().map(|(route, retry)| (retry.operation, route)).collect();
        if !undone.is_empty() {
            warn!(routes = undone.len(), "the node is gone, and some of its last changes could not be carried out");
        }
        Applied { handler: self.handler, undone }
    }

    /// Additions first: a destination that always has a next hop is never without one.
    fn plan(&mut self, change: &RouteChange) {
        let route = |next_hop: &_| Route { vni: change.vni, prefix: change.prefix, next_hop: *next_hop };
        let added = change.added().iter().map(|next_hop| (Operation::Add, route(next_hop)));
        let removed = change.removed().iter().map(|next_hop| (Operation::Remove, route(next_hop)));
        for (operation, route) in added.chain(removed) {
            self.forget(&route);
            self.calls.push_back((operation, route));
        }
    }

    fn forget(&mut self, route: &Route) -> Option<Retry> {
        let retry = self.failed.remove(route)?;
        self.due.remove(&(retry.at, *route));
        Some(retry)
    }

    async fn call(&mut self, operation: Operation, route: Route, times: u32) {
        let result = match operation {
            Operation::Add => self.handler.add(route).await,
            Operation::Remove => self.handler.remove(route).await,
        };
        match result {
            Ok(()) => self.succeeded(),
            Err(error) => self.fail(operation, route, error, times + 1),
        }
    }

    fn succeeded(&mut self) {
        if self.failed.is_empty() && self.logged.take().is_some() {
            info!("all route changes are carried out again");
        }
    }

    fn fail(&mut self, operation: Operation, route: Route, error: H::Error, times: u32) {
        let now = self.clock.now();
        let retry_in = RETRY.saturating_mul(1u32.checked_shl(times - 1).unwrap_or(u32::MAX)).min(RETRY_MAX);
        let at = now + retry_in;
        self.failed.insert(route, Retry { operation, times, at });
        self.due.insert((at, route));
        self.log(now, operation, &route, &error);
        self.handler.failed(&Failure { operation, route, error, times, retry_in });
    }

    fn log(&mut self, now: Instant, operation: Operation, route: &Route, error: &dyn Display) {
        if self.logged.is_none_or(|at| now.saturating_since(at) >= LOG) {
            self.logged = Some(now);
            let routes = self.failed.len();
            warn!(%operation, %route, %error, routes, "a route change cannot be carried out; trying again");
        }
    }
}
