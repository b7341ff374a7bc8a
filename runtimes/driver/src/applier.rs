//! Calls a handler for each next hop of each change, and repeats calls that failed. It waits only for the handler.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Display;
use std::future::poll_fn;
use std::mem;
use std::ops::RangeInclusive;
use std::task::Poll;
use std::time::Duration;

use metalbond::{Backoff, Instant, RateLimit, Route, RouteChange};
use tracing::{info, warn};

use crate::{Applied, Failure, Operation, RouteHandler};

/// The shortest and the longest wait before a failed call is repeated.
const RETRY: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(10);
/// The number of failed calls at which no further changes are taken. Some more may follow from changes already taken.
const OWED: usize = 4096;
/// The interval between two log lines about failures.
const LOG: Duration = Duration::from_secs(10);

/// A handler and the calls that it has yet to carry out.
#[derive(Debug)]
pub(crate) struct Applier<H> {
    handler: H,
    /// The calls for the latest change.
    calls: VecDeque<(Operation, Route)>,
    failed: BTreeMap<Route, Retry>,
    due: BTreeSet<(Instant, Route)>,
    /// The rate limit of log lines about failures; `None` if no failure has been logged since all calls last succeeded.
    log: Option<RateLimit>,
}

#[derive(Clone, Copy, Debug)]
struct Retry {
    operation: Operation,
    failures: Failures,
    at: Instant,
}

/// The consecutive failures of a call.
#[derive(Clone, Copy, Default, Debug)]
struct Failures {
    times: u32,
    backoff: Backoff,
}

impl<H: RouteHandler> Applier<H> {
    /// Makes an applier without calls.
    pub(crate) fn new(handler: H) -> Self {
        let (calls, failed, due) = Default::default();
        Self { handler, calls, failed, due, log: None }
    }

    /// Returns the time at which to call [`work`](Self::work) if no change comes before.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Carries out a change, and repeats one of the failed calls that are due. Other tasks run between the calls, because the node may run
    /// on the same thread.
    pub(crate) async fn work(&mut self, now: &impl Fn() -> Instant, change: Option<RouteChange>) {
        if let Some(change) = change {
            self.plan(&change);
        }
        while let Some((operation, route)) = self.calls.pop_front() {
            self.call(now, operation, route, Failures::default()).await;
            yield_now().await;
        }
        if let Some(&(at, route)) = self.due.first()
            && at <= now()
            && let Some(Retry { operation, failures, .. }) = self.forget(&route)
        {
            self.call(now, operation, route, failures).await;
            yield_now().await;
        }
    }

    /// Returns true if so many failed calls wait that changes should stay in the node, where they merge.
    pub(crate) fn is_full(&self) -> bool {
        self.failed.len() >= OWED
    }

    /// Ends the work after the node has ended.
    pub(crate) fn finish(self) -> Applied<H> {
        let undone: Vec<_> = self.failed.into_iter().map(|(route, retry)| (retry.operation, route)).collect();
        if !undone.is_empty() {
            warn!(routes = undone.len(), "the node has ended, and some of its last changes could not be applied");
        }
        Applied { handler: self.handler, undone }
    }

    /// Plans the calls for a change. Additions come first, so that a destination that keeps a next hop never loses its last one.
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

    async fn call(&mut self, now: &impl Fn() -> Instant, operation: Operation, route: Route, failures: Failures) {
        let result = match operation {
            Operation::Add => self.handler.add(route).await,
            Operation::Remove => self.handler.remove(route).await,
        };
        match result {
            Ok(()) => self.succeeded(),
            Err(error) => self.fail(now(), operation, route, error, failures),
        }
    }

    fn succeeded(&mut self) {
        if self.failed.is_empty() && self.log.take().is_some() {
            info!("all route changes are applied again");
        }
    }

    fn fail(&mut self, now: Instant, operation: Operation, route: Route, error: H::Error, mut failures: Failures) {
        let retry_in = failures.backoff.fail(RETRY);
        failures.times = failures.times.saturating_add(1);
        let at = now + retry_in;
        self.failed.insert(route, Retry { operation, failures, at });
        self.due.insert((at, route));
        self.log(now, operation, &route, &error);
        self.handler.failed(&Failure { operation, route, error, times: failures.times, retry_in });
    }

    fn log(&mut self, now: Instant, operation: Operation, route: &Route, error: &dyn Display) {
        if self.log.get_or_insert(RateLimit::new(1, LOG)).admit(now) {
            let routes = self.failed.len();
            warn!(%operation, %route, %error, routes, "a route change cannot be applied; trying again");
        }
    }
}

/// Lets other tasks run. Works with any runtime.
async fn yield_now() {
    let mut is_done = false;
    poll_fn(|cx| {
        if mem::replace(&mut is_done, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use metalbond::{NextHop, Vni};

    use super::*;

    /// A table whose calls fail as long as the test wants.
    #[derive(Default)]
    struct Table {
        calls: Vec<(Operation, Route)>,
        fails: bool,
        failures: Vec<(Operation, u32, Duration)>,
    }

    impl Table {
        fn call(&mut self, operation: Operation, route: Route) -> Result<(), &'static str> {
            self.calls.push((operation, route));
            if self.fails { Err("out of order") } else { Ok(()) }
        }
    }

    impl RouteHandler for Table {
        type Error = &'static str;

        async fn add(&mut self, route: Route) -> Result<(), Self::Error> {
            self.call(Operation::Add, route)
        }

        async fn remove(&mut self, route: Route) -> Result<(), Self::Error> {
            self.call(Operation::Remove, route)
        }

        fn failed(&mut self, failure: &Failure<Self::Error>) {
            self.failures.push((failure.operation, failure.times, failure.retry_in));
        }
    }

    #[test]
    fn additions_come_before_removals() {
        let mut applier = Applier::new(Table::default());
        work(&mut applier, 0, Some(change(&[1, 2], &[3])));
        assert_eq!(
            applier.handler.calls,
            [(Operation::Add, route(1)), (Operation::Add, route(2)), (Operation::Remove, route(3))]
        );
        assert_eq!(applier.poll_timeout(), None);
    }

    #[test]
    fn a_call_that_fails_is_repeated_at_growing_intervals_until_it_succeeds() {
        let mut applier = Applier::new(Table { fails: true, ..Table::default() });
        work(&mut applier, 0, Some(change(&[1], &[])));
        let mut waits = Vec::new();
        for _ in 0..9 {
            let at = applier.poll_timeout().unwrap().since_epoch().as_millis() as u64;
            work(&mut applier, at - 1, None);
            assert_eq!(applier.handler.calls.len(), waits.len() + 1, "not before it is due");
            work(&mut applier, at, None);
            let (_, times, wait) = *applier.handler.failures.last().unwrap();
            assert_eq!(times as usize, waits.len() + 2);
            waits.push(wait.as_millis());
        }
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000]);

        applier.handler.fails = false;
        work(&mut applier, 1_000_000, None);
        assert_eq!(applier.poll_timeout(), None);
        assert_eq!(applier.finish().undone, []);
    }

    #[test]
    fn a_change_of_a_route_replaces_its_failed_call() {
        let mut applier = Applier::new(Table { fails: true, ..Table::default() });
        work(&mut applier, 0, Some(change(&[1, 2], &[])));
        applier.handler.fails = false;
        work(&mut applier, 0, Some(change(&[], &[1])));
        // The failed `add` may have had an effect, so the route is removed; and `add` is not repeated.
        assert_eq!(applier.handler.calls.last(), Some(&(Operation::Remove, route(1))));
        work(&mut applier, 100, None);
        work(&mut applier, 200, None);
        assert_eq!(applier.handler.calls[3..], [(Operation::Add, route(2))]);
        assert_eq!(applier.poll_timeout(), None);
    }

    #[test]
    fn changes_do_not_wait_for_failed_calls_and_the_end_returns_the_calls_not_done() {
        let mut applier = Applier::new(Table { fails: true, ..Table::default() });
        (0..100).for_each(|n| work(&mut applier, 0, Some(change(&[n], &[]))));
        applier.handler.fails = false;
        // All failed calls are due: one of them is repeated with each change.
        work(&mut applier, 1000, Some(change(&[200], &[])));
        assert_eq!(applier.handler.calls.len(), 102);
        let applied = applier.finish();
        assert_eq!(applied.undone.len(), 99);
        assert!(applied.undone.iter().all(|(operation, _)| *operation == Operation::Add));
    }

    #[test]
    fn an_applier_with_many_failed_calls_takes_no_more_changes() {
        let mut applier = Applier::new(Table { fails: true, ..Table::default() });
        for n in 0..OWED as u32 {
            assert!(!applier.is_full());
            let prefix = metalbond::Prefix::new(std::net::Ipv4Addr::from(n).into(), 32).unwrap();
            work(&mut applier, 0, Some(RouteChange::new(Vni(23), prefix, [], [next_hop(1)], [])));
        }
        assert!(applier.is_full());
        applier.handler.fails = false;
        work(&mut applier, 1000, None);
        assert!(!applier.is_full());
    }

    fn work(applier: &mut Applier<Table>, millis: u64, change: Option<RouteChange>) {
        let now = Instant::from_epoch(Duration::from_millis(millis));
        let clock = || now;
        let mut work = pin!(applier.work(&clock, change));
        while work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {}
    }

    fn next_hop(n: u8) -> NextHop {
        NextHop::standard([192, 0, 2, n].into())
    }

    fn route(n: u8) -> Route {
        Route { vni: Vni(23), prefix: "10.0.0.1/32".parse().unwrap(), next_hop: next_hop(n) }
    }

    fn change(added: &[u8], removed: &[u8]) -> RouteChange {
        let hops = |numbers: &[u8]| numbers.iter().map(|n| next_hop(*n)).collect::<Vec<_>>();
        RouteChange::new(Vni(23), route(0).prefix, [], hops(added), hops(removed))
    }
}
